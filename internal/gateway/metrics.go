package gateway

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts requests by the pattern that served them, never by their path:
// the number of series is the number of routes.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	media    *prometheus.CounterVec
}

func newMetrics(registry *prometheus.Registry) (metrics, error) {
	m := metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "serverlessvideo_http_requests_total",
			Help: "HTTP requests by route, method and status, without media and realtime.",
		}, []string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "serverlessvideo_http_request_duration_seconds",
			Help:    "Time to answer a request, without media and realtime.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"route"}),
		media: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "serverlessvideo_http_media_requests_total",
			Help: "Requests for media and realtime by route; their status is not watched.",
		}, []string{"route", "method"}),
	}
	return m, errors.Join(registry.Register(m.requests), registry.Register(m.seconds), registry.Register(m.media))
}

func (m metrics) watched(r *http.Request, status int, elapsed time.Duration) {
	route := routeOf(r)
	m.requests.WithLabelValues(route, methodOf(r), strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route).Observe(elapsed.Seconds())
}

func (m metrics) unwatched(r *http.Request) {
	m.media.WithLabelValues(routeOf(r), methodOf(r)).Inc()
}

// routeOf is the pattern without its method; "none" when the request was
// answered before a handler was chosen.
func routeOf(r *http.Request) string {
	if r.Pattern == "" {
		return "none"
	}
	if _, path, ok := strings.Cut(r.Pattern, " "); ok {
		return path
	}
	return r.Pattern
}

// methodOf keeps invented methods from making series.
func methodOf(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "other"
}
