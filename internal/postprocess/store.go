package postprocess

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/postprocess/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// The states of a job. A job that is waiting or processing is unfinished.
const (
	waiting    = "waiting"
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

// setState notes how an attempt at a job is. An earlier attempt changes nothing.
func setState(ctx context.Context, tx *store.Tx, j Job, state, reason string) error {
	err := sqlc.New(tx).SetState(ctx, sqlc.SetStateParams{
		State: state, Reason: reason, UpdatedAt: store.Now(), ID: j.ID, Attempt: int64(j.attempt()),
	})
	if err != nil {
		return fmt.Errorf("setting the job of %s to %s: %w", j.ID, state, err)
	}
	return nil
}

func setMedia(ctx context.Context, tx *store.Tx, j Job, m mp4Result) error {
	err := sqlc.New(tx).SetMedia(ctx, sqlc.SetMediaParams{
		Codecs: strings.Join(m.Codecs, ","), MediaMs: m.DurationMillis, Width: int64(m.Width), Height: int64(m.Height),
		Frames: int64(m.Frames), Size: m.Size, ID: j.ID,
	})
	if err != nil {
		return fmt.Errorf("noting the media of %s: %w", j.ID, err)
	}
	return nil
}

// jobRow returns a job's row. Errors: errs.NotFound.
func (s *Service) jobRow(ctx context.Context, jobID string) (sqlc.PostprocessJob, error) {
	row, err := sqlc.New(s.db.Read()).GetJob(ctx, jobID)
	if errors.Is(err, sql.ErrNoRows) {
		return row, errs.Newf(errs.NotFound, "nothing is known of processing the video %q", jobID)
	}
	if err != nil {
		return row, fmt.Errorf("reading the job of %s: %w", jobID, err)
	}
	return row, nil
}

// beginAgain raises the attempt of a job that has failed; false when it has not.
func (s *Service) beginAgain(ctx context.Context, jobID string) (j Job, ok bool, err error) {
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		j, ok, err = raiseAttempt(ctx, tx, jobID)
		return err
	})
	return j, ok, err
}

func raiseAttempt(ctx context.Context, tx *store.Tx, jobID string) (j Job, ok bool, err error) {
	rows, err := sqlc.New(tx).BeginAgain(ctx, sqlc.BeginAgainParams{UpdatedAt: store.Now(), ID: jobID})
	if err != nil {
		return j, false, fmt.Errorf("beginning the job of %s again: %w", jobID, err)
	}
	if len(rows) == 0 {
		return j, false, nil
	}
	return jobOf(rows[0]), true, nil
}

func jobOf(row sqlc.PostprocessJob) Job {
	return Job{ID: row.ID, Channel: row.Channel, Prefix: row.Prefix, DurationMillis: row.DurationMs, Attempt: int(row.Attempt)}
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
			fn(jobOf(row))
		}
		if len(rows) < page {
			return nil
		}
		last = rows[len(rows)-1]
	}
}
