package blob_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

func put(t *testing.T, s blob.Store, key, text string) {
	t.Helper()
	if err := s.Put(context.Background(), key, strings.NewReader(text), int64(len(text))); err != nil {
		t.Fatal(err)
	}
}

func TestFiles(t *testing.T) {
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "objects")
	s, err := blob.NewFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"r/c1/s1/2.mp4", "r/c1/s1/10.mp4", "r/c1/s10/1.mp4", "v/s1/video.mp4"} {
		put(t, s, key, "content of "+key)
	}
	put(t, s, "v/s1/video.mp4", "new")

	list, err := s.List(ctx, "r/c1/s1/")
	if err != nil || len(list) != 2 || list[0].Key != "r/c1/s1/10.mp4" || list[0].Size != int64(len("content of r/c1/s1/10.mp4")) {
		t.Errorf("list %+v, %v", list, err)
	}
	if list, err := s.List(ctx, "r/c1/s1"); err != nil || len(list) != 3 {
		t.Errorf("by a part of a name: %+v, %v", list, err)
	}
	if list, err := s.List(ctx, "nothing/here/"); err != nil || len(list) != 0 {
		t.Errorf("nothing: %+v, %v", list, err)
	}

	o, err := s.Open(ctx, "v/s1/video.mp4")
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(o)
	if err := errors.Join(err, o.Close()); err != nil || string(b) != "new" || o.Size != 3 {
		t.Errorf("%q of %d bytes, %v", b, o.Size, err)
	}
	for _, key := range []string{"v/s1/none", "v/s1"} {
		if _, err := s.Open(ctx, key); errs.CodeOf(err) != errs.NotFound {
			t.Errorf("%s: %v, want not found", key, err)
		}
	}

	if err := s.Delete(ctx, "v/s1/video.mp4", "v/s1/video.mp4"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "v")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty folder stays: %v", err)
	}
}

func TestPutIsWholeOrNotAtAll(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s, err := blob.NewFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	for name, try := range map[string]error{
		"too short": s.Put(ctx, "k", strings.NewReader("ab"), 3),
		"too long":  s.Put(ctx, "k", strings.NewReader("abcd"), 3),
		"cancelled": s.Put(cancelled, "k", bytes.NewReader(make([]byte, 3)), 3),
		"bad key":   s.Put(ctx, "../k", strings.NewReader("abc"), 3),
	} {
		if try == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("%v, %v: something was left", entries, err)
	}
}

func TestCleanTemporary(t *testing.T) {
	dir := t.TempDir()
	s, err := blob.NewFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "a/kept", "x")
	if err := os.WriteFile(filepath.Join(dir, "a", ".put-123"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.CleanTemporary(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(dir, "a"))
	if err != nil || len(entries) != 1 || entries[0].Name() != "kept" {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestCheckKey(t *testing.T) {
	for _, bad := range []string{"", "/", "/a", "a/", "a//b", "..", "a/../b", ".hidden", "a/.b", "a b", "ä", `a\b`, "a\x00"} {
		if blob.CheckKey(bad) == nil {
			t.Errorf("%q passes", bad)
		}
	}
	for _, good := range []string{"a", "a/b/c.mp4", "A-b_c.9/1-2.mp4"} {
		if err := blob.CheckKey(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}
