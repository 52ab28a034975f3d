package hlstest

func syntaxRules() []Rule {
	return []Rule{
		{"text", "draft 4.1", "A playlist is UTF-8 without a byte order mark and without control characters."},
		{"lines", "draft 4.1, ours", "Every line has an end; there is no white space around lines, and no blank line."},
		{"extm3u", "draft 4.4.1.1", "The first line is #EXTM3U."},
		{"tag-known", "ours", "A playlist has no tag but those that this server means to write."},
		{"tag-once", "draft 4.4.1.2, 4.4.2, 4.4.3, 4.4.5", "Tags of the whole playlist, and EXT-X-SKIP, stand once."},
		{"tag-place", "draft 4.4.3.2, 4.4.3.3, ours", "Tags of the whole playlist stand before the first segment, hints and reports after the last, EXT-X-ENDLIST at the end."},
		{"playlist-kind", "draft 4.4.3, 4.4.4, 4.4.6", "No tag of a media playlist stands in a multivariant playlist, or the other way round."},
		{"attribute-list", "draft 4.2", "Attributes are NAME=value, separated by commas, without white space; none stands twice."},
		{"attribute-value", "draft 4.2", "Attributes that are required are there, and have values of their types."},
		{"extinf", "draft 4.4.4.1", "Every segment has an EXTINF with a decimal duration and a comma, and a URI after it."},
		{"stream-inf", "draft 4.4.6.2", "Every EXT-X-STREAM-INF has a URI on the next line, and no URI is without one."},
		{"before-parts", "draft 4.4.4.9", "EXT-X-DISCONTINUITY, EXT-X-MAP and EXT-X-PROGRAM-DATE-TIME stand before the parts of their segment."},
		{"date", "draft 4.4.4.6", "A date has the time zone and milliseconds."},
	}
}

func mediaRules() []Rule {
	return []Rule{
		{"version", "draft 8", "EXT-X-VERSION is at least 6 with EXT-X-MAP, 9 with EXT-X-SKIP."},
		{"version-high", "draft 6.2.1", "EXT-X-VERSION is not higher than what the tags need."},
		{"target-duration", "draft 4.4.3.1", "EXT-X-TARGETDURATION is there and at least 1."},
		{"segment-duration", "draft 4.4.3.1", "A segment's duration, rounded, is at most the target duration."},
		{"apple-7.7", "Apple 7.7", "No segment is longer than the target duration and 0.5 s."},
		{"segment-zero", "ours", "A segment has a duration above zero."},
		{"not-empty", "ours", "A playlist that is served has a segment or a part."},
		{"type-removal", "draft 4.4.3.5, 6.2.2", "A playlist of a type begins with segment 0: nothing is removed from it."},
		{"vod-ended", "draft 4.4.3.5, 6.2.1", "A VOD playlist has EXT-X-ENDLIST."},
		{"apple-8.6", "Apple 8.6", "The playlist of a recording is of the type VOD."},
		{"map", "draft 3.1.2, Apple 8.20", "Every segment has an EXT-X-MAP."},
		{"map-discontinuity", "draft 4.4.4.3, 6.2.1", "Another EXT-X-MAP comes with EXT-X-DISCONTINUITY."},
		{"uri-once", "ours", "A URI names one thing: none stands twice in a playlist."},
		{"gap-parts", "draft 6.2.1", "The parts of a segment with EXT-X-GAP have GAP=YES, and a segment of such parts alone has EXT-X-GAP."},
		{"ended-complete", "draft 4.1, 6.2.1", "An ended playlist has no parts without their segment."},
	}
}

