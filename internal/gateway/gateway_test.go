package gateway_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/goleak"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway/apitest"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type echoInput struct {
	Body struct {
		Word  string `json:"word" minLength:"2"`
		Count int    `json:"count" minimum:"1"`
	}
}

type echoOutput struct {
	Body struct {
		Word string `json:"word"`
		User string `json:"user"`
	}
}

// register gives a gateway operations and routes of every kind.
func register(g *gateway.Gateway) {
	huma.Register(g.API(), huma.Operation{OperationID: "echo", Method: http.MethodPost, Path: "/api/echo"},
		func(ctx context.Context, in *echoInput) (*echoOutput, error) {
			out := &echoOutput{}
			out.Body.Word = in.Body.Word
			p, _ := identity.From(ctx)
			out.Body.User = p.ID
			return out, nil
		})
	huma.Register(g.API(), huma.Operation{OperationID: "sign-in", Method: http.MethodPost, Path: "/api/auth/signin"},
		func(context.Context, *struct{}) (*struct{}, error) { return nil, nil })
	huma.Register(g.API(), huma.Operation{OperationID: "list", Method: http.MethodGet, Path: "/api/list",
		Metadata: map[string]any{"cache": "public"}},
		func(context.Context, *struct {
			Limit int `query:"limit" maximum:"100"`
		}) (*echoOutput, error) {
			return &echoOutput{}, nil
		})
	huma.Register(g.API(), huma.Operation{OperationID: "fail", Method: http.MethodGet, Path: "/api/fail/{code}"},
		func(_ context.Context, in *struct {
			Code string `path:"code"`
		}) (*struct{}, error) {
			switch in.Code {
			case "panic":
				panic("secret of the panic")
			case "plain":
				return nil, errors.New("secret of the database")
			}
			return nil, errs.Wrap(errors.New("secret below"), errs.Code(in.Code), "a sentence for people")
		})
	g.Mux().HandleFunc("GET /live/{channel}/{file}", func(w http.ResponseWriter, _ *http.Request) {
		if _, ok := w.(io.ReaderFrom); !ok {
			gateway.Fail(w, httptest.NewRequest(http.MethodGet, "/", nil), errors.New("the writer is wrapped"))
		}
	})
	g.Mux().HandleFunc("POST /whip/{channel}", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			gateway.Fail(w, r, err)
			return
		}
		if r.PathValue("channel") == "locked" {
			gateway.Fail(w, r, errs.New(errs.Unauthenticated, "the stream key is missing"))
			return
		}
		p, _ := identity.From(r.Context())
		w.Header().Set("X-User", p.ID)
		w.WriteHeader(http.StatusCreated)
	})
}

func alice() identity.Principal { return identity.Principal{ID: "alice"} }

func files() fstest.MapFS {
	return fstest.MapFS{
		"index.html":       {Data: []byte("<!doctype html><title>app</title>")},
		"assets/app-1a.js": {Data: []byte(strings.Repeat("console.log(1);", 100))},
		"favicon.svg":      {Data: []byte("<svg/>")},
	}
}

func client(t *testing.T, configure ...func(*gateway.Config)) *apitest.Client {
	return apitest.New(t, register, configure...)
}

// server runs a gateway on a socket, where writers and headers are the real
// ones. The cookie "session" signs its value in.
func server(t *testing.T, configure ...func(*gateway.Config)) *httptest.Server {
	t.Helper()
	cfg := gateway.Config{
		Logger:   slog.New(slog.NewTextHandler(t.Output(), nil)),
		WebFiles: files(),
		Authenticate: func(_ context.Context, r *http.Request) (identity.Principal, bool, error) {
			c, err := r.Cookie("session")
			if err != nil {
				return identity.Principal{}, false, nil
			}
			return identity.Principal{ID: c.Value}, true, nil
		},
	}
	for _, f := range configure {
		f(&cfg)
	}
	g, err := gateway.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	register(g)
	s := httptest.NewServer(g.Handler())
	t.Cleanup(s.Close)
	return s
}

type call struct {
	method, path, body string
	header             map[string]string
}

