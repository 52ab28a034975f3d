package storetest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// postgres is a server that listens on a socket in its folder alone. The first
// test process that needs it starts it and the others share it; it stays until
// `make test` ends or StopPostgres is called.
type postgres struct {
	dir    string
	synced bool // as a real one is: what it has committed is on the disk
}

const startTimeout = 60 * time.Second

func (p postgres) data() string { return filepath.Join(p.dir, "data") }

func (p postgres) url(database string) string {
	q := url.Values{"host": {p.dir}, "user": {"postgres"}}
	return "postgres:///" + database + "?" + q.Encode()
}

func folder() postgres {
	return postgres{dir: filepath.Join(os.TempDir(), "serverlessvideo-postgres-"+strconv.Itoa(os.Getuid()))}
}

func startPostgres() (postgres, error) {
	p := folder()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	bin, err := binaries()
	if err != nil {
		return p, err
	}
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return p, err
	}
	lock := flock.New(p.dir + ".lock")
	if _, err := lock.TryLockContext(ctx, 50*time.Millisecond); err != nil {
		return p, fmt.Errorf("waiting for another test that starts it: %w", err)
	}
	defer func() { _ = lock.Unlock() }()
	if p.run(ctx, bin, "pg_ctl", "status", "-D", p.data()) == nil {
		return p, nil
	}
	return p, p.start(ctx, bin)
}

// startSynced starts a server of a benchmark's own in a folder that is there.
func startSynced(dir string) (postgres, error) {
	p := postgres{dir: dir, synced: true}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	bin, err := binaries()
	if err != nil {
		return p, err
	}
	return p, p.start(ctx, bin)
}

func (p postgres) start(ctx context.Context, bin string) error {
	owner, err := serverUser()
	if err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(p.data()), os.Chown(p.dir, int(owner.Uid), int(owner.Gid))); err != nil {
		return err
	}
	err = p.run(ctx, bin, "initdb", "-D", p.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
	if err != nil {
		return err
	}
	options := "-c listen_addresses= -c max_connections=300 -k " + p.dir
	if !p.synced {
		// Tests kill the program, never the database, so it need not sync.
		options += " -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c wal_level=minimal -c max_wal_senders=0"
	}
	return p.run(ctx, bin, "pg_ctl", "start", "-w", "-D", p.data(), "-l", filepath.Join(p.dir, "log"), "-o", options)
}

// StopPostgres stops the shared server, if it runs.
func StopPostgres() error { return folder().stop() }

func (p postgres) stop() error {
	if _, err := os.Stat(filepath.Join(p.data(), "postmaster.pid")); err != nil {
		return nil
	}
	bin, err := binaries()
	if err != nil {
		return err
	}
	return p.run(context.Background(), bin, "pg_ctl", "stop", "-m", "immediate", "-D", p.data())
}

func (p postgres) run(ctx context.Context, bin, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(bin, name), args...)
	cmd.Dir = p.dir
	owner, err := serverUser()
	if err != nil {
		return err
	}
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	}
	// A file and no pipe: the server inherits it, and waiting for the end of a
	// pipe would be waiting for the end of the server.
	out, err := os.CreateTemp("", "postgres-*.log")
	if err != nil {
		return err
	}
	defer func() { _ = errors.Join(out.Close(), os.Remove(out.Name())) }()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(out.Name())
		return fmt.Errorf("%s: %w: %s", name, err, text)
	}
	return nil
}

// serverUser is who runs the server: ourselves, but never root, which
// PostgreSQL refuses.
func serverUser() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return &syscall.Credential{Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid())}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
			gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(uidErr, gidErr)
		}
	}
	return nil, errors.New("there is neither a user postgres nor nobody to run it as")
}

// binaries finds the folder of PostgreSQL's programs: the newest of Debian's,
// else where initdb stands on the path.
func binaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		slices.Sort(found)
		return filepath.Dir(found[len(found)-1]), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", errors.New("it is not installed; `make test` does it, or: apt-get install postgresql")
	}
	return filepath.Dir(path), nil
}
