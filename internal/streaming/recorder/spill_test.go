package recorder

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
)

func openSpill(t testing.TB, dir string) *Spill {
	t.Helper()
	s, err := OpenSpill(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.disk = func(string) (free, total int64, err error) { return 1 << 39, 1 << 40, nil } // whatever this machine has
	return s
}

func filesIn(t testing.TB, dir string) int {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// pushAll pushes segments, each when the one before has found its place, and
// checks that memory stays within limit bytes.
func pushAll(t *testing.T, r *Recorder, budget *Budget, from, to uint64) {
	t.Helper()
	for msn := from; msn < to; msn++ {
		r.Segment(segment(msn))
		if used := budget.memoryUsed.Load(); used > budget.memory {
			t.Errorf("%d bytes are in memory, %d may be", used, budget.memory)
		}
		await(t, "memory is eased", func() bool { return !budget.tight() })
	}
}

// TestSpill lets a store stay away longer than memory lasts.
func TestSpill(t *testing.T) {
	for name, bad := range map[string]mood{"fails": failing, "hangs": hanging} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, dir := newMoody(t, bad), t.TempDir()
			budget := NewBudget(10_000, 0)
			r, c := start(store, func(cfg *Config) {
				cfg.Budget, cfg.Spill, cfg.PutTimeout = budget, openSpill(t, dir), 100*time.Millisecond
			})
			r.Init(3, 1, []byte("init"))
			pushAll(t, r, budget, 0, 100)
			w := r.Waiting()
			if w.Segments != 100 || w.Memory > 10_000 || w.Spilled < 90_000 || filesIn(t, dir) < 90 {
				t.Errorf("%+v, %d files", w, filesIn(t, dir))
			}
			store.set(well)
			sum := r.Finish(context.Background())
			if sum.Segments != 100 || sum.Lost != 0 || !slices.Equal(c.stored, upTo(100)) {
				t.Errorf("%+v, %+v", sum, c)
			}
			checkStored(t, store, upTo(100)...)
			if n := filesIn(t, dir); n != 0 || r.Waiting() != (Waiting{}) || budget.memoryUsed.Load() != 0 || budget.spillUsed.Load() != 0 {
				t.Errorf("%d files are left, %+v", n, r.Waiting())
			}
		})
	}
}

// TestSpillFull drops the oldest segments when the disk has no room either.
func TestSpillFull(t *testing.T) {
	plenty := func(string) (int64, int64, error) { return 1 << 40, 1 << 40, nil }
	tests := []struct {
		name  string
		spill int64 // budget
		disk  func(string) (free, total int64, err error)
		kept  int // segments
	}{
		{"its limit", 5*segmentSize + 100, plenty, 5 + 7},
		{"less than 1 GiB is free", 0, func(string) (int64, int64, error) { return 1<<30 - 1, 2 << 30, nil }, 10},
		{"less than a tenth is free", 0, func(string) (int64, int64, error) { return 2<<30 - 1, 20 << 30, nil }, 10},
		{"less than 5 GiB of a large disk are free", 0, func(string) (int64, int64, error) { return 5<<30 - 1, 1000 << 30, nil }, 10},
		{"more of a large disk is free", 5*segmentSize + 100, func(string) (int64, int64, error) { return 6 << 30, 1000 << 30, nil }, 5 + 7},
		{"the size of the disk is not known", 5*segmentSize + 100, func(string) (int64, int64, error) { return 0, 0, errors.ErrUnsupported }, 5 + 7},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			store, dir := newMoody(t, failing), t.TempDir()
			spill := openSpill(t, dir)
			spill.disk = tt.disk
			budget := NewBudget(10*segmentSize, tt.spill)
			r, c := start(store, func(cfg *Config) { cfg.Budget, cfg.Spill = budget, spill })
			for msn := range uint64(40) {
				r.Segment(segment(msn))
				if w := r.Waiting(); w.Memory > budget.memory || w.Spilled > budget.spill {
					t.Errorf("%+v", w)
				}
				if tt.kept > 10 {
					await(t, "memory is eased", func() bool { return !budget.tight() })
				}
			}
			lost := 40 - tt.kept
			await(t, "the losses are told", func() bool { _, n, _ := c.counts(); return n >= lost-2 })
			store.set(well)
			sum := r.Finish(context.Background())
			if sum.Segments+sum.Lost != 40 || sum.Segments < tt.kept-1 || sum.Segments > tt.kept+1 {
				t.Errorf("%+v, want %d segments", sum, tt.kept)
			}
			// The oldest are those lost, but for what was being stored.
			if len(c.lost) != sum.Lost || c.lost[len(c.lost)-1] > uint64(sum.Lost)+1 || !slices.IsSorted(c.stored) {
				t.Errorf("%+v", c)
			}
			if n := filesIn(t, dir); n != 0 {
				t.Errorf("%d files are left", n)
			}
		})
	}
}

