package simulator_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/simulator"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

// waitSent waits until so many recordings have ended.
func (r *rig) waitSent(n int) []string {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("%d are replayed", n), func() error {
		if got := r.sent(); len(got) != n {
			return fmt.Errorf("%v", got)
		}
		return nil
	})
	return r.sent()
}

// A run replays the newest recordings, as many at a time as it may, measures and
// is removed.
func TestRun(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, quick(), 5).run()
		id := r.start(simulator.Options{Last: 3, AtOnce: 2, StartedBy: "fox"})
		sent := r.waitSent(2)
		if want := []string{id + "-1", id + "-2"}; !slices.Equal(sent, want) {
			t.Fatalf("replayed %v, want %v", sent, want)
		}
		first := r.said[0]
		want := event.New(event.SimulatedRecording{RecordingStateChange: event.RecordingStateChange{
			RecordingStatus: event.RecordingEnd, ChannelName: "chan", StreamID: id + "-1",
			RecordingS3KeyPrefix: "recordings/chan/st-1", RecordingDurationMS: 60_000,
		}})
		if first.Source != "simulator" || first.DetailType != "Recording State Change" || string(first.Detail) != string(want.Detail) {
			t.Errorf("said %+v", first)
		}
		videos, err := r.Videos(t.Context(), id, 0, 10)
		if err != nil || len(videos) != 3 || videos[0].State != "processing" || videos[0].Step != "storyboard" || videos[0].Percent != 54 ||
			videos[0].Original != "st-1" || videos[0].Title != "No. 1" || videos[2].State != "waiting" {
			t.Errorf("%+v, %v", videos, err)
		}

		// News of one lets the next begin, whatever comes in which order and how often.
		at := time.Now()
		events := append(life(id+"-1", event.StatusValid, at), life(id+"-2", event.StatusInvalid, at.Add(time.Second))...)
		events = append(events, events...)
		events = append(events, life("st-9", event.StatusValid, at)...) // a real one
		events = append(events, life("sim-none-1", event.StatusValid, at)...)
		rand.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		r.hear(events...)
		r.waitSent(3)
		v, err := r.Get(t.Context(), id)
		if err != nil || v.State != "running" || v.Ending != "" || v.Total != 3 || v.Asked != 3 || v.AtOnce != 2 || v.StartedBy != "fox" ||
			v.Counts != (simulator.SimulationCounts{Working: 1, Valid: 1, Invalid: 1}) || v.Percent != (100+100+54)/3 ||
			!slices.Equal(v.Skipped, []string{"chat_plugin", "mail_plugin"}) {
			t.Errorf("%+v, %v", v, err)
		}
		if m := v.Measures; m.Lifecycle != (simulator.SimulationSpread{Count: 2, P50: 100, P95: 100, Max: 100}) || m.Processing.Count != 2 ||
			m.Whole.Count != 2 || m.Whole.P50 >= m.Whole.P95 || m.PerMinute <= 0 || m.Speed <= 0 {
			t.Errorf("%+v", m)
		}
		r.hear(life(id+"-3", event.StatusFailed, at)...)
		v = r.await(id, "removed")
		if v.Ending != "finished" || v.Counts != (simulator.SimulationCounts{Valid: 1, Invalid: 1, Failed: 1}) || v.Percent != 100 || r.left() != 0 {
			t.Errorf("%+v; %d traces are left", v, r.left())
		}
		if videos, err := r.Videos(t.Context(), id, 2, 10); err != nil || len(videos) != 1 || videos[0].Reason != "because" || videos[0].Whole < 1 {
			t.Errorf("%+v, %v", videos, err)
		}
		// Late news does not change the results.
		before := v
		r.hear(events...)
		if v, err := r.Get(t.Context(), id); err != nil || !reflect.DeepEqual(v, before) {
			t.Errorf("%+v, %v", v, err)
		}
	})
}

// What comes back while a run is removed goes again, and what fails is done again.
func TestRemovedUntilNothingIsLeft(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, quick(), 2)
		r.failures = 3
		r.run()
		id := r.start(simulator.Options{Last: 2, AtOnce: 2})
		r.waitSent(2)
		r.mu.Lock()
		r.late[id+"-2"] = true
		r.mu.Unlock()
		r.hear(append(life(id+"-1", "valid", time.Now()), life(id+"-2", "valid", time.Now())...)...)
		r.await(id, "removed")
		if r.forgotten[id+"-1"] != 1 || r.forgotten[id+"-2"] != 2 || r.left() != 0 {
			t.Errorf("forgotten %v, %d left", r.forgotten, r.left())
		}
	})
}

