package streaming_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
)

// offer makes an offer with the given codecs only.
func offer(t *testing.T, mimes ...string) string {
	t.Helper()
	media := &webrtc.MediaEngine{}
	peerKinds := map[webrtc.RTPCodecType]bool{}
	for i, mime := range mimes {
		kind, clock, channels := webrtc.RTPCodecTypeVideo, uint32(90000), uint16(0)
		if strings.HasPrefix(mime, "audio/") {
			kind, clock, channels = webrtc.RTPCodecTypeAudio, 48000, 2
		}
		peerKinds[kind] = true
		err := media.RegisterCodec(webrtc.RTPCodecParameters{
			RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: mime, ClockRate: clock, Channels: channels},
			PayloadType:        webrtc.PayloadType(100 + i),
		}, kind)
		if err != nil {
			t.Fatal(err)
		}
	}
	peer, err := webrtc.NewAPI(webrtc.WithMediaEngine(media)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = peer.GracefulClose() }()
	for kind := range peerKinds {
		_, err := peer.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendrecv})
		if err != nil {
			t.Fatal(err)
		}
	}
	o, err := peer.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	return o.SDP
}

// do sends a request to the WHIP endpoint or a session of it.
func (n *node) do(method, to, body string, headers ...string) (int, http.Header, string) {
	n.t.Helper()
	req, err := http.NewRequest(method, to, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text := new(strings.Builder)
	if _, err := copyBody(text, resp); err != nil {
		n.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, text.String()
}

const (
	auth    = "Authorization"
	content = "Content-Type"
	sdp     = "application/sdp"
)

func TestWHIPRefuses(t *testing.T) {
	t.Parallel()
	n := startNode(t, t.TempDir(), streaming.Config{FFmpeg: "no-ffmpeg"})
	good := offer(t, webrtc.MimeTypeH264, webrtc.MimeTypeOpus)
	tests := []struct {
		name    string
		to      string
		body    string
		headers []string
		signed  *identity.Principal
		status  int
		says    string
	}{
		{"no key", n.whip(), good, []string{content, sdp}, nil, 401, "stream key is missing"},
		{"wrong key", n.whip(), good, []string{content, sdp, auth, "Bearer no"}, nil, 401, "not the channel's stream key"},
		{"key of another channel", n.whip(), good, []string{content, sdp, auth, "Bearer sk-2"}, nil, 401, "not the channel's stream key"},
		{"another scheme", n.whip(), good, []string{content, sdp, auth, "Basic " + key}, nil, 401, "missing"},
		{"somebody else signed in", n.whip(), good, []string{content, sdp}, &identity.Principal{ID: "user-2"}, 403, "somebody else's"},
		{"unknown channel", n.url + "/whip/nobody", good, []string{content, sdp, auth, "Bearer " + key}, nil, 404, "no channel"},
		{"no content type", n.whip(), good, []string{auth, "Bearer " + key}, nil, 415, sdp},
		{"wrong content type", n.whip(), good, []string{auth, "Bearer " + key, content, "application/json"}, nil, 415, sdp},
		{"too large", n.whip(), strings.Repeat("a", 300<<10), []string{auth, "Bearer " + key, content, sdp}, nil, 413, "256 kB"},
		{"empty", n.whip(), "", []string{auth, "Bearer " + key, content, sdp}, nil, 400, "needs a video track"},
		{"no SDP", n.whip(), "{}", []string{auth, "Bearer " + key, content, sdp}, nil, 400, "SDP"},
		{"half an SDP", n.whip(), good[:len(good)/3], []string{auth, "Bearer " + key, content, sdp}, nil, 400, ""},
		{"SDP without ICE", n.whip(), strings.ReplaceAll(good, "a=ice-ufrag", "a=x-ufrag"), []string{auth, "Bearer " + key, content, sdp}, nil, 400, "offer"},
		{"VP8", n.whip(), offer(t, webrtc.MimeTypeVP8, webrtc.MimeTypeOpus), []string{auth, "Bearer " + key, content, sdp}, nil, 422, "send H264"},
		{"G.711", n.whip(), offer(t, webrtc.MimeTypeH264, "audio/PCMU"), []string{auth, "Bearer " + key, content, sdp}, nil, 422, "Opus audio"},
		{"audio only", n.whip(), offer(t, webrtc.MimeTypeOpus), []string{auth, "Bearer " + key, content, sdp}, nil, 422, "needs video"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n.t, n.signed = t, tt.signed
			status, header, body := n.do(http.MethodPost, tt.to, tt.body, tt.headers...)
			if status != tt.status || !strings.Contains(body, tt.says) {
				t.Errorf("%d %s; want %d and %q", status, body, tt.status, tt.says)
			}
			if status == 401 && header.Get("WWW-Authenticate") == "" {
				t.Error("no WWW-Authenticate")
			}
			if header.Get("Access-Control-Allow-Origin") != "*" {
				t.Error("pages of other origins cannot read it")
			}
		})
	}
	n.t, n.signed = t, nil
	if live := n.service.Live(); len(live) != 0 {
		t.Errorf("refused broadcasts are live: %v", live)
	}
}

// TestWHIPSession walks through a session: preflight, candidates, a second
// publisher, the end.
func TestWHIPSession(t *testing.T) {
	t.Parallel()
	m := material(t)
	n := startNode(t, t.TempDir(), streaming.Config{})
	status, header, _ := n.do(http.MethodOptions, n.whip(), "", "Origin", "https://example.com")
	if status != 204 || !strings.Contains(header.Get("Access-Control-Allow-Headers"), "Authorization") ||
		!strings.Contains(header.Get("Access-Control-Allow-Methods"), "PATCH") {
		t.Errorf("OPTIONS: %d %v", status, header)
	}
	p := n.publish(streamtest.Options{Clips: []*streamtest.Clip{m.small}})
	id := n.liveID()
	n.waitMedia(id, 200*time.Millisecond) // who has sent nothing yet is replaced

	_, err := streamtest.Publish(context.Background(), n.whip(), key, streamtest.Options{Clips: []*streamtest.Clip{m.small}})
	if refused := new(streamtest.StatusError); !errors.As(err, &refused) || refused.Status != 409 || !strings.Contains(refused.Body, "already broadcasting") {
		t.Errorf("a second publisher: %v", err)
	}

	frag := "application/trickle-ice-sdpfrag"
	candidate := "a=ice-options:trickle\r\nm=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host\r\n"
	bearer := "Bearer " + key
	patches := []struct {
		name, body string
		headers    []string
		status     int
	}{
		{"candidate", candidate, []string{auth, bearer, content, frag, "If-Match", p.ETag()}, 204},
		{"end of candidates", "a=end-of-candidates\r\n", []string{auth, bearer, content, frag, "If-Match", p.ETag()}, 204},
		{"no key", candidate, []string{content, frag, "If-Match", p.ETag()}, 401},
		{"wrong type", candidate, []string{auth, bearer, content, sdp, "If-Match", p.ETag()}, 415},
		{"no If-Match", candidate, []string{auth, bearer, content, frag}, 428},
		{"another ETag", candidate, []string{auth, bearer, content, frag, "If-Match", `"x"`}, 412},
		{"half an ICE restart", "a=ice-ufrag:new1\r\n", []string{auth, bearer, content, frag, "If-Match", "*"}, 400},
		{"no fragment", "hello", []string{auth, bearer, content, frag, "If-Match", p.ETag()}, 400},
		{"no candidate", "a=candidate:x\r\n", []string{auth, bearer, content, frag, "If-Match", p.ETag()}, 400},
	}
	for _, tt := range patches {
		if status, _, body := n.do(http.MethodPatch, p.Location(), tt.body, tt.headers...); status != tt.status {
			t.Errorf("PATCH %s: %d %s, want %d", tt.name, status, body, tt.status)
		}
	}
	if status, _, _ := n.do(http.MethodDelete, p.Location(), ""); status != 401 {
		t.Errorf("DELETE without the key: %d", status)
	}
	if status, _, _ := n.do(http.MethodDelete, n.whip()+"/nothing", "", auth, bearer); status != 404 {
		t.Errorf("DELETE of nothing: %d", status)
	}
	n.stopPublisher(p)
	n.waitEnded(id)
	if status, _, _ := n.do(http.MethodDelete, p.Location(), "", auth, bearer); status != 404 {
		t.Errorf("a second DELETE: %d", status)
	}
}

// TestHalfOpen begins a session whose client is never heard again: it ends, and
// leaves nothing.
func TestHalfOpen(t *testing.T) {
	t.Parallel()
	n := startNode(t, t.TempDir(), streaming.Config{NoMediaTimeout: 500 * time.Millisecond, ReconnectWindow: time.Hour})
	bearer := "Bearer " + key
	status, header, body := n.do(http.MethodPost, n.whip(), offer(t, webrtc.MimeTypeH264, webrtc.MimeTypeOpus), content, sdp, auth, bearer)
	if status != http.StatusCreated {
		t.Fatal(status, body)
	}
	id := n.liveID()
	n.waitEnded(id)
	if said := n.said(id); !slices.Equal(said, []string{event.StreamStart, event.StreamEnd}) {
		t.Errorf("said was %v", said)
	}
	if live := n.service.Live(); len(live) != 0 {
		t.Errorf("%+v is live", live)
	}
	eventually(t, "the session is gone", func() bool {
		status, _, _ := n.do(http.MethodDelete, n.url+header.Get("Location"), "", auth, bearer)
		return status == http.StatusNotFound
	})
}

// TestOwner publishes as the signed-in owner, without a key.
func TestOwner(t *testing.T) {
	t.Parallel()
	m := material(t)
	n := startNode(t, t.TempDir(), streaming.Config{})
	n.signed = &identity.Principal{ID: channel}
	p, err := streamtest.Publish(context.Background(), n.whip(), "", streamtest.Options{Clips: []*streamtest.Clip{m.small}})
	if err != nil {
		t.Fatal(err)
	}
	n.stopPublisher(p)
}

// TestTakeOver lets a publisher take over from one that sends no more.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	m := material(t)
	n := startNode(t, t.TempDir(), streaming.Config{})
	first := n.publish(streamtest.Options{Clips: []*streamtest.Clip{m.small}})
	id := n.liveID()
	eventually(t, "1 s of media", func() bool { return first.Sent() > time.Second })
	if err := first.Vanish(); err != nil {
		t.Fatal(err)
	}
	var second *streamtest.Publisher
	eventually(t, "the second publisher is taken", func() bool {
		var err error
		second, err = streamtest.Publish(context.Background(), n.whip(), key, streamtest.Options{Clips: []*streamtest.Clip{m.small}})
		return err == nil
	})
	if now := n.liveID(); now == id {
		t.Error("it is still the first stream that is live")
	}
	n.waitEnded(id)
	n.stopPublisher(second)
}

// TestGoodbyeAfterClose closes the connection before it says goodbye, as many
// clients do: the broadcast ends at once nevertheless.
func TestGoodbyeAfterClose(t *testing.T) {
	t.Parallel()
	n := startNode(t, t.TempDir(), streaming.Config{ReconnectWindow: time.Hour})
	p := n.publish(streamtest.Options{Clips: []*streamtest.Clip{material(t).small}})
	id := n.liveID()
	n.waitMedia(id, time.Second)
	if left := n.service.Live()[0].OpenFor; left != time.Hour {
		t.Errorf("while media comes, the broadcast stays open for %s", left)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the publisher is away", func() bool { return n.service.Live()[0].Reconnecting })
	if left := n.service.Live()[0].OpenFor; left <= 0 || left >= time.Hour {
		t.Errorf("while the publisher is away, the broadcast stays open for %s", left)
	}
	if status, _, body := n.do(http.MethodDelete, p.Location(), "", auth, "Bearer "+key); status != http.StatusOK {
		t.Fatalf("DELETE: %d %s", status, body)
	}
	n.waitEnded(id)
}