// TestCramped: what ends while the disk is full waits on in memory, and is whole
// when there is room again.
func TestCramped(t *testing.T) {
	store, spill := newMoody(t, failing), openSpill(t, t.TempDir())
	spill.disk = func(string) (free, total int64, err error) { return 0, 1 << 40, nil }
	r, c := start(store, func(cfg *Config) { cfg.Spill = spill })
	for msn := range uint64(6) {
		r.Segment(segment(msn))
	}
	soon, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if r.Drain(soon) || !r.Cramped() {
		t.Errorf("%+v waits", r.Waiting())
	}
	store.set(well)
	if !r.Drain(context.Background()) || r.Cramped() {
		t.Errorf("%+v waits", r.Waiting())
	}
	if sum := r.Finish(soon); sum.Segments != 6 || sum.Lost != 0 || !slices.Equal(c.stored, upTo(6)) {
		t.Errorf("%+v, %+v", sum, c)
	}
}

// TestDiskBroken goes on in memory when nothing can be spilled.
func TestDiskBroken(t *testing.T) {
	store, dir := newMoody(t, failing), filepath.Join(t.TempDir(), "spill")
	spill := openSpill(t, dir)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	budget := NewBudget(10*segmentSize, 0)
	r, c := start(store, func(cfg *Config) { cfg.Budget, cfg.Spill = budget, spill })
	for msn := range uint64(20) {
		r.Segment(segment(msn))
		if w := r.Waiting(); w.Memory > budget.memory {
			t.Errorf("%+v", w)
		}
	}
	store.set(well)
	if sum := r.Finish(context.Background()); sum.Segments+sum.Lost != 20 || sum.Segments < 10 || len(c.lost) != sum.Lost {
		t.Errorf("%+v, %+v", sum, c)
	}
}

