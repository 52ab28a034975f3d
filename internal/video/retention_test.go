package video_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
	"github.com/serverlessvideo/serverlessvideo/internal/video"
)

// aged publishes a video that was recorded so many days ago, with so many bytes.
func (f *fixture) aged(id string, days, bytes int) {
	f.t.Helper()
	end := recordingEnd(id)
	end.Time = time.Now().Add(-time.Duration(days) * 24 * time.Hour)
	f.hear(end)
	f.hear(mp4Complete(id))
	f.hear(lifecycleComplete(id, event.LifeCycleResult{}))
	f.putSized("recordings/alice/"+id+"/source/1.mp4", bytes/2)
	f.putSized("videos/"+id+"/plugins/transcribe/text.vtt", bytes-bytes/2)
}

func (f *fixture) putSized(key string, bytes int) {
	f.t.Helper()
	if err := f.objects.Put(context.Background(), key, strings.NewReader(strings.Repeat("x", bytes)), int64(bytes)); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) mine() []string {
	f.t.Helper()
	ids, _ := f.list(as("alice"), "/api/channel/videos?limit=100")
	return ids
}

func (f *fixture) retain() {
	f.t.Helper()
	if err := f.Retain(context.Background()); err != nil {
		f.t.Fatal(err)
	}
}

func TestRetention(t *testing.T) {
	for _, tt := range []struct {
		name, set, kept, reason string
	}{
		{"off by default", "", "st-0 st-1 st-2 st-3", ""},
		{"nothing is too old", `{"keepDays":50,"keepBytes":0}`, "st-0 st-1 st-2 st-3", ""},
		{"by age", `{"keepDays":25,"keepBytes":0}`, "st-0 st-1 st-2", "the channel keeps recordings for 25 days"},
		{"all fits", `{"keepDays":0,"keepBytes":400}`, "st-0 st-1 st-2 st-3", ""},
		{"by size, the oldest first", `{"keepDays":0,"keepBytes":399}`, "st-0 st-1 st-2", "the channel keeps 399 bytes of recordings"},
		{"no room at all: what is processed stays", `{"keepDays":0,"keepBytes":1}`, "st-0", "the channel keeps 1 bytes of recordings"},
		{"old, and still processed", `{"keepDays":1,"keepBytes":0}`, "st-0 st-1", "the channel keeps recordings for 1 day"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				f := newFixture(t, db)
				f.hear(recordingEnd("st-0")) // still processed
				f.putSized("recordings/alice/st-0/source/1.mp4", 100)
				f.aged("st-1", 0, 100)
				f.aged("st-2", 20, 100)
				f.aged("st-3", 40, 100)
				if tt.set != "" {
					f.call(as("alice"), "PUT", "/api/channel/alice/retention", tt.set).Want(http.StatusOK)
				}
				f.retain()
				f.retain()
				kept := f.mine()
				slices.Sort(kept)
				if got := strings.Join(kept, " "); got != tt.kept {
					t.Errorf("kept %s, want %s", got, tt.kept)
				}
				said := f.saying("VideoDeleted")
				if len(said) != 4-len(kept) {
					t.Fatalf("VideoDeleted %d times, want %d", len(said), 4-len(kept))
				}
				for _, e := range said {
					var d event.VideoDeleted
					if err := e.Decode(&d); err != nil || d.Reason != tt.reason {
						t.Errorf("deleted because %q, want %q (%v)", d.Reason, tt.reason, err)
					}
				}
			})
		})
	}
}

// Two nodes that retain at once delete each video once, and no more than one does.
func TestRetentionOnTwoNodes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f, g := newFixture(t, db), newFixture(t, db)
		g.objects = f.objects
		for i := range 20 {
			f.aged(fmt.Sprintf("st-%02d", i), i, 100)
		}
		if err := f.Measure(context.Background()); err != nil {
			t.Fatal(err)
		}
		f.call(as("alice"), "PUT", "/api/channel/alice/retention", `{"keepDays":0,"keepBytes":1000}`).Want(http.StatusOK)
		done := make(chan error, 2)
		for _, n := range []*fixture{f, g} {
			go func() { done <- n.Retain(context.Background()) }()
		}
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		f.saying("VideoDeleted")
		g.saying("VideoDeleted")
		said := map[string]int{}
		for _, e := range append(f.saying("VideoDeleted"), g.saying("VideoDeleted")...) {
			said[e.ID]++
		}
		if len(said) != 10 || len(f.mine()) != 10 {
			t.Errorf("%d videos are deleted, %d are left", len(said), len(f.mine()))
		}
	})
}

