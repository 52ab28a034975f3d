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
