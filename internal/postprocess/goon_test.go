package postprocess_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/postprocess"
)

// cancelMP4 begins a recording's flow and cancels it while the MP4 is made.
func cancelMP4(t *testing.T, p place) (n *node, stream string) {
	t.Helper()
	var hangs, hung atomic.Bool
	hangs.Store(true)
	n = open(t, p, postprocess.Config{}, func(real postprocess.Remuxer) postprocess.Remuxer {
		return wrapped(func(ctx context.Context, prefix string, w io.Writer, progress func(done, total int64)) (postprocess.Media, error) {
			if hangs.Load() {
				hung.Store(true)
				<-ctx.Done()
				return postprocess.Media{}, ctx.Err()
			}
			return real.Remux(ctx, prefix, w, progress)
		})
	})
	n.start(t)
	stream = streamID()
	record(t, n.objects, "recordings/chan/"+stream)
	n.mustHear(t, ended(stream))
	waitFor(t, "it makes the MP4", hung.Load)
	if err := n.flows.Cancel(t.Context(), "post-"+stream); err != nil {
		t.Fatal(err)
	}
	hangs.Store(false)
	n.await(t, stream, flow.Cancelled)
	return n, stream
}

func (n *node) info(t *testing.T, id string) flow.Info {
	t.Helper()
	info, err := n.flows.Status(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// TestCancelledFlowGoesOn: before anybody was told that it failed, it is the same
// attempt.
func TestCancelledFlowGoesOn(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		n, stream := cancelMP4(t, p)
		info := n.info(t, "post-"+stream)
		plan, err := n.service.PlanRetry(t.Context(), info)
		if err != nil || plan.NewID != "" || plan.Refusal != "" || !slices.Equal(plan.From, []string{"started"}) {
			t.Fatalf("%+v, %v", plan, err)
		}
		waitFor(t, "it goes on", func() bool {
			id, err := n.service.RetryFlow(t.Context(), info, "")
			if err != nil && errs.CodeOf(err) != errs.Conflict {
				t.Fatal(err)
			}
			return err == nil && id == info.ID
		})
		if err := n.service.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		n.await(t, stream, flow.Done)
		if got := n.types(t); !slices.Equal(got, []string{"MP4ProcessingStarted", "MP4ProcessingComplete"}) {
			t.Errorf("said %v", got)
		}
		_, err = n.service.RetryFlow(t.Context(), n.info(t, info.ID), "")
		if errs.CodeOf(err) != errs.Conflict || !strings.Contains(err.Error(), "done") {
			t.Errorf("retrying what is done: %v", err)
		}
	})
}

// TestCancelledFlowIsTriedAnew: once it was told that it failed, it is another attempt.
func TestCancelledFlowIsTriedAnew(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		n, stream := cancelMP4(t, p)
		info := n.info(t, "post-"+stream)
		if err := n.service.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := last[event.MP4ProcessingFailed](t, n); !strings.Contains(got.Reason, "cancelled") {
			t.Errorf("failed: %+v", got)
		}
		if _, err := n.service.RetryFlow(t.Context(), info, "started"); errs.CodeOf(err) != errs.Invalid {
			t.Errorf("a new attempt from a step of the old one: %v", err)
		}
		id, err := n.service.RetryFlow(t.Context(), info, "")
		if err != nil || id != "post-"+stream+".2" || n.service.FlowVideo(id) != stream {
			t.Fatalf("%q, %v", id, err)
		}
		n.await(t, stream+".2", flow.Done)
		if state, reason := n.job(t, stream); state != "done" {
			t.Errorf("the job is %s, %s", state, reason)
		}
		if _, err := n.service.RetryFlow(t.Context(), info, ""); errs.CodeOf(err) != errs.Conflict || !strings.Contains(err.Error(), id) {
			t.Errorf("retrying the older attempt: %v", err)
		}
	})
}