// TestUnreadable loses a segment whose file is gone, and no other.
func TestUnreadable(t *testing.T) {
	store, dir := newMoody(t, failing), t.TempDir()
	budget := NewBudget(10*segmentSize, 0)
	r, c := start(store, func(cfg *Config) { cfg.Budget, cfg.Spill = budget, openSpill(t, dir) })
	pushAll(t, r, budget, 0, 20)
	files, err := filepath.Glob(filepath.Join(dir, "*-0000000003-*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	store.set(well)
	if sum := r.Finish(context.Background()); sum.Segments != 19 || sum.Lost != 1 || !slices.Equal(c.lost, []uint64{3}) {
		t.Errorf("%+v, %+v", sum, c)
	}
}

// TestSharedBudget lets the rungs of a broadcast stay within one limit.
func TestSharedBudget(t *testing.T) {
	store, dir := newMoody(t, failing), t.TempDir()
	budget, spill := NewBudget(20*segmentSize, 0), openSpill(t, dir)
	var rungs []*Recorder
	for _, rung := range []string{"source", "480p", "aac"} {
		r, _ := start(store, func(cfg *Config) { cfg.Rung, cfg.Budget, cfg.Spill = rung, budget, spill })
		rungs = append(rungs, r)
	}
	for msn := range uint64(50) {
		for _, r := range rungs {
			r.Segment(segment(msn))
			if used := budget.memoryUsed.Load(); used > budget.memory {
				t.Errorf("%d bytes are in memory", used)
			}
		}
		await(t, "memory is eased", func() bool { return budget.memoryUsed.Load() < 17*segmentSize })
	}
	store.set(well)
	var wg sync.WaitGroup
	for _, r := range rungs {
		wg.Go(func() {
			if sum := r.Finish(context.Background()); sum.Segments != 50 {
				t.Errorf("%+v", sum)
			}
		})
	}
	wg.Wait()
	if budget.memoryUsed.Load() != 0 || budget.spillUsed.Load() != 0 {
		t.Errorf("%+v", budget)
	}
}

// TestFinishLeaves hands what the store does not take in time to Recover.
func TestFinishLeaves(t *testing.T) {
	for name, bad := range map[string]mood{"fails": failing, "hangs": hanging} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, dir := newMoody(t, bad), t.TempDir()
			spill := openSpill(t, dir)
			r, c := start(store, func(cfg *Config) { cfg.Spill = spill })
			r.Init(3, 1, []byte("init"))
			for msn := range uint64(5) {
				r.Segment(segment(msn))
			}
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			if sum := r.Finish(ctx); sum != (Summary{Left: 5}) || len(c.lost) != 0 || spill.Left() != 6 || r.Waiting() != (Waiting{}) {
				t.Errorf("%+v, %+v, %d left, %+v", sum, c, spill.Left(), r.Waiting())
			}
			recovered(t, spill, store, dir)
			checkStored(t, store, upTo(5)...)
		})
	}
}

// recovered lets Recover run until the store comes back, and checks that
// nothing is left.
func recovered(t *testing.T, spill *Spill, store *moody, dir string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	recovery := Recovery{Store: store, PutTimeout: 10 * time.Millisecond, Log: slog.New(slog.DiscardHandler)}
	left := spill.Left()
	if err := spill.Recover(ctx, recovery); !errors.Is(err, context.DeadlineExceeded) || spill.Left() != left {
		t.Errorf("with the store away: %v, %d left", err, spill.Left())
	}
	store.set(well)
	var told []uint64
	recovery.OnStored = func(p, rung string, s Segment) {
		if p != prefix || rung != "source" || s.Size != segmentSize {
			t.Errorf("%s %s %+v", p, rung, s)
		}
		told = append(told, s.MSN)
	}
	if err := spill.Recover(context.Background(), recovery); err != nil {
		t.Fatal(err)
	}
	if spill.Left() != 0 || filesIn(t, dir) != 0 || !slices.IsSorted(told) || len(told) != left-1 {
		t.Errorf("%d left, %d files, told %v of %d", spill.Left(), filesIn(t, dir), told, left)
	}
	if !strings.HasSuffix(store.keys[0], InitName(3, 1)) {
		t.Errorf("stored before the init segment: %v", store.keys)
	}
}

const (
	childDir      = "RECORDER_TEST_CHILD_DIR"
	childSegments = 60
)

