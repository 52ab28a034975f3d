package whip

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/pion/webrtc/v4"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

const (
	maxBody  = 256 << 10
	sdpType  = "application/sdp"
	fragType = "application/trickle-ice-sdpfrag"
)

// Routes mounts the endpoint and its sessions.
func (s *Server) Routes(mux *http.ServeMux) {
	mux.HandleFunc("POST /whip/{channel}", s.post)
	mux.HandleFunc("OPTIONS /whip/{channel}", s.options)
	mux.HandleFunc("PATCH /whip/{channel}/{session}", s.patch)
	mux.HandleFunc("DELETE /whip/{channel}/{session}", s.delete)
	mux.HandleFunc("OPTIONS /whip/{channel}/{session}", s.options)
}

// allowOrigins lets pages of any origin publish; without cookies, so they need
// the stream key.
func allowOrigins(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "Location, Link, ETag, Accept-Patch")
	h.Set("Cache-Control", "no-store")
}

func (s *Server) options(w http.ResponseWriter, _ *http.Request) {
	allowOrigins(w)
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "OPTIONS, POST, PATCH, DELETE")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match")
	h.Set("Access-Control-Max-Age", "86400")
	h.Set("Accept-Post", sdpType)
	h.Set("Accept-Patch", fragType)
	w.WriteHeader(http.StatusNoContent)
}

// post begins a broadcast (RFC 9725, 4.2).
func (s *Server) post(w http.ResponseWriter, r *http.Request) {
	allowOrigins(w)
	channel, key := r.PathValue("channel"), bearer(r)
	if err := s.host.Authorize(r.Context(), channel, key); err != nil {
		s.refuse(w, r, err)
		return
	}
	offer, ok := s.body(w, r, sdpType)
	if !ok {
		return
	}
	session, answer, err := s.publish(r, channel, key, offer)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", sdpType)
	h.Set("Location", r.URL.EscapedPath()+"/"+session.id)
	h.Set("ETag", session.etag)
	h.Set("Accept-Patch", fragType)
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, answer) // a client that is gone is noticed by its media
}

func (s *Server) publish(r *http.Request, channel, key, offer string) (*session, string, error) {
	audio, err := checkOffer(offer)
	if err != nil {
		return nil, "", err
	}
	peer, err := s.engine.peer()
	if err != nil {
		return nil, "", err
	}
	session := newSession(channel, key, peer, s.log)
	if err := s.add(session); err != nil {
		return nil, "", errors.Join(err, peer.Close())
	}
	answer, err := session.answer(r.Context(), offer)
	if err != nil {
		session.Close("the offer was refused")
		return nil, "", err
	}
	broadcast, err := s.host.Begin(r.Context(), channel, audio, session)
	if err != nil {
		session.Close("the broadcast was refused")
		return nil, "", err
	}
	session.begin(broadcast)
	return session, answer, nil
}

// patch takes ICE candidates (RFC 9725, 4.3.1). ICE restarts are not taken.
func (s *Server) patch(w http.ResponseWriter, r *http.Request) {
	allowOrigins(w)
	session, ok := s.owned(w, r)
	if !ok {
		return
	}
	text, ok := s.body(w, r, fragType)
	if !ok {
		return
	}
	frag, err := parseFragment(text)
	if err == nil && session.restarts(frag) {
		err = errs.New(errs.Unsupported, "this server takes ICE candidates, but no ICE restart: begin a new session instead")
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	switch match := r.Header.Get("If-Match"); match {
	case session.etag:
	case "":
		problem(w, http.StatusPreconditionRequired, "If-Match with the session's ETag is missing")
		return
	default:
		problem(w, http.StatusPreconditionFailed, "If-Match is not the session's ETag "+session.etag)
		return
	}
	for _, c := range frag.candidates {
		if err := session.addCandidate(c); err != nil {
			s.refuse(w, r, err)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// restarts says whether the credentials are others than the session's.
func (s *session) restarts(f fragment) bool {
	if f.ufrag == "" {
		return false
	}
	remote := s.peer.RemoteDescription()
	return remote == nil || !strings.Contains(remote.SDP, "a=ice-ufrag:"+f.ufrag+"\r\n")
}

func (s *session) addCandidate(c candidate) error {
	init := webrtc.ICECandidateInit{Candidate: c.line, SDPMLineIndex: &c.index}
	if c.mid != "" {
		init.SDPMid = &c.mid
	}
	err := s.peer.AddICECandidate(init)
	return errs.Wrap(err, errs.Invalid, "an ICE candidate cannot be used")
}

// delete ends a broadcast at once (RFC 9725, 4.2).
func (s *Server) delete(w http.ResponseWriter, r *http.Request) {
	allowOrigins(w)
	session, ok := s.owned(w, r)
	if !ok {
		return
	}
	session.Close("the publisher ended it")
	w.WriteHeader(http.StatusOK)
}

// owned returns the session of a request whose sender may have it.
func (s *Server) owned(w http.ResponseWriter, r *http.Request) (*session, bool) {
	channel, key := r.PathValue("channel"), bearer(r)
	session, err := s.find(channel, r.PathValue("session"))
	// The key that it began with stays good for the session.
	if err == nil && !session.begunWith(key) {
		err = s.host.Authorize(r.Context(), channel, key)
	}
	if err != nil {
		s.refuse(w, r, err)
		return nil, false
	}
	return session, true
}

// body reads the request's body, of one content type and not too large.
func (s *Server) body(w http.ResponseWriter, r *http.Request, contentType string) (string, bool) {
	got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || got != contentType {
		h := w.Header()
		h.Set("Accept-Post", sdpType)
		problem(w, http.StatusUnsupportedMediaType, "the Content-Type must be "+contentType)
		return "", false
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		problem(w, http.StatusRequestEntityTooLarge, "the body is larger than 256 kB")
		return "", false
	case err != nil:
		s.refuse(w, r, errs.Wrap(err, errs.Invalid, "the body could not be read"))
		return "", false
	}
	return string(data), true
}

func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if errs.CodeOf(err) == errs.Unauthenticated {
		w.Header().Set("WWW-Authenticate", `Bearer realm="whip"`)
	}
	s.fail(w, r, err)
}

// bearer returns the stream key that the request brings (RFC 6750, 2.1).
func bearer(r *http.Request) string {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// problem answers with a status that our errors have no code for (RFC 9457).
func problem(w http.ResponseWriter, status int, detail string) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	body := map[string]any{"status": status, "title": http.StatusText(status), "detail": detail}
	_ = json.NewEncoder(w).Encode(body) // the client may be gone
}
