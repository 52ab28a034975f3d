package video_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/event/eventtest"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
	"github.com/serverlessvideo/serverlessvideo/internal/video"
)

// afterListing calls then once, when the first listing is made: what happens in it
// comes between the look at a video's objects and the note of what they take.
type afterListing struct {
	blob.Store
	once *sync.Once
	then func()
}

func (l afterListing) List(ctx context.Context, prefix string) ([]blob.Info, error) {
	infos, err := l.Store.List(ctx, prefix)
	l.once.Do(l.then)
	return infos, err
}

// News of a video that brings files while its size is counted makes the count void,
// also when it changes neither the video's status nor what else a row shows of it.
func TestSizeCountedWhileFilesCome(t *testing.T) {
	failed := func(attempt int) event.Envelope {
		return event.New(event.MP4ProcessingFailed{ChannelName: "alice", ID: "st-1", Reason: "no key frame", Attempt: attempt})
	}
	judged := func(attempt int) event.Envelope {
		l := event.LifeCycleComplete{Lifecycle: eventtest.Lifecycle("st-1", "alice", event.LifeCycleResult{Status: event.StatusInvalid, Reason: "no"})}
		l.Attempt = attempt
		return event.New(l)
	}
	for _, tt := range []struct {
		name   string
		before []event.Envelope
		news   event.Envelope
	}{
		{"its MP4 is made", nil, mp4Complete("st-1")},
		{"its MP4 is made once more", []event.Envelope{mp4Complete("st-1")}, mp4Complete("st-1")},
		{"another attempt fails", []event.Envelope{failed(1)}, failed(2)},
		{"its plugins have run again", []event.Envelope{mp4Complete("st-1"), judged(1)}, judged(2)},
	} {
		for _, counted := range []bool{false, true} {
			name := tt.name
			if counted {
				name += ", and is counted meanwhile"
			}
			t.Run(name, func(t *testing.T) {
				storetest.Each(t, func(t *testing.T, db *store.DB) {
					f := newFixture(t, db)
					f.hear(recordingEnd("st-1"))
					for _, e := range tt.before {
						f.hear(e)
					}
					f.putSized("recordings/alice/st-1/source/1.mp4", 100)
					slow := video.New(db, afterListing{f.objects, new(sync.Once), func() {
						if counted {
							f.measure()
						}
						f.putSized("recordings/alice/st-1/source/2.mp4", 7)
						f.hear(tt.news)
					}}, channels{}, func(context.Context) video.URLs { return urls{} }, slog.New(slog.DiscardHandler))
					if err := slow.Measure(context.Background()); err != nil {
						t.Fatal(err)
					}
					f.measure()
					var got video.Retention
					f.call(as("alice"), "GET", "/api/channel/alice/retention", "").Want(200).JSON(&got)
					if got.Bytes != 107 {
						t.Errorf("the video takes %d bytes, want 107", got.Bytes)
					}
				})
			})
		}
	}
}

func (f *fixture) measure() {
	f.t.Helper()
	if err := f.Measure(context.Background()); err != nil {
		f.t.Error(err)
	}
}
