package recorder

import (
	"slices"
	"strings"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/hls"
)

// View is what of a rung a playlist names.
type View int

// The views.
const (
	Whole     View = iota // the segments as they are stored
	VideoOnly             // without the sound that is in them: see CutAudio
)

// videoPrefix begins the names of segments and init segments without sound.
const videoPrefix = "v-"

// name returns the name of an object in the view.
func (v View) name(stored string) string {
	if v == VideoOnly {
		return videoPrefix + stored
	}
	return stored
}

// ViewOf takes the name of a segment or init segment as a playlist has it apart.
func ViewOf(name string) (stored string, v View) {
	if stored, ok := strings.CutPrefix(name, videoPrefix); ok {
		return stored, VideoOnly
	}
	return name, Whole
}

// Playlist returns the media playlist of a rung of an ended recording; its URIs
// are relative to the rung. Errors: errs.NotFound.
func (r Recording) Playlist(rung string, v View) (*hls.Media, error) {
	at, err := r.find(rung)
	if err != nil {
		return nil, err
	}
	m := hls.NewVOD(r.entries(r.timeline(), at, v))
	m.IndependentSegments = r.Rungs[at].independent()
	return m, nil
}

func (r Recording) find(rung string) (int, error) {
	at := r.rung(rung)
	if at < 0 {
		return 0, errs.Newf(errs.NotFound, "the recording has no rung %q", rung)
	}
	return at, nil
}

// independent says whether all segments begin with a key frame.
func (rr RungRecording) independent() bool {
	return !slices.ContainsFunc(rr.Segments, func(s Segment) bool { return s.Dependent })
}

// entries lists a rung along the timeline.
func (r Recording) entries(slots []slot, rung int, v View) []hls.Segment {
	own := r.Rungs[rung].Segments
	init := own[0] // of the last segment that is there; before any, of the first
	entries := make([]hls.Segment, len(slots))
	for i, slot := range slots {
		s, there := slot.Segment, slot.has[rung] >= 0
		if there {
			s = own[slot.has[rung]]
			init = s
		}
		entries[i] = hls.Segment{
			URI: v.name(s.Name()), Duration: ticks(s.Ticks), Gap: !there,
			Discontinuity: slot.discontinuity && i > 0,
			Init:          v.name(InitName(init.Epoch, init.Init)), ProgramDateTime: time.UnixMilli(s.StartMS).UTC(),
		}
	}
	return entries
}

func ticks(n int64) time.Duration { return time.Duration(n * 100_000 / 9) }
