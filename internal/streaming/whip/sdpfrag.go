package whip

import (
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

const (
	maxFragLines      = 256
	maxFragCandidates = 64
)

// fragment is an application/trickle-ice-sdpfrag (RFC 8840, section 9): what a
// client tells of its ICE candidates after the offer.
type fragment struct {
	ufrag, pwd string
	candidates []candidate
	end        bool // a=end-of-candidates
}

// candidate is one a=candidate line; the m-line it stands under is by index.
type candidate struct {
	line  string // without "a="
	mid   string
	index uint16
}

// parseFragment reads a fragment. Errors are errs.Invalid.
func parseFragment(text string) (fragment, error) {
	var f fragment
	var mid string
	index := -1
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if n >= maxFragLines {
			return fragment{}, errs.Newf(errs.Invalid, "the SDP fragment has more than %d lines", maxFragLines)
		}
		if line == "" {
			continue
		}
		if len(line) < 3 || line[1] != '=' {
			return fragment{}, errs.Newf(errs.Invalid, "line %d of the SDP fragment is none of SDP: it must be like a=…", n+1)
		}
		switch kind, value := line[0], line[2:]; {
		case kind == 'm':
			index++
			mid = ""
		case kind != 'a':
		case strings.HasPrefix(value, "mid:"):
			mid = value[len("mid:"):]
		case strings.HasPrefix(value, "ice-ufrag:"):
			f.ufrag = value[len("ice-ufrag:"):]
		case strings.HasPrefix(value, "ice-pwd:"):
			f.pwd = value[len("ice-pwd:"):]
		case value == "end-of-candidates":
			f.end = true
		case strings.HasPrefix(value, "candidate:"):
			if len(f.candidates) >= maxFragCandidates {
				return fragment{}, errs.Newf(errs.Invalid, "the SDP fragment has more than %d candidates", maxFragCandidates)
			}
			f.candidates = append(f.candidates, candidate{line: value, mid: mid, index: uint16(max(index, 0))})
		}
	}
	return f, nil
}
