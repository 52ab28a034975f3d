package crash

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/test/harness"
)

// keepDays is how long the channel of the last broadcaster keeps recordings.
const keepDays = 1

// keeper is the broadcaster whose channel does not keep everything.
func (w *world) keeper() (harness.User, *harness.Client) {
	return w.users[broadcasters-1], w.owners[broadcasters-1]
}

// keepDay says again what the channel keeps: what is over its age goes now.
func (w *world) keepDay(ctx context.Context) error {
	u, owner := w.keeper()
	status, answer, err := owner.Try(ctx, http.MethodPut, "/api/channel/"+u.ID+"/retention", map[string]int{"keepDays": keepDays, "keepBytes": 0})
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%d %s", status, answer)
	}
	return err
}

// expireOne makes one of the keeper's videos older than it may be, behind the
// node's back. The node sees to it at its start and when it is told again.
func (w *world) expireOne() {
	w.t.Helper()
	u, _ := w.keeper()
	db, err := store.Open(w.t.Context(), w.db)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var ids []string
	each(w, db, `SELECT id FROM videos WHERE channel = '`+u.Channel.ID+`' AND status = 'valid' AND deleted_at = 0 AND id NOT LIKE 'sim-%' ORDER BY id`,
		func(scan func(...any) error) error {
			var id string
			err := scan(&id)
			ids = append(ids, id)
			return err
		})
	if len(ids) == 0 {
		return
	}
	id := ids[w.number(len(ids))]
	w.note(w.due, id)
	old := time.Now().Add(-(keepDays*24*time.Hour + time.Hour)).UnixMilli()
	err = db.Tx(w.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE videos SET created_at = $1 WHERE id = $2`, old, id)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// overdue is what channels do not keep and have. A node looks for it at its start.
func overdue() string {
	return fmt.Sprintf(`SELECT count(*) FROM videos v JOIN video_retention r ON r.channel = v.channel
		WHERE v.deleted_at = 0 AND v.status <> 'processing' AND r.keep_days > 0 AND v.created_at < %d - r.keep_days * 86400000`,
		time.Now().UnixMilli())
}

// retention: what is over its age is deleted, and by nothing else than that.
func (a *auditor) retention() {
	w := a.w
	for id := range w.due {
		v, there := a.rows.videos[id]
		if !there || v.DeletedAt == 0 {
			a.say("video %s is older than its channel keeps recordings, and is there", id)
			continue
		}
		a.figures.Expired++
	}
	for _, e := range a.events {
		if e.DetailType == "VideoDeleted" && w.due[e.About()] && !w.deletes[e.About()] && !strings.Contains(string(e.Detail), "the channel keeps recordings for 1 day") {
			a.say("video %s was deleted by retention, and it is not told: %s", e.About(), e.Detail)
		}
	}
}