// A run ends before its end in several ways; it is removed in all of them, and
// another one can begin at once.
func TestEndings(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		short := quick()
		short.Limit = 100 * time.Millisecond
		leased := quick()
		leased.Lease = 300 * time.Millisecond
		for _, tt := range []struct {
			want string
			cfg  simulator.Config
			keep bool
			act  func(t *testing.T, r *rig, id string)
		}{
			{"stopped", quick(), false, func(t *testing.T, r *rig, id string) {
				if err := r.Stop(t.Context(), id, false); err != nil {
					t.Error(err)
				}
			}},
			{"stopped", quick(), true, func(t *testing.T, r *rig, id string) {
				if err := r.Stop(t.Context(), id, false); err != nil {
					t.Error(err)
				}
			}},
			{"overdue", short, false, func(*testing.T, *rig, string) {}},
			{"abandoned", leased, false, func(t *testing.T, r *rig, id string) {
				// Whoever follows it keeps it.
				for began := time.Now(); time.Since(began) < 3*leased.Lease; time.Sleep(leased.Lease / 10) {
					if err := r.Follow(t.Context(), id); err != nil {
						t.Fatal(err)
					}
				}
				if v, err := r.Get(t.Context(), id); err != nil || v.State != "running" {
					t.Errorf("%+v, %v", v, err)
				}
			}},
		} {
			t.Run(tt.want, func(t *testing.T) {
				r := newRig(t, db, tt.cfg, 3).run()
				id := r.start(simulator.Options{Last: 3, AtOnce: 1, Keep: tt.keep, Followed: true})
				if tt.want != "overdue" {
					r.waitSent(1)
				}
				tt.act(t, r, id)
				v := r.await(id, "removed")
				if v.Ending != tt.want || v.Counts.Dropped != 3 || v.EndedAt == "" || r.left() != 0 {
					t.Errorf("%+v; %d left", v, r.left())
				}
				r.stop()
			})
		}
	})
}

// A run goes on, or goes, after a restart.
func TestRestart(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		first := newRig(t, db, quick(), 2).run()
		id := first.start(simulator.Options{Last: 2, AtOnce: 1})
		first.waitSent(1)
		first.stop()

		second := newRig(t, db, quick(), 2).run()
		second.mu.Lock()
		second.traces[id+"-1"] = true
		second.mu.Unlock()
		second.hear(life(id+"-1", "valid", time.Now())...)
		if sent := second.waitSent(1); sent[0] != id+"-2" {
			t.Errorf("replayed %v", sent)
		}
		second.stop()
		if err := second.Stop(t.Context(), id, false); err != nil { // nobody removes now
			t.Fatal(err)
		}

		third := newRig(t, db, quick(), 2)
		third.traces[id+"-1"], third.traces[id+"-2"] = true, true
		third.run()
		if v := third.await(id, "removed"); v.Counts.Valid != 1 || v.Counts.Dropped != 1 || third.left() != 0 {
			t.Errorf("%+v, %d left", v, third.left())
		}
	})
}

// What was to be kept stays until somebody ends it.
func TestKept(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		cfg := quick()
		cfg.Sweep = 10 * time.Millisecond
		r := newRig(t, db, cfg, 1).run()
		id := r.start(simulator.Options{Last: 1, AtOnce: 1, Keep: true})
		r.waitSent(1)
		r.hear(life(id+"-1", "valid", time.Now())...)
		r.await(id, "kept")
		// Another one can begin, and is removed without it.
		other := r.start(simulator.Options{Last: 1, AtOnce: 1})
		r.waitSent(2)
		r.hear(life(other+"-1", "valid", time.Now())...)
		r.await(other, "removed")
		if r.left() != 1 {
			t.Errorf("%d are left, want the one that is kept", r.left())
		}
		if err := r.Stop(t.Context(), id, true); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is forgotten", func() error {
			if v, err := r.Get(t.Context(), id); errs.CodeOf(err) != errs.NotFound {
				return errors.Join(err, errors.New(v.State))
			}
			return nil
		})
		if r.left() != 0 {
			t.Errorf("%d are left", r.left())
		}
		// So are the results of one that was removed long ago.
		if err := r.Stop(t.Context(), other, true); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Get(t.Context(), other); errs.CodeOf(err) != errs.NotFound {
			t.Errorf("%v", err)
		}
		if err := r.Stop(t.Context(), other, true); errs.CodeOf(err) != errs.NotFound {
			t.Errorf("%v", err)
		}
	})
}

