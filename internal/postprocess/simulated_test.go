package postprocess_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/id"
	"github.com/serverlessvideo/serverlessvideo/internal/postprocess"

	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

func simulated(video, original string) event.Envelope {
	return event.New(event.SimulatedRecording{RecordingStateChange: event.RecordingStateChange{
		RecordingStatus: event.RecordingEnd, ChannelName: "chan", StreamID: video,
		RecordingS3KeyPrefix: "recordings/chan/" + original, RecordingDurationMS: 4000,
	}})
}

// listed returns the node's objects, with their sizes and times.
func (n *node) listed(t *testing.T, prefix string) (keys []string) {
	t.Helper()
	all, err := n.objects.List(context.Background(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range all {
		keys = append(keys, o.Key+" "+o.ModTime.String())
	}
	return keys
}

// A simulated recording has files of its own, made of what it only reads; all of
// it can be forgotten.
func TestSimulatedRecording(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		n := open(t, p, postprocess.Config{}, nil)
		n.start(t)
		stream, sim := streamID(), "sim-"+id.New()+"-1"
		record(t, n.objects, "recordings/chan/"+stream)
		n.mustHear(t, ended(stream))
		n.await(t, stream, flow.Done)
		before := n.listed(t, "")

		n.mustHear(t, simulated(sim, stream))
		n.await(t, sim, flow.Done)
		if d := last[event.MP4ProcessingComplete](t, n); d.ID != sim || !strings.Contains(d.PlaybackURL, sim) || d.Width != 1920 {
			t.Errorf("said %+v", d)
		}
		if files := n.listed(t, "videos/"+sim+"/"); len(files) < 3 {
			t.Errorf("its files are %v", files)
		}
		if ids, err := n.service.Simulated(t.Context()); err != nil || !slices.Equal(ids, []string{sim}) {
			t.Errorf("%v, %v", ids, err)
		}
		for _, want := range []bool{true, false} {
			if found, err := n.service.ForgetSimulated(t.Context(), sim); err != nil || found != want {
				t.Errorf("forgotten: %v, %v", found, err)
			}
		}
		if state, _ := n.job(t, sim); state != "" {
			t.Errorf("the job is %s", state)
		}
		if _, err := n.flows.Status(t.Context(), "post-"+sim); errs.CodeOf(err) != errs.NotFound {
			t.Errorf("the flow: %v", err)
		}
		if after := slices.DeleteFunc(n.listed(t, ""), func(k string) bool { return strings.HasPrefix(k, "videos/"+sim+"/") }); !slices.Equal(after, before) {
			t.Errorf("the objects were\n%v\nand are\n%v", before, after)
		}
		if state, _ := n.job(t, stream); state != "done" {
			t.Errorf("the original's job is %s", state)
		}
		for _, e := range []event.Envelope{simulated(stream, stream), ended("sim-1-1")} {
			n.mustHear(t, e) // who has no business with it
		}
		if state, _ := n.job(t, "sim-1-1"); state != "" {
			t.Errorf("streaming began a simulation: %s", state)
		}
		if _, err := n.service.ForgetSimulated(t.Context(), stream); errs.CodeOf(err) != errs.Invalid {
			t.Errorf("a real one: %v", err)
		}
	})
}

// begun tells when the real remuxer is at work, and holds it up.
type begun struct {
	real  postprocess.Remuxer
	began chan struct{}
}

func (b begun) Remux(ctx context.Context, _ string, _ io.Writer, progress func(done, total int64)) (postprocess.Media, error) {
	progress(1, 4)
	close(b.began)
	<-ctx.Done()
	return postprocess.Media{}, ctx.Err()
}

// Work that goes on is ended, and does not begin again.
func TestForgetWhatIsInWork(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		began := make(chan struct{})
		n := open(t, p, postprocess.Config{}, func(real postprocess.Remuxer) postprocess.Remuxer { return begun{real, began} })
		n.start(t)
		sim := "sim-" + id.New() + "-1"
		n.mustHear(t, simulated(sim, "st-1"))
		<-began
		if step, percent, ok := n.service.Progress(sim); !ok || step != "mp4" || percent != 12 {
			t.Errorf("it is at %s, %d %%, %v", step, percent, ok)
		}
		if found, err := n.service.ForgetSimulated(t.Context(), sim); err != nil || !found {
			t.Errorf("forgotten: %v, %v", found, err)
		}
		waitFor(t, "nobody works on it", func() bool {
			_, _, ok := n.service.Progress(sim)
			return !ok
		})
		if err := n.service.Reconcile(t.Context()); err != nil {
			t.Error(err)
		}
		if found, err := n.service.ForgetSimulated(t.Context(), sim); err != nil || found {
			t.Errorf("it began again: %v, %v", found, err)
		}
		// As a Forget leaves it that a kill broke off.
		if _, err := store.Step(t.Context(), n.db, "post-"+sim, "start", func(context.Context, *store.Tx) (bool, error) { return true, nil }); err != nil {
			t.Fatal(err)
		}
		for _, want := range []bool{true, false} {
			if found, err := n.service.ForgetSimulated(t.Context(), sim); err != nil || found != want {
				t.Errorf("receipts alone are found: %v, %v; want %v", found, err, want)
			}
		}
		if got := n.types(t); !slices.Equal(got, []string{"MP4ProcessingStarted"}) {
			t.Errorf("said %v", got)
		}
		emptyWorkDir(t, p)
	})
}
