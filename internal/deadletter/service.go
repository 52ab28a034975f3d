// Package deadletter shows admins the events that a part of the server could not
// handle, in all their tries, and that were put away: its dead letters. They can be
// given to that part once more, or deleted (http.go). Those of rules are others:
// they are deliveries, and the rules' own.
package deadletter

import (
	"context"
	"errors"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// Letter is an event that a consumer could not handle.
type Letter struct {
	Number   uint64    // from 1; the newest has the highest
	At       time.Time // when it was put away
	Consumer string
	Sequence uint64 // of the event on the bus
	Subject  string
	Reason   string // of the last try
	Data     []byte // the event as it was published
}

// Letters is where they are kept.
type Letters interface {
	// Before returns up to limit with numbers below before, newest first; 0 stands
	// for all.
	Before(ctx context.Context, before uint64, limit int) ([]Letter, error)
	// Letter returns one. Errors: errs.NotFound.
	Letter(ctx context.Context, number uint64) (Letter, error)
	// Count returns how many each consumer has.
	Count(ctx context.Context) (map[string]int64, error)
	// Redrive gives one to its consumer alone, and deletes it when that has handled
	// it. Errors: errs.NotFound; errs.Conflict with the reason when it has not.
	Redrive(ctx context.Context, number uint64) error
	Delete(ctx context.Context, number uint64) error
	// Purge deletes all up to a number, and returns how many there were.
	Purge(ctx context.Context, upTo uint64) (int64, error)
}

// Service is the administration of dead letters.
type Service struct {
	letters Letters
	patient time.Duration
}

// patience is how long a request to redrive waits for the consumers.
const patience = 25 * time.Second

// New returns the administration. Its operations (Register) must be wired to the
// API.
func New(letters Letters) *Service { return &Service{letters: letters, patient: patience} }

func (s *Service) redrive(ctx context.Context, number uint64) error {
	ctx, cancel := context.WithTimeout(ctx, s.patient)
	defer cancel()
	err := s.letters.Redrive(ctx, number)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errs.Wrap(err, errs.Unavailable, "it took longer than "+s.patient.String()+" and was broken off; the letter is still there")
	}
	return err
}

// mostRedriven is how many one request redrives.
const mostRedriven = 100

// redriven is what became of some dead letters.
type redriven struct {
	handled, failed int
	next            uint64 // the number behind which it goes on; 0: these were all
}

// redriveAll redrives those with numbers below before, newest first, as many as one
// request may. One that fails does not keep the others from it.
func (s *Service) redriveAll(ctx context.Context, before uint64) (redriven, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patient)
	defer cancel()
	var out redriven
	all, err := s.letters.Before(ctx, before, mostRedriven+1)
	if err != nil {
		return out, err
	}
	for i, l := range all {
		if i == mostRedriven {
			out.next = all[i-1].Number
			break
		}
		switch err := s.letters.Redrive(ctx, l.Number); {
		case err == nil:
			out.handled++
		case errs.CodeOf(err) == errs.NotFound: // somebody else was quicker
		case ctx.Err() != nil:
			if i == 0 { // this one alone takes longer than a request may: the others go on behind it
				return redriven{failed: 1, next: l.Number}, nil
			}
			out.next = all[i-1].Number
			return out, nil
		default:
			out.failed++
		}
	}
	return out, nil
}
