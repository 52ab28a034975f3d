package gateway

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/serverlessvideo/serverlessvideo/internal/identity"
)

// adapter puts huma's operations on the mux.
type adapter struct{ *http.ServeMux }

// Handle registers one operation.
func (a adapter) Handle(op *huma.Operation, handler func(huma.Context)) {
	serve := func(w http.ResponseWriter, r *http.Request) { handler(humago.NewContext(op, r, w)) }
	if op.Metadata["cache"] == "public" {
		serve = public(serve)
	}
	a.HandleFunc(op.Method+" "+op.Path, serve)
}

// public makes the answers of a list cacheable: for 5 s by anybody, and after
// that by asking whether it changed (ETag, RFC 9110 section 8.8.3). What a
// signed-in user sees is never kept by others.
func public(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Cookie")
		if _, signedIn := identity.From(r.Context()); signedIn {
			w.Header().Set("Cache-Control", "private, no-store")
			serve(w, r)
			return
		}
		kept := &keeper{ResponseWriter: w}
		serve(kept, r)
		kept.send(r)
	}
}

// keeper holds an answer back until it is whole.
type keeper struct {
	http.ResponseWriter
	code int
	body bytes.Buffer
}

func (k *keeper) WriteHeader(code int) {
	if k.code == 0 {
		k.code = code
	}
}

func (k *keeper) Write(b []byte) (int, error) {
	k.WriteHeader(http.StatusOK)
	return k.body.Write(b)
}

// Unwrap is for http.ResponseController.
func (k *keeper) Unwrap() http.ResponseWriter { return k.ResponseWriter }

func (k *keeper) send(r *http.Request) {
	k.WriteHeader(http.StatusOK)
	if k.code == http.StatusOK {
		h := k.Header()
		tag := etag(k.body.Bytes())
		h.Set("Cache-Control", "public, max-age=5")
		h.Set("ETag", tag)
		if matches(r.Header.Get("If-None-Match"), tag) {
			h.Del("Content-Type")
			k.ResponseWriter.WriteHeader(http.StatusNotModified)
			return
		}
	}
	k.ResponseWriter.WriteHeader(k.code)
	_, _ = k.ResponseWriter.Write(k.body.Bytes()) // the client is gone: nobody to tell
}

func etag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

// matches does the weak comparison of If-None-Match (RFC 9110 section 13.1.2).
func matches(header, tag string) bool {
	for part := range strings.SplitSeq(header, ",") {
		part = strings.TrimSpace(part)
		if part == "*" || strings.TrimPrefix(part, "W/") == tag {
			return true
		}
	}
	return false
}
