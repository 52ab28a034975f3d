// Package gateway is the one HTTP entrance of a node. It knows no service:
// services register operations on its API and raw routes on its mux, and it
// does for all of them what must be done the same way once: identity, cross-
// origin rules, limits, caching, errors, security headers, counting.
package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/serverlessvideo/serverlessvideo/internal/identity"
)

// Config is what a gateway needs. Only Logger is required.
type Config struct {
	// PublicURL is where people reach the node; its origin is trusted as our own.
	PublicURL string
	// AllowedOrigins are other origins, such as https://www.example.com, whose
	// pages may call the API with the user's cookie.
	AllowedOrigins []string
	Logger         *slog.Logger
	// Registry holds the metrics that /metrics shows; the gateway adds its own.
	Registry *prometheus.Registry
	// Authenticate says who makes a request; false means nobody is signed in.
	// An error means that it cannot be said now.
	Authenticate func(ctx context.Context, r *http.Request) (identity.Principal, bool, error)
	// Ready says why the node cannot serve yet; nil when it can.
	Ready func(ctx context.Context) error
	// WebFiles is the built web app with index.html at its root.
	WebFiles fs.FS
	Limits   Limits
	// Version stands in the API's description.
	Version string
}

// Gateway is the HTTP entrance. All registrations come before the first request.
type Gateway struct {
	cfg      Config
	mux      *http.ServeMux
	api      huma.API
	origins  *origins
	apiRate  *limiter
	authRate *limiter
	metrics  metrics
}

// New makes a gateway with the routes that are its own.
func New(cfg Config) (*Gateway, error) {
	if cfg.Logger == nil {
		return nil, errors.New("gateway: no logger")
	}
	if cfg.Registry == nil {
		cfg.Registry = prometheus.NewRegistry()
	}
	if cfg.Version == "" {
		cfg.Version = "dev"
	}
	origins, err := newOrigins(cfg.PublicURL, cfg.AllowedOrigins)
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Registry)
	if err != nil {
		return nil, err
	}
	limits := cfg.Limits.withDefaults()
	g := &Gateway{
		cfg:      cfg,
		mux:      http.NewServeMux(),
		origins:  origins,
		apiRate:  newLimiter(limits.APIPerSecond, limits.APIBurst),
		authRate: newLimiter(limits.AuthPerMinute/60, limits.AuthBurst),
		metrics:  m,
	}
	useProblems()
	g.api = huma.NewAPI(apiConfig(cfg.Version), adapter{g.mux})
	g.api.OpenAPI().OnAddOperation = append(g.api.OpenAPI().OnAddOperation, describeProblems)
	g.ownRoutes()
	return g, nil
}

func apiConfig(version string) huma.Config {
	cfg := huma.DefaultConfig("ServerlessVideo", version)
	cfg.Info.Description = "The REST API of ServerlessVideo. Times are RFC 3339 in UTC, durations integer milliseconds. " +
		"Lists answer {nextPage?, count, data}; pass nextPage as offset to go on. Errors are RFC 9457 problem documents."
	// Its own pages would load scripts from elsewhere, and its schema links
	// would put a $schema key into every answer.
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath = "", "", ""
	cfg.CreateHooks = nil
	cfg.Formats = formats()
	return cfg
}

func (g *Gateway) ownRoutes() {
	g.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writeText(w, "ok\n") })
	g.mux.HandleFunc("GET /readyz", g.readyz)
	g.mux.Handle("GET /metrics", promhttp.HandlerFor(g.cfg.Registry, promhttp.HandlerOpts{}))
	docs := docs{api: g.api}
	g.mux.HandleFunc("GET /api/openapi.yaml", docs.yaml)
	g.mux.HandleFunc("GET /api/openapi.json", docs.json)
	g.mux.HandleFunc("GET /api/docs", docs.page)
	g.mux.HandleFunc("/api/", g.notFound)
	if g.cfg.WebFiles != nil {
		g.mux.Handle(fallback, newWebApp(g.cfg.WebFiles, g.notFound))
	} else {
		g.mux.HandleFunc(fallback, g.notFound)
	}
}

// fallback is the pattern of everything that nothing else is registered for.
const fallback = "/"

// API is where services register their operations, with full paths. An
// operation with Metadata{"cache": "public"} is a list that is the same for
// everybody: signed-out readers may keep its answer for 5 s.
func (g *Gateway) API() huma.API { return g.api }

// Mux is where services register raw routes.
func (g *Gateway) Mux() *http.ServeMux { return g.mux }

// Server returns a server for the gateway: plain HTTP/1.1, or HTTP/1.1 and
// HTTP/2 over TLS when there is a configuration for it. It has no write
// timeout: playlists are held open and media takes as long as it takes.
func (g *Gateway) Server(tlsConfig *tls.Config) *http.Server {
	if tlsConfig != nil && len(tlsConfig.NextProtos) == 0 {
		// Named here, HTTP/2 is there for whoever wraps the listener himself too.
		tlsConfig = tlsConfig.Clone()
		tlsConfig.NextProtos = []string{"h2", "http/1.1"}
	}
	return &http.Server{
		Handler:           g.Handler(),
		TLSConfig:         tlsConfig,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(g.cfg.Logger.Handler(), slog.LevelDebug),
	}
}

func (g *Gateway) readyz(w http.ResponseWriter, r *http.Request) {
	if g.cfg.Ready != nil {
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		if err := g.cfg.Ready(ctx); err != nil {
			Fail(w, r, notReady(err))
			return
		}
	}
	writeText(w, "ready\n")
}

// notFound answers for what no pattern serves: 405 when the path exists for
// other methods, else 404.
func (g *Gateway) notFound(w http.ResponseWriter, r *http.Request) {
	if allowed := g.methodsOf(r); len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		writeProblem(w, r, http.StatusMethodNotAllowed, "method_not_allowed",
			r.Method+" is not possible here; possible: "+strings.Join(allowed, ", "))
		return
	}
	writeProblem(w, r, http.StatusNotFound, "not_found", "there is nothing at "+r.URL.Path)
}

// methodsOf returns the methods for which something serves the request's path.
func (g *Gateway) methodsOf(r *http.Request) []string {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := *r
		probe.Method = method
		if _, pattern := g.mux.Handler(&probe); pattern != "" && pattern != fallback && pattern != "/api/" {
			allowed = append(allowed, method)
		}
	}
	return allowed
}

func writeText(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(text)) // the client is gone: nobody to tell
}
