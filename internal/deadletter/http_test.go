package deadletter_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/serverlessvideo/serverlessvideo/internal/bus"
	"github.com/serverlessvideo/serverlessvideo/internal/deadletter"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway/apitest"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// letters are a bus's, as the app hands them over.
type letters struct{ *bus.Bus }

func (l letters) Before(ctx context.Context, before uint64, limit int) ([]deadletter.Letter, error) {
	found, err := l.DeadBefore(ctx, before, limit)
	var out []deadletter.Letter
	for _, one := range found {
		out = append(out, deadletter.Letter(one))
	}
	return out, err
}

func (l letters) Letter(ctx context.Context, number uint64) (deadletter.Letter, error) {
	one, err := l.DeadLetter(ctx, number)
	return deadletter.Letter(one), err
}

func (l letters) Count(ctx context.Context) (map[string]int64, error) { return l.CountDead(ctx) }
func (l letters) Delete(ctx context.Context, number uint64) error     { return l.DeleteDead(ctx, number) }
func (l letters) Purge(ctx context.Context, n uint64) (int64, error)  { return l.PurgeDead(ctx, n) }

// rig is a bus with a consumer that handles nothing until it is well.
type rig struct {
	t          *testing.T
	bus        *bus.Bus
	well       atomic.Bool
	handled    atomic.Int32
	api, admin *apitest.Client
}

