package video_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

var aliceIsGone = event.New(event.UserDeleted{Sub: "alice"})

// deletedOf returns the ids that VideoDeleted was said of, and checks its reason.
func (f *fixture) deletedOf() map[string]int {
	f.t.Helper()
	ids := map[string]int{}
	for _, e := range f.saying("VideoDeleted") {
		var d event.VideoDeleted
		if err := e.Decode(&d); err != nil {
			f.t.Fatal(err)
		}
		if d.Reason != "the account was deleted" {
			f.t.Errorf("%s is deleted because %q", d.ID, d.Reason)
		}
		ids[d.ID]++
	}
	return ids
}

func TestOwnerDeleted(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.publish("st-1", event.LifeCycleResult{})
		f.publish("st-2", event.LifeCycleResult{Status: "invalid"})
		f.hear(recordingEnd("st-3"))
		f.hear(mp4Complete("st-4")) // its recording ends later
		more := 70                  // than one transaction deletes
		for i := range more {
			f.hear(recordingEnd(fmt.Sprintf("st-m%d", i)))
		}
		bobs := recordingEndOf("bob", "st-5")
		f.hear(bobs)
		f.put("recordings/alice/st-1/init.mp4", "videos/st-1/video.mp4", "recordings/bob/st-5/init.mp4",
			"recordings/alice/st-4/1.m4s", "recordings/alice/st-7/1.m4s", "recordings/alice/st-8/1.m4s",
			"recordings/alice/st-9/1.m4s")
		f.hear(streamEnd("alice", "st-0")) // before, and without a recording: no video

		f.hear(aliceIsGone)
		f.hear(aliceIsGone)
		f.hear(recordingEnd("st-4"))
		f.hear(streamEnd("alice", "st-7")) // was live when the account was deleted, and whose recording ends never
		f.hear(streamEnd("alice", "st-8")) // has one, which ends later
		f.hear(streamEnd("bob", "st-6"))
		f.hear(recordingEnd("st-8"))
		f.hear(recordingEnd("st-9")) // is told before the end of the stream
		f.hear(streamEnd("alice", "st-9"))
		f.hear(mp4Complete("st-9"))
		f.hear(mp4Complete("st-3"))
		gone := f.deletedOf()
		for _, id := range []string{"st-1", "st-2", "st-3", "st-4", "st-7", "st-8", "st-9", "st-m0", fmt.Sprintf("st-m%d", more-1)} {
			if err := f.MayRead(as("alice"), id); errs.CodeOf(err) != errs.NotFound || gone[id] != 1 {
				t.Errorf("%s: %v, said %d times", id, err, gone[id])
			}
		}
		if len(gone) != more+7 {
			t.Errorf("%d videos are deleted, want %d", len(gone), more+7)
		}
		if ready := f.saying("recording-ready"); len(ready) != 2 { // of st-1 and st-2, before
			t.Errorf("recording-ready %d times", len(ready))
		}
		if err := f.MayRead(as("bob"), "st-5"); err != nil {
			t.Errorf("somebody else's video: %v", err)
		}
		for _, e := range f.saying("VideoDeleted") {
			f.hear(e)
		}
		if n := f.objectsUnder("recordings/alice/") + f.objectsUnder("videos/st-1/"); n != 0 {
			t.Errorf("%d objects are left", n)
		}
		if f.objectsUnder("recordings/bob/") != 1 {
			t.Error("somebody else's objects are gone")
		}
	})
}

func streamEnd(channel, id string) event.Envelope {
	return event.New(event.StreamStateChange{EventName: event.StreamEnd, ChannelName: channel, StreamID: id})
}

func recordingEndOf(channel, id string) event.Envelope {
	return event.New(event.RecordingStateChange{
		RecordingStatus: event.RecordingEnd, ChannelName: channel, StreamID: id,
		RecordingS3KeyPrefix: "recordings/" + channel + "/" + id, RecordingDurationMS: 11_900,
	})
}

// What a channel keeps is forgotten with it.
func TestOwnerDeletedForgetsRetention(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		err := db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO video_retention (channel, keep_days, keep_bytes, updated_at, updated_by) VALUES ('alice', 1, 0, 1, 'alice'), ('bob', 1, 0, 1, 'bob')`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		f.hear(aliceIsGone)
		var left string
		if err := db.Read().QueryRowContext(context.Background(), "SELECT channel FROM video_retention").Scan(&left); err != nil || left != "bob" {
			t.Errorf("left: %q, %v", left, err)
		}
	})
}

// The simulator removes what it made itself.
func TestOwnerDeletedLeavesSimulations(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.hear(simulated("sim-1-1", "st-1"))
		f.hear(aliceIsGone)
		f.hear(simulated("sim-1-2", "st-2"))
		if gone := f.deletedOf(); len(gone) != 0 {
			t.Errorf("deleted: %v", gone)
		}
	})
}

// again gives an event to the consumers until they have handled it, as the bus does:
// PostgreSQL may refuse one of two that come at the same time.
func (f *fixture) again(e event.Envelope) {
	f.t.Helper()
	for _, c := range f.Consumers() {
		if !slices.ContainsFunc(c.Filters, func(x event.Filter) bool { return x.Match(e) }) {
			continue
		}
		err := c.Handle(context.Background(), e)
		for range 20 {
			if err != nil {
				err = c.Handle(context.Background(), e)
			}
		}
		if err != nil {
			f.t.Errorf("%s: %v", e.DetailType, err)
		}
	}
}

// Recordings end while the account is deleted: none of them stays.
func TestOwnerDeletedMeanwhile(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		const recordings = 24
		var wg sync.WaitGroup
		for i := range recordings {
			if i == recordings/2 {
				wg.Go(func() { f.again(aliceIsGone) })
			}
			wg.Go(func() { f.again(recordingEnd(fmt.Sprintf("st-%d", i))) })
		}
		wg.Wait()
		if gone := f.deletedOf(); len(gone) != recordings {
			t.Errorf("%d of %d are deleted", len(gone), recordings)
		}
	})
}
