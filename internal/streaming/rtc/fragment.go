package rtc

import (
	"strings"

	"github.com/pion/webrtc/v4"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

const (
	maxFragmentLines      = 256
	maxFragmentCandidates = 64
)

// Fragment is an application/trickle-ice-sdpfrag (RFC 8840, section 9): what a
// client tells of its ICE candidates after the offer.
type Fragment struct {
	Ufrag, Pwd string
	Candidates []webrtc.ICECandidateInit
	End        bool // a=end-of-candidates
}

// ParseFragment reads a fragment. Errors are errs.Invalid.
func ParseFragment(text string) (Fragment, error) {
	var f Fragment
	var mid string
	index := -1
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if n >= maxFragmentLines {
			return Fragment{}, errs.Newf(errs.Invalid, "the SDP fragment has more than %d lines", maxFragmentLines)
		}
		if line == "" {
			continue
		}
		if len(line) < 3 || line[1] != '=' {
			return Fragment{}, errs.Newf(errs.Invalid, "line %d of the SDP fragment is none of SDP: it must be like a=…", n+1)
		}
		switch kind, value := line[0], line[2:]; {
		case kind == 'm':
			index++
			mid = ""
		case kind != 'a':
		case strings.HasPrefix(value, "mid:"):
			mid = value[len("mid:"):]
		case strings.HasPrefix(value, "ice-ufrag:"):
			f.Ufrag = value[len("ice-ufrag:"):]
		case strings.HasPrefix(value, "ice-pwd:"):
			f.Pwd = value[len("ice-pwd:"):]
		case value == "end-of-candidates":
			f.End = true
		case strings.HasPrefix(value, "candidate:"):
			if len(f.Candidates) >= maxFragmentCandidates {
				return Fragment{}, errs.Newf(errs.Invalid, "the SDP fragment has more than %d candidates", maxFragmentCandidates)
			}
			f.Candidates = append(f.Candidates, candidate(value, mid, index))
		}
	}
	return f, nil
}

// candidate is that of the media section with that mid, or at that place.
func candidate(line, mid string, index int) webrtc.ICECandidateInit {
	place := uint16(max(index, 0))
	c := webrtc.ICECandidateInit{Candidate: line, SDPMLineIndex: &place}
	if mid != "" {
		c.SDPMid = &mid
	}
	return c
}
