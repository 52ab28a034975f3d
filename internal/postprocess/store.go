package postprocess

import (
	"context"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/postprocess/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// The states of a job. A job that is waiting or processing is unfinished.
const (
	processing = "processing"
	done       = "done"
	failed     = "failed"
)

func addJob(ctx context.Context, tx *store.Tx, j Job) error {
	now := store.Now()
	err := sqlc.New(tx).AddJob(ctx, sqlc.AddJobParams{
		ID: j.ID, Channel: j.Channel, Prefix: j.Prefix, DurationMs: j.DurationMillis, CreatedAt: now, UpdatedAt: now,
	})
	if err != nil {
		return fmt.Errorf("adding the job of %s: %w", j.ID, err)
	}
	return nil
}

func setState(ctx context.Context, tx *store.Tx, jobID, state, reason string) error {
	err := sqlc.New(tx).SetState(ctx, sqlc.SetStateParams{State: state, Reason: reason, UpdatedAt: store.Now(), ID: jobID})
	if err != nil {
		return fmt.Errorf("setting the job of %s to %s: %w", jobID, state, err)
	}
	return nil
}

// eachUnfinished calls fn with the unfinished jobs, the oldest first.
func (s *Service) eachUnfinished(ctx context.Context, fn func(Job)) error {
	const page = 100
	var last sqlc.PostprocessJob
	for {
		rows, err := sqlc.New(s.db.Read()).UnfinishedJobs(ctx, sqlc.UnfinishedJobsParams{
			AfterCreated: last.CreatedAt, AfterID: last.ID, RowCount: page,
		})
		if err != nil {
			return fmt.Errorf("reading the unfinished jobs: %w", err)
		}
		for _, row := range rows {
			fn(Job{ID: row.ID, Channel: row.Channel, Prefix: row.Prefix, DurationMillis: row.DurationMs})
		}
		if len(rows) < page {
			return nil
		}
		last = rows[len(rows)-1]
	}
}
