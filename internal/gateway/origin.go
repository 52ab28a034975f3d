package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// origins decides what pages of other origins may do.
type origins struct {
	protection *http.CrossOriginProtection
	allowed    []string
}

func newOrigins(publicURL string, allowed []string) (*origins, error) {
	o := &origins{protection: http.NewCrossOriginProtection()}
	if publicURL != "" {
		u, err := url.Parse(publicURL)
		if err != nil || u.Scheme == "" || u.Host == "" {
			return nil, fmt.Errorf("the public URL %q is not like https://video.example.com", publicURL)
		}
		if err := o.protection.AddTrustedOrigin(u.Scheme + "://" + u.Host); err != nil {
			return nil, fmt.Errorf("the public URL: %w", err)
		}
	}
	for _, origin := range allowed {
		origin = strings.TrimRight(origin, "/")
		if err := o.protection.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("an allowed origin: %w", err)
		}
		o.allowed = append(o.allowed, origin)
	}
	return o, nil
}

// foreign says whether a browser sends the request for a page that is not ours.
func (o *origins) foreign(r *http.Request) bool {
	// Check lets safe methods pass; here the question is only where it is from.
	probe := *r
	probe.Method = http.MethodPost
	return o.protection.Check(&probe) != nil
}

// forged says whether a foreign page tries to change something with our user's
// cookie.
func (o *origins) forged(r *http.Request) bool { return o.protection.Check(r) != nil }

const (
	preflightAge = "86400" // seconds that a browser may remember a preflight; browsers cap it lower
	anyOrigin    = "*"
)

// allow writes the CORS headers of the request's class and answers preflights
// itself; then it returns true.
func (o *origins) allow(c class, w http.ResponseWriter, r *http.Request) (answered bool) {
	h := w.Header()
	origin := r.Header.Get("Origin")
	switch c {
	case media:
		h.Set("Access-Control-Allow-Origin", anyOrigin)
		h.Set("Access-Control-Expose-Headers", "Content-Length, Content-Range, Date, ETag")
	case bearer:
		h.Set("Access-Control-Allow-Origin", anyOrigin)
		h.Set("Access-Control-Expose-Headers", "Location, Link, ETag, Accept-Patch, Retry-After")
	case apiCalls, realtime:
		h.Add("Vary", "Origin")
		if !slices.Contains(o.allowed, origin) {
			return false
		}
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
		h.Set("Access-Control-Expose-Headers", "ETag, Retry-After, X-Request-Id")
	default:
		return false
	}
	if r.Method != http.MethodOptions || origin == "" || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PATCH, DELETE")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match, If-None-Match, Range, "+
		"X-Amz-Date, X-Amz-Security-Token, X-Amz-Target, X-Amz-User-Agent, Amz-Sdk-Invocation-Id, Amz-Sdk-Request")
	h.Set("Access-Control-Max-Age", preflightAge)
	w.WriteHeader(http.StatusNoContent)
	return true
}
