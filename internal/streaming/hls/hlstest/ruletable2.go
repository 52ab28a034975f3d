package hlstest

func multivariantRules() []Rule {
	return []Rule{
		{"variants", "draft 4.1", "A multivariant playlist has a variant."},
		{"bandwidth", "draft 4.4.6.2", "Every variant has BANDWIDTH above zero."},
		{"apple-9.14", "Apple 9.14", "Every variant has AVERAGE-BANDWIDTH."},
		{"average-bandwidth", "draft 4.4.6.2", "AVERAGE-BANDWIDTH is at most BANDWIDTH."},
		{"apple-9.1", "Apple 9.1", "Every variant has CODECS."},
		{"apple-9.2", "Apple 9.2", "Every variant with video has RESOLUTION."},
		{"apple-9.15", "Apple 9.15", "Every variant with video has FRAME-RATE."},
		{"frame-rate", "draft 4.4.6.2", "FRAME-RATE is above zero and has three decimals."},
		{"apple-9.16", "Apple 9.16, draft 4.4.6.2", "VIDEO-RANGE is SDR, HLG or PQ, and of every variant unless all are SDR."},
		{"apple-9.19", "Apple 9.19, draft 4.4.6.2", "SCORE is above zero and of every variant or of none."},
		{"apple-9.9", "Apple 9.9", "There is video of more than one bit rate."},
		{"apple-2.3", "Apple 2.3", "Stereo audio in AAC is offered."},
		{"audio-group", "draft 4.4.6.2", "AUDIO names a group that is there."},
		{"media-name", "draft 4.4.6.1.1", "Renditions of a group have different names."},
		{"media-default", "draft 4.4.6.1.1", "A group has at most one DEFAULT=YES."},
		{"media-autoselect", "draft 4.4.6.1, ours", "A rendition with DEFAULT=YES has AUTOSELECT=YES."},
		{"media-distinct", "draft 4.4.6.1.1", "Renditions of a group with AUTOSELECT=YES differ in their language."},
		{"media-channels", "draft 4.4.6.1", "A rendition of audio has CHANNELS, which begins with a number above zero."},
		{"media-groups", "draft 4.4.6.1.1", "Groups have the same members, alike but for URI and CHANNELS."},
		{"apple-8.10", "Apple 8.10", "Every EXT-X-MEDIA has LANGUAGE."},
	}
}

func renditionRules() []Rule {
	return []Rule{
		{"same-target", "draft 6.2.4, Apple 8.2", "All media playlists have one target duration."},
		{"same-type", "draft 6.2.4", "All media playlists are of one type."},
		{"same-control", "draft 6.2.4", "All media playlists have the same EXT-X-SERVER-CONTROL."},
		{"same-dates", "draft 6.2.4, ours", "A sequence number is the same time in all media playlists, to 50 ms."},
		{"apple-8.15", "Apple 8.15, draft 6.2.4", "All media playlists have their discontinuities at the same segments, with the same numbers."},
		{"apple-8.22", "Apple 8.22", "Segments end at the same time in all media playlists, to 50 ms."},
		{"same-parts", "ours", "Parts end at the same time in all media playlists of video, to 50 ms."},
		{"in-sync", "draft B.1", "Media playlists of one moment end within a part target of each other."},
		{"report-each", "draft B.1", "A media playlist with parts has one report on every other and none on itself."},
		{"report-current", "draft 4.4.5.4", "A report tells where the other media playlist is: not behind what was seen before the playlist with the report was made, not ahead of what is seen after."},
		{"apple-9.12", "Apple 9.11, 9.12", "EXT-X-INDEPENDENT-SEGMENTS is in the multivariant playlist or in every media playlist of video."},
		{"independent-twice", "draft 4.4.2.1", "EXT-X-INDEPENDENT-SEGMENTS is not in both."},
	}
}

