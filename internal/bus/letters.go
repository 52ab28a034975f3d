package bus

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/failpoint"
)

// mostListed is how many dead letters are returned at once; each may have
// event.MaxSize.
const mostListed = 1000

// DeadLetters returns up to limit of the dead letters, oldest first.
func (b *Bus) DeadLetters(ctx context.Context, limit int) ([]DeadLetter, error) {
	return b.letters(ctx, limit, func(first, _ uint64) (uint64, int) { return first, 1 })
}

// DeadBefore returns up to limit of the dead letters with numbers below before,
// newest first; 0 stands for all.
func (b *Bus) DeadBefore(ctx context.Context, before uint64, limit int) ([]DeadLetter, error) {
	if before == 0 {
		before = math.MaxUint64
	}
	return b.letters(ctx, limit, func(_, last uint64) (uint64, int) { return min(last, before-1), -1 })
}

// letters returns dead letters one after the other. from says by the first and the
// last number that there are where to begin, and in which direction to go.
func (b *Bus) letters(ctx context.Context, limit int, from func(first, last uint64) (at uint64, step int)) ([]DeadLetter, error) {
	dead, err := b.js.Stream(ctx, deadStream)
	if err != nil {
		return nil, fmt.Errorf("reading the dead letters: %w", err)
	}
	info, err := dead.Info(ctx, jetstream.WithDeletedDetails(true))
	if err != nil {
		return nil, fmt.Errorf("reading the dead letters: %w", err)
	}
	limit = min(limit, mostListed)
	var out []DeadLetter
	at, step := from(info.State.FirstSeq, info.State.LastSeq)
	for ; info.State.Msgs > 0 && len(out) < limit && at >= info.State.FirstSeq && at <= info.State.LastSeq; at = uint64(int64(at) + int64(step)) {
		if _, gone := slices.BinarySearch(info.State.Deleted, at); gone {
			continue
		}
		d, err := readDead(ctx, dead, at)
		switch {
		case errs.CodeOf(err) == errs.NotFound: // it went meanwhile
		case err != nil:
			return nil, err
		default:
			out = append(out, d)
		}
	}
	return out, nil
}

// DeadLetter returns one. Errors: errs.NotFound.
func (b *Bus) DeadLetter(ctx context.Context, number uint64) (DeadLetter, error) {
	dead, err := b.js.Stream(ctx, deadStream)
	if err != nil {
		return DeadLetter{}, fmt.Errorf("reading the dead letters: %w", err)
	}
	return readDead(ctx, dead, number)
}

func readDead(ctx context.Context, dead jetstream.Stream, number uint64) (DeadLetter, error) {
	msg, err := dead.GetMsg(ctx, number)
	if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && msg.Sequence != number {
		return DeadLetter{}, errs.Newf(errs.NotFound, "there is no dead letter %d; it was redriven or deleted", number)
	}
	if err != nil {
		return DeadLetter{}, fmt.Errorf("reading dead letter %d: %w", number, err)
	}
	// 0, which no event has, where it does not say of which event it is.
	sequence, _ := strconv.ParseUint(msg.Header.Get(headerSequence), 10, 64)
	return DeadLetter{
		Number: number, At: msg.Time, Consumer: strings.TrimPrefix(msg.Subject, deadPrefix), Sequence: sequence,
		Subject: msg.Header.Get(headerSubject), Reason: msg.Header.Get(headerReason), Data: msg.Data,
	}, nil
}

// CountDead returns how many dead letters each consumer has.
func (b *Bus) CountDead(ctx context.Context) (map[string]int64, error) {
	dead, err := b.js.Stream(ctx, deadStream)
	if err != nil {
		return nil, fmt.Errorf("counting the dead letters: %w", err)
	}
	info, err := dead.Info(ctx, jetstream.WithSubjectFilter(deadAre))
	if err != nil {
		return nil, fmt.Errorf("counting the dead letters: %w", err)
	}
	counts := map[string]int64{}
	for subject, n := range info.State.Subjects {
		counts[strings.TrimPrefix(subject, deadPrefix)] = int64(n)
	}
	return counts, nil
}

// Redrive gives a dead letter to its consumer once more, and to nobody else, and
// deletes it when that has handled it. Who dies in between may do it again: the
// event counts once. Errors: errs.NotFound; errs.Conflict, with the reason, when it
// cannot be handled still, or the consumer does not run here.
func (b *Bus) Redrive(ctx context.Context, number uint64) error {
	d, err := b.DeadLetter(ctx, number)
	if err != nil {
		return err
	}
	b.mu.Lock()
	c := b.consumers[d.Consumer]
	if b.stopped {
		c = nil
	}
	b.mu.Unlock()
	if c == nil {
		return errs.Newf(errs.Conflict, "nothing that runs here hears events as %q: it is of another version, so the letter can only be deleted", d.Consumer)
	}
	e, err := read(d.Subject, d.Data)
	if err != nil {
		return errs.Wrap(err, errs.Conflict, "the event cannot be read any more; the letter can only be deleted")
	}
	if err := c.again(ctx, e); err != nil {
		b.log.Warn("bus: a dead letter could not be handled again", "consumer", d.Consumer, "event", e.ID, "type", e.DetailType, "err", err)
		return errs.Wrap(err, errs.Conflict, fmt.Sprintf("%s could still not handle it: %s", d.Consumer, firstLine(err.Error())))
	}
	b.log.Info("bus: a dead letter was handled", "consumer", d.Consumer, "event", e.ID, "type", e.DetailType)
	failpoint.Pass("letter.handled")
	return b.DeleteDead(ctx, number)
}

// again calls the handler outside of any delivery.
func (c *consumer) again(ctx context.Context, e event.Envelope) (err error) {
	ctx, cancel := context.WithTimeout(ctx, c.bus.cfg.HandleTimeout)
	defer cancel()
	stop := context.AfterFunc(c.bus.handling, cancel)
	defer stop()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if err := failpoint.Fail("consumer.handle", c.Name, e.Subject()); err != nil {
		return err
	}
	return c.Handle(ctx, e)
}

// DeleteDead deletes a dead letter. One that is gone is no error.
func (b *Bus) DeleteDead(ctx context.Context, number uint64) error {
	dead, err := b.js.Stream(ctx, deadStream)
	if err == nil {
		err = dead.DeleteMsg(ctx, number)
	}
	if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) && !errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
		return fmt.Errorf("deleting dead letter %d: %w", number, err)
	}
	return nil
}

// PurgeDead deletes all dead letters up to a number, and returns how many there
// were.
func (b *Bus) PurgeDead(ctx context.Context, upTo uint64) (int64, error) {
	dead, err := b.js.Stream(ctx, deadStream)
	if err != nil {
		return 0, fmt.Errorf("deleting the dead letters: %w", err)
	}
	before, err := dead.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("deleting the dead letters: %w", err)
	}
	if before.State.Msgs == 0 || upTo < before.State.FirstSeq {
		return 0, nil
	}
	// Those below the next number; one that is higher than any would have the server
	// go on to count from there.
	err = dead.Purge(ctx, jetstream.WithPurgeSequence(min(upTo, before.State.LastSeq)+1))
	if err != nil {
		return 0, fmt.Errorf("deleting the dead letters: %w", err)
	}
	after, err := dead.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("counting the dead letters: %w", err)
	}
	return max(0, int64(before.State.Msgs)-int64(after.State.Msgs)), nil
}
