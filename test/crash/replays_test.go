package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/event/pattern"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// The rules of the node's admin. Both go to the webhook; past events are replayed
// to the second.
const (
	ruleAll   = "all"
	ruleAgain = "again"
)

// patterns are what the rules match.
func patterns() map[string]string {
	return map[string]string{
		ruleAll:   `{"version":["0"]}`,
		ruleAgain: `{"detail-type":["Recording State Change","MP4ProcessingComplete","recording-ready","LifeCycleComplete","VideoStatusUpdated"]}`,
	}
}

// hearing tells apart what the webhook hears: an event as it happens (replay is
// ""), or in a replay, of one rule.
type hearing struct{ rule, replay, event string }

// dawdle makes a replay take so long that it is met in the middle of it.
const dawdle = "replay.queued=delay:120ms;"

// mostReplayed is how many past events a replay goes through, about: some steps.
const mostReplayed = 350

// replayOne has a part of what happened delivered once more, up to the time at
// which the node was at rest last, or to now. Now and then it cancels one.
func (w *world) replayOne(ctx context.Context) {
	w.mu.Lock()
	from, to := w.span()
	w.mu.Unlock()
	body := map[string]any{"rule": w.rules[ruleAgain], "from": from}
	if w.chance(60) {
		body["to"] = to
	}
	status, answer, err := w.admin.Try(ctx, http.MethodPost, "/api/archive/replays", body)
	var made struct{ ID string }
	if err != nil || status >= 300 || json.Unmarshal(answer, &made) != nil {
		return
	}
	w.note(w.replays, made.ID)
	if w.chance(10) {
		w.note(w.cancels, made.ID)
		_, _, _ = w.admin.Try(ctx, http.MethodPost, "/api/archive/replays/"+made.ID+"/cancel", nil)
	}
}

// span is a part of what was in the archive when the node was at rest.
func (w *world) span() (from, to time.Time) {
	if len(w.archived) == 0 {
		return time.Now().Add(-time.Minute), time.Now()
	}
	first := max(0, len(w.archived)-mostReplayed)
	if first > 0 {
		first = w.rng.IntN(first)
	}
	last := min(first+mostReplayed, len(w.archived)) - 1
	return time.UnixMilli(w.archived[first]), time.UnixMilli(w.archived[last] + 1)
}

// ---- what there is ----

// archived is an event as the archive has it.
type archived struct {
	ID, Body string
	At, Size int64
}

// replay is one as the archive knows it; times in ms.
type replay struct {
	ID, State, Reason                 string
	From, To, Created                 int64
	LookedAt, Matched, Queued, Events int64
}

func readArchive(w *world, db *store.DB) (events map[string]archived, replays []replay) {
	events = map[string]archived{}
	each(w, db, `SELECT id, at, size, body FROM archive_events`, func(scan func(...any) error) error {
		var e archived
		err := scan(&e.ID, &e.At, &e.Size, &e.Body)
		events[e.ID] = e
		return err
	})
	each(w, db, `SELECT id, state, reason, from_at, to_at, created_at, looked_at, matched, queued, events FROM archive_replays`,
		func(scan func(...any) error) error {
			var r replay
			err := scan(&r.ID, &r.State, &r.Reason, &r.From, &r.To, &r.Created, &r.LookedAt, &r.Matched, &r.Queued, &r.Events)
			replays = append(replays, r)
			return err
		})
	return events, replays
}

// ---- what must fit together ----

// archive: it has every event that was said, as it was but for task tokens, and
// knows how much that is.
func (a *auditor) archive() {
	a.figures.Archived = len(a.rows.archive)
	var size int64
	for id, kept := range a.rows.archive {
		size += kept.Size
		e, said := a.events[id]
		if !said {
			a.say("the archive has %s, which is not on the bus: %s", id, kept.Body)
			continue
		}
		want, err := json.Marshal(e.Masked())
		if err != nil || string(want) != kept.Body {
			a.say("the archive has event %s as\n%s\nand it was said as\n%s (%v)", id, kept.Body, want, err)
		}
	}
	for id, e := range a.events {
		if _, kept := a.rows.archive[id]; !kept {
			a.say("%s %s was said and is not in the archive", e.DetailType, id)
		}
	}
	if totals := (archiveTotals{int64(len(a.rows.archive)), size}); a.rows.totals != totals {
		a.say("the archive has %+v and says that it has %+v", totals, a.rows.totals)
	}
}

