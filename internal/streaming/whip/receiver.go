package whip

import (
	"time"

	"github.com/pion/rtcp"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/ingest"
)

// Receiver makes pictures or sounds of the RTP packets of one track and hands
// them to a broadcast, and what the sender reports of the track's clock. It is
// told the time of everything. Packet, Waiting and Expire are for one goroutine,
// Reports for another.
type Receiver struct {
	to    ingest.Session
	order reorder
	say   func(frame.Report)
}

// NewVideoReceiver returns a receiver of video in a codec.
func NewVideoReceiver(codec cmaf.VideoCodec, to ingest.Session) (*Receiver, error) {
	video, err := newVideoReader(codec, to)
	if err != nil {
		return nil, err
	}
	return &Receiver{to: to, order: reorder{to: video, wait: maxReorder}, say: to.VideoReport}, nil
}

// NewAudioReceiver returns a receiver of Opus.
func NewAudioReceiver(to ingest.Session) *Receiver {
	return &Receiver{to: to, order: reorder{to: audioReader{to}, wait: maxAudioReorder}, say: to.AudioReport}
}

// Packet takes an RTP packet, of which it keeps nothing, and returns its
// sequence number. Errors: it is none.
func (r *Receiver) Packet(b []byte, now time.Time) (sequence uint16, err error) {
	h, err := parseHeader(b)
	if err != nil {
		return 0, err
	}
	r.to.Received(len(h.payload), now)
	r.order.push(packet{sequence: h.sequence, timestamp: h.timestamp, marker: h.marker, payload: h.payload, at: now})
	return h.sequence, nil
}

// Waiting says whether packets are held back behind one that is missing. Then
// Expire must be called from time to time: perhaps no other packet comes.
func (r *Receiver) Waiting() bool { return r.order.waiting() }

// Expire gives up packets that have been missing for too long.
func (r *Receiver) Expire(now time.Time) { r.order.expire(now) }

// Reports takes a compound RTCP packet, hands on what it says of the clock of an
// SSRC, and returns the sender reports on it.
func (r *Receiver) Reports(b []byte, ssrc uint32) []*rtcp.SenderReport {
	packets, err := rtcp.Unmarshal(b)
	if err != nil {
		return nil
	}
	var reports []*rtcp.SenderReport
	for _, p := range packets {
		if sr, ok := p.(*rtcp.SenderReport); ok && sr.SSRC == ssrc {
			r.say(frame.Report{NTP: sr.NTPTime, Timestamp: sr.RTPTime})
			reports = append(reports, sr)
		}
	}
	return reports
}
