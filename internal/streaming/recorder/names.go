// Package recorder keeps live streams: it puts every CMAF segment into the
// object store as it completes, and reads such recordings back.
//
// The objects of a recording lie under its prefix, recordings/{channel}/{stream}:
//
//	{rung}/{epoch}-{msn}-{start}-{ticks}-{init}.mp4   a media segment
//	{rung}/{epoch}-{msn}-{start}-{ticks}-{init}d.mp4  one after a discontinuity
//	{rung}/{epoch}-{msn}-{start}-{ticks}-{init}n.mp4  one that begins without a key frame
//	{rung}/init-{epoch}-{init}.mp4                    an init segment
//
// epoch and msn (the media sequence number in the live playlist, which goes on
// over the epochs of a stream) have ten digits, so that the order of the keys is
// that of playing. start is the wall clock of the first frame in ms since 1970,
// ticks the duration in 1/90000 s, init the number of the init segment that
// belongs to it. So a listing alone is enough to make the playlists. A number
// that no rung has is that of a segment that was lost.
//
// Rungs are cut alike: segments of the same epoch and number have the same
// place in time. The rung "source" is the best; rungs named like "480p" have
// its sound with a smaller picture; "aac" is sound alone.
package recorder

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
)

// Prefix returns the prefix of a stream's recording, without a slash at its end.
func Prefix(channel, stream string) string { return event.RecordingPrefix(channel, stream) }

// Segment is the facts of a stored segment, all of which are in its name.
type Segment struct {
	Epoch         int64
	MSN           uint64
	StartMS       int64 // wall clock, ms since 1970
	Ticks         int64 // duration in 1/90000 s
	Init          int   // number of its init segment in the epoch
	Discontinuity bool  // before it
	Dependent     bool  // it does not begin with a key frame

	Size int64 // bytes; known of what was listed
}

// Name returns the name of the segment's object in its rung.
func (s Segment) Name() string {
	mark := ""
	if s.Discontinuity {
		mark = "d"
	}
	if s.Dependent {
		mark += "n"
	}
	return fmt.Sprintf("%010d-%010d-%d-%d-%d%s.mp4", s.Epoch, s.MSN, s.StartMS, s.Ticks, s.Init, mark)
}

// InitName returns the name of an init segment's object in its rung.
func InitName(epoch int64, init int) string { return fmt.Sprintf("init-%d-%d.mp4", epoch, init) }

// names reads the names of objects.
type names struct{ segment, init *regexp.Regexp }

func newNames() names {
	return names{
		segment: regexp.MustCompile(`^(\d{10,18})-(\d{10,18})-(\d{1,18})-(\d{1,18})-(\d{1,9})(d?)(n?)\.mp4$`),
		init:    regexp.MustCompile(`^init-(\d{1,18})-(\d{1,9})\.mp4$`),
	}
}

// parse reads the name of a segment.
func (n names) parse(name string) (Segment, bool) {
	m := n.segment.FindStringSubmatch(name)
	if m == nil {
		return Segment{}, false
	}
	return Segment{
		Epoch: number(m[1]), MSN: uint64(number(m[2])), StartMS: number(m[3]), Ticks: number(m[4]),
		Init: int(number(m[5])), Discontinuity: m[6] != "", Dependent: m[7] != "",
	}, true
}

// number reads digits, few enough for an int64.
func number(digits string) int64 {
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// before says whether a segment is played before another.
func (s Segment) before(o Segment) bool {
	return s.Epoch < o.Epoch || s.Epoch == o.Epoch && s.MSN < o.MSN
}

// isInit says whether a key is that of an init segment.
func isInit(key string) bool { return strings.HasPrefix(path.Base(key), "init-") }

// IsMedia says whether a name is that of a segment or an init segment.
func IsMedia(name string) bool {
	n := newNames()
	return n.segment.MatchString(name) || n.init.MatchString(name)
}

// IsSegment says whether a key below a recording's prefix, rung/name, is that of a
// segment.
func IsSegment(key string) bool {
	rung, name, ok := strings.Cut(key, "/")
	return ok && rung != "" && newNames().segment.MatchString(name)
}

func join(prefix, rung, name string) string { return path.Join(prefix, rung, name) }
