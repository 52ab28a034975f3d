package whip

import (
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtc"
)

// patch takes ICE candidates (RFC 9725, 4.3.2) or restarts ICE (4.3.3).
func (s *Server) patch(w http.ResponseWriter, r *http.Request) {
	cors().Allow(w)
	session, ok := s.owned(w, r)
	if !ok {
		return
	}
	if session.over() {
		s.refuse(w, r, errs.New(errs.NotFound, "this WHIP session is over; begin another one"))
		return
	}
	text, ok := rtc.Body(w, r, rtc.FragmentType, s.refuse)
	if !ok {
		return
	}
	frag, err := rtc.ParseFragment(text)
	if err == nil {
		err = checkFragment(frag)
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	session.negotiating.Lock()
	defer session.negotiating.Unlock()
	if !session.matches(w, r.Header.Values("If-Match")) {
		return
	}
	if !session.restarts(frag) {
		session.trickle(frag)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	answer, err := session.restart(r.Context(), frag)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", rtc.FragmentType)
	h.Set("ETag", session.etag)
	w.WriteHeader(http.StatusOK)
	_, _ = io.WriteString(w, answer) // a client that is gone tries again
}

// matches checks the precondition (RFC 9110, 13.1.1) and answers when it fails.
// "*" means whatever ICE session there is; clients have been seen to quote it,
// as the RFC's example does.
func (s *session) matches(w http.ResponseWriter, headers []string) bool {
	if len(headers) == 0 {
		rtc.Problem(w, http.StatusPreconditionRequired,
			"If-Match is missing: it must be the session's ETag, or * to restart ICE", nil)
		return false
	}
	for tag := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		switch strings.TrimSpace(tag) {
		case s.etag, "*", `"*"`:
			return true
		}
	}
	rtc.Problem(w, http.StatusPreconditionFailed, "If-Match is not the session's ETag "+s.etag, nil)
	return false
}

// restarts says whether the credentials are others than those of the offer.
func (s *session) restarts(f rtc.Fragment) bool {
	return f.Ufrag != "" && !slices.ContainsFunc(strings.Split(s.offer, "\n"), func(line string) bool {
		return strings.TrimSpace(line) == "a=ice-ufrag:"+f.Ufrag
	})
}

// trickle adds candidates. One that this machine cannot use is left out (RFC
// 9725, 4.3.2).
func (s *session) trickle(f rtc.Fragment) {
	for _, c := range f.Candidates {
		if err := s.peer.AddICECandidate(c); err != nil {
			s.log.Debug("an ICE candidate is left out", "candidate", c.Candidate, "error", err)
		}
	}
}
