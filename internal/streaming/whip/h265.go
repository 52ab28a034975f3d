package whip

import (
	"errors"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// NAL unit types of H.265 (ITU-T H.265, table 7-1) and of its RTP packets
// (RFC 7798, 4.4).
const (
	hevcIRAPFirst = 16 // pictures that decoding can begin with
	hevcIRAPLast  = 23
	hevcVPS       = 32
	hevcSPS       = 33
	hevcPPS       = 34
	hevcAUD       = 35
	hevcFiller    = 38
	hevcAP        = 48
	hevcFU        = 49
)

// h265 is H.265 in RTP (RFC 7798, in decoding order: sprop-max-don-diff is 0).
// It remembers the last parameter sets.
type h265 struct {
	vps, sps, pps []byte
	units         nalUnits
	key           bool
	known         cmaf.VideoConfig
}

// hevcType returns the type of a NAL unit, -1 for one without a whole header.
func hevcType(nal []byte) int {
	if len(nal) < 2 {
		return -1
	}
	return int(nal[0] >> 1 & 0x3f)
}

func (h *h265) begins(p []byte) bool {
	if hevcType(p) == hevcAP && len(p) > 4 {
		p = p[4:]
	}
	kind := hevcType(p)
	return kind == hevcVPS || kind == hevcAUD
}

func (h *h265) reset() {
	h.units.reset()
	h.key = false
}

func (h *h265) finish() (picture, error) {
	if h.units.fragment > 0 {
		return picture{}, errors.New("a fragmentation unit whose end is missing")
	}
	p := picture{data: h.units.data, key: h.key}
	h.reset()
	return p, nil
}

func (h *h265) config() (cmaf.VideoConfig, error) {
	k := &h.known
	if k.Codec == 0 || string(k.VPS) != string(h.vps) || string(k.SPS) != string(h.sps) || string(k.PPS) != string(h.pps) {
		config, err := cmaf.ParseHEVC(h.vps, h.sps, h.pps)
		if err != nil {
			return cmaf.VideoConfig{}, err
		}
		h.known = config
	}
	return h.known, nil
}

func (h *h265) add(p []byte) error {
	switch kind := hevcType(p); {
	case kind >= 0 && kind < hevcAP:
		return h.nal(p)
	case kind == hevcAP:
		return aggregated(p[2:], h.nal)
	case kind == hevcFU:
		return h.fragment(p)
	default:
		return fmt.Errorf("an H265 packet of type %d, which is not taken", kind)
	}
}

// fragment takes a piece of a NAL unit (RFC 7798, 4.4.3).
func (h *h265) fragment(p []byte) error {
	if len(p) < 4 {
		return errors.New("a fragmentation unit without a payload")
	}
	if p[2]&0x80 != 0 {
		h.units.begin(p[0]&0x81|p[2]&0x3f<<1, p[1])
	}
	if err := h.units.grow(p[3:]); err != nil {
		return err
	}
	if p[2]&0x40 == 0 {
		return nil
	}
	nal := h.units.end()
	if !h.take(nal) {
		h.units.unadd(nal)
	}
	return nil
}

// nal adds a whole NAL unit to the access unit.
func (h *h265) nal(nal []byte) error {
	if h.take(nal) {
		return h.units.add(nal)
	}
	return nil
}

// take remembers what a NAL unit means, and says whether it belongs into the
// sample.
func (h *h265) take(nal []byte) bool {
	switch kind := hevcType(nal); {
	case kind < 0 || kind >= hevcAUD && kind <= hevcFiller: // delimiters, ends and filler
		return false
	case kind == hevcVPS:
		h.vps = keep(h.vps, nal)
		return false
	case kind == hevcSPS:
		h.sps = keep(h.sps, nal)
		return false
	case kind == hevcPPS:
		h.pps = keep(h.pps, nal)
		return false
	case kind >= hevcIRAPFirst && kind <= hevcIRAPLast:
		h.key = true
	}
	return true
}
