package whep

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtc"
)

// Routes mounts the endpoint and its sessions.
func (s *Server) Routes(mux *http.ServeMux) {
	mux.HandleFunc("POST /whep/{channel}", s.post)
	mux.HandleFunc("OPTIONS /whep/{channel}", s.options)
	mux.HandleFunc("GET /whep/{channel}/{session}", s.get)
	mux.HandleFunc("PATCH /whep/{channel}/{session}", s.patch)
	mux.HandleFunc("DELETE /whep/{channel}/{session}", s.delete)
	mux.HandleFunc("OPTIONS /whep/{channel}/{session}", s.options)
}

// cors lets pages of any origin play what is public.
func cors() rtc.CORS {
	return rtc.CORS{Expose: "Location, Link, ETag, Accept-Patch, Warning", Methods: "OPTIONS, POST, GET, PATCH, DELETE"}
}

func (s *Server) options(w http.ResponseWriter, _ *http.Request) {
	cors().Preflight(w)
	for _, link := range rtc.Links(s.config.ICEServers) {
		w.Header().Add("Link", link)
	}
	w.WriteHeader(http.StatusNoContent)
}

// post begins a session (draft-ietf-wish-whep, section 4.2). The parameter
// beacons says that the viewer is counted by those (POST /api/viewers).
func (s *Server) post(w http.ResponseWriter, r *http.Request) {
	cors().Allow(w)
	channel := r.PathValue("channel")
	stream, err := s.host.Find(r.Context(), channel)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	text, ok := rtc.Body(w, r, rtc.SDPType, s.fail)
	if !ok {
		return
	}
	session, answer, err := s.play(r, channel, stream, text)
	var unfit *notAcceptable
	switch {
	case errors.As(err, &unfit):
		rtc.Problem(w, http.StatusNotAcceptable, unfit.why, map[string]any{"hls": hlsURL(channel)})
		return
	case err != nil:
		s.fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", rtc.SDPType)
	h.Set("Location", r.URL.EscapedPath()+"/"+session.id)
	h.Set("ETag", session.etag)
	h.Set("Accept-Patch", rtc.FragmentType)
	for _, link := range rtc.Links(s.config.ICEServers) {
		h.Add("Link", link)
	}
	if session.silent != "" {
		h.Set("Warning", fmt.Sprintf("199 - %q", session.silent))
	}
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, answer) // a viewer that is gone is noticed by its connection
}

// notAcceptable is an offer that the stream cannot be sent to.
type notAcceptable struct{ why string }

func (e *notAcceptable) Error() string { return e.why }

func (s *Server) play(r *http.Request, channel string, stream Stream, text string) (*session, string, error) {
	o, err := parseOffer(text)
	if errs.CodeOf(err) == errs.Unsupported {
		return nil, "", &notAcceptable{errs.MessageOf(err)}
	}
	if err != nil {
		return nil, "", err
	}
	c, why := choose(o, stream)
	var warm *fan
	if why == "" {
		c.steps, warm, why = s.inOrder(stream, c.steps)
	}
	if why != "" {
		return nil, "", &notAcceptable{why + "; HLS plays it"}
	}
	session := newSession(s, channel, stream, c.steps)
	session.silent, session.warm = c.silent, warm
	session.beacons = r.URL.Query().Has("beacons")
	if err := s.connect(session, o, c); err != nil {
		s.release(warm)
		return nil, "", err
	}
	if err := s.add(session); err != nil {
		s.release(warm)
		return nil, "", errors.Join(err, session.peer.Close())
	}
	answer, err := session.answer(r.Context(), o.sdp)
	if err != nil {
		session.Close(ReasonLost)
		return nil, "", err
	}
	return session, answer, nil
}

// inOrder begins with the first rung that has no B-frames: WebRTC's players show
// pictures in the order in which they come. It returns that rung's fan too, so
// that the pictures are there when the connection is.
func (s *Server) inOrder(stream Stream, steps []step) ([]step, *fan, string) {
	for i := range steps {
		f := s.acquire(stream, steps[i].rung)
		if !f.state().reordered {
			return steps[i:], f, ""
		}
		s.release(f)
	}
	return nil, nil, "the stream has B-frames, which WebRTC does not carry (turn them off in the encoder)"
}

// get says how a session is: 204 while it runs, 410 with the reason when it is
// over. A page asks when its connection is gone.
func (s *Server) get(w http.ResponseWriter, r *http.Request) {
	cors().Allow(w)
	if _, ok := s.session(w, r); ok {
		w.WriteHeader(http.StatusNoContent)
	}
}

// patch takes ICE candidates. ICE restarts are not taken.
func (s *Server) patch(w http.ResponseWriter, r *http.Request) {
	cors().Allow(w)
	session, ok := s.session(w, r)
	if !ok {
		return
	}
	text, ok := rtc.Body(w, r, rtc.FragmentType, s.fail)
	if !ok {
		return
	}
	frag, err := rtc.ParseFragment(text)
	if err == nil && session.restarts(frag) {
		err = errs.New(errs.Unsupported, "this server takes ICE candidates, but no ICE restart: begin a new session instead")
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	switch match := r.Header.Get("If-Match"); match {
	case session.etag:
	case "":
		rtc.Problem(w, http.StatusPreconditionRequired, "If-Match with the session's ETag is missing", nil)
		return
	default:
		rtc.Problem(w, http.StatusPreconditionFailed, "If-Match is not the session's ETag "+session.etag, nil)
		return
	}
	for _, c := range frag.Candidates {
		if err := session.peer.AddICECandidate(c); err != nil {
			s.fail(w, r, errs.Wrap(err, errs.Invalid, "an ICE candidate cannot be used"))
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// delete ends a session.
func (s *Server) delete(w http.ResponseWriter, r *http.Request) {
	cors().Allow(w)
	if session, ok := s.session(w, r); ok {
		session.Close(ReasonLeft)
		w.WriteHeader(http.StatusOK)
	}
}

// session returns the session of a request: who knows its URL has it. When it is
// over, the answer says why.
func (s *Server) session(w http.ResponseWriter, r *http.Request) (*session, bool) {
	channel := r.PathValue("channel")
	session, reason, err := s.find(channel, r.PathValue("session"))
	switch {
	case err != nil:
		s.fail(w, r, err)
		return nil, false
	case session == nil:
		rtc.Problem(w, http.StatusGone, reason.detail(), map[string]any{"reason": reason, "hls": hlsURL(channel)})
		return nil, false
	}
	return session, true
}

// hlsURL is where a channel plays without WebRTC.
func hlsURL(channel string) string { return "/live/" + url.PathEscape(channel) + "/master.m3u8" }
