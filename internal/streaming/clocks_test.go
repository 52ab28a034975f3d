package streaming

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/recorder"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
)

// sceneClip is a flash with a tone, and black silence after it.
var sceneClip = sync.OnceValues(func() (*streamtest.Clip, error) {
	return streamtest.MakeClip(context.Background(),
		streamtest.Picture{Width: 64, Height: 64, Bitrate: 50_000, Flash: true, FlashEvery: sceneEvery}, sceneEvery)
})

// clocksLength is how long publishers send: CLOCKS says it, else it is a short
// form of the hour that `make clocks` takes.
func clocksLength(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("CLOCKS")
	if text == "" {
		return 15 * time.Minute
	}
	length, err := time.ParseDuration(text)
	if err != nil || length < 5*time.Minute {
		t.Fatalf("CLOCKS=%q is no time of 5m or more", text)
	}
	return length
}

// newStudio is where a broadcast of a test goes.
func newStudio(t *testing.T) *studio {
	t.Helper()
	store, err := blob.NewFiles(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &studio{t: t, store: store, scene: &scene{}, parts: map[string]uint64{}}
}

// phone is a publisher over WebRTC in the studio.
func (s *studio) phone(clip *streamtest.Clip, c clocks, reports bool) *phone {
	p := &phone{clip: clip, clocks: c, reports: reports, scene: s.scene, random: rand.New(rand.NewPCG(c.seed, 1))}
	s.isFlash, s.isBeep = p.isFlash, p.isBeep
	return p
}

// TestClocksWHIP sends flashes and tones over a bad network, with clocks that go
// apart, and measures how far apart they come out.
func TestClocksWHIP(t *testing.T) {
	t.Parallel()
	length := clocksLength(t)
	clip, err := sceneClip()
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		clocks  clocks
		reports bool
	}{
		"sound fast, server slow":        {clocks{wall: 200, audio: 200, seed: 1}, true},
		"sound slow, picture fast":       {clocks{wall: -100, video: 100, audio: -100, seed: 2}, true},
		"sound slow, nothing said of it": {clocks{wall: 50, audio: -200, seed: 3}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStudio(t)
			synctest.Test(t, func(t *testing.T) {
				s.phone(clip, tt.clocks, tt.reports).publish(t, s, length+20*time.Second)
				s.close()
			})
			s.check(t, 20, length.Seconds()/2, length.Seconds())
			s.checkDates(t, tt.clocks)
		})
	}
}

// TestClocksReconnect has another publisher go on with the broadcast of one that
// is gone. Nothing of its clocks is the same.
func TestClocksReconnect(t *testing.T) {
	t.Parallel()
	clip, err := sceneClip()
	if err != nil {
		t.Fatal(err)
	}
	s := newStudio(t)
	synctest.Test(t, func(t *testing.T) {
		for i := range uint64(4) {
			drift := 200 - 400*float64(i%2)
			s.phone(clip, clocks{wall: -drift, audio: drift, seed: 6 + i}, true).publish(t, s, 2*time.Minute)
			time.Sleep(20*time.Second + time.Duration(i)*time.Second/3)
		}
		s.close()
	})
	s.check(t, 20, 140, 260, 380, 460)
}

// check holds the live segments against the bar, then the MP4, in which ffmpeg
// finds the flashes and tones. It tells of some moments.
func (s *studio) check(t *testing.T, moments ...float64) {
	t.Helper()
	live := s.scene.pairs(s.found, s.onset)
	filmed := 0
	for _, take := range s.scene.takes {
		filmed += len(take.flashes)
	}
	// Some flashes were lost, and what came until the next key frame.
	check(t, "live", live, filmed*9/10, moments...)
	t.Logf("live: %d of %d flashes came right after a loss and stand before their time", s.found.early, filmed)
	if s.found.early*50 > filmed {
		t.Errorf("%d of %d flashes stand before their time, after a loss", s.found.early, filmed)
	}
	path := filepath.Join(t.TempDir(), "video.mp4")
	info := s.remux(t, path)
	if length := float64(s.ended) / cmaf.VideoTimescale * 1000; math.Abs(length-float64(info.DurationMS)) > 150 {
		t.Errorf("the MP4 is %d ms long, the live stream was %.0f ms", info.DurationMS, length)
	}
	var pairs []pair
	found, err := streamtest.FindFlashes(t.Context(), path, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range live[:len(live)-1] { // ffmpeg says that all ends where it stops
		flash, ok1 := nearest(found.Flashes, l.at)
		beep, ok2 := nearest(found.Tones, l.at)
		if ok1 && ok2 {
			take := s.scene.takes[l.occasion.take]
			filmed := take.flashes[l.occasion.number] - take.beeps[l.occasion.number]
			pairs = append(pairs, pair{flash, flash - beep - filmed, l.occasion})
		}
	}
	check(t, "MP4", pairs, filmed*9/10, moments...)
}

// checkDates says whether PROGRAM-DATE-TIME tells the server's time, smoothly.
// The stream counts by the publisher's audio clock.
func (s *studio) checkDates(t *testing.T, c clocks) {
	t.Helper()
	const after = outageAt + 60 // whose time does not count
	rate := (1 + c.wall/1e6) * (1 + c.audio/1e6)
	var first, last dated
	for _, d := range s.found.dates {
		switch {
		case d.at < after:
			continue
		case first.at == 0:
			first = d
		default:
			passed := d.start.Sub(last.start).Seconds()
			if off := passed - (d.at-last.at)/rate; math.Abs(off) > 0.02 {
				t.Errorf("the date at %.1f s jumps by %.0f ms", d.at, off*1000)
			}
		}
		last = d
	}
	if off := last.start.Sub(first.start).Seconds() - (last.at-first.at)/rate; math.Abs(off) > 0.05 {
		t.Errorf("from %.0f to %.0f s the dates lose %.0f ms against the server's clock", first.at, last.at, off*1000)
	}
}

func (s *studio) remux(t *testing.T, path string) cmaf.Info {
	t.Helper()
	rec, err := recorder.List(t.Context(), s.store, recordedAt)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	video, audio := rec.Sources(s.store)
	info, err := cmaf.Remux(t.Context(), &out, video, audio, nil)
	if err == nil {
		err = os.WriteFile(path, out.Bytes(), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// nearest returns what is found within a second of a moment.
func nearest(found []float64, at float64) (float64, bool) {
	for _, f := range found {
		if math.Abs(f-at) < 1 {
			return f, true
		}
	}
	return 0, false
}
