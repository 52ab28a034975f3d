package recorder

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

func TestRecorder(t *testing.T) {
	store := newMoody(t, well)
	r, c := start(store, nil)
	r.Init(3, 1, []byte("init"))
	for msn := range uint64(12) {
		r.Segment(segment(msn))
	}
	sum := r.Finish(context.Background())
	if want := (Summary{Segments: 12, Ticks: 12 * 180_000}); sum != want || sum.DurationMS() != 24_000 {
		t.Errorf("%+v", sum)
	}
	if !slices.Equal(c.stored, upTo(12)) || r.Waiting() != (Waiting{}) {
		t.Errorf("%+v, %+v", c, r.Waiting())
	}
	checkStored(t, store, upTo(12)...)
	rec := list(t, store)
	if rec.Summary() != sum || rec.EndMS() != 1_700_000_024_000 {
		t.Fatalf("%+v", rec)
	}
	playlist, err := rec.Playlist("source", Whole)
	if err != nil {
		t.Fatal(err)
	}
	text := string(playlist.AppendTo(nil))
	if !strings.Contains(text, "#EXT-X-ENDLIST") || strings.Count(text, "#EXTINF:2.00000,") != 12 || strings.Count(text, "#EXT-X-MAP") != 1 {
		t.Errorf("%s", text)
	}
	r.Segment(segment(12)) // too late, and no harm
}

// TestStoreComesBack keeps segments until the store takes them, in order.
func TestStoreComesBack(t *testing.T) {
	for name, bad := range map[string]mood{"fails": failing, "hangs": hanging} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newMoody(t, bad)
			r, c := start(store, func(cfg *Config) { cfg.PutTimeout = 20 * time.Millisecond })
			r.Init(3, 1, []byte("init"))
			for msn := range uint64(6) {
				r.Segment(segment(msn))
			}
			await(t, "two attempts failed", func() bool { _, _, errors := c.counts(); return errors >= 2 })
			if w := r.Waiting(); w.Segments != 6 || w.Memory != 6*segmentSize+4 {
				t.Errorf("%+v", w)
			}
			store.set(well)
			sum := r.Finish(context.Background())
			if sum.Segments != 6 || sum.Lost != 0 || !slices.Equal(c.stored, upTo(6)) || r.Waiting() != (Waiting{}) {
				t.Errorf("%+v, %+v, %+v", sum, c, r.Waiting())
			}
			checkStored(t, store, upTo(6)...)
			if !strings.HasSuffix(store.keys[0], InitName(3, 1)) {
				t.Errorf("stored before the init segment: %v", store.keys)
			}
		})
	}
}

// TestCatchUp stores two objects at a time, an init segment before what follows
// it, and tells them in order.
func TestCatchUp(t *testing.T) {
	store := newMoody(t, slow)
	r, c := start(store, nil)
	r.Init(3, 1, []byte("init"))
	for msn := range uint64(8) {
		if msn == 4 {
			r.Init(3, 2, []byte("init"))
		}
		r.Segment(segment(msn))
	}
	store.let(3)
	await(t, "two segments are stored", func() bool { stored, _, _ := c.counts(); return stored == 2 })
	store.let(100)
	r.Finish(context.Background())
	if !slices.Equal(c.stored, upTo(8)) || store.most != 2 {
		t.Errorf("%+v, %d at a time", c, store.most)
	}
	second := slices.IndexFunc(store.keys, func(k string) bool { return strings.HasSuffix(k, InitName(3, 2)) })
	for msn := range uint64(8) {
		s, _ := segment(msn)
		at := slices.Index(store.keys, join(prefix, "source", s.Name()))
		if at == 0 || msn >= 4 && at < second {
			t.Errorf("segment %d is stored before its init segment: %v", msn, store.keys)
		}
	}
}

