package whip

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtc"
)

// spoiler changes the headers of what a client sends.
type spoiler struct {
	interceptor.NoOp
	payloadType atomic.Uint32 // instead of the negotiated one, unless 0
}

func (s *spoiler) NewInterceptor(string) (interceptor.Interceptor, error) { return s, nil }

func (s *spoiler) BindLocalStream(_ *interceptor.StreamInfo, w interceptor.RTPWriter) interceptor.RTPWriter {
	return interceptor.RTPWriterFunc(func(h *rtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
		if pt := s.payloadType.Load(); pt != 0 {
			h.PayloadType = uint8(pt)
		}
		return w.Write(h, payload, a)
	})
}

// rawClient is a publisher that sends any packets it likes.
func rawClient(t *testing.T, n *ingestNode) (*webrtc.TrackLocalStaticRTP, *spoiler) {
	t.Helper()
	var setting webrtc.SettingEngine
	setting.SetIPFilter(func(ip net.IP) bool { return ip.IsLoopback() })
	setting.SetIncludeLoopbackCandidate(true)
	media, registry, spoils := &webrtc.MediaEngine{}, &interceptor.Registry{}, &spoiler{}
	registry.Add(spoils)
	if err := media.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	peer, err := webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(setting)).
		NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = peer.GracefulClose() })
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264, ClockRate: 90000}, "video", "raw")
	if err != nil {
		t.Fatal(err)
	}
	_, err1 := peer.AddTrack(track)
	offer, err2 := peer.CreateOffer(nil)
	gathered := webrtc.GatheringCompletePromise(peer)
	if err := errors.Join(err1, err2, peer.SetLocalDescription(offer)); err != nil {
		t.Fatal(err)
	}
	<-gathered
	status, _, answer := do(t, http.MethodPost, n.url, peer.LocalDescription().SDP, "Authorization", "Bearer "+key, "Content-Type", rtc.SDPType)
	if status != http.StatusCreated {
		t.Fatal(status, answer)
	}
	if err := peer.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the connection stands", func() bool { return peer.ConnectionState() == webrtc.PeerConnectionStateConnected })
	return track, spoils
}

// TestGarbage sends what no publisher should after a good start, then pictures
// again: they are taken.
func TestGarbage(t *testing.T) {
	t.Parallel()
	n := startIngest(t, Config{}, &host{})
	track, _ := rawClient(t, n)
	s, publisher := n.last()
	sequence, timestamp := uint16(65_000), uint32(4_294_000_000)
	write := func(payload []byte, marker bool) {
		p := &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: sequence, Timestamp: timestamp, Marker: marker}, Payload: payload}
		if err := track.WriteRTP(p); err != nil {
			t.Fatal(err)
		}
		sequence++
	}
	good := func() {
		for _, p := range packetize(testCodecs()["H264"].payloads, clipOf(t, cmaf.H264).Frames[:5]) {
			write(p.Payload, p.Marker)
			if p.Marker {
				timestamp += 3000
			}
		}
	}
	taken := func(what string) {
		t.Helper()
		before, _ := s.counts()
		eventually(t, "pictures after "+what, func() bool {
			good()
			time.Sleep(20 * time.Millisecond)
			now, _ := s.counts()
			return now > before
		})
	}
	taken("the start")
	random := rand.NewChaCha8([32]byte{1})
	for i := range 2000 {
		payload := make([]byte, 1+i%1100)
		_, _ = random.Read(payload)
		write(payload, i%7 == 0)
		if i%5 == 0 {
			timestamp += uint32(payload[0]) << 22 // the clock jumps
		}
		if i%50 == 0 {
			sequence += uint16(payload[0]) << 7
			time.Sleep(time.Millisecond)
		}
	}
	taken("noise")
	timestamp -= 90_000 * 3600
	taken("a clock that jumps back")
	for range 3000 { // an access unit without an end
		write(append([]byte{28, 0x05}, make([]byte, 1000)...), false)
		if sequence%64 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	taken("an endless access unit")
	if stats := publisher.Stats(); stats.PacketsReceived == 0 {
		t.Errorf("%+v", stats)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.frames {
		if _, err := cmaf.SplitAVCC(f.Data); err != nil || len(f.Data) > maxAccessUnit || f.Key != (f.Config != nil) {
			t.Fatalf("a frame of %d bytes: %v", len(f.Data), err)
		}
	}
}

// TestForeignPayloads sends packets of a payload type that was not negotiated, a
// few of which do no harm; one that sends nothing else is cut.
func TestForeignPayloads(t *testing.T) {
	t.Parallel()
	n := startIngest(t, Config{}, &host{})
	track, spoils := rawClient(t, n)
	s, _ := n.last()
	sequence := uint16(1)
	send := func() bool {
		for _, p := range packetize(testCodecs()["H264"].payloads, clipOf(t, cmaf.H264).Frames[:2]) {
			p.SequenceNumber = sequence
			sequence++
			if track.WriteRTP(p) != nil {
				return false
			}
		}
		time.Sleep(5 * time.Millisecond)
		return true
	}
	frames := func() int { n, _ := s.counts(); return n }
	spoils.payloadType.Store(77) // the very first, too
	send()
	spoils.payloadType.Store(0)
	eventually(t, "pictures", func() bool { return send() && frames() > 0 })
	spoils.payloadType.Store(77)
	for range 5 {
		send()
	}
	spoils.payloadType.Store(0)
	before := frames()
	eventually(t, "pictures afterwards", func() bool { return send() && frames() > before })
	spoils.payloadType.Store(77)
	eventually(t, "the end", func() bool {
		send()
		select {
		case <-s.left:
			return true
		default:
			return false
		}
	})
	if forGood, reason := waitLeft(t, s); forGood || !strings.Contains(reason, "no RTP of this session") {
		t.Errorf("for good %t: %s", forGood, reason)
	}
}
