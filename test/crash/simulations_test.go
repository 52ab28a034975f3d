package crash

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/test/harness"
)

// simulateOne replays some of the newest recordings through post-processing, and
// now and then ends what was begun before.
func (w *world) simulateOne(ctx context.Context) {
	if w.chance(30) {
		w.endSimulation(ctx)
	}
	status, answer, err := w.admin.Try(ctx, http.MethodPost, "/api/simulations", map[string]any{
		"last": 1 + w.number(3), "atOnce": 1 + w.number(2), "keep": w.chance(25),
	})
	var made struct{ ID string }
	if err == nil && status == http.StatusCreated && json.Unmarshal(answer, &made) == nil { // else another one runs
		w.note(w.simulated, made.ID)
	}
}

// endSimulation ends one of the newest, or forgets that it ever was.
func (w *world) endSimulation(ctx context.Context) {
	runs := w.simulations(ctx)
	if len(runs) == 0 {
		return
	}
	id := runs[w.number(len(runs))].ID
	w.note(w.stops, id)
	if w.chance(50) {
		_, _, _ = w.admin.Try(ctx, http.MethodPost, "/api/simulations/"+id+"/stop", nil)
		return
	}
	w.note(w.forgets, id)
	_, _, _ = w.admin.Try(ctx, http.MethodDelete, "/api/simulations/"+id, nil)
}

// simulationRun is one as admins see it.
type simulationRun struct{ ID, State string }

// simulations are the last ones; none when the node does not say.
func (w *world) simulations(ctx context.Context) []simulationRun {
	status, answer, err := w.admin.Try(ctx, http.MethodGet, "/api/simulations?limit=100", nil)
	var list harness.List[simulationRun]
	if err != nil || status != http.StatusOK || json.Unmarshal(answer, &list) != nil {
		return nil
	}
	return list.Data
}

// endKept ends the simulations whose videos were to be kept: nothing else does.
func (w *world) endKept() {
	w.t.Helper()
	for _, run := range w.simulations(w.t.Context()) {
		if run.State == "kept" {
			_, _, _ = w.admin.Try(w.t.Context(), http.MethodPost, "/api/simulations/"+run.ID+"/stop", nil) // asked again until it is
		}
	}
}

// ---- what there is ----

type simulation struct {
	ID, State, Ending string
	videos            []simulatedVideo
}

type simulatedVideo struct {
	ID, Run, Original, Status, Reason string
	SentAt                            int64
}

func readSimulations(w *world, db *store.DB) map[string]*simulation {
	all := map[string]*simulation{}
	each(w, db, `SELECT id, state, ending FROM simulations`, func(scan func(...any) error) error {
		var s simulation
		err := scan(&s.ID, &s.State, &s.Ending)
		all[s.ID] = &s
		return err
	})
	each(w, db, `SELECT id, run, original, status, reason, sent_at FROM simulation_videos`, func(scan func(...any) error) error {
		var v simulatedVideo
		err := scan(&v.ID, &v.Run, &v.Original, &v.Status, &v.Reason, &v.SentAt)
		if all[v.Run] == nil {
			all[v.Run] = &simulation{ID: v.Run, State: "unknown"}
		}
		all[v.Run].videos = append(all[v.Run].videos, v)
		return err
	})
	return all
}

// ---- what must fit together ----

// simulations: each has come to its end or was ended by an admin, and is removed;
// nobody outside has heard of one.
func (a *auditor) simulations() {
	w := a.w
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.simulated {
		if a.rows.simulations[id] == nil && !w.forgets[id] {
			a.say("simulation %s was begun, as its admin was told, and is not known", id)
		}
	}
	clear(w.simulated) // the node knows the last 50 ones only
	for _, s := range a.rows.simulations {
		a.figures.Simulations++
		if s.State != "removed" || s.Ending != "finished" && (s.Ending != "stopped" || !w.stops[s.ID]) {
			a.say("simulation %s is %s and %q", s.ID, s.State, s.Ending)
		}
		for _, v := range s.videos {
			original, there := a.rows.videos[v.Original]
			switch {
			case s.Ending != "finished":
			case v.Status == event.StatusValid:
				a.figures.Simulated++
			case !there || original.DeletedAt > 0: // meanwhile: it has no recording
			default:
				a.say("the simulated video %s of %s is %q: %s", v.ID, v.Original, v.Status, v.Reason)
			}
		}
	}
	for key, h := range w.heard {
		if h.Simulated() {
			a.say("the webhook heard of a simulation: %s %s for %s", h.DetailType, key.event, key.rule)
		}
	}
	for _, known := range []map[string]int{w.asked, w.titled} {
		for id := range known {
			a.outside(id)
		}
	}
	for id := range w.videos {
		a.outside(id)
	}
}

// outside says that somebody knows a video who must not.
func (a *auditor) outside(video string) {
	if event.Simulated(video) {
		a.say("the simulated video %s was shown to its owner or given to a plugin", video)
	}
}

// simulatedObjects are those that a simulation has made, and left.
func (a *auditor) simulatedObjects() {
	for key := range a.objects {
		if strings.Contains(key, event.SimulatedPrefix) {
			a.say("a simulation has left %s", key)
		}
	}
}