// TestNoRoom loses the oldest segments beyond the limit, says so, and keeps
// memory within it.
func TestNoRoom(t *testing.T) {
	store := newMoody(t, failing)
	budget := NewBudget(2500, 0)
	r, c := start(store, func(cfg *Config) { cfg.Budget = budget })
	r.Init(3, 1, []byte("init"))
	for msn := range uint64(5) {
		r.Segment(segment(msn))
		if w := r.Waiting(); w.Memory > 2500 || budget.memoryUsed.Load() != w.Memory {
			t.Errorf("%+v, %d used", w, budget.memoryUsed.Load())
		}
	}
	await(t, "the losses are told", func() bool { _, lost, _ := c.counts(); return lost == 3 })
	store.set(well)
	sum := r.Finish(context.Background())
	if sum.Segments != 2 || sum.Lost != 3 || !slices.Equal(c.lost, upTo(3)) || budget.memoryUsed.Load() != 0 {
		t.Errorf("%+v, %+v", sum, c)
	}
	checkStored(t, store, 3, 4)
}

// TestHole marks a lost segment in the playlist by a discontinuity.
func TestHole(t *testing.T) {
	store := newMoody(t, well)
	r, _ := start(store, nil)
	for _, msn := range []uint64{0, 1, 3, 4} {
		r.Segment(segment(msn))
	}
	r.Finish(context.Background())
	playlist, err := list(t, store).Playlist("source", Whole)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range playlist.Segments {
		if s.Discontinuity != (i == 2) {
			t.Errorf("segment %d: %+v", i, s)
		}
	}
}

// TestFinishInTime gives up what the store does not take before the deadline.
func TestFinishInTime(t *testing.T) {
	for name, bad := range map[string]mood{"fails": failing, "hangs": hanging} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, c := start(newMoody(t, bad), nil)
			for msn := range uint64(3) {
				r.Segment(segment(msn))
			}
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			if sum := r.Finish(ctx); sum != (Summary{Lost: 3}) || !slices.Equal(c.lost, upTo(3)) || r.Waiting() != (Waiting{}) {
				t.Errorf("%+v, %+v", sum, c)
			}
		})
	}
}

func TestKey(t *testing.T) {
	s, _ := segment(1)
	for _, good := range []string{s.Name(), InitName(3, 1)} {
		if _, err := Key(prefix, "source", good); err != nil {
			t.Error(err)
		}
		if stored, v := ViewOf(VideoOnly.name(good)); stored != good || v != VideoOnly {
			t.Error(stored, v)
		}
		if stored, v := ViewOf(good); stored != good || v != Whole {
			t.Error(stored, v)
		}
	}
	for _, bad := range [][2]string{
		{"source", "video.mp4"}, {"source", "../" + s.Name()}, {"..", s.Name()}, {"a/b", s.Name()},
		{"", s.Name()}, {"source", ""}, {".hidden", s.Name()}, {"source", s.Name() + "\n"}, {"source", "v-" + s.Name()},
	} {
		if key, err := Key(prefix, bad[0], bad[1]); errs.CodeOf(err) != errs.NotFound {
			t.Errorf("%q: %q %v", bad, key, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	s, _ := segment(5)
	f.Add(s.Name())
	s.Discontinuity = true
	f.Add(s.Name())
	s.Dependent = true
	f.Add(s.Name())
	names := newNames()
	f.Fuzz(func(t *testing.T, name string) {
		if s, ok := names.parse(name); ok {
			if again, ok := names.parse(s.Name()); !ok || again != s {
				t.Errorf("%q is %+v, again %+v", name, s, again)
			}
		}
	})
}

// TestOrder checks that the order of keys is that of playing, over epochs too.
func TestOrder(t *testing.T) {
	var names []string
	var segments []Segment
	msn := uint64(0)
	for _, epoch := range []int64{1, 2, 9, 10, 11, 100} {
		for range 8 {
			s := Segment{Epoch: epoch, MSN: msn, StartMS: 1, Ticks: 1, Init: 1, Discontinuity: msn%3 == 0}
			segments, names = append(segments, s), append(names, s.Name())
			msn = msn*3/2 + 1
		}
	}
	if !slices.IsSorted(names) {
		t.Error(names)
	}
	if !slices.IsSortedFunc(segments, func(a, b Segment) int {
		if a.before(b) {
			return -1
		}
		return 1
	}) {
		t.Error("before disagrees")
	}
}
