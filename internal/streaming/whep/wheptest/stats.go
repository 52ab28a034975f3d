package wheptest

import (
	"context"
	"fmt"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

// Stats is what a viewer has seen so far.
type Stats struct {
	State                    webrtc.PeerConnectionState
	Frames, KeyFrames        int // complete ones
	Lost                     int // packets of video that never came
	AudioPackets             int
	FirstKey                 time.Time // when the first key frame was complete
	FirstAudio               time.Time
	LastTimestamp            uint32 // of the video
	Packets                  int    // of video
	NACKs                    int    // packets asked for again
	Encoding                 string // the video's MIME type
	VideoReport, AudioReport *rtcp.SenderReport
}

// Stats returns what was seen so far.
func (v *Viewer) Stats() Stats {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.stats
}

// Wait waits until what was seen is as wanted.
func (v *Viewer) Wait(ctx context.Context, wanted func(Stats) bool) error {
	for {
		v.mu.Lock()
		if v.changed == nil {
			v.changed = make(chan struct{})
		}
		stats, changed := v.stats, v.changed
		v.mu.Unlock()
		if wanted(stats) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("the viewer does not come to see it, only %+v: %w", stats, ctx.Err())
		}
	}
}

func (v *Viewer) update(change func(*Stats)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change(&v.stats)
	if v.changed != nil {
		close(v.changed)
		v.changed = nil
	}
}

// counter counts what the viewer asks for again.
type counter struct{ viewer *Viewer }

// NewInterceptor makes the one of a connection.
func (c counter) NewInterceptor(string) (interceptor.Interceptor, error) {
	return &counting{viewer: c.viewer}, nil
}

type counting struct {
	interceptor.NoOp
	viewer *Viewer
}

// BindRTCPWriter looks at what the viewer sends.
func (c *counting) BindRTCPWriter(next interceptor.RTCPWriter) interceptor.RTCPWriter {
	return interceptor.RTCPWriterFunc(func(packets []rtcp.Packet, a interceptor.Attributes) (int, error) {
		for _, p := range packets {
			if n, ok := p.(*rtcp.TransportLayerNack); ok {
				for _, pair := range n.Nacks {
					c.viewer.update(func(s *Stats) { s.NACKs += len(pair.PacketList()) })
				}
			}
		}
		return next.Write(packets, a)
	})
}
