package streaming

import (
	"context"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/recorder"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/sqlc"
)

// Kept is what streaming keeps of broadcasts that are over: rows and recordings.
// It works on a folder at rest too.
type Kept struct {
	db      *store.DB
	objects blob.Store
}

// NewKept returns what is kept in a database and an object store.
func NewKept(db *store.DB, objects blob.Store) *Kept { return &Kept{db, objects} }

// Stream is the row of a broadcast.
type Stream struct {
	ID, Channel string
	Prefix      string // of its recording's objects, without slash at its end
	Over        bool   // Recording End is said, if there was anything to record
	Deleted     bool   // its video was deleted by an older build, which kept the row
	Recorded    bool
	EndedAt     int64 // ms; 0 while it is live
}

// Streams calls fn with every stream.
func (k *Kept) Streams(ctx context.Context, fn func(Stream)) error {
	const batch = 1000
	after := ""
	for {
		rows, err := sqlc.New(k.db.Read()).AllStreams(ctx, sqlc.AllStreamsParams{After: after, RowCount: batch})
		if err != nil {
			return fmt.Errorf("reading the streams: %w", err)
		}
		for _, r := range rows {
			after = r.ID
			fn(Stream{
				ID: r.ID, Channel: r.Channel, Prefix: r.Prefix, Over: r.State == stateEnded || r.State == stateDeleted,
				Deleted: r.State == stateDeleted, Recorded: r.Recorded, EndedAt: r.EndedAt,
			})
		}
		if len(rows) < batch {
			return nil
		}
	}
}

// Forget removes a stream's row.
func (k *Kept) Forget(ctx context.Context, streamID string) error {
	return k.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return sqlc.New(tx).RemoveStream(ctx, streamID)
	})
}

// Whole says how long a recording is by its objects, in ms. Errors: errs.NotFound
// when there is no segment among them.
func (k *Kept) Whole(ctx context.Context, channel, streamID string) (ms int64, err error) {
	rec, err := recorder.List(ctx, k.objects, recorder.Prefix(channel, streamID))
	if err != nil {
		return 0, err
	}
	sum := rec.Summary()
	if sum.Segments == 0 {
		return 0, errs.Newf(errs.NotFound, "of the recording %s there is no segment", streamID)
	}
	return sum.DurationMS(), nil
}

// EndAgain says Recording End of a recording once more, as a new event: the
// catalogue and post-processing take up what they do not have. Errors:
// errs.NotFound when there is no segment of it.
func (k *Kept) EndAgain(ctx context.Context, channel, streamID string) error {
	ms, err := k.Whole(ctx, channel, streamID)
	if err != nil {
		return err
	}
	return k.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.Emit(ctx, event.New(event.RecordingStateChange{
			RecordingStatus: event.RecordingEnd, ChannelName: channel, StreamID: streamID,
			RecordingS3KeyPrefix: recorder.Prefix(channel, streamID), RecordingDurationMS: ms,
		}))
	})
}
