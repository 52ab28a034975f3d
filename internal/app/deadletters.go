package app

import (
	"context"

	"github.com/serverlessvideo/serverlessvideo/internal/bus"
	"github.com/serverlessvideo/serverlessvideo/internal/deadletter"
)

// deadLetters is what the administration of dead letters needs of the bus.
type deadLetters struct{ bus *bus.Bus }

func (d deadLetters) Before(ctx context.Context, before uint64, limit int) ([]deadletter.Letter, error) {
	found, err := d.bus.DeadBefore(ctx, before, limit)
	out := make([]deadletter.Letter, len(found))
	for i, l := range found {
		out[i] = deadletter.Letter(l)
	}
	return out, err
}

func (d deadLetters) Letter(ctx context.Context, number uint64) (deadletter.Letter, error) {
	l, err := d.bus.DeadLetter(ctx, number)
	return deadletter.Letter(l), err
}

func (d deadLetters) Count(ctx context.Context) (map[string]int64, error) {
	return d.bus.CountDead(ctx)
}

func (d deadLetters) Redrive(ctx context.Context, number uint64) error {
	return d.bus.Redrive(ctx, number)
}

func (d deadLetters) Delete(ctx context.Context, number uint64) error {
	return d.bus.DeleteDead(ctx, number)
}

func (d deadLetters) Purge(ctx context.Context, upTo uint64) (int64, error) {
	return d.bus.PurgeDead(ctx, upTo)
}
