package streaming

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/recorder"
)

// cutOff leaves what a broadcast of the channel c leaves that was live a moment ago,
// when the process was killed: its row and 6 s of media, whose description may be
// lost.
func cutOff(t *testing.T, s *Service, id string, described bool) {
	t.Helper()
	put := func(name, data string) {
		key := recorder.Prefix("c", id) + "/source/" + name
		if err := s.needs.Objects.Put(t.Context(), key, strings.NewReader(data), int64(len(data))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.insertStream(t.Context(), id, "c"); err != nil {
		t.Fatal(err)
	}
	now := time.Now().UnixMilli()
	for i := range 3 {
		put(recorder.Segment{Epoch: 1, MSN: uint64(i), StartMS: now - 9000 + int64(i)*2000, Ticks: 180_000, Init: 1}.Name(), "media")
	}
	if video := smallAVC(t); described {
		put(recorder.InitName(1, 1), string(cmaf.Init{Video: &video}.Marshal()))
	}
}

// expelled is a channel whose owner may broadcast until a restart, and no more.
type expelled struct {
	counting
	raised func() error // what is said of the broadcast that would go on
}

func (e *expelled) MayBroadcast(context.Context, string) error {
	return errs.New(errs.Forbidden, "suspended")
}

func (e *expelled) OwnerGone(context.Context, *store.Tx, string) (bool, error) { return true, nil }

func (e *expelled) RaiseEpoch(ctx context.Context, tx *store.Tx, id string) (int64, error) {
	if e.raised != nil {
		if err := e.raised(); err != nil {
			return 0, err
		}
	}
	return e.counting.RaiseEpoch(ctx, tx, id)
}

// TestExpelledWhileAway suspends somebody while a broadcast of theirs comes back after
// a restart: before the channel is asked, and right after that. It ends, and the
// channel is free.
func TestExpelledWhileAway(t *testing.T) {
	for name, before := range map[string]bool{"before": true, "after": false} {
		t.Run(name, func(t *testing.T) {
			c := &expelled{}
			s := newBroadcasts(t, t.TempDir(), c)
			s.cfg.ReconnectWindow = time.Hour // it is not this that ends it
			cutOff(t, s, "st-1", true)
			heard := make(chan error, 1)
			c.raised = func() error {
				if before {
					heard <- nil
					return errs.New(errs.Forbidden, "suspended")
				}
				if len(s.reserved()) != 1 {
					t.Error("the channel is asked about a broadcast that cannot be found yet")
				}
				go func() { heard <- s.onUserGone(t.Context(), event.New(event.UserSuspended{Sub: "c"})) }()
				return nil
			}
			if err := s.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-heard; err != nil {
				t.Fatal(err)
			}
			if row := waitEnded(t, s, "st-1"); row.DurationMs != 6000 {
				t.Errorf("%+v", row)
			}
			if left := s.reserved(); len(left) > 0 {
				t.Errorf("%s keeps the channel", left[0].id)
			}
		})
	}
}

// TestEndsWithoutOwner ends broadcasts that have no recording: the rows of one whose
// owner's account is deleted go with that, as no video will take them along.
func TestEndsWithoutOwner(t *testing.T) {
	for name, tt := range map[string]struct {
		channels Channels
		left     bool
	}{"there": {&counting{}, true}, "gone": {&expelled{}, false}} {
		t.Run(name, func(t *testing.T) {
			s := newBroadcasts(t, t.TempDir(), tt.channels)
			if _, err := s.insertStream(t.Context(), "st-1", "c"); err != nil {
				t.Fatal(err)
			}
			if _, err := s.endStream(t.Context(), ending{id: "st-1", channel: "c", at: 5}); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := s.settle(t.Context(), "c", "st-1"); err != nil {
					t.Fatal(err)
				}
			}
			row, err := s.row(t.Context(), "st-1")
			if tt.left && (err != nil || row.State != stateEnded) || !tt.left && errs.CodeOf(err) != errs.NotFound {
				t.Errorf("%+v %v", row, err)
			}
		})
	}
}
