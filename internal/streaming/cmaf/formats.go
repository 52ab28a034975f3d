package cmaf

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
)

// Formats is what a player must be able to play for all of a set of init
// segments: what CODECS and RESOLUTION of an HLS variant say. The zero value is
// that of none.
type Formats struct {
	// Video and Audio are names for a CODECS attribute (RFC 6381), in the order in
	// which they came. Inits that differ in no more than what a decoder is able to
	// do share one name, which asks for the most: a codec that is named twice would
	// be two to a player.
	Video, Audio  []string
	Width, Height int // of the largest picture, by its area
}

// Add adds an init segment.
func (f *Formats) Add(i Init) {
	if v := i.Video; v != nil {
		f.Video = addFormat(f.Video, v.CodecString())
		if v.Width*v.Height > f.Width*f.Height {
			f.Width, f.Height = v.Width, v.Height
		}
	}
	if a := i.Audio; a != nil {
		f.Audio = addFormat(f.Audio, a.CodecString())
	}
}

func addFormat(names []string, name string) []string {
	for i, have := range names {
		if common, ok := CommonCodec(have, name); ok {
			names[i] = common
			return names
		}
	}
	return append(names, name)
}

// CommonCodec returns the name, for a CODECS attribute, of what a decoder must be
// able to do that plays both codecs. It is not ok where none says that.
//
// For H.264 it has the higher profile and level, and only the constraints that
// hold for both (14496-10, A.2): a decoder of Main plays Constrained Baseline too,
// one of High plays Main. Of the other codecs it has the higher level; all else
// must be the same.
func CommonCodec(a, b string) (string, bool) {
	if a == b {
		return a, true
	}
	kind, restA, _ := strings.Cut(a, ".")
	other, restB, _ := strings.Cut(b, ".")
	if kind != other {
		return "", false
	}
	var place int // of the level
	switch kind {
	case "avc1":
		return commonAVC(restA, restB)
	case "vp08", "vp09", "av01": // profile, level, bit depth, perhaps the colour
		place = 1
	case "hvc1": // profile, compatibility, tier and level, constraints
		place = 2
	default:
		return "", false
	}
	fa, fb := strings.Split(restA, "."), strings.Split(restB, ".")
	if len(fa) != len(fb) || len(fa) <= place {
		return "", false
	}
	higher := higherLevel(fa[place], fb[place])
	fa[place], fb[place] = higher, higher
	return kind + "." + strings.Join(fa, "."), higher != "" && slices.Equal(fa, fb)
}

// higherLevel returns the higher of two levels, which have their tier before
// (H.265) or behind them (AV1); "" when the tiers differ.
func higherLevel(a, b string) string {
	level := func(s string) int {
		n, err := strconv.Atoi(strings.Trim(s, "LHM"))
		if err != nil {
			return -1
		}
		return n
	}
	tier := func(s string) string { return strings.Trim(s, "0123456789") }
	switch {
	case tier(a) != tier(b) || level(a) < 0 || level(b) < 0:
		return ""
	case level(a) < level(b):
		return b
	}
	return a
}

// commonAVC works on profile_idc, constraint flags and level_idc, in hexadecimal.
func commonAVC(a, b string) (string, bool) {
	x, errX := hex.DecodeString(a)
	y, errY := hex.DecodeString(b)
	if errX != nil || errY != nil || len(x) != 3 || len(y) != 3 {
		return "", false
	}
	if avcRank(x) < avcRank(y) {
		x, y = y, x
	}
	if x[0] != y[0] && (avcRank(x) < 0 || avcRank(y) < 0) {
		return "", false
	}
	common := []byte{x[0], x[1] & y[1], max(x[2], y[2])}
	return "avc1." + hex.EncodeToString(common), true
}

// avcRank orders the profiles each of whose decoders plays all before it; -1 is
// one that stands apart.
func avcRank(profile []byte) int {
	const constrained = 0x40 // constraint_set1_flag: also of the Main profile
	if profile[0] == 66 && profile[1]&constrained == 0 {
		return -1 // it may have what only Baseline has
	}
	return slices.Index([]byte{66, 77, 100, 110, 122}, profile[0])
}