func TestRetentionPreview(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.aged("st-1", 0, 100)
		f.aged("st-2", 20, 150)
		f.aged("st-3", 40, 200)
		var now video.Retention
		f.call(as("alice"), "GET", "/api/channel/alice/retention", "").Want(http.StatusOK).JSON(&now)
		if now != (video.Retention{Recordings: 3, Bytes: 450}) {
			t.Errorf("at the beginning: %+v", now)
		}
		for query, want := range map[string]video.RetentionPreview{
			"":                         {Left: 3},
			"keepDays=30":              {Recordings: 1, Bytes: 200, Left: 2},
			"keepBytes=250":            {Recordings: 1, Bytes: 200, Left: 2},
			"keepDays=10&keepBytes=50": {Recordings: 3, Bytes: 450},
		} {
			var got video.RetentionPreview
			f.call(as("root", identity.Admin), "GET", "/api/channel/alice/retention/preview?"+query, "").Want(http.StatusOK).JSON(&got)
			if got != want {
				t.Errorf("%q would delete %+v, want %+v", query, got, want)
			}
		}
		f.retain()
		if got := f.mine(); len(got) != 3 {
			t.Errorf("a preview has deleted something: %v are left", got)
		}
	})
}

func TestWhoseRetention(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		const path = "/api/channel/alice/retention"
		for _, tt := range []struct {
			who    context.Context
			path   string
			status int
		}{
			{context.Background(), path, http.StatusUnauthorized},
			{as("bob", identity.Broadcaster), path, http.StatusForbidden},
			{as("alice"), path, http.StatusOK},
			{as("root", identity.Admin), path, http.StatusOK},
			{as("root", identity.Admin), "/api/channel/nobody/retention", http.StatusNotFound},
		} {
			f.call(tt.who, "GET", tt.path, "").Want(tt.status)
			f.call(tt.who, "GET", tt.path+"/preview", "").Want(tt.status)
			f.call(tt.who, "PUT", tt.path, `{"keepDays":1,"keepBytes":2}`).Want(tt.status)
		}
		f.call(as("alice"), "PUT", path, `{"keepDays":-1,"keepBytes":0}`).Want(http.StatusBadRequest)
		var now video.Retention
		f.call(as("alice"), "GET", path, "").Want(http.StatusOK).JSON(&now)
		if now.KeepDays != 1 || now.KeepBytes != 2 {
			t.Errorf("kept is %+v", now)
		}
	})
}

// What somebody stored in the last moment goes with the second sweep, and the
// tombstone goes when nothing can be heard of the video any more.
func TestDeletionIsFinished(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.publish("st-1", event.LifeCycleResult{})
		f.put("recordings/alice/st-1/source/1.mp4", "videos/st-1/plugins/p/x")
		if err := f.Delete(as("alice"), "st-1"); err != nil {
			t.Fatal(err)
		}
		f.hear(f.saying("VideoDeleted")[0])
		f.put("recordings/alice/st-1/thumbnail.jpg", "videos/st-1/video.mp4")
		f.sweep(2)
		past := func(d time.Duration) {
			err := db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.ExecContext(ctx, `UPDATE videos SET deleted_at = deleted_at - $1, sweep_again_at = CASE WHEN sweep_again_at > 0
					THEN sweep_again_at - $1 ELSE 0 END`, d.Milliseconds())
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		past(2 * time.Hour)
		f.sweep(0)
		ctx, cancel := context.WithCancel(context.Background())
		past(61 * 24 * time.Hour)
		if deleted, err := f.Deleted(ctx, "st-1"); err != nil || !deleted {
			t.Errorf("it is not known that it was deleted: %v", err)
		}
		done := make(chan struct{})
		go func() { defer close(done); f.Run(ctx) }()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if deleted, err := f.Deleted(context.Background(), "st-1"); err == nil && !deleted {
				break
			}
			if time.Now().After(end) {
				t.Error("the tombstone stays")
				break
			}
		}
		cancel()
		<-done
		if known, err := f.Known(context.Background(), "st-1"); err != nil || known {
			t.Errorf("known %v, %v", known, err)
		}
		if err := f.Delete(as("alice"), "st-1"); errs.CodeOf(err) != errs.NotFound {
			t.Error(err)
		}
	})
}

// sweep sweeps, and wants so many objects of st-1 to be left.
func (f *fixture) sweep(want int) {
	f.t.Helper()
	if err := f.Sweep(context.Background()); err != nil {
		f.t.Fatal(err)
	}
	if n := f.objectsUnder("recordings/alice/st-1/") + f.objectsUnder("videos/st-1/"); n != want {
		f.t.Errorf("%d objects are left, want %d", n, want)
	}
}
