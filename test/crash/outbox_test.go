// Package crash kills real processes at random moments and looks at what is
// left: nothing may be lost, nothing may count twice.
package crash

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/bus"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
	"github.com/serverlessvideo/serverlessvideo/test/harness"
)

// The child works on the folder and the database that these name.
const (
	childDir  = "OUTBOX_CRASH_DIR"
	childPath = "OUTBOX_CRASH_PATH"
	childURL  = "OUTBOX_CRASH_URL"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		cfg := store.Config{Path: os.Getenv(childPath), URL: os.Getenv(childURL)}
		if err := outboxChild(dir, cfg, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	status := m.Run()
	harness.RemoveBuilds()
	os.Exit(status)
}

// said counts in the child's database: what was said (a row with its event in
// one transaction) and what was heard (a row with a receipt in another).
const tables = `
CREATE TABLE IF NOT EXISTS crash_said (n BIGINT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS crash_heard (event_id TEXT PRIMARY KEY, n BIGINT NOT NULL, times BIGINT NOT NULL)`

// node is what a child runs: a database with its relay, a bus, a consumer.
type node struct {
	db  *store.DB
	bus *bus.Bus
	end func()
}

func openNode(ctx context.Context, dir string, cfg store.Config) (*node, error) {
	db, err := store.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	err = db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		for statement := range strings.SplitSeq(tables, ";") {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	b, err := bus.Open(ctx, bus.Config{Dir: filepath.Join(dir, "bus"), AckWait: 2 * time.Second})
	if err != nil {
		return nil, err
	}
	n := &node{db: db, bus: b}
	err = b.Consume(ctx, event.Consumer{Name: "crash", Filters: []event.Filter{{Source: event.SourceChannel}}, Handle: n.heard})
	if err != nil {
		return nil, err
	}
	relayed, stop := context.WithCancel(ctx)
	relay := &store.Relay{DB: db, Holder: "node", Publish: b.Relay, PublishAll: b.RelayAll, Logger: slog.New(slog.DiscardHandler)}
	var wg sync.WaitGroup
	wg.Go(func() { relay.Run(relayed) })
	n.end = func() { stop(); wg.Wait(); _ = b.Close(context.Background()); _ = db.Close() }
	return n, nil
}

func (n *node) heard(ctx context.Context, e event.Envelope) error {
	var d event.ChannelUpdated
	if err := e.Decode(&d); err != nil {
		return err
	}
	number, err := strconv.ParseInt(d.ChannelName, 10, 64)
	if err != nil {
		return err
	}
	return n.db.Once(ctx, "crash", e.ID, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO crash_heard (event_id, n, times) VALUES ($1, $2, 1)
			ON CONFLICT (event_id) DO UPDATE SET times = crash_heard.times + 1`, e.ID, number)
		return err
	})
}

func (n *node) say(ctx context.Context, number int64) error {
	return n.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO crash_said (n) VALUES ($1)`, number); err != nil {
			return err
		}
		return tx.Emit(ctx, event.New(event.ChannelUpdated{ChannelName: strconv.FormatInt(number, 10)}))
	})
}

// outboxChild says one number after the other until it is killed, and prints
// each that is committed.
func outboxChild(dir string, cfg store.Config, out io.Writer) error {
	ctx := context.Background()
	n, err := openNode(ctx, dir, cfg)
	if err != nil {
		return err
	}
	var last int64
	if err := n.db.Read().QueryRowContext(ctx, `SELECT coalesce(max(n), 0) FROM crash_said`).Scan(&last); err != nil {
		return err
	}
	for number := last + 1; ; number++ {
		if err := n.say(ctx, number); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, number); err != nil {
			return err
		}
	}
}

// TestOutboxSurvivesKill kills a process that writes rows with events, over and
// over, and then counts: what a commit acknowledged was heard once.
func TestOutboxSurvivesKill(t *testing.T) {
	storetest.EachConfig(t, func(t *testing.T, cfg store.Config) {
		dir := t.TempDir()
		var acknowledged int64
		for range rounds(6) {
			acknowledged = max(acknowledged, killOnce(t, dir, cfg))
		}
		if acknowledged == 0 {
			t.Fatal("no round committed anything")
		}
		check(t, dir, cfg, acknowledged)
	})
}

// killOnce runs a child, kills it some time after its first commit, and returns
// the last number it had acknowledged.
func killOnce(t *testing.T, dir string, cfg store.Config) int64 {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childDir+"="+dir, childPath+"="+cfg.Path, childURL+"="+cfg.URL)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var last int64
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		n, err := strconv.ParseInt(lines.Text(), 10, 64)
		if err != nil {
			break // cut off by the kill
		}
		if last == 0 {
			time.AfterFunc(time.Duration(rand.IntN(400))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		}
		last = n
	}
	_ = cmd.Wait() // killed
	return last
}

func check(t *testing.T, dir string, cfg store.Config, acknowledged int64) {
	t.Helper()
	ctx := context.Background()
	n, err := openNode(ctx, dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer n.end()
	counts := func() (said, events, heard, twice int64) {
		query := `SELECT (SELECT count(*) FROM crash_said), (SELECT count(*) FROM crash_heard),
			(SELECT count(DISTINCT n) FROM crash_heard), (SELECT count(*) FROM crash_heard WHERE times > 1)`
		if err := n.db.Read().QueryRowContext(ctx, query).Scan(&said, &events, &heard, &twice); err != nil {
			t.Fatal(err)
		}
		return said, events, heard, twice
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		said, events, heard, twice := counts()
		if pending, err := n.db.Pending(ctx); err == nil && pending == 0 && heard == said {
			if said < acknowledged || events != said || twice != 0 {
				t.Errorf("acknowledged up to %d: %d rows, %d events heard, %d of them twice", acknowledged, said, events, twice)
			}
			t.Logf("%d rows, each with one event heard once", said)
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d rows were said, %d were heard", said, heard)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
