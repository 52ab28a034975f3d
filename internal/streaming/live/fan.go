package live

import (
	"slices"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
)

// What is kept of the current group of pictures for who joins. A publisher that
// sends more without a key frame is joined at the next one.
const (
	maxGOPFrames = 1200
	maxGOPBytes  = 32 << 20
)

// fan hands frames to all who tap a track. Its owner holds the stream's lock.
type fan struct {
	taps []frame.Tap
	gop  []placedVideo
	size int // bytes of gop
}

// placedVideo is a picture with its place on the stream's timeline.
type placedVideo struct {
	frame frame.Video
	at    int64 // ticks of 90 kHz
}

// video hands on a picture and remembers those since the last key frame.
func (f *fan) video(v frame.Video, at int64) {
	switch {
	case v.Key:
		f.forget()
		fallthrough
	case len(f.gop) > 0:
		f.gop = append(f.gop, placedVideo{v, at})
		f.size += len(v.Data)
	}
	if len(f.gop) > maxGOPFrames || f.size > maxGOPBytes {
		f.forget()
	}
	for _, t := range f.taps {
		t.Video(v, at)
	}
}

func (f *fan) audio(a frame.Audio, at int64) {
	for _, t := range f.taps {
		t.Audio(a, at)
	}
}

// forget drops the group of pictures: what comes next does not follow it.
func (f *fan) forget() {
	clear(f.gop)
	f.gop, f.size = f.gop[:0], 0
}

// join adds a tap, which hears the current group of pictures at once.
func (f *fan) join(t frame.Tap) {
	for _, p := range f.gop {
		t.Video(p.frame, p.at)
	}
	f.taps = append(f.taps, t)
}

func (f *fan) leave(t frame.Tap) {
	if i := slices.Index(f.taps, t); i >= 0 {
		f.taps = slices.Delete(f.taps, i, i+1)
	}
}
