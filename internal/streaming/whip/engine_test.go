package whip

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"
)

// answerTo makes the answer to a browser's kind of offer, on a network.
func answerTo(t *testing.T, n Network) string {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	e, err := newEngine(n, log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.close(); err != nil {
			t.Error(err)
		}
	}()
	media := &webrtc.MediaEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	rotation := webrtc.RTPHeaderExtensionCapability{URI: "urn:3gpp:video-orientation"}
	if err := media.RegisterHeaderExtension(rotation, webrtc.RTPCodecTypeVideo); err != nil {
		t.Fatal(err)
	}
	client, err := webrtc.NewAPI(webrtc.WithMediaEngine(media)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.GracefulClose() }()
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		if _, err := client.AddTransceiverFromKind(kind); err != nil {
			t.Fatal(err)
		}
	}
	offer, err := client.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := checkOffer(offer.SDP); err != nil {
		t.Fatal(err)
	}
	peer, err := e.peer()
	if err != nil {
		t.Fatal(err)
	}
	s := newSession("c", "k", peer, log)
	defer func() {
		s.Close("the test is over")
		s.run()
	}()
	answer, err := s.answer(context.Background(), offer.SDP)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestAnswer(t *testing.T) {
	answer := answerTo(t, Network{UDP: "127.0.0.1:0"})
	for _, want := range []string{
		"H264/90000", "rtx/90000", "opus/48000/2", "transport-cc", "nack pli", " 127.0.0.1 ", "a=end-of-candidates", "a=recvonly",
	} {
		if !strings.Contains(answer, want) {
			t.Errorf("the answer lacks %q", want)
		}
	}
	for _, bad := range []string{"VP8", "VP9", "AV1", "video-orientation", ".local"} {
		if strings.Contains(answer, bad) {
			t.Errorf("the answer has %q", bad)
		}
	}
	if t.Failed() {
		t.Log(answer)
	}
}

func TestCandidates(t *testing.T) {
	for name, tt := range map[string]struct {
		network Network
		want    []string
	}{
		"all interfaces":    {Network{UDP: ":0"}, []string{" 127.0.0.1 "}},
		"TCP too":           {Network{UDP: "127.0.0.1:0", TCP: "127.0.0.1:0"}, []string{" udp ", " tcp ", "tcptype passive"}},
		"another address":   {Network{UDP: ":0", Hosts: []string{"203.0.113.5"}}, []string{" 203.0.113.5 ", " 127.0.0.1 "}},
		"several addresses": {Network{UDP: ":0", Hosts: []string{"203.0.113.5", "198.51.100.7"}}, []string{" 203.0.113.5 ", " 198.51.100.7 ", " 127.0.0.1 "}},
	} {
		t.Run(name, func(t *testing.T) {
			answer := answerTo(t, tt.network)
			var candidates []string
			for line := range strings.Lines(answer) {
				if strings.HasPrefix(line, "a=candidate:") {
					candidates = append(candidates, strings.TrimSpace(line))
				}
			}
			all := strings.Join(candidates, "\n")
			for _, want := range tt.want {
				if !strings.Contains(all, want) {
					t.Errorf("no candidate has %q:\n%s", want, all)
				}
			}
		})
	}
}