// What belongs to no run, or comes back after its removal, is found.
func TestSweep(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		cfg := quick()
		cfg.Sweep = 20 * time.Millisecond
		r := newRig(t, db, cfg, 1)
		r.traces["sim-none-1"] = true
		r.run()
		id := r.start(simulator.Options{Last: 1, AtOnce: 1})
		r.waitSent(1)
		eventually(t, "what belongs to nobody is removed", func() error {
			if n := r.left(); n != 1 {
				return fmt.Errorf("%d", n)
			}
			return nil
		})
		r.hear(life(id+"-1", "valid", time.Now())...)
		r.await(id, "removed")
		r.mu.Lock()
		r.traces[id+"-1"] = true
		r.mu.Unlock()
		eventually(t, "what came back is removed", func() error {
			if n := r.left(); n != 0 {
				return fmt.Errorf("%d", n)
			}
			return nil
		})
	})
}

// Only the results of the newest 50 runs stay.
func TestResultsAreForgotten(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		cfg := quick()
		cfg.Settle, cfg.Sweep = time.Nanosecond, 10*time.Millisecond
		r := newRig(t, db, cfg, 1).run()
		var ids []string // those of one millisecond are in no order
		for range 53 {
			id := r.start(simulator.Options{Last: 1, AtOnce: 1})
			ids = append(ids, id)
			if err := r.Stop(t.Context(), id, false); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "three of the first are forgotten", func() error {
			gone := 0
			for i, id := range ids {
				if _, err := r.Get(t.Context(), id); errs.CodeOf(err) == errs.NotFound {
					gone++
					if i > 10 {
						t.Fatalf("no. %d is forgotten", i)
					}
				}
			}
			if gone != 3 {
				return fmt.Errorf("%d", gone)
			}
			return nil
		})
	})
}

func TestStartRefuses(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		none := newRig(t, db, quick(), 0)
		if _, err := none.Start(t.Context(), simulator.Options{Last: 1}); errs.CodeOf(err) != errs.Conflict || !strings.Contains(err.Error(), "no recording") {
			t.Errorf("without recordings: %v", err)
		}
		r := newRig(t, db, quick(), 2)
		for _, o := range []simulator.Options{{}, {Last: -1}, {Last: 1001}, {Last: 1, AtOnce: -1}, {Last: 1, AtOnce: 1001}} {
			if _, err := r.Start(t.Context(), o); errs.CodeOf(err) != errs.Invalid {
				t.Errorf("%+v: %v", o, err)
			}
		}
		id := r.start(simulator.Options{Last: 1000})
		if v, err := r.Get(t.Context(), id); err != nil || v.Total != 2 || v.Asked != 1000 || v.AtOnce != simulator.DefaultAtOnce {
			t.Errorf("%+v, %v", v, err)
		}
		if _, err := r.Start(t.Context(), simulator.Options{Last: 1}); errs.CodeOf(err) != errs.Conflict || !strings.Contains(err.Error(), id) {
			t.Errorf("a second one: %v", err)
		}
		for _, err := range []error{r.Stop(context.Background(), "sim-none", false)} {
			if errs.CodeOf(err) != errs.NotFound {
				t.Error(err)
			}
		}
	})
}

func TestNotUnderstood(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, quick(), 1)
		id := r.start(simulator.Options{Last: 1})
		e := event.New(event.MP4ProcessingComplete{ID: id + "-1"})
		e.Detail = []byte(fmt.Sprintf(`{"id":%q,"compute":5}`, id+"-1"))
		r.hear(e) // it would come again and again
		deleted := event.New(event.VideoDeleted{ChannelName: "chan", ID: id + "-1"})
		r.hear(deleted)
		if videos, err := r.Videos(t.Context(), id, 0, 10); err != nil || videos[0].State != "dropped" || videos[0].Reason != "It was deleted." {
			t.Errorf("%+v, %v", videos, err)
		}
	})
}
