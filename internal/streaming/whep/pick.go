package whep

import (
	"encoding/hex"
	"slices"
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// pick returns the payload type that a viewer takes video of that configuration
// with; false if it has none.
func (s *section) pick(v *cmaf.VideoConfig) (codec, bool) {
	best := -1
	for i := range s.codecs {
		c := &s.codecs[i]
		if c.clock != videoClock || c.name != v.Codec.String() {
			continue
		}
		switch fit := c.fit(v); {
		case fit == exact:
			return *c, true
		case fit == near && best < 0:
			best = i
		}
	}
	if best < 0 {
		return codec{}, false
	}
	return s.codecs[best], true
}

// How well a payload type suits a video.
const (
	unfit = iota
	near  // decoders take it, though it is not what was offered
	exact
)

func (c *codec) fit(v *cmaf.VideoConfig) int {
	switch v.Codec {
	case cmaf.H264:
		// Only non-interleaved mode has fragments (RFC 6184, 5.2).
		if c.params["packetization-mode"] != "1" || len(v.SPS) < 4 {
			return unfit
		}
		// Browsers decode every profile that they can, whatever they offer.
		if h264Profile(v.SPS[1], v.SPS[2]) != c.h264Profile() {
			return near
		}
	case cmaf.VP9:
		if profile := c.params["profile-id"]; profile != "" && profile != string('0'+rune(v.VP.Profile)) || profile == "" && v.VP.Profile != 0 {
			return unfit
		}
	case cmaf.AV1:
		if profile := c.params["profile"]; profile != "" && profile != "0" {
			return near
		}
	case cmaf.H265, cmaf.VP8:
	default:
		return unfit
	}
	return exact
}

func (c *codec) h264Profile() string {
	id, err := hex.DecodeString(c.params["profile-level-id"])
	if err != nil || len(id) != 3 {
		return "B" // the default of RFC 6184, 8.1
	}
	return h264Profile(id[0], id[1])
}

// h264Profile names the profile of a profile_idc with its constraint flags
// (RFC 6184, 8.1, table 5).
func h264Profile(idc, flags byte) string {
	switch idc {
	case 0x42:
		if flags&0x40 != 0 {
			return "CB"
		}
		return "B"
	case 0x4d:
		if flags&0x80 != 0 {
			return "CB"
		}
		return "M"
	case 0x58:
		switch {
		case flags&0xc0 == 0xc0:
			return "CB"
		case flags&0x80 != 0:
			return "B"
		}
		return "E"
	case 0x64:
		if flags&0x0c == 0x0c {
			return "CH"
		}
		return "H"
	}
	return hex.EncodeToString([]byte{idc})
}

// opus returns the payload type for Opus.
func (s *section) opus() (codec, bool) {
	for _, c := range s.codecs {
		if c.name == "OPUS" && c.clock == audioClock {
			return c, true
		}
	}
	return codec{}, false
}

// names lists the media codecs of a section for people.
func (s *section) names() string {
	var names []string
	for _, c := range s.codecs {
		name := c.name
		switch name {
		case "RTX", "RED", "ULPFEC", "FLEXFEC-03", "TELEPHONE-EVENT", "CN":
			continue
		case "H264":
			if c.params["packetization-mode"] != "1" {
				name = "H264 without packetization-mode=1"
			}
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "no codec"
	}
	return strings.Join(names, ", ")
}

// has says whether a codec takes a kind of feedback.
func (c *codec) has(feedback string) bool { return slices.Contains(c.feedback, feedback) }
