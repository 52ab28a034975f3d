package recorder

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
)

const prefix = "recordings/c/st-1"

// mood is how a moody store behaves.
type mood int

const (
	well mood = iota
	failing
	hanging // until the context is done
	slow    // one object for each let
)

// moody is an object store that has its days.
type moody struct {
	blob.Store
	tokens chan struct{}

	mu      sync.Mutex
	mood    mood
	running int
	most    int      // puts at the same time
	keys    []string // stored, in the order of their ends
}

func newMoody(t testing.TB, m mood) *moody {
	t.Helper()
	files, err := blob.NewFiles(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &moody{Store: files, mood: m, tokens: make(chan struct{}, 1000)}
}

func (m *moody) set(mood mood) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mood = mood
}

// let makes a slow store take n objects.
func (m *moody) let(n int) {
	for range n {
		m.tokens <- struct{}{}
	}
}

func (m *moody) begin() mood {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running++
	m.most = max(m.most, m.running)
	return m.mood
}

func (m *moody) end(key string, err error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running--
	if err == nil {
		m.keys = append(m.keys, key)
	}
	return err
}

func (m *moody) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	switch m.begin() {
	case failing:
		return m.end(key, errors.New("the disk is full"))
	case hanging:
		<-ctx.Done()
		return m.end(key, ctx.Err())
	case slow:
		select {
		case <-m.tokens:
		case <-ctx.Done():
			return m.end(key, ctx.Err())
		}
	}
	return m.end(key, m.Store.Put(ctx, key, r, size))
}

// told is what a recorder said.
type told struct {
	mu           sync.Mutex
	stored, lost []uint64 // MSNs
	errors       int
}

func (c *told) counts() (stored, lost, errors int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.stored), len(c.lost), c.errors
}

// listen makes a recorder tell c.
func (c *told) listen(cfg Config) Config {
	add := func(to *[]uint64) func(Segment) {
		return func(s Segment) {
			c.mu.Lock()
			defer c.mu.Unlock()
			*to = append(*to, s.MSN)
		}
	}
	cfg.OnStored, cfg.OnLost = add(&c.stored), add(&c.lost)
	cfg.OnError = func(error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.errors++
	}
	return cfg
}

// start makes a recorder of the rung "source".
func start(store blob.Store, change func(*Config)) (*Recorder, *told) {
	cfg := Config{Store: store, Prefix: prefix, Rung: "source", Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&cfg)
	}
	c := &told{}
	return New(c.listen(cfg)), c
}

// segmentSize is that of the segments that segment makes.
const segmentSize = 1000

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

// checkStored holds what is stored of the rung "source" against the numbers.
func checkStored(t *testing.T, store blob.Store, msns ...uint64) {
	t.Helper()
	rec := list(t, store)
	if len(rec.Rungs) != 1 || len(rec.Rungs[0].Segments) != len(msns) {
		t.Fatalf("%+v, want %v", rec, msns)
	}
	for i, got := range rec.Rungs[0].Segments {
		want, data := segment(msns[i])
		want.Size = segmentSize
		if got != want {
			t.Errorf("segment %d is %+v, not %+v", i, got, want)
		}
		o, err := store.Open(context.Background(), join(prefix, "source", got.Name()))
		if err != nil {
			t.Fatal(err)
		}
		read, err := io.ReadAll(o)
		if err != nil || !bytes.Equal(read, bytes.Join(data, nil)) {
			t.Errorf("segment %d has other bytes: %v", i, err)
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}
}

// await waits for a state.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came that %s", what)
		}
	}
}

func upTo(n uint64) []uint64 {
	msns := make([]uint64, n)
	for i := range msns {
		msns[i] = uint64(i)
	}
	return msns
}
