package store_test

import (
	"context"
	"database/sql"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

// open opens a PostgreSQL database for a node and does not close it: a process
// that was killed does not either.
func open(t *testing.T, dsn, node string) (*store.DB, error) {
	t.Helper()
	return store.Open(t.Context(), store.Config{URL: dsn, Node: node})
}

func change(t *testing.T, dsn, statement string) {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// ranOut is what a node leaves that was killed long ago.
const ranOut = `UPDATE app.leases SET expires_at = 1 WHERE name = 'node'`

func TestOneNodeHasTheDatabase(t *testing.T) {
	dsn := storetest.PostgresURL(t)
	first, err := open(t, dsn, "one")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Close() }()

	_, err = open(t, dsn, "two")
	if errs.CodeOf(err) != errs.Conflict || !strings.Contains(err.Error(), "node one works on this database and has it until 2") {
		t.Errorf("a second node is told: %v", err)
	}
	// The same node, killed and started again, has not to wait.
	again, err := open(t, dsn, "one")
	if err != nil {
		t.Fatalf("a node that was killed: %v", err)
	}
	change(t, dsn, ranOut)
	other, err := open(t, dsn, "two")
	if err != nil {
		t.Fatalf("after the claim ran out: %v", err)
	}
	// The one that was only slow gives back nothing that is not its own.
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if _, err := open(t, dsn, "three"); errs.CodeOf(err) != errs.Conflict {
		t.Errorf("a third node is told: %v", err)
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	third, err := open(t, dsn, "three")
	if err != nil {
		t.Fatalf("after the database was given back: %v", err)
	}
	if err := third.Close(); err != nil {
		t.Error(err)
	}
}

func TestUnusableDatabaseIsExplained(t *testing.T) {
	server := storetest.PostgresURL(t)
	with := func(change func(u *url.URL, q url.Values)) string {
		u, err := url.Parse(server)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		q.Set("password", "hidden")
		change(u, q)
		u.RawQuery = q.Encode()
		return u.String()
	}
	tests := []struct{ name, url, want string }{
		{"no such database", with(func(u *url.URL, _ url.Values) { u.Path = "/nowhere" }), `has no database nowhere: make it (CREATE DATABASE "nowhere")`},
		{"no such user", with(func(_ *url.URL, q url.Values) { q.Set("user", "nobody-here") }), "does not let user nobody-here in"},
		{"wrong password", "postgres://me:hidden@" + refuser(t, "28P01") + "/video?sslmode=disable", "refuses the password of user me"},
		{"starting", "postgres://me:hidden@" + refuser(t, "57P03") + "/video?sslmode=disable", "is starting or stopping"},
		{"nobody listens", "postgres://me:hidden@127.0.0.1:1/video", "PostgreSQL at 127.0.0.1:1 cannot be reached"},
		{"no mode of TLS", "postgres://me:hidden@127.0.0.1:1/video?sslmode=maybe", "sslmode"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := open(t, tt.url, "one")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v does not say %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "hidden") {
				t.Errorf("the error has the password: %v", err)
			}
		})
	}
}

// refuser speaks PostgreSQL's protocol as far as it refuses who comes.
func refuser(t *testing.T, code string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			backend := pgproto3.NewBackend(conn, conn)
			if _, err := backend.ReceiveStartupMessage(); err == nil {
				backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: code, Message: "not now"})
				_ = backend.Flush()
			}
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}

func TestNodeWithoutTheRightToMakeSchemas(t *testing.T) {
	dsn := storetest.PostgresURL(t)
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	role := "r" + strings.TrimPrefix(u.Path, "/t")
	change(t, dsn, `CREATE ROLE `+role+` LOGIN`)
	t.Cleanup(func() {
		db, err := sql.Open("pgx", dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		if _, err := db.ExecContext(context.Background(), `DROP OWNED BY `+role+`; DROP ROLE `+role); err != nil {
			t.Error(err)
		}
	})
	q := u.Query()
	q.Set("user", role)
	u.RawQuery = q.Encode()

	if _, err := open(t, u.String(), "one"); err == nil || !strings.Contains(err.Error(), "GRANT CREATE ON DATABASE") {
		t.Errorf("without the right: %v", err)
	}
	change(t, dsn, `CREATE SCHEMA app AUTHORIZATION `+role)
	db, err := open(t, u.String(), "one")
	if err != nil {
		t.Fatalf("with a schema made for it: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// TestDatabaseGoesAway: who writes while PostgreSQL lets nobody in is told so in
// words for people, and afterwards all is well without a restart.
func TestDatabaseGoesAway(t *testing.T) {
	dsn := storetest.PostgresURL(t)
	db := storetest.Open(t, store.Config{URL: dsn})
	write := func() error {
		return db.Once(t.Context(), "test", "event", func(context.Context, *store.Tx) error { return nil })
	}
	if err := write(); err != nil {
		t.Fatal(err)
	}
	cut := make(chan struct{})
	go func() {
		defer close(cut)
		storetest.CutOff(t, dsn, time.Second)
	}()
	waitFor(t, "a write is refused", func() bool {
		err := write()
		if err != nil && errs.CodeOf(err) != errs.Unavailable {
			t.Errorf("a write is refused with %v", err)
		}
		return err != nil
	})
	<-cut
	if err := write(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestConnectionGoesAway: a connection that is cut in a transaction says so, though
// there is nothing left to roll back.
func TestConnectionGoesAway(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.Config{URL: storetest.PostgresURL(t)})
	err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, "SELECT pg_terminate_backend(pg_backend_pid())")
		return err
	})
	if errs.CodeOf(err) != errs.Unavailable {
		t.Errorf("it says %v", err)
	}
}

// TestFullDatabase: a full database says so in words for people.
func TestFullDatabase(t *testing.T) {
	db := storetest.Open(t, store.Config{Path: t.TempDir() + "/app.db"})
	err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, "PRAGMA max_page_count = 1") // as many as it has
		for n := 0; err == nil && n < 10_000; n++ {
			err = tx.Emit(ctx, event.New(event.VideoDeleted{ChannelName: "c", ID: "st-1", Reason: strings.Repeat("x", 4000)}))
		}
		return err
	})
	if errs.CodeOf(err) != errs.Unavailable || errs.MessageOf(err) == "" {
		t.Errorf("it says %v", err)
	}
}

// TestLostDatabase: a node that was too slow to keep its claim learns that
// another one has the database now.
func TestLostDatabase(t *testing.T) {
	t.Parallel()
	dsn := storetest.PostgresURL(t)
	slow, err := open(t, dsn, "slow")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slow.Close() }()
	change(t, dsn, ranOut)
	other, err := open(t, dsn, "other")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	waitFor(t, "the slow one learns of it", func() bool {
		select {
		case <-slow.Lost():
			return true
		default:
			return false
		}
	})
	select {
	case <-other.Lost():
		t.Error("the other one, too")
	default:
	}
}
