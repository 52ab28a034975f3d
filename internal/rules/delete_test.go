package rules_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/rules"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

// Deliveries hold what was said of a video: they go with it, but for the news that
// it is deleted.
func TestDeletedVideo(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		catalogue := &videos{}
		cfg := quick(db)
		cfg.Videos = catalogue
		r := newRig(t, cfg) // whose worker does not run: deliveries wait
		rule, err := r.Add(context.Background(), rules.RuleInput{
			Name: "all", Enabled: true, Pattern: `{"source":[{"prefix":"serverlessVideo."}]}`, Target: rules.RuleTarget{Type: "log"},
		})
		if err != nil {
			t.Fatal(err)
		}
		about := func(id string) []event.Envelope {
			return []event.Envelope{
				event.New(event.MP4ProcessingStarted{ChannelName: "alice", ID: id}),
				event.New(event.PluginInvocation{Hook: "preValidate", Plugin: "p", Video: event.PluginVideo{ID: id, Channel: "alice"}, TaskToken: "x"}),
				event.New(event.VideoStatusUpdated{Lifecycle: event.Lifecycle{ID: id, ChannelName: "alice"}, Status: event.StatusValid, Title: "of st-10"}),
			}
		}
		r.hear(about("st-1")...)
		r.hear(about("st-10")...)
		// It names the other one, and is not about it.
		r.hear(event.New(event.PluginFailed{ID: "st-10", ChannelName: "alice", Message: `"st-1"`}))
		catalogue.deleted.Store("st-1", true)
		deleted := event.New(event.VideoDeleted{ChannelName: "alice", ID: "st-1"})
		r.hear(deleted)
		r.hear(about("st-1")...) // late
		r.hear(deleted)
		// A replay brings nothing back.
		var again int
		err = db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
			var err error
			again, err = r.QueueReplay(ctx, tx, rule, "re-1", append(about("st-1"), deleted))
			return err
		})
		if err != nil || again != 1 {
			t.Errorf("a replay queues %d events, want VideoDeleted alone (%v)", again, err)
		}
		var left []string
		for _, d := range r.deliveries(rule, "") {
			left = append(left, d.DetailType)
		}
		if len(left) != 6 {
			t.Errorf("left are %v, want the 4 of the other video and VideoDeleted, twice", left)
		}
		var ids []string
		if err := rules.NewKept(db).Videos(context.Background(), func(id string) { ids = append(ids, id) }); err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			if id != "st-10" {
				t.Errorf("something is kept of %s", id)
			}
		}
	})
}

// hasty is a catalogue whose video is deleted, and forgotten by the rules, right
// after somebody has asked for it.
type hasty struct {
	videos
	forget func(id string)
}

func (h *hasty) Deleted(ctx context.Context, videoID string) (bool, error) {
	deleted, err := h.videos.Deleted(ctx, videoID)
	if h.deleted.Store(videoID, true); !deleted {
		h.forget(videoID)
	}
	return deleted, err
}

// A video is deleted between the question whether it is and the commit of its
// deliveries: they go, too, whether it is an event that happens or a replay.
func TestDeletedMeanwhile(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var forgetting sync.WaitGroup
		catalogue := &hasty{forget: func(id string) {
			done := make(chan struct{})
			forgetting.Go(func() {
				defer close(done)
				if err := rules.NewKept(db).Forget(context.Background(), id); err != nil {
					t.Error(err)
				}
			})
			select { // it waits for the transaction, which waits here
			case <-done:
			case <-time.After(200 * time.Millisecond):
			}
		}}
		cfg := quick(db)
		cfg.Videos = catalogue
		r := newRig(t, cfg)
		rule, err := r.Add(context.Background(), rules.RuleInput{
			Name: "all", Enabled: true, Pattern: `{"source":[{"prefix":"serverlessVideo."}]}`, Target: rules.RuleTarget{Type: "log"},
		})
		if err != nil {
			t.Fatal(err)
		}
		r.hear(event.New(event.MP4ProcessingStarted{ChannelName: "alice", ID: "st-1"}))
		err = db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
			_, err := r.QueueReplay(ctx, tx, rule, "re-1", []event.Envelope{event.New(event.MP4ProcessingStarted{ChannelName: "alice", ID: "st-2"})})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		forgetting.Wait()
		if left := r.deliveries(rule, ""); len(left) > 0 {
			t.Errorf("of deleted videos there is left %+v", left)
		}
	})
}
