package recorder

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const prefix = "recordings/c/st-1"

// flaky is an object store that fails while it is told to.
type flaky struct {
	blob.Store
	mu   sync.Mutex
	down bool
}

func (f *flaky) set(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

func (f *flaky) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	f.mu.Lock()
	down := f.down
	f.mu.Unlock()
	if down {
		return errors.New("the disk is full")
	}
	return f.Store.Put(ctx, key, r, size)
}

func newFlaky(t *testing.T) *flaky {
	t.Helper()
	files, err := blob.NewFiles(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &flaky{Store: files}
}

// counts is what a recorder told.
type counts struct {
	mu                   sync.Mutex
	stored, errors, lost int
}

func (c *counts) add(n *int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*n++
}

func (c *counts) get(n *int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return *n
}

func start(store blob.Store, limit int64) (*Recorder, *counts) {
	c := &counts{}
	return New(Config{
		Store: store, Prefix: prefix, Rung: "source", Epoch: 3, Limit: limit, Log: slog.New(slog.DiscardHandler),
		OnStored: func(Segment) { c.add(&c.stored) },
		OnError:  func(error) { c.add(&c.errors) },
		OnLost:   func(Segment) { c.add(&c.lost) },
	}), c
}

func segment(msn uint64) (Segment, [][]byte) {
	s := Segment{Epoch: 3, MSN: msn, StartMS: 1_700_000_000_000 + int64(msn)*2000, Ticks: 180_000, Init: 1}
	return s, [][]byte{bytes.Repeat([]byte{byte(msn)}, 600), bytes.Repeat([]byte{1}, 400)}
}

func list(t *testing.T, store blob.Store) Recording {
	t.Helper()
	rec, err := List(context.Background(), store, prefix)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func TestRecorder(t *testing.T) {
	store := newFlaky(t)
	r, _ := start(store, 0)
	r.Init(1, []byte("init"))
	for msn := range uint64(12) {
		r.Segment(segment(msn))
	}
	sum := r.Finish(context.Background())
	if sum.Segments != 12 || sum.DurationMS() != 24_000 || sum.Lost != 0 {
		t.Errorf("%+v", sum)
	}
	rec := list(t, store)
	if len(rec.Rungs) != 1 || rec.Summary() != sum || rec.EndMS() != 1_700_000_024_000 {
		t.Fatalf("%+v", rec)
	}
	for i, s := range rec.Rungs[0].Segments {
		want, _ := segment(uint64(i))
		want.Size = 1000
		if s != want {
			t.Errorf("segment %d is %+v, not %+v", i, s, want)
		}
	}
	playlist, err := rec.Playlist("source")
	if err != nil {
		t.Fatal(err)
	}
	text := string(playlist.AppendTo(nil))
	if !strings.Contains(text, "#EXT-X-ENDLIST") || strings.Count(text, "#EXTINF:2.00000,") != 12 || strings.Count(text, "#EXT-X-MAP") != 1 {
		t.Errorf("%s", text)
	}
	if _, err := rec.Playlist("720p"); errs.CodeOf(err) != errs.NotFound {
		t.Error(err)
	}
}

// TestStoreComesBack keeps segments until the store takes them.
func TestStoreComesBack(t *testing.T) {
	store := newFlaky(t)
	store.set(true)
	r, c := start(store, 0)
	r.Init(1, []byte("init"))
	for msn := range uint64(3) {
		r.Segment(segment(msn))
	}
	for deadline := time.Now().Add(10 * time.Second); c.get(&c.errors) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no attempt was made")
		}
	}
	store.set(false)
	sum := r.Finish(context.Background())
	if sum.Segments != 3 || sum.Lost != 0 || c.get(&c.stored) != 3 {
		t.Errorf("%+v, %+v", sum, c)
	}
}

// TestStoreStaysAway loses the oldest segments beyond the limit, says so, and
// marks the place.
func TestStoreStaysAway(t *testing.T) {
	store := newFlaky(t)
	store.set(true)
	r, c := start(store, 2500)
	r.Init(1, []byte("init"))
	for msn := range uint64(5) {
		r.Segment(segment(msn))
	}
	for deadline := time.Now().Add(10 * time.Second); c.get(&c.lost) < 3; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("lost are %d", c.get(&c.lost))
		}
	}
	store.set(false)
	sum := r.Finish(context.Background())
	if sum.Segments != 2 || sum.Lost != 3 {
		t.Errorf("%+v", sum)
	}
	segments := list(t, store).Rungs[0].Segments
	if len(segments) != 2 || segments[0].MSN != 3 || !segments[0].Discontinuity || segments[1].Discontinuity {
		t.Errorf("%+v", segments)
	}
}

// TestFinishInTime gives up what the store does not take before the deadline.
func TestFinishInTime(t *testing.T) {
	store := newFlaky(t)
	store.set(true)
	r, c := start(store, 0)
	r.Segment(segment(0))
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if sum := r.Finish(ctx); sum.Segments != 0 || sum.Lost != 1 || c.get(&c.lost) != 1 {
		t.Errorf("%+v", sum)
	}
	r.Segment(segment(1)) // too late, and no harm
}

func TestKey(t *testing.T) {
	s, _ := segment(1)
	for _, good := range []string{s.Name(), InitName(3, 1)} {
		if _, err := Key(prefix, "source", good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range [][2]string{
		{"source", "video.mp4"}, {"source", "../" + s.Name()}, {"..", s.Name()}, {"a/b", s.Name()},
		{"", s.Name()}, {"source", ""}, {".hidden", s.Name()}, {"source", s.Name() + "\n"},
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
	names := newNames()
	f.Fuzz(func(t *testing.T, name string) {
		if s, ok := names.parse(name); ok {
			if again, ok := names.parse(s.Name()); !ok || again != s {
				t.Errorf("%q is %+v, again %+v", name, s, again)
			}
		}
	})
}

// TestOrder checks that the order of keys is that of playing.
func TestOrder(t *testing.T) {
	var names []string
	for _, epoch := range []int64{1, 2, 10, 11} {
		for _, msn := range []uint64{0, 1, 9, 10, 99, 100, 12_345} {
			names = append(names, Segment{Epoch: epoch, MSN: msn, StartMS: 1, Ticks: 1, Init: 1}.Name())
		}
	}
	if !slices.IsSorted(names) {
		t.Error(names)
	}
}
