package gateway

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// webApp serves the built web app: its files, and index.html for every path
// that is one of the app's own pages.
type webApp struct {
	files    fs.FS
	notFound http.HandlerFunc

	mu     sync.Mutex
	loaded map[string]*webFile // bounded by the number of files
}

// webFile is a file in the forms in which it is sent.
type webFile struct {
	contentType string
	plain       []byte
	gzipped     []byte // nil when it does not pay
	etag        string
}

func newWebApp(files fs.FS, notFound http.HandlerFunc) *webApp {
	return &webApp{files: files, notFound: notFound, loaded: make(map[string]*webFile)}
}

const indexPage = "index.html"

func (a *webApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if classOf(r.URL.Path) != webPages {
		a.notFound(w, r) // a service's path that no route of it serves
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		writeProblem(w, r, http.StatusMethodNotAllowed, "method_not_allowed", "pages can only be read")
		return
	}
	name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
	if name == "" || !namesFile(name) {
		name = indexPage // a page of the app
	}
	f, err := a.load(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		a.notFound(w, r)
		return
	}
	if err != nil {
		Fail(w, r, errs.Wrap(err, errs.Internal, "the page cannot be read"))
		return
	}
	f.send(w, r, name)
}

// namesFile says whether a path ends as files do. A number behind the last dot is
// part of an id, such as that of a flow's second attempt.
func namesFile(name string) bool {
	return strings.Trim(path.Ext(name), ".0123456789") != ""
}

func (a *webApp) load(name string) (*webFile, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if f, ok := a.loaded[name]; ok {
		return f, nil
	}
	plain, err := fs.ReadFile(a.files, name)
	if err != nil {
		return nil, err
	}
	f := &webFile{contentType: contentType(name), plain: plain, etag: etag(plain)}
	if compressible(f.contentType) {
		if f.gzipped, err = zipped(plain); err != nil {
			return nil, err
		}
	}
	a.loaded[name] = f
	return f, nil
}

func (f *webFile) send(w http.ResponseWriter, r *http.Request, name string) {
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Cache-Control", cacheControl(name))
	h.Set("ETag", f.etag)
	body := f.plain
	if f.gzipped != nil {
		h.Add("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			body = f.gzipped
			h.Set("Content-Encoding", "gzip")
			// Another representation needs another strong tag.
			h.Set("ETag", strings.TrimSuffix(f.etag, `"`)+`-gz"`)
		}
	}
	if matches(r.Header.Get("If-None-Match"), h.Get("ETag")) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // the client is gone: nobody to tell
}

// cacheControl: what the bundler named by its content never changes; the rest
// is asked for again each time.
func cacheControl(name string) string {
	if strings.HasPrefix(name, "assets/") {
		return "public, max-age=31536000, immutable"
	}
	return "no-cache"
}

func contentType(name string) string {
	switch path.Ext(name) {
	case ".webmanifest":
		return "application/manifest+json"
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".woff2":
		return "font/woff2"
	case ".ico":
		return "image/x-icon"
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}

func compressible(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	return strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "json") ||
		strings.HasSuffix(kind, "xml") || kind == "application/wasm"
}

// zipped returns b gzipped, nil when that saves less than a tenth.
func zipped(b []byte) ([]byte, error) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(b); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	if out.Len() > len(b)*9/10 {
		return nil, nil
	}
	return out.Bytes(), nil
}
