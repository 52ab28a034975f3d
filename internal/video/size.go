package video

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/video/sqlc"
)

// A video's size is what all its objects take: the recording's segments, the MP4,
// the pictures, what plugins have stored. Every event that may have brought files
// makes it unknown; it is counted when it is needed, and in the background.

// measureBatch is how many videos are read at a time.
const measureBatch = 200

// Measure counts what the objects of every video take of which it is not known.
func (s *Service) Measure(ctx context.Context) error {
	var failures []error
	after := ""
	for {
		rows, err := sqlc.New(s.db.Read()).Unmeasured(ctx, sqlc.UnmeasuredParams{After: after, RowCount: measureBatch})
		if err != nil {
			return errors.Join(append(failures, fmt.Errorf("reading the videos without a size: %w", err))...)
		}
		for _, v := range rows {
			after = v.ID
			failures = append(failures, s.measure(ctx, sqlc.UnmeasuredOfRow(v)))
		}
		if len(rows) < measureBatch || ctx.Err() != nil {
			return errors.Join(failures...)
		}
	}
}

// measureOf counts those of one channel, at most measureBatch of them: a request
// waits for it.
func (s *Service) measureOf(ctx context.Context, channel string) error {
	rows, err := sqlc.New(s.db.Read()).UnmeasuredOf(ctx, sqlc.UnmeasuredOfParams{Channel: channel, RowCount: measureBatch})
	if err != nil {
		return fmt.Errorf("reading the videos without a size: %w", err)
	}
	var failures []error
	for _, v := range rows {
		failures = append(failures, s.measure(ctx, v))
	}
	return errors.Join(failures...)
}

// notMeasured stands in the row for a size that is not known: a negative number,
// and another one each time. By it a count that has begun before news of the video
// came, and ends after it, is known to be void.
func notMeasured() int64 { return -1 - rand.Int64N(math.MaxInt64) }

func (s *Service) measure(ctx context.Context, v sqlc.UnmeasuredOfRow) error {
	var bytes int64
	for _, prefix := range prefixesOf(v.ID, v.Prefix) {
		objects, err := s.objects.List(ctx, prefix)
		if err != nil {
			return fmt.Errorf("counting what video %s takes: %w", v.ID, err)
		}
		for _, o := range objects {
			bytes += o.Size
		}
	}
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return sqlc.New(tx).SetSize(ctx, sqlc.SetSizeParams{StoredBytes: bytes, ID: v.ID, Seen: v.StoredBytes})
	})
}
