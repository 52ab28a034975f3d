package simulator

import (
	"context"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/failpoint"
	"github.com/serverlessvideo/serverlessvideo/internal/id"
	"github.com/serverlessvideo/serverlessvideo/internal/simulator/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// What a run may be.
const (
	MaxLast       = 1000
	DefaultAtOnce = 4
)

// Options say what a run does.
type Options struct {
	Last      int    // how many of the newest recordings are replayed, 1 to MaxLast
	AtOnce    int    // how many of them at a time, 1 to MaxLast; DefaultAtOnce when 0
	Keep      bool   // its videos stay after it has finished, until it is ended
	Followed  bool   // it ends when nobody has asked for it (Follow) for a while
	StartedBy string // a user's name; "" for a command
}

func (o Options) check() error {
	switch {
	case o.Last < 1 || o.Last > MaxLast:
		return errs.Newf(errs.Invalid, "a simulation replays 1 to %d recordings, not %d", MaxLast, o.Last)
	case o.AtOnce < 1 || o.AtOnce > MaxLast:
		return errs.Newf(errs.Invalid, "a simulation replays 1 to %d recordings at once, not %d", MaxLast, o.AtOnce)
	}
	return nil
}

// Start begins a run and returns its id. Errors: errs.Invalid; errs.Conflict when
// there is no recording, or another run goes on.
func (s *Service) Start(ctx context.Context, o Options) (string, error) {
	if o.AtOnce == 0 {
		o.AtOnce = DefaultAtOnce
	}
	if err := o.check(); err != nil {
		return "", err
	}
	recordings, err := s.Recordings.LastRecordings(ctx, o.Last)
	if err != nil {
		return "", err
	}
	if len(recordings) == 0 {
		return "", errs.New(errs.Conflict, "there is no recording to replay yet: record something first")
	}
	now := store.Now()
	run := sqlc.AddRunParams{
		ID: event.SimulatedPrefix + id.New(), StartedBy: o.StartedBy, Asked: int64(o.Last), AtOnce: int64(o.AtOnce), Keep: o.Keep,
		CreatedAt: now, Deadline: now + s.cfg.Limit.Milliseconds(),
	}
	if o.Followed {
		run.LeaseUntil = now + s.cfg.Lease.Milliseconds()
	}
	videos := make([]sqlc.AddVideoParams, len(recordings))
	for i, r := range recordings {
		videos[i] = sqlc.AddVideoParams{
			ID: fmt.Sprintf("%s-%d", run.ID, i+1), Run: run.ID, Number: int64(i + 1), Original: r.Video,
			Channel: r.Channel, Title: r.Title, Prefix: r.Prefix, DurationMs: r.DurationMillis,
		}
	}
	if err := s.add(ctx, run, videos); err != nil {
		return "", err
	}
	failpoint.Pass("simulation.begun")
	s.Log.Info("a simulation begins", "run", run.ID, "recordings", len(videos), "at_once", o.AtOnce)
	s.look()
	return run.ID, nil
}

// Follow says that somebody still wants a run that was begun with Followed.
func (s *Service) Follow(ctx context.Context, runID string) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		until := store.Now() + s.cfg.Lease.Milliseconds()
		if err := sqlc.New(tx).RenewLease(ctx, sqlc.RenewLeaseParams{LeaseUntil: until, ID: runID}); err != nil {
			return fmt.Errorf("following the simulation %s: %w", runID, err)
		}
		return nil
	})
}

// Stop ends a run, if it is not over, and lets its videos be removed, if they
// were to be kept. With forget its results go too. Errors: errs.NotFound.
func (s *Service) Stop(ctx context.Context, runID string, forget bool) error {
	r, err := s.change(ctx, runID, func(_ context.Context, _ *store.Tx, r *sqlc.Simulation) error {
		r.Forget = r.Forget || forget
		switch r.State {
		case running:
			end(r, stopped)
			r.State = removing // also what was to be kept: it is not whole
		case kept:
			r.State, r.TouchedAt = removing, store.Now()
		}
		return nil
	})
	if err != nil {
		return err
	}
	if r.State == removed && r.Forget {
		return s.deleteRun(ctx, runID)
	}
	s.look()
	return nil
}

// end notes how a run that goes on ended, and what follows.
func end(r *sqlc.Simulation, ending string) {
	r.Ending, r.EndedAt, r.TouchedAt = ending, store.Now(), store.Now()
	r.State = removing
	if r.Keep && ending == finished {
		r.State = kept
	}
}

// advance takes a run that goes on a step further: it says what is next, or ends.
func (s *Service) advance(ctx context.Context, runID string) error {
	r, err := s.change(ctx, runID, func(ctx context.Context, tx *store.Tx, r *sqlc.Simulation) error {
		now := store.Now()
		switch {
		case r.State != running:
			return nil
		case now > r.Deadline:
			end(r, overdue)
			return nil
		case r.LeaseUntil > 0 && now > r.LeaseUntil:
			end(r, abandoned)
			return nil
		}
		q := sqlc.New(tx)
		working, err := q.CountWorking(ctx, runID)
		if err != nil {
			return fmt.Errorf("counting what is in work: %w", err)
		}
		next, err := q.Unsent(ctx, sqlc.UnsentParams{Run: runID, Limit: int32(max(1, r.AtOnce-working))})
		switch {
		case err != nil:
			return fmt.Errorf("reading what is next: %w", err)
		case len(next) == 0 && working == 0:
			end(r, finished)
		case working < r.AtOnce:
			return send(ctx, tx, next, now)
		}
		return nil
	})
	failpoint.Pass("simulation.fed")
	if err == nil && r.State != running {
		s.Log.Info("a simulation is over", "run", runID, "ending", r.Ending)
	}
	return err
}

// send says the end of recordings, under ids that follow from the videos'.
func send(ctx context.Context, tx *store.Tx, videos []sqlc.SimulationVideo, now int64) error {
	q := sqlc.New(tx)
	for _, v := range videos {
		if err := q.MarkSent(ctx, sqlc.MarkSentParams{SentAt: now, ID: v.ID}); err != nil {
			return fmt.Errorf("noting that %s is replayed: %w", v.ID, err)
		}
		err := tx.Emit(ctx, event.NewWithID(id.Derived("simulated", v.ID), event.SimulatedRecording{RecordingStateChange: event.RecordingStateChange{
			RecordingStatus: event.RecordingEnd, ChannelName: v.Channel, StreamID: v.ID,
			RecordingS3KeyPrefix: v.Prefix, RecordingDurationMS: v.DurationMs,
		}}))
		if err != nil {
			return err
		}
	}
	return nil
}