func liveRules() []Rule {
	return []Rule{
		{"apple-8.4", "Apple 8.4, draft B.1", "A live media playlist has EXT-X-PROGRAM-DATE-TIME, from its first segment on."},
		{"date-discontinuity", "draft 6.2.1", "A segment with EXT-X-DISCONTINUITY has a date, if any has."},
		{"date-order", "draft 6.2.1", "Dates are not ambiguous: a segment overlaps the one before by less than a second and never as a whole."},
		{"date-steady", "ours", "Without a discontinuity, a date is the one before and its segment's duration, to 0.25 s."},
		{"apple-8.11", "Apple 8.11", "A live playlist from which segments have left has six or more."},
		{"three-targets", "draft 6.2.2", "A live playlist from which segments have left lasts three target durations or more."},
		{"apple-8.17", "Apple 8.17, draft 6.2.2", "A live playlist always has EXT-X-DISCONTINUITY-SEQUENCE, as a discontinuity may come."},
		{"hold-back", "draft 4.4.3.8", "HOLD-BACK is three target durations or more."},
		{"skip-until", "draft 4.4.3.8", "CAN-SKIP-UNTIL is six target durations or more."},
		{"skip-offered", "draft 6.2.5.1", "EXT-X-SKIP stands only where CAN-SKIP-UNTIL offers it, and not in an ended playlist."},
		{"server-control", "draft 4.4.3.8, ours", "A playlist with parts has CAN-BLOCK-RELOAD=YES and PART-HOLD-BACK."},
		{"apple-14.3", "Apple 14.3, draft 4.4.3.8", "PART-HOLD-BACK is three part targets or more."},
		{"apple-14.4", "Apple 14.4", "A live playlist longer than two minutes offers delta updates."},
		{"hint", "draft B.1", "A playlist with parts that has not ended hints at the next part."},
		{"hint-ended", "draft 4.4.5.3", "An ended playlist has no preload hint."},
		{"hint-once", "draft 6.2.6", "There is one preload hint of a type."},
		{"report-uri", "draft 4.4.5.4", "The URI of a rendition report is relative."},
		{"report-values", "draft 4.4.5.4, ours", "A rendition report has LAST-MSN and, with parts, LAST-PART."},
	}
}

func partRules() []Rule {
	return []Rule{
		{"part-inf", "draft 4.4.3.7", "A playlist with parts has EXT-X-PART-INF with PART-TARGET."},
		{"part-long", "draft 4.4.4.9", "No part is longer than PART-TARGET."},
		{"part-short", "draft 4.4.4.9", "A part lasts 85 % of PART-TARGET, unless it is independent, a gap, before a gap, or the last of its segment."},
		{"part-zero", "ours", "A part has a duration above zero."},
		{"part-sum", "draft 3.2", "The parts of a complete segment last as long as it."},
		{"part-old", "draft 6.2.2", "Parts leave the playlist when they are three target durations from its end."},
		{"part-order", "draft 6.2.2", "Parts leave in order: after a segment with parts none is without."},
		{"part-first", "draft 4.4.2.1, 4.4.4.9", "With EXT-X-INDEPENDENT-SEGMENTS the first part of a segment is INDEPENDENT=YES or a gap."},
		{"part-independent", "draft B.1", "A complete segment has a part that is independent, unless it is a gap."},
	}
}

func reloadRules() []Rule {
	return []Rule{
		{"reload-target", "draft 6.2.1", "EXT-X-TARGETDURATION does not change."},
		{"reload-header", "draft 6.2.1", "No other tag of the whole playlist changes, but for the two sequence numbers."},
		{"reload-ended", "draft 4.4.3.4, 6.2.1", "Nothing changes after EXT-X-ENDLIST."},
		{"sequence-back", "draft 6.2.2", "EXT-X-MEDIA-SEQUENCE does not go back."},
		{"edge-back", "draft 6.2.1", "Segments and parts at the end do not go away again."},
		{"reload-jump", "ours", "A reload in time finds the end of what it knew: nothing was missed."},
		{"event-removed", "draft 6.2.1", "Nothing is removed from an EVENT or VOD playlist."},
		{"discontinuity-sequence", "draft 6.2.2", "EXT-X-DISCONTINUITY-SEQUENCE grows by one with every discontinuity that leaves, and not else."},
		{"segment-changed", "draft 6.2.1", "A segment that is listed stays as it is: URI, duration, date, EXT-X-MAP, discontinuity, gap."},
		{"part-changed", "draft 6.2.1", "A part that is listed stays as it is until it leaves with its segment's others."},
		{"hint-kept", "draft 4.4.5.3", "The part that comes has the URI that was hinted at."},
		{"hint-map", "draft B.1", "When the hinted part has a new EXT-X-MAP, that was hinted at too; unless a discontinuity comes, which nobody may foresee."},
		{"update-segment", "draft 6.2.1", "A new segment comes within 1.5 target durations."},
		{"update-part", "draft 6.2.1", "A new part comes within a part target of the one before, to one more for the way."},
		{"delta-header", "draft 6.2.5.1", "A delta update has the header of the playlist, its sequence numbers, hints and reports."},
		{"delta-count", "draft 4.4.5.2", "SKIPPED-SEGMENTS is the number of segments that are replaced, and above zero."},
		{"delta-tail", "draft 6.2.5.1, 4.4.5.2", "What was not skipped stands in a delta update as in the playlist."},
		{"delta-boundary", "draft 6.2.5.1", "Nothing nearer to the end than the skip boundary is skipped."},
		{"delta-all", "draft 6.2.5.1", "Everything further from the end than the skip boundary is skipped."},
	}
}
