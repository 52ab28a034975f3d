package history_test

import (
	"slices"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

// A simulated video has a story, which leaves nothing when it is forgotten.
func TestForgetSimulated(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		count := func(table, column, video string) (n int) {
			t.Helper()
			if err := db.Read().QueryRow("SELECT count(*) FROM "+table+" WHERE "+column+" = $1", video).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		f.hear(whole("st-1").events...)
		f.hear(event.New(event.SimulatedRecording{RecordingStateChange: event.RecordingStateChange{
			RecordingStatus: event.RecordingEnd, ChannelName: "alice", StreamID: "sim-1-1", RecordingDurationMS: 12_000,
		}}))
		if got := f.story(f.owner, "sim-1-1"); len(got) == 0 {
			t.Error("the end of its recording is not told")
		}
		f.hear(whole("sim-1-1").events...)
		if ids, err := f.Simulated(t.Context()); err != nil || !slices.Equal(ids, []string{"sim-1-1"}) {
			t.Errorf("%v, %v", ids, err)
		}
		for _, want := range []bool{true, false} {
			if found, err := f.ForgetSimulated(t.Context(), "sim-1-1"); err != nil || found != want {
				t.Errorf("forgotten: %v, %v", found, err)
			}
		}
		for table, column := range map[string]string{"history_videos": "id", "history_facts": "video_id", "history_tasks": "video_id"} {
			if left := count(table, column, "sim-1-1"); left != 0 {
				t.Errorf("%s has %d rows of it", table, left)
			}
			if count(table, column, "st-1") == 0 {
				t.Errorf("%s has none of the other", table)
			}
		}
		f.wantStory(f.owner, "st-1", wholeForOwner)
		if _, err := f.ForgetSimulated(t.Context(), "st-1"); errs.CodeOf(err) != errs.Invalid {
			t.Errorf("a real one: %v", err)
		}
	})
}
