package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/failpoint"
)

// Files is a Store in a folder of the local file system.
type Files struct {
	root string
}

// tempPrefix begins the names of unfinished files. No key has such a part.
const tempPrefix = ".put-"

// NewFiles opens a store in dir, making the folder if need be.
func NewFiles(dir string) (*Files, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("making the object folder: %w", err)
	}
	return &Files{root: dir}, nil
}

func (f *Files) path(key string) (string, error) {
	if err := CheckKey(key); err != nil {
		return "", err
	}
	return filepath.Join(f.root, filepath.FromSlash(key)), nil
}

// Put writes a temporary file beside its place, syncs it, renames it and syncs
// the folder. It fails when r does not hold exactly size bytes.
func (f *Files) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	path, err := f.path(key)
	if err == nil {
		err = failpoint.Fail("blob.put", key)
	}
	if err != nil {
		return err
	}
	temp, err := f.createTemp(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("storing %s: %w", key, err)
	}
	if err := fill(ctx, temp, r, size); err != nil {
		return errors.Join(fmt.Errorf("storing %s: %w", key, err), os.Remove(temp.Name()))
	}
	failpoint.Pass("blob.written", key)
	if err := os.Rename(temp.Name(), path); err != nil {
		return errors.Join(fmt.Errorf("storing %s: %w", key, err), os.Remove(temp.Name()))
	}
	failpoint.Pass("blob.renamed", key)
	return syncFolder(filepath.Dir(path))
}

// createTemp makes a temporary file in dir, making the folder if need be; and
// once more when a Delete took the empty folder away in between.
func (f *Files) createTemp(dir string) (*os.File, error) {
	for range 2 {
		if err := f.makeFolders(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		temp, err := os.CreateTemp(dir, tempPrefix+"*")
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return temp, err
		}
	}
	return os.CreateTemp(dir, tempPrefix+"*")
}

// fill copies to the file and closes it, synced.
func fill(ctx context.Context, file *os.File, r io.Reader, size int64) error {
	n, err := io.Copy(file, io.LimitReader(&cancelReader{ctx, r}, size+1))
	if err == nil && n != size {
		err = fmt.Errorf("got %d bytes instead of %d", n, size)
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// cancelReader stops a copy when ctx is done.
type cancelReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *cancelReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// makeFolders makes the folder and what is missing above it, each made known
// durably to the one above.
func (f *Files) makeFolders(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if parent := filepath.Dir(dir); dir != f.root && parent != dir {
		if err := f.makeFolders(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("making a folder for objects: %w", err)
	}
	return syncFolder(filepath.Dir(dir))
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Open opens an object. The reader is an *os.File, so that serving it over
// HTTP may use sendfile.
func (f *Files) Open(_ context.Context, key string) (*Object, error) {
	path, err := f.path(key)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errs.Newf(errs.NotFound, "there is no object %s", key)
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", key, err)
	}
	stat, err := file.Stat()
	if err == nil && stat.IsDir() {
		err = errs.Newf(errs.NotFound, "there is no object %s", key)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Object{ReadSeekCloser: file, Info: Info{Key: key, Size: stat.Size(), ModTime: stat.ModTime()}}, nil
}

// List walks the folders below the last "/" of prefix.
func (f *Files) List(ctx context.Context, prefix string) ([]Info, error) {
	var found []Info
	err := f.Walk(ctx, prefix, func(info Info) error {
		found = append(found, info)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return sortByKey(found), nil
}

// Walk calls fn with the objects whose keys begin with prefix, folder by folder,
// until it returns an error. Unlike List it holds none of them.
func (f *Files) Walk(ctx context.Context, prefix string, fn func(Info) error) error {
	start := f.root
	if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
		dir, err := f.path(prefix[:i])
		if err != nil {
			return err
		}
		start = dir
	}
	err := filepath.WalkDir(start, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // deleted while walking, or nothing is there at all
		}
		if err != nil {
			return err
		}
		if entry.IsDir() || strings.HasPrefix(entry.Name(), tempPrefix) {
			return ctx.Err()
		}
		info, err := f.info(path, entry)
		if err == nil && info.Key != "" && strings.HasPrefix(info.Key, prefix) {
			err = fn(info)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("listing %s: %w", prefix, err)
	}
	return nil
}

func (f *Files) info(path string, entry fs.DirEntry) (Info, error) {
	stat, err := entry.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return Info{}, nil
	}
	if err != nil {
		return Info{}, err
	}
	key, err := filepath.Rel(f.root, path)
	if err != nil {
		return Info{}, err
	}
	return Info{Key: filepath.ToSlash(key), Size: stat.Size(), ModTime: stat.ModTime()}, nil
}

// Delete removes objects, and the folders that they leave empty.
func (f *Files) Delete(_ context.Context, keys ...string) error {
	for _, key := range keys {
		path, err := f.path(key)
		if err == nil {
			err = failpoint.Fail("blob.delete", key)
		}
		if err != nil {
			return err
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("deleting %s: %w", key, err)
		}
		for dir := filepath.Dir(path); dir != f.root; dir = filepath.Dir(dir) {
			if os.Remove(dir) != nil {
				break // not empty
			}
		}
	}
	return nil
}

// CleanTemporary removes what a killed process left unfinished. It is for the
// start, when nobody writes.
func (f *Files) CleanTemporary() error {
	return filepath.WalkDir(f.root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasPrefix(entry.Name(), tempPrefix) {
			return err
		}
		return os.Remove(path)
	})
}
