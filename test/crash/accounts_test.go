package crash

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/serverlessvideo/serverlessvideo/test/harness"
)

// mostGuests is how many there are at a time.
const mostGuests = 2

// guest is a broadcaster who comes and goes: an admin suspends the account, lets it in
// again, and deletes it.
type guest struct {
	harness.User
	standing standing
}

// standing is what an admin was told that a guest's account is.
type standing string

const (
	good      standing = "good"
	suspended standing = "suspended"
	unsure    standing = "unsure" // something was asked for, and not acknowledged
)

// invite makes the account of a guest while the node does not run.
func (w *world) invite() {
	w.t.Helper()
	if len(w.guests) >= mostGuests {
		return
	}
	w.node.Env = slices.Clone(w.env) // without failpoints
	w.invited++
	w.guests = append(w.guests, &guest{w.node.AddUser(fmt.Sprintf("guest%d@example.com", w.invited), "broadcaster"), good})
}

// receiveGuest has a guest broadcast, and an admin suspend or delete the account
// before, meanwhile or afterwards; surely delete it, when it is to go.
func (w *world) receiveGuest(ctx context.Context, goes bool) {
	if len(w.guests) == 0 {
		return
	}
	g := w.guests[w.number(len(w.guests))]
	live := make(chan struct{})
	go func() {
		defer close(live)
		w.publishRTMP(ctx, g.User)
	}()
	defer func() { <-live }()
	select {
	case <-time.After(time.Duration(w.number(1800)) * time.Millisecond):
	case <-ctx.Done():
		return
	}
	if !goes && w.chance(40) {
		w.suspend(ctx, g)
		return
	}
	w.note(w.expels, g.ID)
	if w.manage(ctx, g, http.MethodDelete, "", nil) == http.StatusNoContent {
		w.note(w.expelled, g.ID)
	}
	// Whether it was acknowledged or not: there is another one next time.
	w.guests = slices.DeleteFunc(w.guests, func(other *guest) bool { return other == g })
}

// suspend suspends a guest, or lets in again who is suspended.
func (w *world) suspend(ctx context.Context, g *guest) {
	what, becomes, body := "/suspend", suspended, any(map[string]string{"reason": "we try this"})
	if g.standing != good {
		what, becomes, body = "/restore", good, nil
	}
	g.standing = unsure
	if w.manage(ctx, g, http.MethodPost, what, body) == http.StatusOK {
		g.standing = becomes
	}
}

// manage returns 0 when the node does not answer.
func (w *world) manage(ctx context.Context, g *guest, method, what string, body any) int {
	status, _, err := w.admin.Try(ctx, method, "/api/admin/users/"+g.ID+what, body)
	if err != nil {
		return 0
	}
	return status
}

// accounts: of one that is deleted there is nothing but what says so, and the others
// are as an admin was told.
func (a *auditor) accounts() {
	w := a.w
	for _, g := range w.guests {
		since, there := a.rows.users[g.ID]
		switch {
		case !there:
			a.say("the account %s is gone, and nobody wanted it", g.ID)
		case g.standing == suspended && a.told(g.ID, "UserSuspended") == 0:
			a.say("the account %s is suspended, and nobody was told", g.ID)
		case g.standing == suspended && since == 0 || g.standing == good && since > 0:
			a.say("the account %s is %s, as an admin was told, and was suspended at %d", g.ID, g.standing, since)
		}
	}
	for id := range w.expels {
		_, there := a.rows.users[id]
		switch {
		case there && w.expelled[id]:
			a.say("the account %s was deleted, as an admin was told, and is there", id)
		case !there && a.told(id, "UserDeleted") != 1:
			a.say("that the account %s is deleted was said %d times", id, a.told(id, "UserDeleted"))
		case !there:
			a.expelled(id)
		}
	}
}

// told returns how often something was said of an account, under different ids.
func (a *auditor) told(id, what string) (times int) {
	for _, e := range a.events {
		if e.DetailType == what && accountOf(e) == id {
			times++
		}
	}
	return times
}

func (a *auditor) expelled(id string) {
	a.figures.Expelled++
	for _, s := range a.rows.streams {
		if s.Channel == id {
			a.say("the account %s is deleted, and has the stream %+v", id, s)
		}
	}
	for _, v := range a.rows.videos {
		if v.Channel == id && v.DeletedAt == 0 {
			a.say("the account %s is deleted, and has the video %s", id, v.ID)
		}
	}
	if a.figures.Expelled <= mostSearched {
		a.search(id, map[string]string{
			"archive_events":          "TRUE",
			"videos":                  "deleted_at > 0 AND swept = TRUE AND username = '' AND title = ''",
			"channels":                "closed_at > 0 AND username = ''",
			"video_closed_channels":   "TRUE",
			"history_videos":          "deleted_at > 0",
			"history_closed_channels": "TRUE",
			"simulation_videos":       "TRUE", // which recordings were replayed
			// The log, as long as that is kept, of deliveries about the account, and about
			// broadcasts without a recording. Those about videos are looked for with them.
			"rule_deliveries": "TRUE",
		})
	}
}
