package whip

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtc"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
)

// ingestNode is a WHIP server on loopback.
type ingestNode struct {
	*host
	server *Server
	url    string // of a channel's endpoint
}

func startIngest(t testing.TB, cfg Config, h *host) *ingestNode {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("WHIP_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	engine := newEngine(t, rtc.Network{UDP: "127.0.0.1:0", TCP: "127.0.0.1:0"})
	s := New(cfg, Needs{Engine: engine, Gate: h, Host: h, Fail: fail, Log: log})
	mux := http.NewServeMux()
	s.Routes(mux)
	mux.HandleFunc("GET /", http.NotFound) // as the web app's
	front := httptest.NewServer(mux)
	t.Cleanup(func() {
		s.Close()
		front.CloseClientConnections()
		front.Close()
	})
	return &ingestNode{host: h, server: s, url: front.URL + "/whip/c"}
}

// publish begins to publish; the test may end it, else its end does.
func (n *ingestNode) publish(t testing.TB, o streamtest.Options) *streamtest.Publisher {
	t.Helper()
	p, err := streamtest.Publish(context.Background(), n.url, key, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// path is where the media of the only session comes from.
func (n *ingestNode) path(t testing.TB) string {
	t.Helper()
	n.server.mu.Lock()
	defer n.server.mu.Unlock()
	for _, s := range n.server.sessions {
		pair, err := s.peer.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
		if err != nil || pair == nil {
			t.Fatal("no path", err)
		}
		return pair.Remote.String()
	}
	t.Fatal("no session")
	return ""
}

// do sends a request and returns the answer.
func do(t testing.TB, method, to, body string, headers ...string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequest(method, to, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.(*http.Transport).Clone().RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

// TestPublish publishes each codec for real, over UDP and over TCP, and ends it
// in the good way.
func TestPublish(t *testing.T) {
	for name, o := range map[string]streamtest.Options{
		"H264":           {Clips: []*streamtest.Clip{clipOf(t, cmaf.H264)}},
		"H265":           {Clips: []*streamtest.Clip{clipOf(t, cmaf.H265)}, NoAudio: true},
		"VP8":            {Clips: []*streamtest.Clip{clipOf(t, cmaf.VP8)}},
		"VP9":            {Clips: []*streamtest.Clip{clipOf(t, cmaf.VP9)}},
		"AV1":            {Clips: []*streamtest.Clip{clipOf(t, cmaf.AV1)}},
		"H264 over TCP":  {Clips: []*streamtest.Clip{clipOf(t, cmaf.H264)}, TCP: true},
		"H264 with loss": {Clips: []*streamtest.Clip{clipOf(t, cmaf.H264)}, DropEvery: 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startIngest(t, Config{}, &host{})
			p := n.publish(t, o)
			s, publisher := n.last()
			eventually(t, "2.5 s of pictures and sounds", func() bool {
				frames, sounds := s.counts()
				return frames > 75 && (sounds > 120 || o.NoAudio)
			})
			eventually(t, "a round trip is measured", func() bool { return publisher.Stats().RoundTrip > 0 })
			stats := publisher.Stats()
			if stats.PacketsReceived < 75 || stats.Jitter <= 0 || stats.Jitter > time.Second ||
				(stats.PacketsLost > 0) != (o.DropEvery > 0) {
				t.Errorf("%+v", stats)
			}
			if err := p.Stop(context.Background()); err != nil {
				t.Fatal(err)
			}
			if forGood, reason := waitLeft(t, s); !forGood {
				t.Errorf("it left for a while: %s", reason)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.reports < 2 && !o.NoAudio {
				t.Errorf("%d sender reports", s.reports)
			}
			if o.DropEvery == 0 && (s.dropped > 0 || s.lost > 0) {
				t.Errorf("%d packets dropped, lost %d times", s.dropped, s.lost)
			}
			first := s.frames[0]
			if !first.Key || first.Config == nil || first.Config.Codec != s.codec {
				t.Errorf("the first frame is no key frame: %+v", first.Config)
			}
		})
	}
}

// TestRepair loses packets on a path that has time to send them again: hardly
// any is missed.
func TestRepair(t *testing.T) {
	t.Parallel()
	n := startIngest(t, Config{}, &host{})
	p := n.publish(t, streamtest.Options{Clips: []*streamtest.Clip{clipOf(t, cmaf.H264)}, DropEvery: 15, NoAudio: true})
	s, publisher := n.last()
	eventually(t, "losses", func() bool { return publisher.Stats().PacketsLost > 20 })
	lost := publisher.Stats().PacketsLost
	if err := p.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	waitLeft(t, s)
	if int64(s.dropped) > lost/4 {
		t.Errorf("%d of %d lost packets were not repaired", s.dropped, lost)
	}
}

// TestEnds tells the ways a session ends apart.
func TestEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		end     func(*ingestNode, *streamtest.Publisher) error
		forGood bool
	}{
		"DELETE":                {func(_ *ingestNode, p *streamtest.Publisher) error { return p.Stop(context.Background()) }, true},
		"closed tab":            {func(_ *ingestNode, p *streamtest.Publisher) error { return p.Close() }, false},
		"vanished":              {func(_ *ingestNode, p *streamtest.Publisher) error { return p.Vanish() }, false},
		"closed by the host":    {func(n *ingestNode, _ *streamtest.Publisher) error { _, p := n.last(); p.Close("enough"); return nil }, false},
		"the server is stopped": {func(n *ingestNode, _ *streamtest.Publisher) error { n.server.Close(); return nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startIngest(t, Config{}, &host{})
			p := n.publish(t, streamtest.Options{Clips: []*streamtest.Clip{clipOf(t, cmaf.H264)}})
			s, _ := n.last()
			eventually(t, "media", func() bool { frames, _ := s.counts(); return frames > 10 })
			if err := tt.end(n, p); err != nil {
				t.Fatal(err)
			}
			if forGood, reason := waitLeft(t, s); forGood != tt.forGood || reason == "" {
				t.Errorf("for good: %t, because %q", forGood, reason)
			}
			status, _, _ := do(t, http.MethodDelete, p.Location(), "", "Authorization", "Bearer "+key)
			eventually(t, "the session is gone", func() bool {
				status, _, _ = do(t, http.MethodDelete, p.Location(), "", "Authorization", "Bearer "+key)
				return status == http.StatusNotFound
			})
			// Clients close the connection first and say goodbye then.
			stopped := name == "the server is stopped"
			if forGood, _ := waitLeft(t, s); forGood == stopped {
				t.Errorf("after the DELETE for good: %t", forGood)
			}
		})
	}
}

// TestICERestart moves a publisher to another socket while its media goes on:
// once while all is well, and once after its network was gone.
func TestICERestart(t *testing.T) {
	for _, transport := range []string{"UDP", "TCP"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			n := startIngest(t, Config{}, &host{})
			p := n.publish(t, streamtest.Options{Clips: []*streamtest.Clip{clipOf(t, cmaf.H264)}, TCP: transport == "TCP"})
			s, _ := n.last()
			eventually(t, "media", func() bool { frames, _ := s.counts(); return frames > 10 })
			path := n.path(t)
			for range 2 {
				etag := p.ETag()
				if err := p.Restart(context.Background()); err != nil {
					t.Fatal(err)
				}
				if p.ETag() == etag || p.ETag() == "" {
					t.Error("the ICE session has no new ETag:", p.ETag())
				}
				before, _ := s.counts()
				eventually(t, "media after the restart", func() bool { frames, _ := s.counts(); return frames > before+30 })
				if now := n.path(t); now == path {
					t.Errorf("media comes from %s as before", now)
				} else {
					path = now
				}
				status, _, _ := do(t, http.MethodPatch, p.Location(), "a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host\r\n",
					"Authorization", "Bearer "+key, "Content-Type", rtc.FragmentType, "If-Match", etag)
				if status != http.StatusPreconditionFailed {
					t.Errorf("candidates of the ICE session before: %d", status)
				}
				p.Cut()
			}
			n.mu.Lock()
			sessions := len(n.sinks)
			n.mu.Unlock()
			if sessions != 1 {
				t.Errorf("there were %d sessions", sessions)
			}
			p.Resume()
			if err := p.Stop(context.Background()); err != nil {
				t.Fatal(err)
			}
			waitLeft(t, s)
		})
	}
}

// TestPatch goes through what a PATCH may be.
func TestPatch(t *testing.T) {
	t.Parallel()
	n := startIngest(t, Config{}, &host{})
	p := n.publish(t, streamtest.Options{Clips: []*streamtest.Clip{clipOf(t, cmaf.H264)}})
	section := "m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
	candidate := section + "a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host\r\n"
	for name, tt := range map[string]struct {
		body    string
		headers []string
		status  int
	}{
		"candidate":                    {candidate, []string{"If-Match", p.ETag()}, 204},
		"one of several tags":          {candidate, []string{"If-Match", `"x", ` + p.ETag()}, 204},
		"end of candidates":            {"a=end-of-candidates\r\n", []string{"If-Match", p.ETag()}, 204},
		"no If-Match":                  {candidate, nil, 428},
		"another ETag":                 {candidate, []string{"If-Match", `"x"`}, 412},
		"restart of another session":   {"a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n", []string{"If-Match", `"x"`}, 412},
		"restart without precondition": {"a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n", nil, 428},
		"restart without password":     {"a=ice-ufrag:abcd\r\n", []string{"If-Match", "*"}, 400},
		"bad credentials":              {"a=ice-ufrag:a b\r\na=ice-pwd:x\r\n", []string{"If-Match", "*"}, 400},
		"no fragment":                  {"hello", []string{"If-Match", p.ETag()}, 400},
		"no candidate":                 {section + "a=candidate:x\r\n", []string{"If-Match", p.ETag()}, 400},
		"unknown transport":            {section + "a=candidate:1 1 sctp 2130706431 127.0.0.1 9 typ host\r\n", []string{"If-Match", p.ETag()}, 204},
		"name instead of an address":   {section + "a=candidate:1 1 udp 2130706431 no.such.host.invalid 9 typ host\r\n", []string{"If-Match", p.ETag()}, 204},
		"mDNS name":                    {section + "a=candidate:1 1 udp 2130706431 3f2a.local 9 typ host\r\n", []string{"If-Match", p.ETag()}, 204},
		"wrong type":                   {candidate, []string{"If-Match", p.ETag(), "Content-Type", rtc.SDPType}, 415},
		"no key":                       {candidate, []string{"If-Match", p.ETag(), "Authorization", ""}, 401},
	} {
		headers := append([]string{"Authorization", "Bearer " + key, "Content-Type", rtc.FragmentType}, tt.headers...)
		status, header, body := do(t, http.MethodPatch, p.Location(), tt.body, headers...)
		if status != tt.status {
			t.Errorf("%s: %d %s, want %d", name, status, body, tt.status)
		}
		if status == 204 && (header.Get("ETag") != "" || body != "") {
			t.Errorf("%s: 204 with ETag %q and body %q", name, header.Get("ETag"), body)
		}
		if status == 415 && header.Get("Accept-Patch") != rtc.FragmentType {
			t.Errorf("%s: Accept-Patch is %q", name, header.Get("Accept-Patch"))
		}
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	n := startIngest(t, Config{}, &host{})
	for _, tt := range []struct{ method, to, allow string }{
		{"GET", n.url, "OPTIONS, POST"}, {"PUT", n.url, "OPTIONS, POST"}, {"PATCH", n.url, "OPTIONS, POST"}, {"DELETE", n.url, "OPTIONS, POST"},
		{"GET", n.url + "/x", "DELETE, OPTIONS, PATCH"}, {"HEAD", n.url + "/x", "DELETE, OPTIONS, PATCH"},
		{"PUT", n.url + "/x", "DELETE, OPTIONS, PATCH"}, {"POST", n.url + "/x", "DELETE, OPTIONS, PATCH"},
	} {
		if status, header, _ := do(t, tt.method, tt.to, ""); status != 405 || header.Get("Allow") != tt.allow {
			t.Errorf("%s %s: %d, Allow %q", tt.method, tt.to, status, header.Get("Allow"))
		}
	}
}

// TestICEServers tells publishers of STUN and TURN servers.
func TestICEServers(t *testing.T) {
	t.Parallel()
	n := startIngest(t, Config{ICEServers: []webrtc.ICEServer{
		{URLs: []string{"stun:stun.example.com"}},
		{URLs: []string{"turn:turn.example.com?transport=udp", "turns:turn.example.com"}, Username: `a"b`, Credential: "secret"},
	}}, &host{})
	stun := `<stun:stun.example.com>; rel="ice-server"`
	turn := `<turn:turn.example.com?transport=udp>; rel="ice-server"; username="a\"b"; credential="secret"; credential-type="password"`
	for _, tt := range []struct {
		name, method string
		headers      []string
		links        int
	}{
		{"OPTIONS of a publisher", http.MethodOptions, []string{"Authorization", "Bearer " + key}, 3},
		{"OPTIONS of anybody", http.MethodOptions, nil, 1},
		{"preflight", http.MethodOptions, []string{"Access-Control-Request-Method", "POST"}, 0},
		{"POST", http.MethodPost, []string{"Authorization", "Bearer " + key, "Content-Type", rtc.SDPType}, 3},
		{"POST without key", http.MethodPost, []string{"Content-Type", rtc.SDPType}, 0},
	} {
		body := ""
		if tt.method == http.MethodPost {
			body = offerOf(t, nil)
		}
		_, header, text := do(t, tt.method, n.url, body, tt.headers...)
		links := header.Values("Link")
		if len(links) != tt.links || len(links) > 0 && links[0] != stun || len(links) > 1 && links[1] != turn {
			t.Errorf("%s: %q %s", tt.name, links, text)
		}
	}
}

// TestRefused begins nothing, or ends at once what it began.
func TestRefused(t *testing.T) {
	t.Parallel()
	good := offerOf(t, nil)
	headers := []string{"Authorization", "Bearer " + key, "Content-Type", rtc.SDPType}
	h := &host{refuse: errs.New(errs.Conflict, "somebody else is sending")}
	n := startIngest(t, Config{}, h)
	if status, _, body := do(t, http.MethodPost, n.url, good, headers...); status != 409 {
		t.Errorf("a channel in use: %d %s", status, body)
	}
	h.refuse = nil
	// It has all that is looked for, and is no offer nevertheless.
	bad := strings.ReplaceAll(good, "a=fingerprint:sha-256 ", "a=fingerprint:sha-256")
	if status, _, body := do(t, http.MethodPost, n.url, bad, headers...); status != 400 {
		t.Errorf("an offer that cannot be answered: %d %s", status, body)
	}
	if len(h.sinks) != 1 {
		t.Fatalf("%d sessions", len(h.sinks))
	}
	if forGood, reason := waitLeft(t, h.sinks[0]); !forGood {
		t.Errorf("it left for a while: %s", reason)
	}
	if len(n.server.sessions) > 0 {
		t.Error("sessions are left")
	}
}