func newRig(t *testing.T) *rig {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{
		Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler), Tries: 1, RetryFirst: time.Millisecond, MaxBytes: 64 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	r := &rig{t: t, bus: b}
	err = b.Consume(t.Context(), event.Consumer{Name: "history", Filters: []event.Filter{{}}, Handle: func(context.Context, event.Envelope) error {
		if !r.well.Load() {
			return errors.New("the disk is full")
		}
		r.handled.Add(1)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	r.api = apitest.New(t, func(g *gateway.Gateway) { deadletter.New(letters{b}).Register(g.API()) })
	r.admin = r.api.As(identity.Principal{ID: "root", Roles: identity.Roles{identity.Admin}})
	return r
}

// die publishes an event that becomes a dead letter, the n-th.
func (r *rig) die(d event.Detail, n int64) {
	r.t.Helper()
	if err := r.bus.Publish(r.t.Context(), event.New(d)); err != nil {
		r.t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if c := r.count(); c.Count == n {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("it does not become a dead letter: %+v", r.count())
		}
	}
}

func (r *rig) count() (c deadletter.Counts) {
	r.t.Helper()
	r.admin.Get("/api/dead-letters/count").Want(200).JSON(&c)
	return c
}

func TestForAdminsAlone(t *testing.T) {
	r := newRig(t)
	r.die(event.VideoDeleted{ChannelName: "alice", ID: "st-1"}, 1)
	developer := r.api.As(identity.Principal{ID: "dev", Roles: identity.Roles{identity.Developer, identity.Broadcaster, identity.Viewer}})
	for _, c := range [][2]string{
		{"GET", "/api/dead-letters"}, {"GET", "/api/dead-letters/count"}, {"GET", "/api/dead-letters/1"}, {"POST", "/api/dead-letters/1/redrive"},
		{"POST", "/api/dead-letters/redrive"}, {"DELETE", "/api/dead-letters/1"}, {"DELETE", "/api/dead-letters"},
	} {
		r.api.Call(c[0], c[1], nil).Want(401)
		developer.Call(c[0], c[1], nil).Want(403)
	}
	if c := r.count(); c.Count != 1 || c.Consumers["history"] != 1 {
		t.Errorf("left are %+v", c)
	}
}

// They are listed, read without task tokens, redriven one by one and all, and
// deleted.
func TestALettersLife(t *testing.T) {
	r := newRig(t)
	for i, d := range []event.Detail{
		event.PluginInvocation{Hook: "preValidate", Plugin: "p", Video: event.PluginVideo{
			ID: "st-1", Channel: "alice", CreatedAt: "2026-11-26T00:00:00Z", StreamURL: "https://v.example.com/vod/st-1/master.m3u8",
			PlaybackURL: "https://v.example.com/vod/st-1/video.mp4",
		}, TaskToken: "tt_secret"},
		event.VideoDeleted{ChannelName: "alice", ID: "st-2"}, event.VideoDeleted{ChannelName: "alice", ID: "st-3"},
		event.VideoDeleted{ChannelName: "alice", ID: "st-4"},
	} {
		r.die(d, int64(i+1))
	}
	var list store.List[deadletter.LetterView]
	r.admin.Get("/api/dead-letters?limit=3").Want(200).JSON(&list)
	if list.Count != 3 || list.NextPage == "" || list.Data[0].About != "st-4" || list.Data[2].About != "st-2" ||
		list.Data[0].Consumer != "history" || list.Data[0].Reason != "the disk is full" || list.Data[0].DetailType != "VideoDeleted" {
		t.Errorf("the list is %+v", list)
	}
	next := list.NextPage
	list = store.List[deadletter.LetterView]{}
	r.admin.Get("/api/dead-letters?limit=3&offset=" + next).Want(200).JSON(&list)
	if list.Count != 1 || list.NextPage != "" || list.Data[0].ID != "1" {
		t.Errorf("the second page is %+v", list)
	}
	var one deadletter.LetterDetail
	r.admin.Get("/api/dead-letters/1").Want(200).JSON(&one)
	if !strings.Contains(string(one.Event.Detail), "(masked)") || strings.Contains(string(one.Event.Detail), "tt_secret") {
		t.Errorf("its event is %s", one.Event.Detail)
	}

	if p := r.admin.Post("/api/dead-letters/1/redrive", nil).Want(409).Problem(); !strings.Contains(p.Detail, "history could still not handle it: the disk is full") {
		t.Errorf("a redrive that fails says %+v", p)
	}
	var done deadletter.Redriven
	r.admin.Post("/api/dead-letters/redrive", nil).Want(200).JSON(&done)
	if done != (deadletter.Redriven{Failed: 4}) {
		t.Errorf("redriving all that fail: %+v", done)
	}
	r.well.Store(true)
	r.admin.Post("/api/dead-letters/1/redrive", nil).Want(204)
	r.admin.Post("/api/dead-letters/1/redrive", nil).Want(404)
	r.admin.Call("DELETE", "/api/dead-letters/4", nil).Want(204)
	r.admin.Call("DELETE", "/api/dead-letters/4", nil).Want(404)
	r.admin.Get("/api/dead-letters/4").Want(404)
	r.admin.Post("/api/dead-letters/redrive", nil).Want(200).JSON(&done)
	if done != (deadletter.Redriven{Handled: 2}) || r.handled.Load() != 3 {
		t.Errorf("redriving all: %+v, %d were handled", done, r.handled.Load())
	}
	if c := r.count(); c.Count != 0 {
		t.Errorf("left are %+v", c)
	}
}

func TestPurge(t *testing.T) {
	r := newRig(t)
	for i, id := range []string{"st-1", "st-2", "st-3"} {
		r.die(event.VideoDeleted{ChannelName: "alice", ID: id}, int64(i+1))
	}
	var purged deadletter.Purged
	r.admin.Call("DELETE", "/api/dead-letters?upTo=2", nil).Want(200).JSON(&purged)
	if c := r.count(); purged.Count != 2 || c.Count != 1 {
		t.Errorf("purged are %d, left %d", purged.Count, c.Count)
	}
	r.admin.Call("DELETE", "/api/dead-letters", nil).Want(200).JSON(&purged)
	if c := r.count(); purged.Count != 1 || c.Count != 0 {
		t.Errorf("purged are %d, left %d", purged.Count, c.Count)
	}
}
