package whip

import (
	"io"
	"net/http"
	"strings"

	"github.com/pion/webrtc/v4"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtc"
)

// Routes mounts the endpoint and its sessions. Other methods are refused by name
// (RFC 9725, 4.2): what else is mounted may take any path.
func (s *Server) Routes(mux *http.ServeMux) {
	const endpoint, session = "/whip/{channel}", "/whip/{channel}/{session}"
	mux.HandleFunc("POST "+endpoint, s.post)
	mux.HandleFunc("OPTIONS "+endpoint, s.options)
	mux.HandleFunc("PATCH "+session, s.patch)
	mux.HandleFunc("DELETE "+session, s.delete)
	mux.HandleFunc("OPTIONS "+session, s.options)
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		mux.HandleFunc(method+" "+endpoint, notAllowed("OPTIONS, POST"))
	}
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPost} {
		mux.HandleFunc(method+" "+session, notAllowed("DELETE, OPTIONS, PATCH"))
	}
}

func notAllowed(allow string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		cors().Allow(w)
		w.Header().Set("Allow", allow)
		rtc.Problem(w, http.StatusMethodNotAllowed, r.Method+" is not a method of this WHIP resource, which has "+allow, nil)
	}
}

// cors lets pages of any origin publish; without cookies, so they need
// the stream key.
func cors() rtc.CORS {
	return rtc.CORS{Expose: "Location, Link, ETag, Accept-Patch", Methods: "OPTIONS, POST, PATCH, DELETE"}
}

// options answers what the endpoint is like, and preflights of CORS. Those hear
// of no ICE servers (RFC 9725, 4.6), and without a right to publish nobody hears
// of the servers that have a credential.
func (s *Server) options(w http.ResponseWriter, r *http.Request) {
	cors().Preflight(w)
	if r.Header.Get("Access-Control-Request-Method") == "" && len(s.cfg.ICEServers) > 0 {
		err := s.needs.Gate.Authorize(r.Context(), r.PathValue("channel"), bearer(r))
		s.link(w, err == nil)
	}
	w.WriteHeader(http.StatusNoContent)
}

// link tells of the ICE servers.
func (s *Server) link(w http.ResponseWriter, trusted bool) {
	for _, server := range s.cfg.ICEServers {
		if server.Credential != nil && !trusted {
			continue
		}
		for _, link := range rtc.Links([]webrtc.ICEServer{server}) {
			w.Header().Add("Link", link)
		}
	}
}

// post begins a broadcast (RFC 9725, 4.2).
func (s *Server) post(w http.ResponseWriter, r *http.Request) {
	cors().Allow(w)
	channel, key := r.PathValue("channel"), bearer(r)
	if err := s.needs.Gate.Authorize(r.Context(), channel, key); err != nil {
		s.refuse(w, r, err)
		return
	}
	text, ok := rtc.Body(w, r, rtc.SDPType, s.refuse)
	if !ok {
		return
	}
	offer, err := parseOffer(text)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	offer.Channel, offer.Protocol = channel, "WHIP"
	session := newSession(channel, key, s.log)
	answer, err := s.connect(r.Context(), session, offer, text)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", rtc.SDPType)
	h.Set("Location", r.URL.EscapedPath()+"/"+session.id)
	h.Set("ETag", session.firstETag)
	h.Set("Accept-Patch", rtc.FragmentType)
	s.link(w, true)
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, answer) // a client that is gone is noticed by its media
}

// delete ends a broadcast at once (RFC 9725, 4.2), also after the connection was
// closed.
func (s *Server) delete(w http.ResponseWriter, r *http.Request) {
	cors().Allow(w)
	session, ok := s.owned(w, r)
	if !ok {
		return
	}
	session.sayGoodbye()
	w.WriteHeader(http.StatusOK)
}

// owned returns the session of a request whose sender may have it.
func (s *Server) owned(w http.ResponseWriter, r *http.Request) (*session, bool) {
	channel, key := r.PathValue("channel"), bearer(r)
	session, err := s.find(channel, r.PathValue("session"))
	// The key that it began with stays good for the session.
	if err == nil && !session.begunWith(key) {
		err = s.needs.Gate.Authorize(r.Context(), channel, key)
	}
	if err != nil {
		s.refuse(w, r, err)
		return nil, false
	}
	return session, true
}

func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if errs.CodeOf(err) == errs.Unauthenticated {
		w.Header().Set("WWW-Authenticate", `Bearer realm="whip"`)
	}
	s.needs.Fail(w, r, err)
}

// bearer returns the stream key that the request brings (RFC 6750, 2.1).
func bearer(r *http.Request) string {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
