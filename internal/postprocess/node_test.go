package postprocess_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/flow/flowtest"
	"github.com/serverlessvideo/serverlessvideo/internal/id"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/postprocess"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		child()
		return
	}
	goleak.VerifyTestMain(m)
}

// place is where a node keeps its things, over restarts.
type place struct {
	Store store.Config
	Dir   string
}

func eachPlace(t *testing.T, test func(t *testing.T, p place)) {
	t.Helper()
	flowtest.Each(t, func(t *testing.T, cfg store.Config, dir string) {
		t.Parallel()
		test(t, place{cfg, dir})
	})
}

func (p place) workDir() string { return filepath.Join(p.Dir, "work") }

// node is the service with what it needs, as app composes it.
type node struct {
	db      *store.DB
	objects *blob.Files
	flows   *flow.Engine
	service *postprocess.Service
	stop    func() error
	gone    sync.Map // videos that were deleted

	mu     sync.Mutex
	pushed []string // live messages: subject and text

	asked func(stream string) // when somebody has asked whether it is deleted; nil: nothing
}

// PublishLive notes what is pushed to pages.
func (n *node) PublishLive(subject string, data []byte) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pushed = append(n.pushed, subject+" "+string(data))
	return nil
}

func (n *node) live() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.pushed)
}

// videos answers as the catalogue does: every video is of the channel "chan".
type videos struct{ n *node }

func (v videos) MayChange(ctx context.Context, id string) error {
	p, err := identity.Require(ctx)
	_, deleted := v.n.gone.Load(id)
	switch {
	case err != nil:
		return err
	case deleted:
		return errs.New(errs.NotFound, "there is no such video")
	case p.ID != "chan" && !p.Roles.Has(identity.Admin):
		return errs.New(errs.Forbidden, "this video is somebody else's")
	}
	return nil
}

// Deleted says whether the test has deleted a video.
func (v videos) Deleted(_ context.Context, id string) (bool, error) {
	_, deleted := v.n.gone.Load(id)
	if v.n.asked != nil {
		v.n.asked(id)
	}
	return deleted, nil
}

// open composes a node that does not run yet. remux may wrap the real remuxer.
func (p place) open(log *slog.Logger, cfg postprocess.Config, remux func(postprocess.Remuxer) postprocess.Remuxer) (*node, error) {
	ctx := context.Background()
	database := p.Store
	database.Schemas = storetest.Schemas()
	db, err := store.Open(ctx, database)
	if err != nil {
		return nil, err
	}
	objects, err := blob.NewFiles(filepath.Join(p.Dir, "objects"))
	if err != nil {
		return nil, err
	}
	flows, err := flow.Open(ctx, flow.Config{Path: filepath.Join(p.Dir, "flow.db"), URL: p.Store.URL, NodeID: "n1", Logger: log})
	if err != nil {
		return nil, err
	}
	n := &node{db: db, objects: objects, flows: flows}
	n.stop = sync.OnceValue(func() error { return errors.Join(flows.Shutdown(10*time.Second), db.Close()) })
	var r postprocess.Remuxer = remuxer{objects}
	if remux != nil {
		r = remux(r)
	}
	cfg.WorkDir = p.workDir()
	n.service, err = postprocess.New(postprocess.Needs{
		DB: db, Objects: objects, Flows: flows, Remuxer: r, URLs: urls{}, Videos: videos{n}, Realtime: n, Log: log,
	}, cfg)
	return n, err
}

func open(t *testing.T, p place, cfg postprocess.Config, remux func(postprocess.Remuxer) postprocess.Remuxer) *node {
	t.Helper()
	if cfg.Retries.Base == 0 {
		cfg.Retries = flow.Retries{Max: 2, Base: time.Millisecond, MaxDelay: time.Millisecond}
	}
	n, err := p.open(slog.New(slog.NewTextHandler(t.Output(), nil)), cfg, remux)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.shutdown(t) })
	return n
}

func (n *node) start(t *testing.T) {
	t.Helper()
	if err := n.flows.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func (n *node) shutdown(t *testing.T) {
	t.Helper()
	if err := n.stop(); err != nil {
		t.Error(err)
	}
}

func ended(stream string) event.Envelope {
	return event.New(event.RecordingStateChange{
		RecordingStatus: event.RecordingEnd, ChannelName: "chan", StreamID: stream,
		RecordingS3KeyPrefix: "recordings/chan/" + stream, RecordingDurationMS: 4000,
	})
}

func (n *node) hear(e event.Envelope) error {
	return n.service.Consumers()[0].Handle(context.Background(), e)
}

func (n *node) mustHear(t *testing.T, e event.Envelope) {
	t.Helper()
	if err := n.hear(e); err != nil {
		t.Fatal(err)
	}
}

func (n *node) await(t *testing.T, stream string, want flow.Status) {
	t.Helper()
	waitFor(t, stream+" is "+string(want), func() bool {
		info, err := n.flows.Status(context.Background(), "post-"+stream)
		return err == nil && info.Status == want
	})
}

// said returns what stands in the outbox, in the order it was said.
func (n *node) said(t *testing.T) []event.Envelope {
	t.Helper()
	rows, err := n.db.Read().Query(`SELECT body FROM outbox ORDER BY seq`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var out []event.Envelope
	for rows.Next() {
		var body string
		if err := rows.Scan(&body); err != nil {
			t.Fatal(err)
		}
		e, err := event.Parse([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// types are the detail types of what was said.
func (n *node) types(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, e := range n.said(t) {
		out = append(out, e.DetailType)
	}
	return out
}

// last decodes the last event that was said.
func last[T event.Detail](t *testing.T, n *node) T {
	t.Helper()
	var d T
	all := n.said(t)
	if len(all) == 0 {
		t.Fatal("nothing was said")
	}
	e := all[len(all)-1]
	if e.DetailType != d.EventType() || e.Source != event.SourceVideoManager {
		t.Fatalf("the last event is %s of %s, want %s", e.DetailType, e.Source, d.EventType())
	}
	if err := e.Decode(&d); err != nil {
		t.Fatal(err)
	}
	return d
}

// complete decodes what was said of a recording that has its MP4.
func (n *node) complete(t *testing.T, stream string) event.MP4ProcessingComplete {
	t.Helper()
	for _, e := range n.said(t) {
		var d event.MP4ProcessingComplete
		if e.DetailType != d.EventType() {
			continue
		}
		if err := e.Decode(&d); err != nil {
			t.Fatal(err)
		}
		if d.ID == stream {
			return d
		}
	}
	t.Fatalf("nothing was said of %s", stream)
	return event.MP4ProcessingComplete{}
}

// job returns a job's state and reason, "" when there is none.
func (n *node) job(t *testing.T, stream string) (state, reason string) {
	t.Helper()
	err := n.db.Read().QueryRow(`SELECT state, reason FROM postprocess_jobs WHERE id = $1`, stream).Scan(&state, &reason)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		t.Fatal(err)
	}
	return state, reason
}

func streamID() string { return "st-" + id.New() }

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}
