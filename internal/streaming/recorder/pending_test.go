package recorder

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// TestPending reads a recording again and again while it moves from memory to
// disk, from the recorder to the folder, and from there into the store: all that
// was given to the recorder is there at every moment.
func TestPending(t *testing.T) {
	store, dir := newMoody(t, slow), t.TempDir()
	spill := openSpill(t, dir)
	pending := NewPending(store, spill)
	budget := NewBudget(10_000, 0)
	r, c := start(store, func(cfg *Config) { cfg.Budget, cfg.Spill, cfg.Pending = budget, spill, pending })
	var given atomic.Int64
	ctx, stop := context.WithCancel(context.Background())
	var reading sync.WaitGroup
	var rounds atomic.Int64
	reading.Go(func() {
		for ctx.Err() == nil && !t.Failed() {
			n := uint64(given.Load())
			checkHolds(t, pending, n)
			rounds.Add(1)
		}
	})
	defer reading.Wait()
	defer stop()
	give := func(from, to uint64) {
		for msn := from; msn < to; msn++ {
			pushAll(t, r, budget, msn, msn+1)
			given.Add(1)
		}
		seen := rounds.Load()
		await(t, "it was read meanwhile", func() bool { return rounds.Load() > seen+1 || t.Failed() })
	}
	r.Init(7, 1, []byte("init"))
	store.let(6)
	give(0, 10) // some are stored
	await(t, "some are stored", func() bool {
		// A try that is given up, as its segment goes to the disk, may take one along.
		if len(store.tokens) == 0 {
			store.let(1)
		}
		stored, _, _ := c.counts()
		return stored > 3
	})
	store.set(failing)
	store.let(100)
	give(10, 40) // some are on disk
	if w := pending.Waiting(); w.Segments < 30 || w.Spilled == 0 || w.Memory == 0 || !pending.Waits(prefix) || pending.Waits("recordings/c/st-2") {
		t.Errorf("%+v waits", w)
	}
	at, cancel := context.WithCancel(context.Background())
	cancel()
	left := r.Finish(at).Left
	if w := pending.Waiting(); left == 0 || w.Segments != left || w.Memory != 0 || !pending.Waits(prefix) {
		t.Errorf("%+v waits, %d are left", w, left)
	}
	give(40, 40)
	store.set(well)
	if err := spill.Recover(context.Background(), Recovery{Store: store, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	give(40, 40)
	stop()
	reading.Wait()
	if w := pending.Waiting(); w != (Waiting{}) || pending.Waits(prefix) {
		t.Errorf("%+v waits", w)
	}
	checkStored(t, store, upTo(40)...)
	if _, err := pending.Open(context.Background(), prefix+"/source/init-9-9.mp4"); errs.CodeOf(err) != errs.NotFound {
		t.Errorf("what never was: %v", err)
	}
}

// checkHolds looks for the first n segments, by listing and by name.
func checkHolds(t *testing.T, store blob.Store, n uint64) {
	t.Helper()
	rec, err := List(context.Background(), store, prefix)
	if err != nil || n > 0 && (len(rec.Rungs) != 1 || uint64(len(rec.Rungs[0].Segments)) < n) {
		t.Errorf("%d segments were given, listed are %+v %v", n, rec, err)
		return
	}
	for msn := range n {
		s, want := segment(msn)
		o, err := store.Open(context.Background(), join(prefix, "source", s.Name()))
		if err != nil {
			t.Errorf("segment %d: %v", msn, err)
			return
		}
		data, err := io.ReadAll(o)
		if err != nil || int64(len(data)) != o.Size || string(data) != joined(want) {
			t.Errorf("segment %d has %d bytes: %v", msn, len(data), err)
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}
}

func joined(data [][]byte) string {
	var all strings.Builder
	for _, d := range data {
		all.Write(d)
	}
	return all.String()
}

// picky does not take the objects of one recording.
type picky struct {
	blob.Store
	not string
}

func (p picky) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	if strings.HasPrefix(key, p.not) {
		return errors.New("this one not")
	}
	return p.Store.Put(ctx, key, r, size)
}

// TestRecoverInTurn: a recording that the store does not take does not hold up
// the others; what is damaged in the folder is told as lost.
func TestRecoverInTurn(t *testing.T) {
	dir := t.TempDir()
	leave := func(prefix string, msn uint64, size string) {
		s, _ := segment(msn)
		name := strings.ReplaceAll(join(prefix, "source", s.Name()), "/", spillSeparator) + spillSeparator + size
		if err := os.WriteFile(filepath.Join(dir, name), []byte("0123456789"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for msn := range uint64(3) {
		leave("recordings/c/st-1", msn, "10")
		leave("recordings/c/st-2", msn, "10")
		leave("recordings/c/st-3", msn, "10")
	}
	leave("recordings/c/st-2", 3, "11") // not whole
	spill := openSpill(t, dir)
	broken, _ := segment(1)
	if err := os.Remove(filepath.Join(dir, strings.ReplaceAll(join("recordings/c/st-3", "source", broken.Name()), "/", spillSeparator)+"~10")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var stored, lost []string
	failures := 0
	err := spill.Recover(ctx, Recovery{
		Store: picky{newMoody(t, well), "recordings/c/st-1"}, Log: slog.New(slog.DiscardHandler),
		OnStored: func(prefix, _ string, _ Segment) { stored = append(stored, prefix[len(prefix)-4:]) },
		OnLost:   func(prefix, _ string, _ Segment) { lost = append(lost, prefix[len(prefix)-4:]) },
		OnError: func(error) {
			if failures++; failures == 2 {
				cancel()
			}
		},
	})
	if !errors.Is(err, context.Canceled) || spill.Left() != 3 || !spill.waits("recordings/c/st-1") || spill.waits("recordings/c/st-2") {
		t.Errorf("%v, %d are left", err, spill.Left())
	}
	if got := strings.Join(stored, " "); got != "st-2 st-2 st-2 st-3 st-3" {
		t.Errorf("stored were %s", got)
	}
	if got := strings.Join(lost, " "); got != "st-2 st-3" {
		t.Errorf("lost were %s", got)
	}
}

// TestFailsAtTheEnd: when the recording is over and the store fails, all that waits
// is on disk before anybody loses patience.
func TestFailsAtTheEnd(t *testing.T) {
	store, dir := newMoody(t, failing), t.TempDir()
	r, _ := start(store, func(cfg *Config) { cfg.Spill = openSpill(t, dir) })
	r.Init(7, 1, []byte("init"))
	for msn := range uint64(5) {
		r.Segment(segment(msn))
	}
	ctx, cancel := context.WithCancel(context.Background())
	var finished sync.WaitGroup
	var sum Summary
	finished.Go(func() { sum = r.Finish(ctx) })
	await(t, "all is on disk", func() bool { return filesIn(t, dir) == 6 && r.Waiting().Memory == 0 })
	store.set(well)
	finished.Wait()
	cancel()
	if sum.Segments != 5 || sum.Left+sum.Lost != 0 || filesIn(t, dir) != 0 {
		t.Errorf("%+v, %d files", sum, filesIn(t, dir))
	}
	checkStored(t, store, upTo(5)...)
}
