package scenario

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
	"github.com/serverlessvideo/serverlessvideo/test/harness"
)

// TestNodeOnPostgreSQL: a video lives as it does on SQLite, over a kill too, and
// another node is kept away from the database.
func TestNodeOnPostgreSQL(t *testing.T) {
	t.Parallel()
	database := storetest.PostgresURL(t)
	n := harness.New(t)
	n.UseDatabase(database)
	u := n.AddUser("postgres@example.com", "broadcaster") // on the folder at rest
	n.Start()

	p := publish(t, n, u, 12*time.Second)
	id := liveStream(t, n, u)
	stop(t, p)
	owner := n.SignIn(u)
	owner.WaitVideo(id, "processing", "valid")
	n.Kill()
	n.Start() // a killed node does not wait for its own claim
	v := owner.WaitVideo(id, "valid")
	if !near(ms(v.Duration), p.Sent()) {
		t.Errorf("the video is %s long, %s were sent", ms(v.Duration), p.Sent())
	}
	checkHistory(t, owner.History(id))
	if out, err := n.Command("", "channel", "list", "--data-dir", n.Dir); err != nil || !strings.Contains(out, u.Channel.ID) {
		t.Errorf("channel list on the running node: %v\n%s", err, out)
	}
	for _, file := range []string{"app.db", "flow.db"} {
		if _, err := os.Stat(filepath.Join(n.Dir, file)); err == nil {
			t.Errorf("there is a %s although the database is elsewhere", file)
		}
	}

	second := harness.New(t)
	second.UseDatabase(database)
	for _, args := range [][]string{{"serve", "--data-dir", second.Dir, "--http", "localhost:0"}, {"channel", "list", "--data-dir", second.Dir}} {
		if _, err := second.Command("", args...); err == nil || !strings.Contains(err.Error(), "works on this database and has it until") {
			t.Errorf("%s of a second node: %v", args[0], err)
		}
	}
	if code := n.Stop(); code != 0 {
		t.Errorf("exit code %d, want 0:\n%s", code, n.Log())
	}
	if out, err := second.Command("", "channel", "list", "--data-dir", second.Dir); err != nil || !strings.Contains(out, u.Channel.ID) {
		t.Errorf("after the first has given it back: %v\n%s", err, out)
	}
}
