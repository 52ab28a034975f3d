// Package blob holds objects: bytes under a key. What a node uses, files or a
// shared store, is decided by its configuration.
package blob

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// Info describes a stored object.
type Info struct {
	Key     string
	Size    int64 // bytes
	ModTime time.Time
}

// Object is an open object. Its owner closes it.
type Object struct {
	io.ReadSeekCloser
	Info
}

// Store holds objects. Put is atomic and durable: when it has returned nil the
// object survives a power cut, and nobody ever sees half of it. Opening what
// is not there is errs.NotFound; deleting it is no error. List returns the
// objects whose keys begin with prefix, in the order of their keys.
type Store interface {
	Put(ctx context.Context, key string, r io.Reader, size int64) error
	Open(ctx context.Context, key string) (*Object, error)
	List(ctx context.Context, prefix string) ([]Info, error)
	Delete(ctx context.Context, keys ...string) error
}

// CheckKey refuses a key that could leave its place in some store: it must be
// parts of [A-Za-z0-9._-] joined by "/", none of them empty, "." or "..".
func CheckKey(key string) error {
	for part := range strings.SplitSeq(key, "/") {
		if part == "" || strings.HasPrefix(part, ".") || strings.ContainsFunc(part, notInKey) {
			return errs.Newf(errs.Invalid, "%q is no object key", key)
		}
	}
	return nil
}

func notInKey(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
		return false
	}
	return true
}

func sortByKey(infos []Info) []Info {
	slices.SortFunc(infos, func(a, b Info) int { return strings.Compare(a.Key, b.Key) })
	return infos
}