func (c call) send(t *testing.T, s *httptest.Server) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(c.method, s.URL+c.path, strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range c.header {
		r.Header.Set(name, value)
	}
	response, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestErrorsAreProblemDocuments(t *testing.T) {
	c := client(t)
	for code, status := range map[string]int{
		"invalid": 400, "unauthenticated": 401, "forbidden": 403, "not_found": 404, "conflict": 409,
		"unsupported": 422, "too_many": 429, "internal": 500, "unavailable": 503, "plain": 500, "panic": 500,
	} {
		t.Run(code, func(t *testing.T) {
			answer := c.Get("/api/fail/" + code).Want(status)
			p := answer.Problem()
			if strings.Contains(string(answer.Body), "secret") {
				t.Errorf("the answer gives a detail away: %s", answer.Body)
			}
			if p.RequestID == "" || p.RequestID != answer.Header.Get("X-Request-Id") {
				t.Errorf("request id %q, header %q", p.RequestID, answer.Header.Get("X-Request-Id"))
			}
			if got := answer.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control %q", got)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	jsonType := map[string]string{"Content-Type": "application/json"}
	with := func(more map[string]string) map[string]string {
		h := map[string]string{"Content-Type": "application/json"}
		for k, v := range more {
			h[k] = v
		}
		return h
	}
	good := `{"word":"hello","count":1}`
	tests := []struct {
		name   string
		call   call
		status int
		says   string
	}{
		{"good", call{"POST", "/api/echo", good, jsonType}, 200, "hello"},
		{"schema broken", call{"POST", "/api/echo", `{"word":"x","count":0}`, jsonType}, 400, "body.count"},
		{"not JSON", call{"POST", "/api/echo", `{"word":`, jsonType}, 400, "body: this is no JSON: unexpected end"},
		{"unknown key", call{"POST", "/api/echo", `{"word":"hello","count":1,"admin":true}`, jsonType}, 400, "body.admin"},
		{"wrong content type", call{"POST", "/api/echo", good, map[string]string{"Content-Type": "text/plain"}}, 415, "body: expected application/json, not text/plain"},
		{"no body", call{"POST", "/api/echo", "", jsonType}, 400, "request body is required"},
		{"body over 1 MB", call{"POST", "/api/echo", `{"word":"` + strings.Repeat("x", 1<<20) + `"}`, jsonType}, 413, "at most 1048576 bytes"},
		{"raw body over 4 MB", call{"POST", "/whip/c", strings.Repeat("x", 5<<20), nil}, 413, "too_large"},
		{"query broken", call{"GET", "/api/list?limit=1000", "", nil}, 400, "query.limit"},
		{"body with U+0000", call{"POST", "/api/echo", `{"word":"a\u0000b","count":1}`, jsonType}, 400, "U+0000"},
		{"body with U+0000 in a name", call{"POST", "/api/echo", `{"word":"hello","count":1,"a\u0000b":{"c":[1]}}`, jsonType}, 400, "U+0000"},
		{"body that names U+0000", call{"POST", "/api/echo", `{"word":"\\u0000","count":1}`, jsonType}, 200, `\\u0000`},
		{"no number in the query", call{"GET", "/api/list?limit=x", "", nil}, 400, "query.limit: expected a whole number"},
		{"query that cannot be decoded", call{"GET", "/api/list?limit=%zz", "", nil}, 400, "the query cannot be read"},
		{"query with a semicolon", call{"GET", "/api/list?limit=1;offset=2", "", nil}, 400, "; is %3B"},
		{"query with U+0000", call{"GET", "/api/list?limit=1&q=a%00", "", nil}, 400, "query.q: this is no text"},
		{"query that is not UTF-8", call{"GET", "/api/list?limit=1&q=%ff", "", nil}, 400, "query.q: this is no text"},
		{"name in the query that is not UTF-8", call{"GET", "/api/list?%ff=1", "", nil}, 400, "is no text"},
		{"path with U+0000", call{"GET", "/api/fail/%00", "", nil}, 400, "the path is no text"},
		{"path that is not UTF-8", call{"GET", "/api/fail/%ff", "", nil}, 400, "the path is no text"},
		{"raw route, path with U+0000", call{"POST", "/whip/%00", "", nil}, 400, "the path is no text"},
		{"media, path with U+0000", call{"GET", "/live/%00/x.m3u8", "", nil}, 400, "the path is no text"},
		{"other site, new browser", call{"POST", "/api/echo", good, with(map[string]string{"Sec-Fetch-Site": "cross-site"})}, 403, "another site"},
		{"other site, old browser", call{"POST", "/api/echo", good, with(map[string]string{"Origin": "https://evil.example"})}, 403, "another site"},
		{"same site", call{"POST", "/api/echo", good, with(map[string]string{"Sec-Fetch-Site": "same-origin"})}, 200, "hello"},
		{"public URL's origin", call{"POST", "/api/echo", good, with(map[string]string{"Origin": "https://video.example", "Sec-Fetch-Site": "cross-site"})}, 200, "hello"},
		{"unknown path", call{"GET", "/api/nothing", "", nil}, 404, "/api/nothing"},
		{"wrong method", call{"DELETE", "/api/echo", "", nil}, 405, "possible: POST"},
		{"raw route, wrong method", call{"GET", "/whip/c", "", nil}, 405, "possible: POST"},
		{"page, wrong method", call{"POST", "/about", "", nil}, 405, "only be read"},
	}
	s := server(t, func(cfg *gateway.Config) { cfg.PublicURL = "https://video.example/" })
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			response, body := tt.call.send(t, s)
			if response.StatusCode != tt.status || !strings.Contains(body, tt.says) {
				t.Fatalf("%d, want %d with %q: %s", response.StatusCode, tt.status, tt.says, body)
			}
			if tt.status >= 400 && response.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("content type %q", response.Header.Get("Content-Type"))
			}
			if tt.status == 405 && response.Header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
		})
	}
}

