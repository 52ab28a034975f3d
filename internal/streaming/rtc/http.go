package rtc

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// Content types of WHIP and WHEP (RFC 9725, section 4).
const (
	SDPType      = "application/sdp"
	FragmentType = "application/trickle-ice-sdpfrag"
)

const maxBody = 256 << 10

// CORS is what pages of other origins may do with a resource. They come without
// cookies.
type CORS struct {
	Expose  string // headers of answers that they may read, beside those of CORS itself
	Methods string
}

// Allow lets pages of any origin read the answer. Answers of WHIP and WHEP are
// for one client, so nothing keeps them.
func (c CORS) Allow(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", c.Expose)
	h.Set("Cache-Control", "no-store")
}

// Preflight sets what an answer to OPTIONS says of the resource and to browsers.
func (c CORS) Preflight(w http.ResponseWriter) {
	c.Allow(w)
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", c.Methods)
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match")
	h.Set("Access-Control-Max-Age", "86400")
	h.Set("Accept-Post", SDPType)
	h.Set("Accept-Patch", FragmentType)
}

// Problem answers with a status that our errors have no code for (RFC 9457).
func Problem(w http.ResponseWriter, status int, detail string, more map[string]any) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	body := map[string]any{"status": status, "title": http.StatusText(status), "detail": detail}
	maps.Copy(body, more)
	_ = json.NewEncoder(w).Encode(body) // the client may be gone
}

// Body reads the body of a request, of one content type and not too large. Where
// it is not, it has answered, by fail for what has a code.
func Body(w http.ResponseWriter, r *http.Request, contentType string, fail func(http.ResponseWriter, *http.Request, error)) (string, bool) {
	got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || got != contentType {
		accept := "Accept-Post" // RFC 9725, 4.2; RFC 5789, 3.1
		if r.Method == http.MethodPatch {
			accept = "Accept-Patch"
		}
		w.Header().Set(accept, contentType)
		Problem(w, http.StatusUnsupportedMediaType, "the Content-Type must be "+contentType, nil)
		return "", false
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		Problem(w, http.StatusRequestEntityTooLarge, "the body is larger than 256 kB", nil)
		return "", false
	case err != nil:
		fail(w, r, errs.Wrap(err, errs.Invalid, "the body could not be read"))
		return "", false
	}
	return string(data), true
}
