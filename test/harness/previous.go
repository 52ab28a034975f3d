package harness

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// previous is the commit of the build before: what people run who upgrade. It
// changes with a release.
const previous = "50b0477543538d7920b3d3fffc4b123ed578184a"

// Previous returns the program of the build before, without the web app: what
// TEST_PREVIOUS_BINARY names, else built from the history of this repository, once; it
// is kept in the user's cache, by its commit. A clone without the commit gets it
// from where it was cloned from; one that cannot fails the test.
func Previous(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("TEST_PREVIOUS_BINARY"); path != "" {
		return path
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "serverlessvideo", "builds", previous)
	path := filepath.Join(dir, "serverlessvideo")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if err := buildPrevious(dir, path); err != nil {
		t.Fatalf("the build before is needed to test the upgrade, and cannot be made: %v.\n"+
			"It is commit %s. In a shallow clone run `git fetch --unshallow`; where there is no history, name the program by TEST_PREVIOUS_BINARY.", err, previous)
	}
	return path
}

// buildPrevious builds in a temporary folder, and moves the whole program to its
// place: others may do the same at the same time.
func buildPrevious(dir, path string) error {
	archive, err := archiveOf(previous)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	source, err := os.MkdirTemp("", "serverlessvideo-previous-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(source) }()
	if err := unpack(archive, source); err != nil {
		return fmt.Errorf("unpacking it: %w", err)
	}
	built := filepath.Join(source, "built")
	cmd := exec.Command("go", "build", "-o", built, "./cmd/serverlessvideo")
	cmd.Dir = source
	// A workspace of this repository is none of its own.
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, out)
	}
	return place(built, dir, path)
}

// place copies a file to another file system, and lets it appear whole.
func place(from, dir, path string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "unfinished-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(0o700), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// archiveOf returns the files of a commit as tar.
func archiveOf(commit string) ([]byte, error) {
	root, err := git("", "rev-parse", "--show-toplevel")
	if err != nil {
		return nil, fmt.Errorf("this is no git repository: %w", err)
	}
	dir := strings.TrimSpace(string(root))
	if _, err := git(dir, "cat-file", "-e", commit+"^{commit}"); err != nil {
		if _, err := git(dir, "fetch", "--no-tags", "--depth", "1", "origin", commit); err != nil {
			return nil, fmt.Errorf("this clone does not have the commit, and cannot fetch it: %w", err)
		}
	}
	return git(dir, "archive", "--format=tar", commit)
}

func git(dir string, args ...string) ([]byte, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("git %s: %w: %s", args[0], err, bytes.TrimSpace(errOut.Bytes()))
	}
	return out.Bytes(), nil
}

func unpack(archive []byte, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch h.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(strings.TrimSuffix(h.Name, "/"), 0o750)
		case tar.TypeReg:
			err = unpackFile(root, h.Name, r)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
}

func unpackFile(root *os.Root, name string, r io.Reader) error {
	if err := root.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		return err
	}
	f, err := root.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}
