package archive_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/archive"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

const (
	childPath = "ARCHIVE_TEST_PATH"
	childURL  = "ARCHIVE_TEST_URL"
	childKill = "ARCHIVE_TEST_KILL" // queue:N or look:N: at which call the process is killed
)

// child replays until it is killed, when the environment says so.
func child() {
	database := store.Config{Path: os.Getenv(childPath), URL: os.Getenv(childURL)}
	if database == (store.Config{}) {
		return
	}
	db, err := store.Open(context.Background(), database)
	if err != nil {
		panic(err)
	}
	place, n, _ := strings.Cut(os.Getenv(childKill), ":")
	calls, _ := strconv.Atoi(n)
	s, err := archive.New(archive.Config{
		DB: db, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)), Keep: 30 * 24 * time.Hour, Poll: time.Millisecond,
		Rules: &deadly{toRules: toRules{newRules(&testing.B{}, db)}, place: place, calls: calls},
	})
	if err != nil {
		panic(err)
	}
	fmt.Println("begins")
	s.Run(context.Background())
}

// deadly kills the process at one of its calls: queue is before the commit of a
// step, look behind it.
type deadly struct {
	toRules
	place string
	calls int
}

func (d *deadly) passes(place string) {
	if d.place != place {
		return
	}
	if d.calls--; d.calls == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func (d *deadly) Queue(ctx context.Context, tx *store.Tx, rule, replay string, events []event.Envelope) (int, error) {
	n, err := d.toRules.Queue(ctx, tx, rule, replay, events)
	d.passes("queue")
	return n, err
}

func (d *deadly) Look() { d.passes("look") }

// Nodes are killed within a step, behind one and whenever it happens; the replay
// goes on with the next one, and every event is queued once.
func TestKilledWhileReplaying(t *testing.T) {
	storetest.EachConfig(t, func(t *testing.T, database store.Config) {
		db := storetest.Open(t, database)
		r := newRig(t, db)
		const events = 950
		fill(t, db, events, hour())
		rule := r.rule(`{"source":["serverlessVideo.viewCounter"]}`, "")
		replay := r.replay(archive.ReplayInput{Rule: rule, From: hour().Add(-time.Hour)})
		for _, kill := range []string{"queue:1", "look:1", "queue:2", "look:2", "time", "time"} {
			victim := exec.CommandContext(t.Context(), os.Args[0])
			victim.Env = append(os.Environ(), childPath+"="+database.Path, childURL+"="+database.URL, childKill+"="+kill)
			victim.Stderr = os.Stderr
			out, err := victim.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := victim.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := out.Read(make([]byte, 16)); err != nil {
				t.Fatal(err)
			}
			if kill == "time" {
				time.Sleep(rand.N(5 * time.Millisecond))
				_ = victim.Process.Kill()
			}
			if err := victim.Wait(); err == nil {
				t.Fatal("it was not killed")
			}
			now := r.replayNow(replay.ID)
			if queued := r.queued(replay.ID); int64(queued) != now.Queued || now.LookedAt != now.Queued {
				t.Fatalf("after %s: %d are queued, of %+v", kill, queued, now)
			}
		}
		r.start(r.Run)
		end := r.ended(replay.ID)
		r.stop()
		if queued := r.queued(replay.ID); end.State != "done" || end.Matched != events || end.Queued != events || queued != events {
			t.Errorf("%d are queued, of %+v", queued, end)
		}
	})
}
