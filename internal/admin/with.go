package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// Offline is Operations on a folder at rest.
type Offline interface {
	Operations
	io.Closer
}

const (
	// patience is how long a command waits for a node that is starting (it has
	// the lock, but does not listen yet) or stopping (the other way round).
	patience = 15 * time.Second
	retry    = 50 * time.Millisecond
)

// With runs fn on the data folder dir: by the node that runs on it, or, when the
// lock is free, by what open returns, while holding the lock.
func With(ctx context.Context, dir string, open func(context.Context) (Offline, error), fn func(Operations) error) error {
	return with(ctx, dir, patience, open, fn)
}

func with(ctx context.Context, dir string, patience time.Duration, open func(context.Context) (Offline, error), fn func(Operations) error) error {
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		// The lock decides who works on the folder. An admin.json without it is
		// what a killed node left, and not asked.
		lock, err := Acquire(dir)
		if err == nil {
			return errors.Join(atRest(ctx, open, fn), lock.Release())
		}
		if !errors.Is(err, ErrLocked) {
			return err
		}
		c, err := connect(wait, dir)
		if err == nil {
			defer c.close()
			return fn(c)
		}
		select {
		case <-wait.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return errs.Wrap(err, errs.Unavailable, fmt.Sprintf(
				"another process holds the data folder %s but does not answer commands; end it, or try again when it has started", dir))
		case <-time.After(retry):
		}
	}
}

func atRest(ctx context.Context, open func(context.Context) (Offline, error), fn func(Operations) error) error {
	ops, err := open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(fn(ops), ops.Close())
}
