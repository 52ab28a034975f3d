package whip

import (
	"errors"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// Packet types of RFC 6184, section 5.2, that packetization modes 0 and 1 have.
const (
	naluSTAPA = 24
	naluFUA   = 28
)

// h264 is H.264 in RTP (RFC 6184, modes 0 and 1). It remembers the last
// parameter sets.
type h264 struct {
	sps, pps []byte
	units    nalUnits
	key      bool
	known    cmaf.VideoConfig
}

func (h *h264) begins(p []byte) bool {
	if cmaf.NALType(p) == naluSTAPA && len(p) > 3 {
		p = p[3:]
	}
	kind := cmaf.NALType(p)
	return kind == cmaf.NALSPS || kind == cmaf.NALAUD
}

func (h *h264) reset() {
	h.units.reset()
	h.key = false
}

func (h *h264) finish() (picture, error) {
	if h.units.fragment > 0 {
		return picture{}, errors.New("an FU-A whose end is missing")
	}
	p := picture{data: h.units.data, key: h.key}
	h.reset()
	return p, nil
}

func (h *h264) config() (cmaf.VideoConfig, error) {
	if h.known.Codec == 0 || string(h.known.SPS) != string(h.sps) || string(h.known.PPS) != string(h.pps) {
		config, err := cmaf.ParseAVC(h.sps, h.pps)
		if err != nil {
			return cmaf.VideoConfig{}, err
		}
		h.known = config
	}
	return h.known, nil
}

func (h *h264) add(p []byte) error {
	switch kind := cmaf.NALType(p); {
	case kind >= 1 && kind <= 23:
		return h.nal(p)
	case kind == naluSTAPA:
		return aggregated(p[1:], h.nal)
	case kind == naluFUA:
		return h.fragment(p)
	default:
		return fmt.Errorf("an H264 packet of type %d, which packetization mode 1 does not have", kind)
	}
}

// fragment takes a piece of a NAL unit in FU-A (RFC 6184, 5.8).
func (h *h264) fragment(p []byte) error {
	if len(p) < 3 {
		return errors.New("an FU-A without a payload")
	}
	if p[1]&0x80 != 0 {
		h.units.begin(p[0]&0xe0 | p[1]&0x1f)
	}
	if err := h.units.grow(p[2:]); err != nil {
		return err
	}
	if p[1]&0x40 == 0 {
		return nil
	}
	nal := h.units.end()
	if !h.take(nal) {
		h.units.unadd(nal)
	}
	return nil
}

// nal adds a whole NAL unit to the access unit.
func (h *h264) nal(nal []byte) error {
	if h.take(nal) {
		return h.units.add(nal)
	}
	return nil
}

// take remembers what a NAL unit means, and says whether it belongs into the
// sample.
func (h *h264) take(nal []byte) bool {
	switch cmaf.NALType(nal) {
	case 0, cmaf.NALAUD, 10, 11, 12: // delimiters, ends and filler
		return false
	case cmaf.NALSPS:
		h.sps = keep(h.sps, nal)
		return false
	case cmaf.NALPPS:
		h.pps = keep(h.pps, nal)
		return false
	case cmaf.NALIDR:
		h.key = true
	}
	return true
}
