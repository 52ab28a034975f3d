package whep

import (
	"time"

	"github.com/pion/rtcp"
)

// reporter sends sender reports (RFC 3550, 6.4.1). Both tracks are tied to one
// clock, that of the stream's timeline, so that players keep them in step.
type reporter struct {
	sent  time.Time
	began func() time.Time // when the timeline's zero was, by the first fan
}

// send sends the reports that are due.
func (r *reporter) send(s *sender, now time.Time) {
	if !s.hasStamp || now.Sub(r.sent) < s.limits.reports {
		return
	}
	r.sent = now
	elapsed := now.Sub(r.began())
	reports := []rtcp.Packet{s.video.senderReport(now, elapsed, s.shift, videoClock)}
	if s.audio != nil && s.audio.ready && s.audio.packets > 0 {
		reports = append(reports, s.audio.senderReport(now, elapsed, s.shift*audioClock/videoClock, audioClock))
	}
	var names []rtcp.SourceDescriptionChunk
	for _, p := range reports {
		names = append(names, rtcp.SourceDescriptionChunk{
			Source: p.(*rtcp.SenderReport).SSRC,
			Items:  []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: streamLabel}},
		})
	}
	s.events.rtcp(append(reports, &rtcp.SourceDescription{Chunks: names}))
	if s.events.metrics.Sent != nil {
		s.events.metrics.Sent(s.sentBytes)
	}
	s.sentBytes = 0
}

func (t *localTrack) senderReport(now time.Time, elapsed time.Duration, shift, clock int64) *rtcp.SenderReport {
	at := int64(elapsed/time.Second)*clock + int64(elapsed%time.Second)*clock/int64(time.Second)
	return &rtcp.SenderReport{
		SSRC: t.header.SSRC, NTPTime: ntp(now), RTPTime: t.base + uint32(at+shift),
		PacketCount: t.packets, OctetCount: t.octets,
	}
}

// ntp is a time as 32.32 fixed point seconds since 1900.
func ntp(t time.Time) uint64 {
	const since1900 = 2208988800
	return uint64(t.Unix()+since1900)<<32 | uint64(t.Nanosecond())<<32/1_000_000_000
}
