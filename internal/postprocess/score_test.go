package postprocess

import (
	"image"
	"testing"
	"time"
)

// picture is a grey picture whose luma is what f says.
func picture(f func(x, y int) int) *image.YCbCr {
	p := image.NewYCbCr(image.Rect(0, 0, 64, 36), image.YCbCrSubsampleRatio420)
	for y := range 36 {
		for x := range 64 {
			p.Y[p.YOffset(x, y)] = byte(min(max(f(x, y), 0), 255))
		}
	}
	return p
}

func board(low, high, size int) func(x, y int) int {
	return func(x, y int) int {
		if (x/size+y/size)%2 == 0 {
			return low
		}
		return high
	}
}

// TestScore: of each two, the first is the better thumbnail.
func TestScore(t *testing.T) {
	sharp, smooth := picture(board(60, 180, 4)), picture(func(x, _ int) int { return 60 + 2*x })
	black, grey, white := picture(board(0, 0, 1)), picture(board(120, 120, 1)), picture(board(255, 255, 1))
	noisyBlack := picture(func(x, y int) int { return (x*7 + y*13) % 9 })
	for name, pair := range map[string][2]*image.YCbCr{
		"sharp and blurred":       {sharp, smooth},
		"sharp and dark":          {sharp, picture(board(10, 50, 4))},
		"sharp and glaring":       {sharp, picture(board(200, 255, 4))},
		"blurred and noisy black": {smooth, noisyBlack},
		"grey and black":          {grey, black},
		"white and black":         {white, black},
		"dim and black":           {picture(board(15, 30, 4)), black},
	} {
		if a, b := score(pair[0]), score(pair[1]); a <= b {
			t.Errorf("%s: %v, %v", name, a, b)
		}
	}
	if score(black) != 0 || score(noisyBlack) != 0 {
		t.Errorf("black counts %v, noisy black %v", score(black), score(noisyBlack))
	}
	if part := sharp.SubImage(image.Rect(8, 8, 40, 32)).(*image.YCbCr); score(part) < score(smooth) {
		t.Error("a part of a picture is measured as if it were another")
	}
	if tiny := picture(board(60, 180, 4)).SubImage(image.Rect(0, 0, 2, 2)).(*image.YCbCr); score(tiny) != 0 {
		t.Error("what is too small to be measured counts")
	}
}

func TestPlanStoryboard(t *testing.T) {
	for _, tt := range []struct {
		length        time.Duration
		width, height int
		every         time.Duration
		tileW, tileH  int
	}{
		{4 * time.Second, 1920, 1080, 2 * time.Second, 256, 144},
		{10 * time.Minute, 1280, 720, 5 * time.Second, 256, 144},
		{time.Hour, 720, 1280, 20 * time.Second, 144, 256},
		{8 * time.Hour, 1024, 768, 180 * time.Second, 256, 192},
		{100 * time.Hour, 640, 640, 1800 * time.Second, 256, 256},
		{time.Minute, 4000, 16, 2 * time.Second, 256, 16}, // a strip is still something
	} {
		b := planStoryboard(Media{DurationMillis: tt.length.Milliseconds(), Width: tt.width, Height: tt.height})
		if b.every != tt.every || b.width != tt.tileW || b.height != tt.tileH || b.most() > maxTiles+1 {
			t.Errorf("%v of %dx%d: %+v, at most %d tiles", tt.length, tt.width, tt.height, b, b.most())
		}
	}
}

func TestCandidates(t *testing.T) {
	b := storyboard{every: 2 * time.Second, length: 20 * time.Second}
	if got := b.candidates([]float64{0, 1, 9, 3, 4, 5, 2, 2, 7, 0}); len(got) != 5 || got[0] != 4000 || got[1] != 16000 || got[2] != 10000 {
		t.Errorf("%v", got)
	}
	if got := b.candidates([]float64{0.5}); len(got) != 1 || got[0] != 0 {
		t.Errorf("of one tile: %v", got)
	}
}

// TestProgress: it never goes back, is said at each step, and not too often.
func TestProgress(t *testing.T) {
	var said []int
	now := time.Now()
	tr := newTracker(realtimeFunc(func(string, []byte) error { said = append(said, 1); return nil }), nil)
	tr.now = func() time.Time { return now }
	j := Job{ID: "st-1", Channel: "ann"}
	for _, s := range []struct {
		step    string
		share   float64
		percent int
		says    int
	}{
		{stepMP4, 0, 0, 1}, {stepMP4, 0.5, 25, 1}, {stepMP4, 0, 25, 1}, {stepMP4, 7, 50, 1},
		{stepStoryboard, 0.5, 67, 2}, {stepThumbnail, 1, 99, 3},
	} {
		tr.at(j, s.step, s.share)
		if p, ok := tr.of("st-1"); !ok || p.percent != s.percent || len(said) != s.says {
			t.Errorf("%s %v: %d %%, said %d times", s.step, s.share, p.percent, len(said))
		}
	}
	tr.forget("st-1")
	tr.at(j, stepMP4, 0)
	now = now.Add(sayEvery)
	tr.at(j, stepMP4, 0.02)
	if p, _ := tr.of("st-1"); p.percent != 1 || len(said) != 5 {
		t.Errorf("anew: %d %%, said %d times", p.percent, len(said))
	}
}

type realtimeFunc func(string, []byte) error

func (f realtimeFunc) PublishLive(subject string, data []byte) error { return f(subject, data) }
