package hls

import (
	"net/url"
	"strconv"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// Reload is the query of a media playlist request: its delivery directives
// (the draft, 6.2.5).
type Reload struct {
	Block bool   // wait until the playlist has what MSN and Part name
	MSN   uint64 // media sequence number
	Part  int    // number of a part in it, from 0; -1: the whole segment
	Skip  bool   // a delta update is welcome
}

// maxMSN keeps sequence numbers far from overflow: 2^53 segments are 500
// million years.
const maxMSN = 1 << 53

// maxPart is far above the parts that fit into a segment.
const maxPart = 100_000

// ParseReload reads the delivery directives; anything else in the query is
// ignored. Errors are errs.Invalid and say what is wrong.
func ParseReload(query url.Values) (Reload, error) {
	r := Reload{Part: -1}
	msn, hasMSN, err := number(query, "_HLS_msn", maxMSN)
	if err != nil {
		return Reload{}, err
	}
	part, hasPart, err := number(query, "_HLS_part", maxPart)
	if err != nil {
		return Reload{}, err
	}
	if hasPart && !hasMSN {
		return Reload{}, errs.New(errs.Invalid, "_HLS_part needs _HLS_msn beside it")
	}
	r.Block, r.MSN = hasMSN, msn
	if hasPart {
		r.Part = int(part)
	}
	r.Skip, err = skip(query)
	if err != nil {
		return Reload{}, err
	}
	return r, nil
}

// number reads a decimal number that may stand in the query once.
func number(query url.Values, name string, highest uint64) (value uint64, given bool, err error) {
	values := query[name]
	if len(values) == 0 {
		return 0, false, nil
	}
	if len(values) > 1 {
		return 0, false, errs.Newf(errs.Invalid, "%s is given %d times", name, len(values))
	}
	value, err = strconv.ParseUint(values[0], 10, 64)
	if err != nil || value > highest {
		return 0, false, errs.Newf(errs.Invalid, "%s must be a whole number from 0 to %d", name, highest)
	}
	return value, true, nil
}

// skip reads _HLS_skip. YES and v2 ask for the same here, as no playlist has
// date ranges to skip.
func skip(query url.Values) (bool, error) {
	values := query["_HLS_skip"]
	switch {
	case len(values) == 0:
		return false, nil
	case len(values) == 1 && (values[0] == "YES" || values[0] == "v2"):
		return true, nil
	}
	return false, errs.New(errs.Invalid, "_HLS_skip must be YES or v2, given once")
}

// Has tells whether the playlist has what the request waits for (the draft,
// 6.2.5.2): the complete segment or a later one, or the part. A part after the
// last of a complete segment means the first of the next one. An ended playlist
// has all that will ever come.
func (m *Media) Has(r Reload) bool {
	if !r.Block || m.Ended {
		return true
	}
	msn, part := r.MSN, r.Part
	for msn < m.nextMSN() {
		if msn < m.MediaSequence {
			return true
		}
		s := &m.Segments[msn-m.MediaSequence]
		if part < 0 || part < len(s.Parts) {
			return part >= 0 || s.URI != ""
		}
		if s.URI == "" || m.PartTarget == 0 {
			return s.URI != ""
		}
		msn, part = msn+1, 0
	}
	return false
}

// TooFar tells whether the request names what no client can want yet, to be
// answered with 400 (the draft, 6.2.5.2): a segment more than two after the last
// complete one, or a part further ahead of the last part than the Advance Part
// Limit of three seconds' parts.
func (m *Media) TooFar(r Reload) bool {
	if !r.Block || m.Ended {
		return false
	}
	open, last := m.nextMSN(), -1 // number of the segment being made, and of its last part
	if n := len(m.Segments); n > 0 && m.Segments[n-1].URI == "" {
		open, last = open-1, len(m.Segments[n-1].Parts)-1
	}
	if r.MSN > open+1 {
		return true
	}
	if m.PartTarget == 0 || r.Part < 0 || r.MSN < open {
		return false
	}
	ahead := r.Part - last
	if r.MSN > open {
		ahead = r.Part + 1 // at least: it is not known how many parts end the segment before
	}
	return ahead > m.advancePartLimit()
}

// advancePartLimit is how many parts ahead of the last one a request may name
// (the draft, 6.2.5.2).
func (m *Media) advancePartLimit() int {
	if m.PartTarget < time.Second {
		return int(3 * time.Second / m.PartTarget)
	}
	return 3
}

// nextMSN is the number after that of the last segment listed.
func (m *Media) nextMSN() uint64 { return m.MediaSequence + uint64(len(m.Segments)) }
