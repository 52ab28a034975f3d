package whip

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/pion/webrtc/v4"
)

// repairEvery is how often a reader that waits for a missing packet looks for
// its retransmission, which wakes nobody.
const repairEvery = 10 * time.Millisecond

// maxGarbage is how many packets in a row may be unusable.
const maxGarbage = 1000

// track reads a track of the publisher's: of each kind the first that sends.
func (s *session) track(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closed:
		return
	default:
	}
	to := NewAudioReceiver(s.media)
	if track.Kind() == webrtc.RTPCodecTypeVideo {
		var err error
		if to, err = NewVideoReceiver(s.media.Codec(), s.media); err != nil {
			s.log.Error("reading video", "error", err)
			return
		}
	}
	s.readers.Go(func() { s.readPackets(track, receiver, to) })
}

// take makes a track that has sent something the one of its kind, unless there is
// one.
func (s *session) take(track *webrtc.TrackRemote) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[track.Kind()] {
		return false
	}
	s.taken[track.Kind()] = true
	if track.Kind() == webrtc.RTPCodecTypeVideo {
		s.videoSSRC.Store(uint32(track.SSRC()))
	}
	return true
}

// readPackets reads a track until the connection is closed, or another one of its
// kind has sent before it did.
func (s *session) readPackets(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver, to *Receiver) {
	buf := make([]byte, receiveMTU)
	taken := false
	limited := false // there is a deadline for reading
	garbage := 0     // packets in a row
	for {
		if waiting := to.Waiting(); waiting || limited {
			var deadline time.Time
			if waiting {
				deadline = time.Now().Add(repairEvery)
			}
			if err := track.SetReadDeadline(deadline); err != nil {
				return
			}
			limited = waiting
		}
		n, attributes, err := track.Read(buf)
		now := time.Now()
		if isTimeout(err) {
			to.Expire(now)
			continue
		}
		if isClosed(err) {
			return
		}
		if !taken {
			if taken = s.take(track); !taken {
				return
			}
			s.readers.Go(func() { s.readReports(track, receiver, to) })
		}
		var sequence uint16
		if err == nil {
			sequence, err = to.Packet(buf[:n], now)
		}
		if err != nil { // as of a payload type that was not negotiated
			s.media.Dropped(1)
			if garbage++; garbage > maxGarbage {
				s.Close("the publisher sends packets that are no RTP of this session")
				return
			}
			continue
		}
		garbage = 0
		if attributes != nil && attributes.Get(webrtc.AttributeRtxSsrc) != nil {
			s.feedback.repaired(uint32(track.SSRC()), sequence)
		}
	}
}

// isClosed tells the end of a connection from a bad packet.
func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, net.ErrClosed)
}

func isTimeout(err error) bool {
	var t net.Error
	return err != nil && errors.As(err, &t) && t.Timeout()
}

// readReports hands on the sender reports of a track.
func (s *session) readReports(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver, to *Receiver) {
	buf := make([]byte, receiveMTU)
	for {
		n, _, err := receiver.Read(buf)
		if err != nil {
			return // the connection is closed
		}
		for _, sr := range to.Reports(buf[:n], uint32(track.SSRC())) {
			s.feedback.reported(sr, time.Now())
		}
	}
}
