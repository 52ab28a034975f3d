package whep

import (
	"io"
	"sync"
	"time"

	"github.com/pion/transport/v5/packetio"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtc"
)

// hearing is what is known while one packet of feedback is read.
type hearing struct {
	feedback
	now time.Time
}

// feedback makes the reader of the viewer's feedback.
func (s *sender) feedback() *hearing {
	h := &hearing{}
	h.feedback = feedback{
		nack: func(ssrc uint32, sequence uint16) {
			if ssrc == s.video.header.SSRC {
				s.nack(sequence, h.now)
			}
		},
		key: func() { s.wantsKey = true },
		loss: func(ssrc uint32, share uint8) {
			if ssrc == s.video.header.SSRC && !s.video.extended && s.fan != nil {
				s.estimate.lossReport(float64(share)/256, s.fan.bitrate())
			}
		},
		arrived: func(sequence uint16, received bool, at int64) {
			s.estimate.packet(sequence, received, at, s.micros(h.now))
		},
		reported: func() {
			s.estimate.report(s.micros(h.now))
			if s.fan != nil {
				s.pacer.set(s.pace(), h.now)
			}
		},
	}
	return h
}

// hear takes a packet of feedback.
func (s *sender) hear(packet []byte) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard.now = now
	s.burst.Begin()
	s.heard.read(packet)
	s.burst.End()
	if s.wantsKey {
		s.wake()
	}
}

// inbox stands where pion keeps RTCP packets until somebody reads them, for each
// source that the viewer speaks of. Our senders hear them at once instead: that
// saves the buffers and the goroutines, and reports are heard too that name the
// source of retransmissions, which pion lets nobody read.
type inbox struct {
	take   func([]byte) // nil: nothing is wanted
	closed chan struct{}
	once   sync.Once
}

func (s *sender) inbox(kind packetio.BufferPacketType, _ uint32) io.ReadWriteCloser {
	b := &inbox{closed: make(chan struct{})}
	if kind == packetio.RTCPBufferPacket {
		b.take = s.hear
	}
	return b
}

// Write takes a packet.
func (b *inbox) Write(p []byte) (int, error) {
	if b.take != nil {
		b.take(p)
	}
	return len(p), nil
}

// Read never has one.
func (b *inbox) Read([]byte) (int, error) {
	<-b.closed
	return 0, io.EOF
}

// Close ends reading.
func (b *inbox) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}

// reach takes the way to the viewer; nil is one packet at a time.
func (s *sender) reach(burst *rtc.Burst) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.burst.Close()
	s.burst = burst
}