func TestValuesAreNotEchoed(t *testing.T) {
	answer := client(t).Post("/api/echo", `{"word":"p","count":"password1"}`).Want(400)
	if strings.Contains(string(answer.Body), "password1") {
		t.Errorf("the answer echoes what was sent: %s", answer.Body)
	}
	if len(answer.Problem().Errors) != 2 {
		t.Errorf("not every place is listed: %s", answer.Body)
	}
}

// A foreign page may send a bearer token to the ingest, but our user's cookie
// must not count there.
func TestCookieDoesNotCountForForeignPages(t *testing.T) {
	s := server(t)
	tests := []struct {
		name   string
		header map[string]string
		user   string
	}{
		{"no browser", map[string]string{}, "alice"},
		{"our page", map[string]string{"Sec-Fetch-Site": "same-origin"}, "alice"},
		{"foreign page", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, ""},
		{"foreign page, old browser", map[string]string{"Origin": "https://evil.example"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.header["Cookie"] = "session=alice"
			response, body := call{"POST", "/whip/c", "v=0", tt.header}.send(t, s)
			if response.StatusCode != http.StatusCreated {
				t.Fatalf("%d: %s", response.StatusCode, body)
			}
			if got := response.Header.Get("X-User"); got != tt.user {
				t.Errorf("user %q, want %q", got, tt.user)
			}
			if response.Header.Get("Access-Control-Allow-Origin") != "*" {
				t.Error("no CORS header")
			}
		})
	}
}

func TestRawRoutesFailAsProblemDocuments(t *testing.T) {
	response, body := call{"POST", "/whip/locked", "v=0", nil}.send(t, server(t))
	if response.StatusCode != 401 || response.Header.Get("WWW-Authenticate") != "Bearer" ||
		response.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(body, "the stream key is missing") {
		t.Errorf("%d %v %s", response.StatusCode, response.Header, body)
	}
}

func TestCrossOriginReading(t *testing.T) {
	s := server(t, func(cfg *gateway.Config) { cfg.AllowedOrigins = []string{"https://www.example.com"} })
	preflight := func(path, origin string) call {
		return call{"OPTIONS", path, "", map[string]string{"Origin": origin, "Access-Control-Request-Method": "POST"}}
	}
	tests := []struct {
		name   string
		call   call
		status int
		origin string
	}{
		{"media", call{"GET", "/live/c/master.m3u8", "", map[string]string{"Origin": "https://any.example"}}, 200, "*"},
		{"media preflight", preflight("/live/c/master.m3u8", "https://any.example"), 204, "*"},
		{"ingest preflight", preflight("/whip/c", "https://any.example"), 204, "*"},
		{"API preflight from an allowed origin", preflight("/api/echo", "https://www.example.com"), 204, "https://www.example.com"},
		{"API preflight from another", preflight("/api/echo", "https://any.example"), 405, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			response, body := tt.call.send(t, s)
			if response.StatusCode != tt.status {
				t.Fatalf("%d, want %d: %s", response.StatusCode, tt.status, body)
			}
			if got := response.Header.Get("Access-Control-Allow-Origin"); got != tt.origin {
				t.Errorf("Access-Control-Allow-Origin %q, want %q", got, tt.origin)
			}
		})
	}
}