// archiveTotals are the events of the archive and the bytes that they take.
type archiveTotals struct{ Events, Size int64 }

// replayed: each replay has delivered each of its events once.
func (a *auditor) replayed() {
	w := a.w
	w.mu.Lock()
	defer w.mu.Unlock()
	byReplay := map[string][]string{} // what was heard
	for key, h := range w.heard {
		if key.replay != "" {
			byReplay[key.replay] = append(byReplay[key.replay], key.event)
			if len(h.messages) != 1 || key.rule != ruleAgain {
				a.say("%s of replay %s was heard by %s under the ids %v", key.event, key.replay, key.rule, h.messages)
			}
		}
	}
	known := map[string]bool{}
	for _, r := range a.rows.replays {
		known[r.ID] = true
		a.replay(r, byReplay[r.ID])
		delete(byReplay, r.ID)
	}
	for id := range w.replays {
		if !known[id] {
			a.say("replay %s was begun, as its admin was told, and is not known", id)
		}
	}
	for id := range byReplay {
		a.say("replay %s was heard and is not known", id)
	}
	a.figures.Replays = len(a.rows.replays)
}

// replay is one of them. Those of its events that were in the archive before it
// began are sure to be part of it.
func (a *auditor) replay(r replay, heard []string) {
	cancelled := a.w.cancels[r.ID]
	if r.State != "done" && (r.State != "cancelled" || !cancelled) || r.State == "done" && r.Reason != "" {
		a.say("replay %s is %s: %s", r.ID, r.State, r.Reason)
	}
	sure := a.w.restBefore(r.Created)
	var inRange, matching int64
	for id, e := range a.rows.archive {
		if e.At < r.From || e.At >= r.To {
			continue
		}
		inRange++
		if !matches(ruleAgain, e.Body) {
			continue
		}
		matching++
		said := a.events[id]
		withheld := said.Simulated() || a.rows.videos[said.About()].DeletedAt > 0
		if e.At < sure && r.State == "done" && !withheld && !slices.Contains(heard, id) {
			a.say("replay %s has not delivered %s %s", r.ID, said.DetailType, id)
		}
	}
	if r.State == "done" && r.To <= sure && (r.Events != inRange || r.LookedAt != inRange || r.Matched != matching) {
		a.say("replay %s has a range of %d events, %d of them match, and it says %+v", r.ID, inRange, matching, r)
	}
	if int64(len(heard)) > r.Queued {
		a.say("replay %s has queued %d events, and %d were heard", r.ID, r.Queued, len(heard))
	}
	for _, id := range heard {
		if e := a.rows.archive[id]; e.At < r.From || e.At >= r.To || !matches(ruleAgain, e.Body) {
			a.say("replay %s of %d to %d has delivered %s of %d", r.ID, r.From, r.To, id, e.At)
		}
		a.figures.Replayed++
	}
}

// restBefore returns the last time, in ms, at which the node was at rest before t.
func (w *world) restBefore(t int64) int64 {
	last := int64(0)
	for _, rest := range w.rests {
		if rest <= t {
			last = rest
		}
	}
	return last
}

// matches says whether a rule is about an event.
func matches(rule, body string) bool {
	p, err := pattern.Compile([]byte(patterns()[rule]))
	if err != nil {
		panic(fmt.Sprintf("the pattern of %s: %v", rule, err)) // the node has taken it
	}
	e, err := pattern.Parse([]byte(body))
	return err == nil && p.Match(e)
}

// goesTo says whether a rule with a webhook delivers an event.
func goesTo(rule string, e event.Envelope) bool {
	body, err := json.Marshal(e.Masked())
	return err == nil && !e.Simulated() && matches(rule, string(body))
}
