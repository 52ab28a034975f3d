package streaming

import (
	"context"
	"database/sql"
	"errors"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/recorder"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/sqlc"
)

// States of a stream's row.
const (
	stateLive    = "live"
	stateStoring = "storing" // the broadcast is over, and not all of it stored yet
	stateEnded   = "ended"   // the recording is what it will be
	stateDeleted = "deleted" // with its video, by an earlier build: now the row goes
)

// idPrefix begins the ids of streams.
const idPrefix = "st-"

// newestStream returns the greatest id of a channel's streams, "" when it has none.
func (s *Service) newestStream(ctx context.Context, channel string) (string, error) {
	newest, err := sqlc.New(s.needs.DB.Read()).NewestStream(ctx, channel)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return newest, err
}

// insertStream makes a live stream: its epoch, its row and its event, or none.
func (s *Service) insertStream(ctx context.Context, id, channel string) (epoch int64, err error) {
	err = s.needs.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if epoch, err = s.needs.Channels.RaiseEpoch(ctx, tx, channel); err != nil {
			return err
		}
		err := sqlc.New(tx).InsertStream(ctx, sqlc.InsertStreamParams{
			ID: id, Channel: channel, Node: s.cfg.Node, Epoch: epoch,
			Prefix: recorder.Prefix(channel, id), StartedAt: store.Now(),
		})
		if err != nil {
			return err
		}
		return tx.Emit(ctx, streamStarted(id, channel))
	})
	return epoch, err
}

// markRecorded notes the first stored segment and says that recording began.
func (s *Service) markRecorded(ctx context.Context, id, channel string) error {
	return s.needs.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		n, err := sqlc.New(tx).MarkRecorded(ctx, id)
		if err != nil || n == 0 {
			return err
		}
		return tx.Emit(ctx, recordingStarted(id, channel))
	})
}

// ending is how a stream ended.
type ending struct {
	id, channel string
	at          int64 // ms since 1970
	reason      string
}

// endStream ends a broadcast for everybody and says so, once; did says whether it
// was now. Its recording may not be stored yet.
func (s *Service) endStream(ctx context.Context, e ending) (did bool, err error) {
	err = s.needs.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		n, err := sqlc.New(tx).EndStream(ctx, sqlc.EndStreamParams{EndedAt: e.at, Reason: e.reason, ID: e.id})
		if did = n > 0; err != nil || !did {
			return err
		}
		return tx.Emit(ctx, streamEnded(e.id, e.channel))
	})
	return did && err == nil, err
}

// endRecording notes what the recording of an ended stream came to and says so,
// once; did says whether it was now.
func (s *Service) endRecording(ctx context.Context, id, channel string, recording recorder.Summary) (did bool, err error) {
	err = s.needs.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if recording.Segments == 0 {
			did, err = s.endWithout(ctx, tx, id, channel)
			return err
		}
		q := sqlc.New(tx)
		n, err := q.EndRecording(ctx, sqlc.EndRecordingParams{DurationMs: recording.DurationMS(), ID: id})
		if did = n > 0; err != nil || !did {
			return err
		}
		first, err := q.MarkRecorded(ctx, id)
		if err != nil {
			return err
		}
		if first > 0 { // it could not be said with the first segment
			if err := tx.Emit(ctx, recordingStarted(id, channel)); err != nil {
				return err
			}
		}
		return tx.Emit(ctx, recordingEnded(id, channel, recording.DurationMS()))
	})
	return did && err == nil, err
}

// endWithout ends a stream that has no recording: nothing is said of it. There will
// be no video with which its row could go, so that goes now if its owner is gone;
// those that have ended before went when that was heard.
func (s *Service) endWithout(ctx context.Context, tx *store.Tx, id, channel string) (did bool, err error) {
	gone, err := s.needs.Channels.OwnerGone(ctx, tx, channel)
	if err != nil {
		return false, err
	}
	q := sqlc.New(tx)
	n, err := q.EndRecording(ctx, sqlc.EndRecordingParams{ID: id})
	did = n > 0
	if err == nil && did && gone {
		err = q.RemoveStream(ctx, id)
	}
	return did, err
}

// row returns a stream's row. Errors: errs.NotFound.
func (s *Service) row(ctx context.Context, id string) (sqlc.Stream, error) {
	row, err := sqlc.New(s.needs.DB.Read()).Stream(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return row, errs.Newf(errs.NotFound, "there is no stream %q", id)
	}
	return row, err
}

// unfinished returns this node's rows that say live or storing.
func (s *Service) unfinished(ctx context.Context) ([]sqlc.Stream, error) {
	return sqlc.New(s.needs.DB.Read()).UnfinishedStreams(ctx, s.cfg.Node)
}