func TestMediaWriterIsTheServersOwn(t *testing.T) {
	response, body := call{"GET", "/live/c/master.m3u8", "", nil}.send(t, server(t))
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%d: %s", response.StatusCode, body)
	}
}

func TestTooManyRequests(t *testing.T) {
	s := server(t, func(cfg *gateway.Config) {
		cfg.Limits = gateway.Limits{APIPerSecond: 0.001, APIBurst: 4, AuthPerMinute: 0.01, AuthBurst: 2}
	})
	from := func(address, method, path string) call {
		return call{method, path, "", map[string]string{"X-Forwarded-For": address}}
	}
	signIn := from("6.6.6.6, 203.0.113.7", "POST", "/api/auth/signin")
	list := from("7.7.7.7, 203.0.113.7", "GET", "/api/list")
	for i, want := range []struct {
		call   call
		status int
	}{
		{signIn, 204}, {signIn, 204}, {signIn, 429}, {list, 200}, {list, 429},
		{from("203.0.113.8", "GET", "/api/list"), 200},
		{from("2001:db8::1", "POST", "/api/auth/signin"), 204}, {from("2001:db8::2", "POST", "/api/auth/signin"), 204},
		{from("2001:db8::3", "POST", "/api/auth/signin"), 429}, {from("2001:db8:0:1::1", "POST", "/api/auth/signin"), 204},
	} {
		response, body := want.call.send(t, s)
		if response.StatusCode != want.status {
			t.Fatalf("call %d: %d, want %d: %s", i, response.StatusCode, want.status, body)
		}
		if want.status != 429 {
			continue
		}
		var p gateway.Problem
		if err := json.Unmarshal([]byte(body), &p); err != nil || p.Code != "too_many" {
			t.Errorf("call %d: not a problem document: %s", i, body)
		}
		if response.Header.Get("Retry-After") == "" {
			t.Errorf("call %d: no Retry-After", i)
		}
	}
	// What is not of the API is not counted, nor are programs on this machine.
	for range 10 {
		for _, path := range []string{"/healthz", "/api/list"} {
			if response, _ := (call{"GET", path, "", nil}).send(t, s); response.StatusCode != 200 {
				t.Errorf("%s: %d", path, response.StatusCode)
			}
		}
	}
}

// A peer elsewhere cannot name another address to escape its limit.
func TestForwardedForCountsFromThisMachineAlone(t *testing.T) {
	c := client(t, func(cfg *gateway.Config) { cfg.Limits = gateway.Limits{AuthPerMinute: 0.01, AuthBurst: 1} })
	c.With("X-Forwarded-For", "203.0.113.7").Post("/api/auth/signin", nil).Want(204)
	c.With("X-Forwarded-For", "203.0.113.8").Post("/api/auth/signin", nil).Want(429)
}

func TestPublicListsAreCached(t *testing.T) {
	c := client(t)
	first := c.Get("/api/list").Want(200)
	tag := first.Header.Get("ETag")
	if first.Header.Get("Cache-Control") != "public, max-age=5" || tag == "" {
		t.Fatalf("headers %v", first.Header)
	}
	if again := c.With("If-None-Match", `"other", W/`+tag).Get("/api/list").Want(304); len(again.Body) > 0 {
		t.Errorf("304 with a body: %s", again.Body)
	}
	c.With("If-None-Match", `"other"`).Get("/api/list").Want(200)
	mine := c.As(alice()).With("If-None-Match", tag).Get("/api/list").Want(200)
	if got := mine.Header.Get("Cache-Control"); got != "private, no-store" {
		t.Errorf("signed in: Cache-Control %q", got)
	}
	if got := c.Get("/api/list?limit=1000").Want(400).Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("an error: Cache-Control %q", got)
	}
}