// child records to a store that is away until it is killed. It says how many
// segments are on disk.
func child(dir string) {
	spill, err := OpenSpill(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	budget := NewBudget(10*segmentSize, 0)
	r, _ := start(&moody{mood: hanging}, func(cfg *Config) { cfg.Budget, cfg.Spill = budget, spill })
	r.Init(3, 1, []byte("init"))
	for msn := range uint64(childSegments) {
		r.Segment(segment(msn))
		for budget.tight() {
			time.Sleep(time.Millisecond)
		}
	}
	fmt.Println((r.Waiting().Spilled - 4) / segmentSize)
	select {}
}

// TestKilled kills a recorder whose store is away, tears one of its files, and
// stores the others.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0]) // killed without a warning
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	_ = cmd.Wait() // it was killed
	var spilled int
	if _, err := fmt.Sscan(line, &spilled); err != nil || spilled < childSegments-10 {
		t.Fatalf("the child spilled %q: %v", line, err)
	}

	torn, err := filepath.Glob(filepath.Join(dir, "*-0000000007-*"))
	if err != nil || len(torn) != 1 {
		t.Fatal(torn, err)
	}
	if err := os.Truncate(torn[0], segmentSize-1); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".spill-123", "README", "x~y~z", "~~5", "a~b~-3"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	spill := openSpill(t, dir)
	if spill.Left() != spilled { // and an init segment, but for the torn one
		t.Errorf("%d are left, %d were spilled", spill.Left(), spilled)
	}
	for _, name := range []string{"README", "x~y~z", "~~5", "a~b~-3"} { // not ours
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	store := newMoody(t, failing)
	recovered(t, spill, store, dir)
	want := slices.Delete(upTo(uint64(spilled)), 7, 8)
	checkStored(t, store, want...)
	init, _, err := readAll(context.Background(), store, join(prefix, "source", InitName(3, 1)))
	if err != nil || !bytes.Equal(init, []byte("init")) {
		t.Errorf("%q, %v", init, err)
	}
}

// TestRecoverLeavesOthersAlone stores nothing of a recorder that runs.
func TestRecoverLeavesOthersAlone(t *testing.T) {
	dir := t.TempDir()
	spill := openSpill(t, dir)
	budget := NewBudget(10*segmentSize, 0)
	away := newMoody(t, failing)
	r, _ := start(away, func(cfg *Config) { cfg.Budget, cfg.Spill = budget, spill })
	pushAll(t, r, budget, 0, 20)
	store := newMoody(t, well)
	if err := spill.Recover(context.Background(), Recovery{Store: store, Log: slog.New(slog.DiscardHandler)}); err != nil || len(store.keys) != 0 {
		t.Errorf("%v, %v", store.keys, err)
	}
	away.set(well)
	if sum := r.Finish(context.Background()); sum.Segments != 20 {
		t.Errorf("%+v", sum)
	}
}

// BenchmarkRecorder measures from push to stored, in files on disk: 600 kB is
// two seconds of 2.4 Mbit/s.
func BenchmarkRecorder(b *testing.B) {
	files, err := blob.NewFiles(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	stored := make(chan struct{}, 1)
	r := New(Config{
		Store: files, Prefix: prefix, Rung: "source", Log: slog.New(slog.DiscardHandler),
		OnStored: func(Segment) { stored <- struct{}{} },
	})
	data := [][]byte{bytes.Repeat([]byte{7}, 600_000)}
	b.SetBytes(600_000)
	b.ReportAllocs()
	msn := uint64(0)
	for b.Loop() {
		s, _ := segment(msn)
		msn++
		r.Segment(s, data)
		<-stored
	}
	r.Finish(context.Background())
}

// BenchmarkPush measures what the live stream waits for.
func BenchmarkPush(b *testing.B) {
	r, _ := start(newMoody(b, hanging), func(cfg *Config) { cfg.Budget = NewBudget(1<<20, 0) })
	s, data := segment(1)
	b.ReportAllocs()
	for b.Loop() {
		r.Segment(s, data)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r.Finish(ctx)
}

// TestForget discards what is left of one recording.
func TestForget(t *testing.T) {
	spill, err := OpenSpill(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"recordings/c/st-1/source/a.mp4", "recordings/c/st-1/480p/a.mp4", "recordings/c/st-10/source/a.mp4"} {
		file, err := spill.write(key, 1, [][]byte{{1}})
		if err != nil {
			t.Fatal(err)
		}
		spill.leave([]spilled{{file: file, key: key, size: 1}})
	}
	spill.Forget("recordings/c/st-1")
	if n := filesIn(t, spill.dir); n != 1 || spill.Left() != 1 {
		t.Errorf("%d files, %d left, not 1", n, spill.Left())
	}
}
