package postprocess_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/postprocess"
)

// deleted tells the service that a video was deleted, as the catalogue does.
func (n *node) deleted(t *testing.T, stream string) {
	t.Helper()
	n.gone.Store(stream, true)
	e := event.New(event.VideoDeleted{ChannelName: "chan", ID: stream})
	for _, c := range n.service.Consumers() {
		if c.Filters[0].Match(e) {
			if err := c.Handle(context.Background(), e); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// wantNothing looks for what is kept of a video.
func (n *node) wantNothing(t *testing.T, stream string) {
	t.Helper()
	if state, _ := n.job(t, stream); state != "" {
		t.Errorf("the job of %s is %s", stream, state)
	}
	var receipts int
	if err := n.db.Read().QueryRow(`SELECT count(*) FROM receipts WHERE scope LIKE 'flow:post-' || $1 || '%'`, stream).Scan(&receipts); err != nil || receipts != 0 {
		t.Errorf("%d receipts of its flows are left (%v)", receipts, err)
	}
	if flows, err := n.flows.IDs(context.Background(), "post-"+stream); err != nil || len(flows) != 0 {
		t.Errorf("the flows %v are left (%v)", flows, err)
	}
}

func TestDeletedVideo(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		working, over := make(chan string), make(chan error, 1)
		var hold atomic.Bool
		n := open(t, p, postprocess.Config{}, func(real postprocess.Remuxer) postprocess.Remuxer {
			return wrapped(func(ctx context.Context, prefix string, w io.Writer, progress func(done, total int64)) (postprocess.Media, error) {
				if !hold.Load() {
					return postprocess.Media{}, errs.New(errs.Invalid, "no picture in it")
				}
				working <- prefix
				<-ctx.Done()
				over <- ctx.Err()
				return postprocess.Media{}, ctx.Err()
			})
		})
		n.start(t)

		// After its end, and another attempt's.
		stream, neighbour := streamID(), streamID()
		n.mustHear(t, ended(stream))
		n.mustHear(t, ended(neighbour))
		n.await(t, stream, flow.Done)
		n.await(t, neighbour, flow.Done)
		n.api(t).As(owner()).Call("POST", "/api/video/"+stream+"/processing", nil).Want(202)
		n.await(t, stream+".2", flow.Done)
		n.deleted(t, stream)
		n.wantNothing(t, stream)
		n.deleted(t, stream)
		if state, _ := n.job(t, neighbour); state != "failed" {
			t.Errorf("another video's job is %q", state)
		}

		// While it is worked on: the run has let go when the news is taken.
		hold.Store(true)
		busy := streamID()
		n.mustHear(t, ended(busy))
		<-working
		n.deleted(t, busy)
		select {
		case err := <-over:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("the work ended with %v", err)
			}
		default:
			t.Error("it is still worked on")
		}
		n.wantNothing(t, busy)

		// Before its recording's end is heard, and when that comes again.
		early := streamID()
		n.deleted(t, early)
		said := len(n.said(t))
		for _, stream := range []string{early, busy, stream} {
			n.mustHear(t, ended(stream))
			n.wantNothing(t, stream)
		}
		if err := n.service.Reconcile(context.Background()); err != nil {
			t.Error(err)
		}
		if now := n.said(t); len(now) != said {
			t.Errorf("said %s", now[len(now)-1].DetailType)
		}
	})
}

// A video is deleted between the question whether it is and the commit of its job.
func TestDeletedMeanwhile(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		n := open(t, p, postprocess.Config{}, nil)
		var once sync.Once
		var deleting sync.WaitGroup
		n.asked = func(stream string) {
			once.Do(func() {
				done := make(chan struct{})
				deleting.Go(func() { defer close(done); n.deleted(t, stream) })
				select { // it waits for the transaction, which waits here
				case <-done:
				case <-time.After(200 * time.Millisecond):
				}
			})
		}
		n.start(t)
		stream := streamID()
		n.mustHear(t, ended(stream))
		deleting.Wait()
		n.wantNothing(t, stream)
	})
}

// A flow of a video that is deleted between two of its steps ends without a word.
func TestDeletedBetweenSteps(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		stream := streamID()
		var n *node
		n = open(t, p, postprocess.Config{}, func(real postprocess.Remuxer) postprocess.Remuxer {
			return wrapped(func(context.Context, string, io.Writer, func(done, total int64)) (postprocess.Media, error) {
				n.gone.Store(stream, true)
				return postprocess.Media{}, errs.New(errs.Invalid, "no picture in it")
			})
		})
		n.start(t)
		n.mustHear(t, ended(stream))
		n.await(t, stream, flow.Done)
		if got := n.types(t); !slices.Equal(got, []string{"MP4ProcessingStarted"}) {
			t.Errorf("said %v of a deleted video", got)
		}
	})
}
