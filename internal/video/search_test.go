package video_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

// describe has alice say something of her video.
func (f *fixture) describe(id, patch string) {
	f.t.Helper()
	f.call(as("alice"), "PATCH", "/api/video/"+id, patch).Want(http.StatusOK)
}

// tick waits for the next millisecond: what is made in the same one has no order.
func (f *fixture) tick() {
	for now := store.Now(); store.Now() == now; {
		runtime.Gosched()
	}
}

func (f *fixture) found(ctx context.Context, path, asked string) []string {
	f.t.Helper()
	ids, _ := f.list(ctx, path+"?limit=100&q="+url.QueryEscape(asked))
	return ids
}

func titled(title string, tags ...string) event.LifeCycleResult {
	text, err := json.Marshal(map[string]any{"title": title, "tags": tags})
	if err != nil {
		panic(err)
	}
	return event.LifeCycleResult{Outputs: event.PluginOutputs{"postMetadata": {output("a", string(text))}}}
}

func TestSearch(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.publish("st-1", titled("Night market in Hanoi", "street food", "Việt Nam"))
		f.tick()
		f.publish("st-2", titled("Street café, Straße 12e5", "0x1f", "keynote"))
		f.tick()
		f.publish("st-3", titled("東京タワー", "O'Neill"))
		f.describe("st-3", `{"description":"Filmed at night,\nfrom the park","event":"tour-26"}`)
		f.tick()
		f.publish("st-no", event.LifeCycleResult{Status: "invalid", Reason: "street"})
		for asked, want := range map[string][]string{
			"street":                 {"st-2", "st-1"},
			"STREET food":            {"st-1"},
			"food street":            {"st-1"},
			"stre mark":              {"st-1"}, // each word may be the beginning of one
			"reet":                   {},
			"street missing":         {},
			"cafe":                   {"st-2"},
			"CAFÉ":                   {"st-2"},
			"viet":                   {"st-1"},
			"strasse":                {"st-2"},
			"12e5 0x1":               {"st-2"},
			"タワー":                    {"st-3"},
			"京":                      {"st-3"},
			"oneill":                 {"st-3"},
			"night":                  {"st-3", "st-1"},
			"tour-26":                {"st-3"},
			"brave otter":            {"st-3", "st-2", "st-1"}, // the channel's friendly name
			"alice":                  {},                       // its id is no word of people
			"!?":                     {},
			" ":                      {},
			"night AND market":       {},
			"night* -market":         {"st-1"},
			"'night' & 'market':*":   {"st-1"},
			`words:"night" OR NEAR(`: {},
			"night') --":             {"st-3", "st-1"},
		} {
			if got := f.found(context.Background(), "/api/videos", asked); !slices.Equal(got, want) {
				t.Errorf("%q finds %v, want %v", asked, got, want)
			}
		}
		if got := f.found(as("alice"), "/api/channel/videos", "brave"); !slices.Equal(got, []string{"st-no", "st-3", "st-2", "st-1"}) {
			t.Errorf("of her own alice finds %v", got)
		}
		if got := f.found(as("bob"), "/api/channel/videos", "brave"); len(got) != 0 {
			t.Errorf("of his own bob finds %v", got)
		}
		for _, q := range []string{fmt.Sprintf("%0201d", 1), "a&limit=0"} {
			f.call(context.Background(), "GET", "/api/videos?q="+q, "").Want(http.StatusBadRequest).Problem()
		}
	})
}

// What is said of a video anew is what it is found by, and nothing from before.
func TestSearchFollowsChanges(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		nobody := context.Background()
		f.hear(recordingEnd("st-1"))
		f.hear(mp4Complete("st-1"))
		f.describe("st-1", `{"title":"alpha","tags":["beta"]}`)
		steps := []struct {
			do    func()
			finds []string
			not   []string
		}{
			{func() {}, nil, []string{"alpha", "brave"}}, // not valid yet
			{func() { f.hear(lifecycleComplete("st-1", titled("gamma", "delta"))) }, []string{"alpha", "beta"}, []string{"gamma", "delta"}},
			{func() { f.describe("st-1", `{"title":"","tags":[]}`) }, []string{"gamma", "delta"}, []string{"alpha", "beta"}},
			{func() { f.describe("st-1", `{"visibility":"unlisted"}`) }, nil, []string{"gamma", "brave"}},
			{func() { f.describe("st-1", `{"visibility":"private"}`) }, nil, []string{"gamma", "brave"}},
			{func() { f.describe("st-1", `{"visibility":"public"}`) }, []string{"gamma"}, nil},
			{func() {
				if err := f.Delete(as("alice"), "st-1"); err != nil {
					t.Error(err)
				}
			}, nil, []string{"gamma", "brave"}},
		}
		for i, step := range steps {
			step.do()
			for _, word := range step.finds {
				if len(f.found(nobody, "/api/videos", word)) != 1 {
					t.Errorf("step %d: %s finds nothing", i, word)
				}
			}
			for _, word := range step.not {
				if len(f.found(nobody, "/api/videos", word)) != 0 {
					t.Errorf("step %d: %s finds it", i, word)
				}
			}
		}
	})
}

// The pages of a search hold every video once, also while videos are added,
// and when many were made in the same millisecond.
func TestSearchPages(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		var want []string
		for i := range 23 {
			id := fmt.Sprintf("st-%02d", i)
			e := recordingEnd(id)
			if i > 5 && i < 15 {
				e.Time = store.Time(store.Now()).Truncate(1e9)
			}
			f.hear(e)
			f.hear(mp4Complete(id))
			f.hear(lifecycleComplete(id, titled("same word")))
			want = append(want, id)
		}
		got, next := f.list(context.Background(), "/api/videos?q=same&limit=5")
		for i := 0; next != ""; i++ {
			f.publish(fmt.Sprintf("st-new%d", i), titled("same word"))
			var more []string
			more, next = f.list(context.Background(), "/api/videos?q=same&limit=5&offset="+next)
			got = append(got, more...)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("the pages hold %v, want %v", got, want)
		}
	})
}

// Videos from before there was a search are found after the next start.
func TestSearchFindsWhatWasThereBefore(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		for i := range 3 {
			f.publish(fmt.Sprintf("st-%d", i), titled("old"))
		}
		err := db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.ExecContext(ctx, `DELETE FROM video_words`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := f.found(context.Background(), "/api/videos", "old"); len(got) != 0 {
			t.Fatalf("still found: %v", got)
		}
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { f.Run(ctx); close(done) }()
		waitFor(t, "all are found again", func() bool { return len(f.found(context.Background(), "/api/videos", "old")) == 3 })
		stop()
		<-done
	})
}
