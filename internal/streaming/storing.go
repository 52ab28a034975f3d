package streaming

import (
	"cmp"
	"context"
	"errors"
	"path"
	"slices"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/recorder"
)

const (
	// How long the last segments of a broadcast may take to be stored before they
	// are written to disk for later; longer where there is no disk for that, as
	// they are lost then.
	storePatience     = 5 * time.Second
	storeOrLoseWithin = 30 * time.Second
	// And how long they wait in memory when the disk has no room for them: for an
	// operator to make some.
	crampedPatience = 30 * time.Minute
	// maxStoringShown is how many streams that are over, and wait for the object
	// store, can still be played as live ones. Their recordings can be in any case.
	maxStoringShown = 32
)

// storeRest stores what is left of a broadcast that is over for everybody, and
// ends its recording if that can be had at once. Else the background sees to it.
func (s *Service) storeRest(b *broadcast) {
	sum := b.recordings.finish()
	log := s.log.With("stream", b.id, "channel", b.channel)
	if sum.Left > 0 {
		log.Warn("the recording of a broadcast that is over waits for the object store", "waiting_segments", sum.Left)
		s.background.Go(func() { s.storeLeftAndSettle(s.running) })
	}
	ctx, cancel := context.WithTimeout(s.running, endTimeout)
	defer cancel()
	if err := s.settle(ctx, b.channel, b.id); err != nil && s.running.Err() == nil {
		log.Error("ending a recording; it is tried again", "error", err)
	}
}

// settle ends the recording of a stream that is over, as soon as nothing of it
// waits any more.
func (s *Service) settle(ctx context.Context, channel, id string) error {
	prefix := recorder.Prefix(channel, id)
	gone, err := s.removeDeleted(ctx, id, prefix)
	if gone {
		return err
	}
	if err != nil {
		s.waits(id)
		return err
	}
	if s.stored.Waits(prefix) {
		s.waits(id)
		return nil
	}
	rec, err := recorder.List(ctx, s.needs.Objects, prefix)
	if err != nil {
		s.waits(id)
		return err
	}
	sum := rec.Summary()
	if sum.Segments == 0 {
		if err := s.removeRemains(ctx, prefix); err != nil {
			s.waits(id)
			return err
		}
	}
	did, err := s.endRecording(ctx, id, channel, sum)
	if err != nil {
		s.waits(id)
		return err
	}
	if !did { // perhaps just now
		if gone, err := s.removeDeleted(ctx, id, prefix); gone || err != nil {
			return err
		}
	}
	s.mu.Lock()
	since, waited := s.storing[id]
	delete(s.storing, id)
	s.mu.Unlock()
	if did {
		attrs := []any{"stream", id, "channel", channel, "duration_ms", sum.DurationMS(), "segments", sum.Segments}
		if waited {
			attrs = append(attrs, "after", time.Since(since).Round(time.Millisecond).String())
		}
		s.log.Info("recording ended", attrs...)
	}
	return nil
}

// removeDeleted removes what was stored, or is to be, of a stream whose video was
// deleted before its recording had ended: nobody is told of its end any more.
func (s *Service) removeDeleted(ctx context.Context, id, prefix string) (gone bool, err error) {
	if _, err := s.row(ctx, id); errs.CodeOf(err) != errs.NotFound {
		return false, err
	}
	if s.spill != nil {
		s.spill.Forget(prefix)
	}
	s.mu.Lock()
	delete(s.storing, id)
	s.mu.Unlock()
	return true, s.removeRemains(ctx, prefix)
}

// removeRemains removes what lies in the store of a recording that has no media,
// and so becomes no video that could be deleted: the description of a first
// segment, when the server was killed before the segment followed.
func (s *Service) removeRemains(ctx context.Context, prefix string) error {
	remains, err := s.needs.Objects.List(ctx, prefix+"/")
	if err != nil {
		return err
	}
	keys := make([]string, len(remains))
	for i, o := range remains {
		keys[i] = o.Key
	}
	return s.needs.Objects.Delete(ctx, keys...)
}

// waits notes that a stream is over and its recording is not.
func (s *Service) waits(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.storing[id]; !known {
		s.storing[id] = time.Now()
	}
}

// storingCount is how many recordings wait though their broadcasts are over.
func (s *Service) storingCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.storing)
}

// storeLeftFirst stores the segments that an earlier process could not, for a
// moment before the recordings are looked at, and then in the background.
func (s *Service) storeLeftFirst(ctx context.Context) {
	first, cancel := context.WithTimeout(ctx, leftPatience)
	defer cancel()
	if s.storeLeft(first) != nil {
		s.background.Go(func() { s.storeLeftAndSettle(s.running) })
	}
}

// storeLeftAndSettle stores what was left, and ends the recordings that this
// completes. The sweep ends those that are complete before all are.
func (s *Service) storeLeftAndSettle(ctx context.Context) {
	if s.storeLeft(ctx) != nil {
		return // the server stops; it has logged what went wrong
	}
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	if err := s.settleAll(ctx); err != nil && s.running.Err() == nil {
		s.log.Error("ending recordings that are stored; it is tried again", "error", err)
	}
}

// settleAll ends the recordings that are stored by now, of streams that are over.
func (s *Service) settleAll(ctx context.Context) error {
	rows, err := s.unfinished(ctx)
	for _, row := range rows {
		if row.State == stateStoring {
			err = errors.Join(err, s.settle(ctx, row.Channel, row.ID))
		}
	}
	return err
}

// storeLeft stores the segments that recorders have left, until none is.
func (s *Service) storeLeft(ctx context.Context) error {
	if s.spill == nil {
		return nil
	}
	return s.spill.Recover(ctx, recorder.Recovery{
		Store: s.needs.Objects, Log: s.log,
		OnStored: func(string, string, recorder.Segment) { s.metrics.segments.Inc() },
		OnLost: func(prefix, rung string, seg recorder.Segment) {
			s.lost(path.Base(path.Dir(prefix)), path.Base(prefix), rung, seg)
		},
		OnError: func(error) { s.metrics.storeErrors.Inc() },
	})
}

// lost says that a segment of a recording was given up.
func (s *Service) lost(channel, id, rung string, seg recorder.Segment) {
	s.metrics.segmentsLost.Inc()
	if stream, err := s.stream(channel, id); err == nil {
		stream.Lose(rung, seg.Epoch, seg.MSN)
	}
	s.sayLost(channel, id, rung, seg)
}

// forgetEnded forgets the streams that ended a while ago. Those whose recording
// waits for the object store stay, without the media that is in memory: it comes
// from where it waits, as that of their recordings does.
func (s *Service) forgetEnded(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var over []string
	for id, e := range s.ended {
		if now.After(e.until) {
			over = append(over, id)
		}
	}
	slices.SortFunc(over, func(a, b string) int { return cmp.Compare(b, a) }) // ids are in the order of time
	shown := 0
	for _, id := range over {
		if _, waits := s.storing[id]; waits && shown < maxStoringShown {
			s.ended[id].stream.Release()
			shown++
			continue
		}
		delete(s.ended, id)
		s.viewers.forget(id) // those who looked at its end
	}
}
