package streaming

import (
	"context"
	"slices"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/live"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/recorder"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/sqlc"
)

// recover takes care of this node's rows that are not ended and have no broadcast.
// Of those that say live, a start goes on with those whose reconnect window is
// open, counted from the last segment that is stored or waits to be. All others
// end there; a row of a broadcast that ended in this process, and could not be
// written then, too. What is over ends its recording once all of it is stored.
// What fails is logged and tried again by the sweep.
func (s *Service) recover(ctx context.Context, starting bool) error {
	rows, err := s.unfinished(ctx)
	if err != nil {
		return err
	}
	for _, row := range slices.Backward(rows) { // of a channel, the newest goes on
		if s.isLive(row.Channel, row.ID) {
			continue
		}
		if err := s.recoverRow(ctx, row, starting); err != nil && ctx.Err() == nil {
			s.log.Error("finishing a broadcast", "stream", row.ID, "channel", row.Channel, "error", err)
		}
	}
	return ctx.Err()
}

func (s *Service) recoverRow(ctx context.Context, row sqlc.Stream, starting bool) error {
	if row.State == stateStoring {
		return s.settle(ctx, row.Channel, row.ID)
	}
	rec, err := recorder.List(ctx, s.stored, row.Prefix)
	if err != nil {
		return err
	}
	at := rec.EndMS()
	if at == 0 {
		at = row.StartedAt
	}
	if starting && len(rec.Rungs) > 0 && time.Since(time.UnixMilli(at)) < s.cfg.ReconnectWindow {
		if err = s.goOn(ctx, row, rec, time.UnixMilli(at)); err == nil {
			return nil
		}
		s.log.Error("going on with a broadcast after a restart", "stream", row.ID, "channel", row.Channel, "error", err)
	}
	did, err := s.endStream(ctx, ending{id: row.ID, channel: row.Channel, at: at, reason: "the server stopped in the middle"})
	if did {
		s.log.Info("broadcast ended by what was recorded of it", "stream", row.ID, "channel", row.Channel)
	}
	if err != nil {
		return err
	}
	return s.settle(ctx, row.Channel, row.ID)
}

// goOn makes the broadcast of a row anew, without a publisher, behind what is
// stored of it. Errors: errs.Conflict when the channel has another one.
func (s *Service) goOn(ctx context.Context, row sqlc.Stream, rec recorder.Recording, heard time.Time) error {
	restored, source, err := s.restored(ctx, rec)
	if err != nil {
		return err
	}
	b := s.newBroadcast(row.ID, row.Channel, time.UnixMilli(row.StartedAt))
	b.heard, b.media, b.starving = heard, true, true
	// Before the channel is asked: news that its owner is suspended, heard after the
	// answer, finds the broadcast and ends it.
	if !s.register(b) {
		return errs.New(errs.Conflict, "the channel has a newer broadcast")
	}
	defer close(b.made)
	if b.epoch, err = s.raiseEpoch(ctx, row); err != nil {
		s.unmade(b)
		return err
	}
	s.start(b, s.planAgain(rec, source))
	b.recordings.told = row.Recorded
	b.stream.Restore(restored, b.epoch)
	b.timer.Go(b.run)
	s.log.Info("broadcast awaits its publisher after a restart", "stream", row.ID, "channel", row.Channel, "epoch", b.epoch)
	return nil
}

// raiseEpoch gives a broadcast that goes on the channel's next epoch. Errors:
// errs.Forbidden when its owner may not broadcast any more.
func (s *Service) raiseEpoch(ctx context.Context, row sqlc.Stream) (epoch int64, err error) {
	err = s.needs.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if epoch, err = s.needs.Channels.RaiseEpoch(ctx, tx, row.Channel); err != nil {
			return err
		}
		return sqlc.New(tx).SetEpoch(ctx, sqlc.SetEpochParams{Epoch: epoch, ID: row.ID})
	})
	return epoch, err
}

// register makes a broadcast its channel's, unless that has one.
func (s *Service) register(b *broadcast) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live[b.channel] != nil {
		return false
	}
	s.live[b.channel] = b
	return true
}

// restored reads what a stream needs to know of its stored rungs; source is the
// description of what was published.
func (s *Service) restored(ctx context.Context, rec recorder.Recording) (rungs []live.Restored, source cmaf.Init, err error) {
	for _, rung := range rec.Rungs {
		r := live.Restored{Rung: rung.Name}
		inits, err := rec.Inits(ctx, s.stored, rung.Name)
		if err != nil {
			return nil, source, err
		}
		for _, init := range inits {
			r.Formats.Add(init)
		}
		if rung.Name == live.Source {
			source = inits[0]
		}
		for _, seg := range rung.Segments {
			r.Segments = append(r.Segments, live.Segment{
				Epoch: seg.Epoch, MSN: seg.MSN, Init: seg.Init, Discontinuity: seg.Discontinuity, Dependent: seg.Dependent,
				Start: time.UnixMilli(seg.StartMS).UTC(), Ticks: seg.Ticks, Size: seg.Size,
			})
		}
		rungs = append(rungs, r)
	}
	slices.SortFunc(rungs, func(a, b live.Restored) int { return b.Formats.Height - a.Formats.Height })
	return rungs, source, nil
}
