package whip

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtc"
)

// restart begins a new ICE session on the same connection, and returns a
// fragment with our side of it. Media goes on over the new path.
func (s *session) restart(ctx context.Context, f rtc.Fragment) (string, error) {
	if f.Pwd == "" {
		return "", errs.New(errs.Invalid, "an ICE restart needs a=ice-pwd beside a=ice-ufrag")
	}
	offer := restartOffer(f, s.offer)
	answer, err := s.negotiate(ctx, offer)
	if err != nil {
		// The session stays as it is and dies when its old path does (4.3.3).
		rollback := s.peer.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeRollback})
		s.log.Debug("restarting ICE", "error", err, "rollback", rollback)
		return "", errs.Wrap(err, errs.Unavailable, "ICE could not be restarted; try again, or begin a new session")
	}
	s.offer, s.etag = offer, newETag()
	return fragmentOf(answer)
}

// Lengths of ICE credentials in characters (RFC 8839, 5.4).
const (
	minUfrag      = 4
	minPwd        = 22
	maxCredential = 256
)

// checkFragment refuses what is no ICE. Errors are errs.Invalid.
func checkFragment(f rtc.Fragment) error {
	if f.Ufrag != "" && !isCredential(f.Ufrag, minUfrag) {
		return errs.New(errs.Invalid, "a=ice-ufrag must have 4 to 256 letters, digits, + or / (RFC 8839, 5.4)")
	}
	if f.Pwd != "" && !isCredential(f.Pwd, minPwd) {
		return errs.New(errs.Invalid, "a=ice-pwd must have 22 to 256 letters, digits, + or / (RFC 8839, 5.4)")
	}
	for _, c := range f.Candidates {
		if fields := strings.Fields(c.Candidate); len(fields) < 8 || fields[6] != "typ" {
			return errs.New(errs.Invalid, "an ICE candidate is malformed (RFC 8839, 5.1): "+c.Candidate)
		}
	}
	return nil
}

func isCredential(s string, least int) bool {
	return len(s) >= least && len(s) <= maxCredential && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '+' && r != '/' && r != '-' && r != '_' && r != '='
	})
}

// restartOffer returns an offer with the credentials and candidates of the fragment in
// the place of its own: what the client would offer to restart ICE (RFC 8839,
// 4.4.1.1.1).
func restartOffer(f rtc.Fragment, offer string) string {
	var out strings.Builder
	line := func(parts ...string) {
		for _, p := range parts {
			out.WriteString(p)
		}
		out.WriteString("\r\n")
	}
	candidates := f.Candidates
	tell := func() { // all sections share the transport of the first (RFC 9143)
		for _, c := range candidates {
			line("a=", c.Candidate)
		}
		candidates = nil
	}
	sections := 0
	for l := range strings.Lines(offer) {
		l = strings.TrimRight(l, "\r\n")
		switch {
		case l == "", strings.HasPrefix(l, "a=candidate:"), l == "a=end-of-candidates":
		case strings.HasPrefix(l, "a=ice-ufrag:"):
			line("a=ice-ufrag:", f.Ufrag)
		case strings.HasPrefix(l, "a=ice-pwd:"):
			line("a=ice-pwd:", f.Pwd)
		default:
			if strings.HasPrefix(l, "m=") {
				if sections++; sections == 2 {
					tell()
				}
			}
			line(l)
		}
	}
	tell()
	return out.String()
}

// fragmentOf returns the ICE side of a description of ours: its credentials, and
// the candidates of its first section, which all share.
func fragmentOf(description string) (string, error) {
	var desc sdp.SessionDescription
	if err := desc.UnmarshalString(description); err != nil {
		return "", err
	}
	if len(desc.MediaDescriptions) == 0 {
		return "", errors.New("a description without media")
	}
	m := desc.MediaDescriptions[0]
	head, tail := []string{}, []string{"m=" + m.MediaName.String()}
	for _, a := range slices.Concat(desc.Attributes, m.Attributes) {
		switch a.Key {
		case "ice-ufrag", "ice-pwd", "ice-lite":
			head = append(head, "a="+a.String())
		case "mid", sdp.AttrKeyCandidate, sdp.AttrKeyEndOfCandidates:
			tail = append(tail, "a="+a.String())
		}
	}
	return strings.Join(append(head, tail...), "\r\n") + "\r\n", nil
}
