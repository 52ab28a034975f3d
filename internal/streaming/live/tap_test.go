package live

import (
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
)

// listener keeps where pictures stand.
type listener struct {
	places, offsets []int64
}

func (l *listener) Video(v frame.Video, at int64) {
	l.places, l.offsets = append(l.places, at), append(l.offsets, int64(v.Offset))
}
func (*listener) Audio(frame.Audio, int64) {}
func (*listener) Break()                   {}
func (*listener) End()                     {}

// TestTapOfReorderedSource: a rung that is made of pictures with B-frames has
// none, so those who tap it hear nothing of offsets, but when each is shown. The
// rung itself keeps the times of the source.
func TestTapOfReorderedSource(t *testing.T) {
	l, _ := newLadder(t)
	var early, late listener
	l.s.Tap("480p", 0, &early)
	for i := range int64(3) {
		f := frame.Video{Data: []byte{0, 0, 0, 2, 0x41, 0}, Offset: 6000}
		if i == 0 {
			f.Key, f.Config = true, avc(spsSmall)
		}
		l.s.RungVideo("480p", f, i*3000, l.now)
	}
	l.s.Tap("480p", 0, &late)
	for name, heard := range map[string]listener{"from the beginning": early, "later": late} {
		for i, at := range heard.places {
			if at != int64(i)*3000+6000 || heard.offsets[i] != 0 {
				t.Errorf("%s: picture %d at %d with the offset %d", name, i, at, heard.offsets[i])
			}
		}
		if len(heard.places) != 3 {
			t.Errorf("%s: %d pictures", name, len(heard.places))
		}
	}
	if f := l.s.rungs["480p"].frames[0]; f.at != 0 || f.frame.Offset != 6000 {
		t.Errorf("the rung has it at %d with %d", f.at, f.frame.Offset)
	}
}
