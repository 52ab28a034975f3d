package whip

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtc"
)

// offerOf makes a browser's kind of offer, of all codecs that pion knows.
func offerOf(t *testing.T, adjust func(*webrtc.MediaEngine) error) string {
	t.Helper()
	media := &webrtc.MediaEngine{}
	rotation := webrtc.RTPHeaderExtensionCapability{URI: "urn:3gpp:video-orientation"}
	err := errors.Join(media.RegisterDefaultCodecs(), media.RegisterHeaderExtension(rotation, webrtc.RTPCodecTypeVideo))
	if adjust != nil {
		err = errors.Join(err, adjust(media))
	}
	if err != nil {
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
	return offer.SDP
}

// newEngine opens a network for one test.
func newEngine(t testing.TB, n rtc.Network) *rtc.Engine {
	t.Helper()
	e, err := rtc.New(n, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// answerTo makes the answer to an offer, on a network, of a host that picks codec.
func answerTo(t *testing.T, n rtc.Network, codec cmaf.VideoCodec, offer string) (string, error) {
	t.Helper()
	h := &host{codec: codec}
	s := New(Config{}, Needs{Engine: newEngine(t, n), Gate: h, Host: h, Log: slog.New(slog.DiscardHandler)})
	defer s.Close()
	o, err := parseOffer(offer)
	if err != nil {
		t.Fatal(err)
	}
	return s.connect(context.Background(), newSession("c", "k", s.log), o, offer)
}

func TestAnswer(t *testing.T) {
	names := map[cmaf.VideoCodec]string{cmaf.H264: "H264", cmaf.H265: "H265", cmaf.VP8: "VP8", cmaf.VP9: "VP9", cmaf.AV1: "AV1"}
	for codec, name := range names {
		t.Run(name, func(t *testing.T) {
			answer, err := answerTo(t, rtc.Network{UDP: "127.0.0.1:0"}, codec, offerOf(t, nil))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{
				name + "/90000", "rtx/90000", "opus/48000/2", "transport-cc", "nack pli", " 127.0.0.1 ", "a=end-of-candidates", "a=recvonly",
			} {
				if !strings.Contains(answer, want) {
					t.Errorf("the answer lacks %q", want)
				}
			}
			bad := []string{"video-orientation", ".local"}
			for other, name := range names {
				if other != codec {
					bad = append(bad, name+"/90000")
				}
			}
			for _, bad := range bad {
				if strings.Contains(answer, bad) {
					t.Errorf("the answer has %q", bad)
				}
			}
			if t.Failed() {
				t.Log(answer)
			}
		})
	}
}

// TestSimulcast answers a simulcast offer so that one stream comes.
func TestSimulcast(t *testing.T) {
	offer := strings.Replace(offerOf(t, nil), "a=rtcp-mux\r\n", "a=rtcp-mux\r\na=rid:q send\r\na=rid:f send\r\na=simulcast:send q;f\r\n", 1)
	answer, err := answerTo(t, rtc.Network{UDP: "127.0.0.1:0"}, cmaf.H264, offer)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(answer, "simulcast") || strings.Contains(answer, "a=rid") {
		t.Error("the answer takes simulcast:", answer)
	}
}

func TestCandidates(t *testing.T) {
	offer := offerOf(t, nil)
	for name, tt := range map[string]struct {
		network rtc.Network
		want    []string
	}{
		"all interfaces":    {rtc.Network{UDP: ":0"}, []string{" 127.0.0.1 "}},
		"TCP too":           {rtc.Network{UDP: "127.0.0.1:0", TCP: "127.0.0.1:0"}, []string{" udp ", " tcp ", "tcptype passive"}},
		"another address":   {rtc.Network{UDP: ":0", Hosts: []string{"203.0.113.5"}}, []string{" 203.0.113.5 ", " 127.0.0.1 "}},
		"several addresses": {rtc.Network{UDP: ":0", Hosts: []string{"203.0.113.5", "198.51.100.7"}}, []string{" 203.0.113.5 ", " 198.51.100.7 ", " 127.0.0.1 "}},
	} {
		t.Run(name, func(t *testing.T) {
			answer, err := answerTo(t, tt.network, cmaf.H264, offer)
			if err != nil {
				t.Fatal(err)
			}
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

// TestPreference takes the codecs in the publisher's order, H264 first.
func TestPreference(t *testing.T) {
	offer := offerOf(t, nil)
	o, err := parseOffer(offer)
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Video) != 5 || o.Video[0] != cmaf.H264 || o.Audio == nil {
		t.Errorf("%v %v", o.Video, o.Audio)
	}
	lines := strings.Split(offer, "\r\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "m=video") {
			fields := strings.Fields(l)
			slices.Reverse(fields[3:])
			lines[i] = strings.Join(fields, " ")
		}
	}
	reversed, err := parseOffer(strings.Join(lines, "\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	back := slices.Clone(reversed.Video[1:])
	slices.Reverse(back)
	if reversed.Video[0] != cmaf.H264 || !slices.Equal(back, o.Video[1:]) {
		t.Errorf("%v in the other order: %v", o.Video, reversed.Video)
	}
}

func TestUnusableOffers(t *testing.T) {
	good := offerOf(t, nil)
	for name, tt := range map[string]struct {
		offer string
		code  errs.Code
	}{
		"no fingerprint": {strings.ReplaceAll(good, "a=fingerprint", "a=x"), errs.Invalid},
		"no mid":         {strings.ReplaceAll(good, "a=mid", "a=x"), errs.Invalid},
		"nothing sent":   {strings.ReplaceAll(good, "a=sendrecv", "a=recvonly"), errs.Invalid},
		"two videos":     {good + good[strings.Index(good, "m=video"):], errs.Unsupported},
	} {
		if _, err := parseOffer(tt.offer); errs.CodeOf(err) != tt.code {
			t.Errorf("%s: %v", name, err)
		}
	}
}
