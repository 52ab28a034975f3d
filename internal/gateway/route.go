package gateway

import "strings"

// class says by which rules a path is served.
type class int

const (
	webPages  class = iota // the web app and everything not named below
	apiCalls               // /api/: JSON
	media                  // /live/{id}/…, /vod/{id}/…: any origin, never wrapped, so that files go out by sendfile
	realtime               // /mqtt, /events: hijacked or endless, never wrapped
	bearer                 // /whip/, /whep/, /aws/events: from anywhere by bearer token, by cookie from our own pages alone
	operators              // /metrics, /healthz, /readyz: no identity
)

func classOf(path string) class {
	first, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch first {
	case "api":
		return apiCalls
	case "live", "vod":
		if !strings.Contains(rest, "/") {
			return webPages // /live/{channel} itself is a page of the app
		}
		return media
	case "mqtt", "events":
		return realtime
	case "whip", "whep", "aws":
		return bearer
	case "metrics", "healthz", "readyz":
		return operators
	}
	return webPages
}

// wrapped says whether the answer's status may be watched by standing between
// the handler and the connection.
func (c class) wrapped() bool { return c == webPages || c == apiCalls || c == bearer || c == operators }
