package whip

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

const (
	twccEvery   = 100 * time.Millisecond
	reportEvery = time.Second
	// nackAfter lets packets overtake each other before one counts as missing,
	// nackEvery lets an answer come before it is asked for again.
	nackAfter = 10 * time.Millisecond
	nackEvery = 50 * time.Millisecond
)

// feedback is what a publisher hears of its packets, of all its tracks: receiver
// reports (RFC 3550, 6.4.2), NACKs (RFC 4585, 6.2.1) and transport-wide
// congestion control. It is an interceptor of pion, in the place of its three:
// one look at each packet, one goroutine and no allocation.
type feedback struct {
	interceptor.NoOp
	ssrc  uint32 // of ours
	start time.Time

	mu      sync.Mutex
	inbound map[uint32]*inbound // by SSRC
	arrived *twcc.Recorder

	gap     chan struct{} // a packet is missing
	closing sync.Once
	closed  chan struct{}
	loop    sync.WaitGroup
}

func newFeedback() *feedback {
	ssrc := rand.Uint32()
	return &feedback{
		ssrc: ssrc, start: time.Now(), inbound: map[uint32]*inbound{}, arrived: twcc.NewRecorder(ssrc),
		gap: make(chan struct{}, 1), closed: make(chan struct{}),
	}
}

// NewInterceptor makes it the factory of itself: it serves one connection.
func (f *feedback) NewInterceptor(string) (interceptor.Interceptor, error) { return f, nil }

// BindRTCPWriter begins to send feedback, until Close.
func (f *feedback) BindRTCPWriter(w interceptor.RTCPWriter) interceptor.RTCPWriter {
	f.loop.Go(func() { f.send(w) })
	return w
}

// Close stops sending.
func (f *feedback) Close() error {
	f.closing.Do(func() { close(f.closed) })
	f.loop.Wait()
	return nil
}

// BindRemoteStream looks at the packets of one SSRC.
func (f *feedback) BindRemoteStream(info *interceptor.StreamInfo, r interceptor.RTPReader) interceptor.RTPReader {
	var extension uint8
	for _, e := range info.RTPHeaderExtensions {
		if e.URI == sdp.TransportCCURI {
			extension = uint8(e.ID)
		}
	}
	var in *inbound // nil for retransmissions and probes, which TWCC alone counts
	if info.SSRC != 0 && info.ClockRate != 0 && info.MimeType != webrtc.MimeTypeRTX {
		in = &inbound{clock: info.ClockRate}
		for _, fb := range info.RTCPFeedback {
			in.nacks = in.nacks || fb.Type == "nack" && fb.Parameter == ""
		}
		f.mu.Lock()
		f.inbound[info.SSRC] = in
		f.mu.Unlock()
	}
	return interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, attributes, err := r.Read(b, a)
		if err == nil {
			f.heard(in, info.SSRC, extension, b[:n])
		}
		return n, attributes, err
	})
}

// UnbindRemoteStream forgets an SSRC.
func (f *feedback) UnbindRemoteStream(info *interceptor.StreamInfo) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.inbound, info.SSRC)
}

// heard notes a packet.
func (f *feedback) heard(in *inbound, ssrc uint32, extension uint8, b []byte) {
	h, err := parseHeader(b)
	if err != nil {
		return
	}
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if extension != 0 {
		if number := h.extension(extension); len(number) >= 2 {
			f.arrived.Record(ssrc, binary.BigEndian.Uint16(number), now.Sub(f.start).Microseconds())
		}
	}
	if in != nil && in.heard(&h, now) {
		select {
		case f.gap <- struct{}{}:
		default:
		}
	}
}

// reported notes a sender report, which receiver reports refer to.
func (f *feedback) reported(sr *rtcp.SenderReport, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if in := f.inbound[sr.SSRC]; in != nil {
		in.senderReport, in.reportedAt = uint32(sr.NTPTime>>16), now
	}
}

// repaired notes that a packet came as a retransmission.
func (f *feedback) repaired(ssrc uint32, sequence uint16) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if in := f.inbound[ssrc]; in != nil {
		in.close(sequence)
	}
}

// send sends what is due until it is closed.
func (f *feedback) send(w interceptor.RTCPWriter) {
	tick := time.NewTicker(twccEvery)
	defer tick.Stop()
	asking := time.NewTimer(time.Hour) // when to ask for missing packets
	asking.Stop()
	defer asking.Stop()
	armed := false
	reports := time.Now()
	for {
		var out []rtcp.Packet
		select {
		case <-f.closed:
			return
		case <-f.gap:
			if !armed {
				asking.Reset(nackAfter)
				armed = true
			}
			continue
		case now := <-asking.C:
			out = f.missing(now)
			if armed = len(out) > 0; armed {
				asking.Reset(nackEvery)
			}
		case now := <-tick.C:
			f.mu.Lock()
			if now.Sub(reports) >= reportEvery {
				reports = now
				out = f.report(now)
			}
			out = append(out, f.arrived.BuildFeedbackPacket()...)
			f.mu.Unlock()
		}
		if len(out) > 0 {
			_, _ = w.Write(out, nil) // a connection that is gone is noticed by its state
		}
	}
}

// report makes the receiver report.
func (f *feedback) report(now time.Time) []rtcp.Packet {
	rr := &rtcp.ReceiverReport{SSRC: f.ssrc}
	for ssrc, in := range f.inbound {
		if in.received > 0 {
			rr.Reports = append(rr.Reports, in.report(ssrc, now))
		}
	}
	if len(rr.Reports) == 0 {
		return nil
	}
	return []rtcp.Packet{rr}
}

// missing makes the NACKs for packets that are missing and not given up yet.
func (f *feedback) missing(now time.Time) []rtcp.Packet {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []rtcp.Packet
	for ssrc, in := range f.inbound {
		if numbers := in.missing(now); len(numbers) > 0 {
			out = append(out, &rtcp.TransportLayerNack{
				SenderSSRC: f.ssrc, MediaSSRC: ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers(numbers),
			})
		}
	}
	return out
}

// stats sums up all tracks; the jitter is the largest.
func (f *feedback) stats() (received, lost int64, jitter time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, in := range f.inbound {
		received += in.received
		lost += in.lost()
		jitter = max(jitter, time.Duration(in.jitter/float64(in.clock)*float64(time.Second)))
	}
	return received, lost, jitter
}