func TestWebApp(t *testing.T) {
	s := server(t)
	tests := []struct {
		method, path string
		status       int
		contentType  string
		cache        string
	}{
		{"GET", "/", 200, "text/html; charset=utf-8", "no-cache"},
		{"GET", "/watch/some-channel", 200, "text/html; charset=utf-8", "no-cache"},
		{"GET", "/live/some-channel", 200, "text/html; charset=utf-8", "no-cache"},
		{"HEAD", "/", 200, "text/html; charset=utf-8", "no-cache"},
		{"GET", "/assets/app-1a.js", 200, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		{"GET", "/favicon.svg", 200, "image/svg+xml", "no-cache"},
		{"GET", "/admin/flows/life-st-1.2", 200, "text/html; charset=utf-8", "no-cache"},
		{"GET", "/assets/gone-2b.js", 404, "application/problem+json", "no-store"},
		{"GET", "/vod/nothing/master.m3u8", 404, "application/problem+json", "no-store"},
		{"GET", "/../../etc/passwd.txt", 404, "application/problem+json", "no-store"},
	}
	for _, tt := range tests {
		t.Run(tt.method+tt.path, func(t *testing.T) {
			response, body := call{tt.method, tt.path, "", nil}.send(t, s)
			if response.StatusCode != tt.status || response.Header.Get("Content-Type") != tt.contentType ||
				response.Header.Get("Cache-Control") != tt.cache {
				t.Fatalf("%d %v %s", response.StatusCode, response.Header, body)
			}
			if tag := response.Header.Get("ETag"); tt.status == 200 {
				again, _ := call{tt.method, tt.path, "", map[string]string{"If-None-Match": tag}}.send(t, s)
				if again.StatusCode != http.StatusNotModified {
					t.Errorf("with its ETag: %d", again.StatusCode)
				}
			}
		})
	}
	response, _ := call{"GET", "/", "", nil}.send(t, s)
	policy := response.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'self'", "media-src 'self' blob:", "worker-src 'self' blob:", "ws://127.0.0.1:", "frame-ancestors"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy lacks %q: %s", want, policy)
		}
	}
}

func TestOperatorsRoutes(t *testing.T) {
	var unready error
	s := server(t, func(cfg *gateway.Config) {
		cfg.Ready = func(context.Context) error { return unready }
	})
	call{"GET", "/api/list", "", nil}.send(t, s)
	for path, says := range map[string]string{
		"/healthz": "ok", "/readyz": "ready",
		"/metrics":          `serverlessvideo_http_requests_total{method="GET",route="/api/list",status="200"} 1`,
		"/api/openapi.yaml": "operationId: echo", "/api/openapi.json": `"operationId": "echo"`,
		"/api/docs": "/api/echo",
	} {
		if response, body := (call{"GET", path, "", nil}).send(t, s); response.StatusCode != 200 || !strings.Contains(body, says) {
			t.Errorf("%s: %d, want %q in: %s", path, response.StatusCode, says, body)
		}
	}
	unready = errs.New(errs.Unavailable, "the bus does not answer")
	if response, body := (call{"GET", "/readyz", "", nil}).send(t, s); response.StatusCode != 503 || !strings.Contains(body, "the bus does not answer") {
		t.Errorf("not ready: %d %s", response.StatusCode, body)
	}
}

func TestIdentityThatCannotBeLookedUp(t *testing.T) {
	s := server(t, func(cfg *gateway.Config) {
		cfg.Authenticate = func(context.Context, *http.Request) (identity.Principal, bool, error) {
			return identity.Principal{}, false, errors.New("the database is away")
		}
	})
	for path, want := range map[string]int{"/api/list": 503, "/live/c/master.m3u8": 200, "/": 200, "/healthz": 200} {
		response, body := call{"GET", path, "", nil}.send(t, s)
		if response.StatusCode != want || strings.Contains(body, "database") {
			t.Errorf("%s: %d, want %d: %s", path, response.StatusCode, want, body)
		}
	}
}

func TestServerSpeaksHTTP2OverTLS(t *testing.T) {
	g, err := gateway.New(gateway.Config{Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(nil)
	s.Config = g.Server(&tls.Config{})
	if s.Config.WriteTimeout != 0 || s.Config.ReadHeaderTimeout == 0 || s.Config.IdleTimeout == 0 {
		t.Errorf("timeouts: %+v", s.Config)
	}
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	response, body := call{"GET", "/healthz", "", nil}.send(t, s)
	if response.ProtoMajor != 2 || body != "ok\n" {
		t.Errorf("%s: %s", response.Proto, body)
	}
}

func TestBadConfiguration(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	for name, cfg := range map[string]gateway.Config{
		"no logger":      {},
		"public URL":     {Logger: logger, PublicURL: "video.example"},
		"allowed origin": {Logger: logger, AllowedOrigins: []string{"www.example.com/path"}},
	} {
		if _, err := gateway.New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