func contentRules() []Rule {
	return []Rule{
		{"init", "draft 3.1.2", "An init segment has ftyp with a brand of iso6 or later, then moov with mvex, no samples and no durations."},
		{"fragments", "draft 3.1.2", "A segment is fragments with tfdt, addressed from their moof, of tracks that the init segment has."},
		{"parts-are-segment", "draft 3.2", "A segment has the samples of its parts: the same bytes, times and order."},
		{"part-media", "draft 4.4.4.9", "A part's DURATION is that of its samples, to 1 ms."},
		{"apple-8.1", "Apple 8.1, draft 3", "The EXTINF of any segments in a row add up to the time of their samples, within one frame; where a part was a gap, nothing is asked."},
		{"apple-7.3", "Apple 7.3", "The tfdt of a track is that of the fragment before and its duration, unless there was a gap."},
		{"apple-7.4", "Apple 7.4", "With EXT-X-INDEPENDENT-SEGMENTS, video begins with an IDR frame in every segment."},
		{"independent-part", "draft 4.4.4.9", "A part that is INDEPENDENT=YES begins with a key frame."},
		{"key-part", "draft 4.4.4.9", "A part that begins with a key frame is INDEPENDENT=YES."},
		{"codecs", "draft 6.2.4", "CODECS has every format of the init segments, of formats that differ in profile and level the one that covers all, and none of another codec."},
		{"resolution", "draft 4.4.6.2", "RESOLUTION is the picture size of an init segment, of several that of the most pixels."},
		{"frames", "draft 4.4.6.2", "FRAME-RATE is the highest rate of any segment, to a tenth above and a quarter below."},
		{"apple-9.13", "Apple 9.13, draft 4.4.6.2.1", "BANDWIDTH is the peak bit rate of segments or more, with the largest audio rendition of the group."},
		{"apple-1.28", "Apple 1.28", "The average bit rate is below 110 % of AVERAGE-BANDWIDTH."},
		{"channels", "draft 4.4.6.1", "CHANNELS is the number of channels of the init segment."},
	}
}

func deliveryRules() []Rule {
	return []Rule{
		{"http-status", "draft 6.2.1", "What a playlist lists can be had at once: 200."},
		{"http-playlist-type", "draft 4, Apple 10.4", "A playlist is application/vnd.apple.mpegurl."},
		{"http-media-type", "Apple 10.4", "Media is video/mp4, audio/mp4 or video/iso.segment."},
		{"apple-10.1", "Apple 10.1, draft 6.2.1, B.1", "A playlist is sent with gzip to who takes it, and says so in Vary."},
		{"http-media-plain", "ours", "Media is never compressed again."},
		{"http-cache-media", "draft B.1, ours", "Live media is immutable and kept for six target durations or more."},
		{"http-cache-blocking", "draft B.1", "The answer to a blocking reload may be kept for six target durations or more."},
		{"http-cache-plain", "draft B.1", "A live playlist asked for without blocking may be kept for half a target duration at most, and says for how long."},
		{"http-cache-error", "ours", "An error is not kept: no-store."},
		{"http-cors", "ours", "Pages of any origin may play what is public."},
		{"apple-8.18", "Apple 8.18", "Requests are not redirected."},
		{"http-2", "draft B.1", "Over TLS, HTTP/2 or later is used."},
		{"http-block", "draft 6.2.5.2", "A blocking reload waits, and its answer has what was asked for."},
		{"http-hold", "draft 4.4.5.3, 6.2.6", "A request for the hinted part waits for it and gets all of it."},
		{"http-msn-far", "draft 6.2.5.2", "_HLS_msn more than two after the last segment is answered with 400."},
		{"http-part-far", "draft 6.2.5.2", "_HLS_part further ahead than the Advance Part Limit is answered with 400."},
		{"http-part-alone", "draft 6.2.5.2", "_HLS_part without _HLS_msn is answered with 400."},
		{"http-unknown", "draft 6.2.6", "What is neither listed nor hinted at is answered with 404."},
		{"http-part-after", "draft 6.2.2", "A part that is no gap can be had for three target durations after it has left the playlist."},
		{"http-ended", "draft 6.2.5.2, 6.2.5.1", "Directives are ignored when the playlist has ended."},
	}
}
