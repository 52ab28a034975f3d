package gateway

import (
	"net/http"
	"strings"
)

// secure writes the headers that make browsers careful with an answer.
func secure(c class, w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	switch c {
	case webPages:
		h.Set("Content-Security-Policy", pagePolicy(r.Host))
		h.Set("Referrer-Policy", "strict-origin-when-cross-origin")
		h.Set("Permissions-Policy", "camera=(self), microphone=(self), geolocation=(), payment=(), usb=()")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
	case apiCalls, operators:
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		// An operation or page that may be kept says so itself.
		h.Set("Cache-Control", "no-store")
	case bearer:
		h.Set("Cache-Control", "no-store")
	}
}

// pagePolicy lets the web app run its own scripts, play what hls.js builds in
// memory (blob:), and talk to this host alone. WebSockets are named apart:
// older Safari does not count them to 'self'.
func pagePolicy(host string) string {
	connect := "connect-src 'self'"
	if validHost(host) {
		connect += " ws://" + host + " wss://" + host
	}
	return strings.Join([]string{
		"default-src 'self'",
		"script-src 'self'",
		"style-src 'self' 'unsafe-inline'", // Svelte and media-chrome set style attributes
		"img-src 'self' data: blob:",
		"media-src 'self' blob:",
		"worker-src 'self' blob:",
		"font-src 'self' data:",
		connect,
		"object-src 'none'",
		"base-uri 'none'",
		"form-action 'self'",
		"frame-ancestors 'self'",
	}, "; ")
}

// validHost says whether host may stand in a policy: it has nothing that could
// begin another directive.
func validHost(host string) bool {
	if host == "" {
		return false
	}
	for _, c := range []byte(host) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '.', c == ':', c == '-', c == '_', c == '[', c == ']':
		default:
			return false
		}
	}
	return true
}
