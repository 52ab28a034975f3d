package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/serverlessvideo/serverlessvideo/internal/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open returns a file's writer and reader, with a table t of numbers.
func open(t *testing.T) (write, read *sql.DB) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a % strange?name.db")
	write, err := sqlite.OpenWriter(path)
	if err != nil {
		t.Fatal(err)
	}
	read, err = sqlite.OpenReader(path, 4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(read.Close(), write.Close()); err != nil {
			t.Error(err)
		}
	})
	if _, err := write.Exec(`CREATE TABLE t (n INTEGER PRIMARY KEY); CREATE TABLE u (n INTEGER)`); err != nil {
		t.Fatal(err)
	}
	return write, read
}

func count(t *testing.T, db interface {
	QueryRow(query string, args ...any) *sql.Row
}) (n int) {
	t.Helper()
	if err := db.QueryRow(`SELECT count(*) FROM t`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func begin(t *testing.T, db *sql.DB) *sql.Tx {
	t.Helper()
	tx, err := db.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

func insert(t *testing.T, tx *sql.Tx, n int) {
	t.Helper()
	if _, err := tx.Exec(`INSERT INTO t (n) VALUES ($1)`, n); err != nil {
		t.Fatal(err)
	}
}

// Those that commit are there, those that roll back or fail are not, however they
// come together; and each sees itself and what was committed before it began.
func TestManyAtOnce(t *testing.T) {
	write, read := open(t)
	const many = 400
	broken := errors.New("broken")
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			err := func() error {
				tx, err := write.BeginTx(context.Background(), nil)
				if err != nil {
					return err
				}
				defer func() { _ = tx.Rollback() }()
				if _, err := tx.Exec(`INSERT INTO t (n) VALUES ($1)`, i); err != nil {
					return err
				}
				if i%3 == 1 {
					return broken
				}
				if i%3 == 2 {
					// A statement that fails takes nothing but itself.
					if _, err := tx.Exec(`INSERT INTO t (n) VALUES ($1)`, i); !sqlite.IsUnique(err) {
						return fmt.Errorf("the second %d: %w", i, err)
					}
				}
				if err := tx.Commit(); err != nil {
					return err
				}
				var there bool
				if err := read.QueryRow(`SELECT EXISTS (SELECT 1 FROM t WHERE n = $1)`, i).Scan(&there); err != nil || !there {
					return errors.Join(fmt.Errorf("%d is committed and not to be seen", i), err)
				}
				return nil
			}()
			if err != nil && !errors.Is(err, broken) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range many {
		var there bool
		if err := read.QueryRow(`SELECT EXISTS (SELECT 1 FROM t WHERE n = $1)`, i).Scan(&there); err != nil {
			t.Fatal(err)
		}
		if want := i%3 != 1; there != want {
			t.Errorf("%d is there: %v", i, there)
		}
	}
}

// together lets transactions follow one another in one batch: while hold has the
// turn, the others queue in their order.
func together(t *testing.T, write *sql.DB, hold func(*sql.Tx), others ...func() error) []error {
	t.Helper()
	first := begin(t, write)
	results := make([]error, len(others))
	var wg sync.WaitGroup
	for i, other := range others {
		began := make(chan struct{})
		wg.Go(func() {
			close(began)
			results[i] = other()
		})
		<-began
		time.Sleep(20 * time.Millisecond) // until it has queued; when it has not, less is tested
	}
	hold(first)
	if err := first.Commit(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	return results
}

// What one in a batch rolls back stays away, and the others come to stay.
func TestRollBackAlone(t *testing.T) {
	write, read := open(t)
	do := func(n int, end func(*sql.Tx) error) func() error {
		return func() error {
			tx, err := write.BeginTx(context.Background(), nil)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(`INSERT INTO t (n) VALUES ($1)`, n); err != nil {
				return errors.Join(err, tx.Rollback())
			}
			return end(tx)
		}
	}
	results := together(t, write, func(tx *sql.Tx) { insert(t, tx, 1) },
		do(2, (*sql.Tx).Rollback), do(3, (*sql.Tx).Commit), do(4, (*sql.Tx).Rollback))
	if err := errors.Join(results...); err != nil {
		t.Fatal(err)
	}
	if n := count(t, read); n != 2 {
		t.Errorf("%d rows, want those of 1 and 3", n)
	}
}

// A wait that is given up leaves the batch to those who stay.
func TestGiveUpWaiting(t *testing.T) {
	write, read := open(t)
	ctx, cancel := context.WithCancel(context.Background())
	results := together(t, write, func(tx *sql.Tx) { insert(t, tx, 1); cancel() }, func() error {
		tx, err := write.BeginTx(ctx, nil)
		if err == nil {
			_ = tx.Rollback()
		}
		return nil
	})
	if err := errors.Join(results...); err != nil {
		t.Fatal(err)
	}
	if n := count(t, read); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

// Nothing is to be seen, by a query of the writer either, before it is committed.
func TestReadsWhatIsCommitted(t *testing.T) {
	write, read := open(t)
	tx := begin(t, write)
	insert(t, tx, 1)
	if n := count(t, tx); n != 1 {
		t.Errorf("the transaction sees %d of its rows", n)
	}
	if n, m := count(t, write), count(t, read); n != 0 || m != 0 {
		t.Errorf("others see %d and %d of its rows", n, m)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if n, m := count(t, write), count(t, read); n != 1 || m != 1 {
		t.Errorf("others see %d and %d rows after the commit", n, m)
	}
}

// A statement outside a transaction is one of its own, and may return rows.
func TestOutsideATransaction(t *testing.T) {
	write, read := open(t)
	var n int
	if err := write.QueryRow(`INSERT INTO t (n) VALUES ($1) RETURNING n + 1`, 41).Scan(&n); err != nil || n != 42 {
		t.Fatalf("%d, %v", n, err)
	}
	if err := write.QueryRow(`INSERT INTO t (n) VALUES ($1) RETURNING n`, 41).Scan(&n); !sqlite.IsUnique(err) {
		t.Fatalf("the same row again: %v", err)
	}
	result, err := write.Exec(`UPDATE t SET n = n + 1`)
	if err != nil {
		t.Fatal(err)
	}
	if changed, err := result.RowsAffected(); err != nil || changed != 1 {
		t.Errorf("%d rows changed, %v", changed, err)
	}
	if n := count(t, read); n != 1 {
		t.Errorf("%d rows", n)
	}
	if _, err := read.Exec(`DELETE FROM t`); err == nil {
		t.Error("a reader deletes")
	}
}

// numbers reads the column of a query, and calls each for every row while the
// rows are open.
func numbers(t *testing.T, tx *sql.Tx, query string, each func()) (columns []string) {
	t.Helper()
	rows, err := tx.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	if columns, err = rows.Columns(); err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		each()
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return columns
}

// The same query may run while rows of it are read, and a kept statement knows of
// a changed schema.
func TestKeptStatements(t *testing.T) {
	write, _ := open(t)
	tx := begin(t, write)
	for n := range 3 {
		insert(t, tx, n)
	}
	seen := 0
	const query = `SELECT * FROM t`
	numbers(t, tx, query, func() {
		numbers(t, tx, query, func() { seen++ })
	})
	if seen != 9 {
		t.Errorf("%d rows, want 9", seen)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	for want := 1; want <= 2; want++ {
		tx := begin(t, write)
		if columns := numbers(t, tx, query, func() {}); len(columns) != want {
			t.Errorf("columns %v, want %d", columns, want)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if want == 1 {
			if _, err := write.Exec(`ALTER TABLE t ADD COLUMN m INTEGER`); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// More statements than are kept.
func TestManyStatements(t *testing.T) {
	write, _ := open(t)
	for range 2 {
		for i := range 600 {
			var n int
			if err := write.QueryRow(fmt.Sprintf(`SELECT %d`, i)).Scan(&n); err != nil || n != i {
				t.Fatalf("%d: %d, %v", i, n, err)
			}
		}
	}
}

// When the file is full, those who could not be committed are told, and nothing
// of them is there; afterwards all works again.
func TestFull(t *testing.T) {
	write, read := open(t)
	var pages int
	if err := write.QueryRow(`SELECT page_count FROM pragma_page_count`).Scan(&pages); err != nil {
		t.Fatal(err)
	}
	limit := func(n int) {
		tx := begin(t, write)
		var got int
		if err := tx.QueryRow(fmt.Sprintf(`PRAGMA max_page_count = %d`, n)).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	limit(pages + 2)
	fill := func() error {
		tx, err := write.BeginTx(context.Background(), nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		if _, err := tx.Exec(`INSERT INTO t (n) VALUES (1000)`); err != nil {
			return err
		}
		if _, err := tx.Exec(`INSERT INTO u WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s LIMIT 100000) SELECT n FROM s`); err == nil {
			return errors.New("the file is not full")
		}
		// Whatever SQLite made of it: nothing more of this transaction counts.
		if _, err := tx.Exec(`INSERT INTO t (n) VALUES (1001)`); err == nil {
			return errors.New("a transaction that is undone goes on")
		}
		if err := tx.Commit(); err == nil {
			return errors.New("what is undone was committed")
		}
		return nil
	}
	after := func() error {
		_, err := write.Exec(`INSERT INTO t (n) VALUES (2)`)
		return err
	}
	first := begin(t, write)
	results := make([]error, 2)
	var wg sync.WaitGroup
	wg.Go(func() { results[0] = fill() })
	time.Sleep(20 * time.Millisecond)
	wg.Go(func() { results[1] = after() })
	time.Sleep(20 * time.Millisecond)
	insert(t, first, 1)
	firstErr := first.Commit()
	wg.Wait()
	if results[0] != nil {
		t.Fatal(results[0])
	}
	if results[1] != nil && !sqlite.Retryable(results[1]) {
		t.Errorf("the one after: %v", results[1])
	}
	if firstErr != nil && !sqlite.Retryable(firstErr) {
		t.Errorf("the one before cannot be tried again: %v", firstErr)
	}
	want := 0
	for _, err := range []error{firstErr, results[1]} {
		if err == nil {
			want++
		}
	}
	if n := count(t, read); n != want {
		t.Errorf("%d rows, want %d: before %v, after %v", n, want, firstErr, results[1])
	}
	limit(1 << 20)
	if _, err := write.Exec(`INSERT INTO t (n) VALUES (3)`); err != nil {
		t.Error(err)
	}
}

// TestCloseWhileWriting: a transaction that ends while the database is closed is
// committed or refused, and nothing else happens.
func TestCloseWhileWriting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	for n := range 30 {
		write, err := sqlite.OpenWriter(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := write.Exec(`CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY)`); err != nil {
			t.Fatal(err)
		}
		tx := begin(t, write)
		if _, err := tx.Exec(`INSERT INTO t (n) VALUES ($1)`, n); err != nil {
			t.Fatal(err)
		}
		closed := make(chan error)
		go func() { closed <- write.Close() }()
		if n%2 == 0 { // Close waits for the turn already, or comes at the same time
			time.Sleep(time.Millisecond)
		}
		committed := tx.Commit()
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if committed != nil {
			continue // it was refused
		}
		read, err := sqlite.OpenReader(path, 1)
		if err != nil {
			t.Fatal(err)
		}
		var there int
		if err := read.QueryRow(`SELECT count(*) FROM t WHERE n = $1`, n).Scan(&there); err != nil || there != 1 {
			t.Errorf("round %d: %d rows of a transaction that was committed, %v", n, there, err)
		}
		if err := read.Close(); err != nil {
			t.Error(err)
		}
	}
}
