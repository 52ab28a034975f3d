package admin

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

func exerciseLong(t *testing.T, ops Operations) {
	t.Helper()
	ctx := context.Background()
	var told []string
	report, err := ops.Check(ctx, CheckRequest{Repair: true, Grace: time.Minute}, func(what string) { told = append(told, what) })
	if err != nil || report.Objects != 3 || report.Left != 1 || len(report.Findings) != 1 || report.Findings[0] != (Finding{Kind: "orphan-rows", Video: "st-1", Repaired: true}) {
		t.Errorf("Check: %+v, %v", report, err)
	}
	if len(told) != 1 || told[0] != "looking" {
		t.Errorf("told %q", told)
	}
	from := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	if done, err := ops.RebuildHistory(ctx, RebuildRequest{From: from}, nil); err != nil || done.Events != 7 || !done.Oldest.Equal(from) {
		t.Errorf("RebuildHistory: %+v, %v", done, err)
	}
	if _, err := ops.RebuildHistory(ctx, RebuildRequest{Video: "st-9"}, nil); errs.CodeOf(err) != errs.NotFound || err.Error() != "the archive knows nothing of st-9" {
		t.Errorf("RebuildHistory of a stranger: %v", err)
	}
}

// A command that is ended takes its work with it.
func TestLongWorkEndsWithItsCommand(t *testing.T) {
	dir, node := t.TempDir(), &fakeOps{checking: make(chan struct{}), gone: make(chan struct{})}
	running(t, dir, node)
	ctx, end := context.WithCancel(context.Background())
	go func() {
		<-node.checking
		end()
	}()
	err := With(context.Background(), dir, noOffline(t), func(ops Operations) error {
		_, err := ops.Check(ctx, CheckRequest{Grace: time.Hour}, func(string) {})
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the command ends with %v", err)
	}
	select {
	case <-node.gone:
	case <-time.After(10 * time.Second):
		t.Error("the work goes on")
	}
}

// A node that stops does not wait for it.
func TestLongWorkEndsWithTheNode(t *testing.T) {
	dir, node := t.TempDir(), &fakeOps{checking: make(chan struct{}), gone: make(chan struct{})}
	lock, err := Acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Release() }()
	s, err := Serve(dir, node, quiet())
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() {
		<-node.checking
		closed <- s.Close(context.Background())
	}()
	err = With(context.Background(), dir, noOffline(t), func(ops Operations) error {
		_, err := ops.Check(context.Background(), CheckRequest{Grace: time.Hour}, func(string) {})
		return err
	})
	if err == nil {
		t.Error("work that was not done counts as done")
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}
