package postprocess

import (
	"context"
	"fmt"
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/postprocess/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Kept is what post-processing keeps of videos: jobs, flows and their receipts.
// It works on a folder at rest too, with an engine that is not started.
type Kept struct {
	db    *store.DB
	flows *flow.Engine
}

// NewKept returns what is kept in a database and an engine.
func NewKept(db *store.DB, flows *flow.Engine) *Kept { return &Kept{db, flows} }

// Videos calls fn with the ids of all videos that something is kept of; some come
// twice.
func (k *Kept) Videos(ctx context.Context, fn func(videoID string)) error {
	const batch = 1000
	after := ""
	for {
		ids, err := sqlc.New(k.db.Read()).JobIDs(ctx, sqlc.JobIDsParams{After: after, RowCount: batch})
		if err != nil {
			return fmt.Errorf("reading the jobs: %w", err)
		}
		for _, jobID := range ids {
			after = jobID
			fn(jobID)
		}
		if len(ids) < batch {
			break
		}
	}
	flows, err := k.flows.IDs(ctx, flowPrefix)
	for _, f := range flows {
		videoID, _, _ := strings.Cut(strings.TrimPrefix(f, flowPrefix), ".") // an id of a job has no dot
		fn(videoID)
	}
	return err
}

// Forget ends the work on a video and removes all that is kept of it but the
// objects, which are the catalogue's to remove. It may run again.
func (k *Kept) Forget(ctx context.Context, videoID string) error {
	flows, err := k.flows.Attempts(ctx, flowPrefix+videoID)
	if err != nil {
		return err
	}
	err = k.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.Alone(ctx, holdVideo(videoID)); err != nil {
			return err
		}
		if err := sqlc.New(tx).RemoveJob(ctx, videoID); err != nil {
			return fmt.Errorf("removing the job of %s: %w", videoID, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := k.flows.Forget(ctx, flows...); err != nil {
		return err
	}
	// The receipts last: a flow that ran has written them until now. The first
	// attempt's again, whose flow may have gone in a run of this that was broken off.
	return k.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.Alone(ctx, holdVideo(videoID)); err != nil {
			return err
		}
		return tx.ForgetFlows(ctx, append(flows, flowPrefix+videoID)...)
	})
}

// Renew is Forget for a video that is to be processed from its beginning: what was
// said of the work before is forgotten, too, as it is said anew under the same ids.
func (k *Kept) Renew(ctx context.Context, videoID string) error {
	flows, err := k.flows.Attempts(ctx, flowPrefix+videoID)
	if err != nil {
		return err
	}
	var events []string
	for attempt := 1; attempt <= max(1, len(flows)); attempt++ {
		j := Job{ID: videoID, Attempt: attempt}
		events = append(events, j.eventID(saysStarted), j.eventID(saysComplete), j.eventID(saysFailed))
	}
	err = k.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.ForgetEvents(ctx, events...) })
	if err != nil {
		return err
	}
	return k.Forget(ctx, videoID)
}

// Again lets the files of a video be made anew, by a new attempt that the
// reconciler starts; false when there is no job, or one that is not at its end.
func (k *Kept) Again(ctx context.Context, videoID string) (begun bool, err error) {
	err = k.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		n, err := sqlc.New(tx).MakeAnew(ctx, sqlc.MakeAnewParams{UpdatedAt: store.Now(), ID: videoID})
		if err != nil {
			return fmt.Errorf("beginning the job of %s again: %w", videoID, err)
		}
		begun = n > 0
		return nil
	})
	return begun && err == nil, err
}

// Has says whether there is a job for the video.
func (k *Kept) Has(ctx context.Context, videoID string) (bool, error) {
	has, err := sqlc.New(k.db.Read()).HasJob(ctx, videoID)
	if err != nil {
		return false, fmt.Errorf("looking for the job of %s: %w", videoID, err)
	}
	return has, nil
}

// holdVideo is what transactions that write about a video share (store.Tx.Share).
func holdVideo(videoID string) string { return "post-processing " + videoID }

// deleted says whether a video is deleted, for a transaction that writes about it:
// Forget removes that if it is deleted before the commit.
func (s *Service) deleted(ctx context.Context, tx *store.Tx, videoID string) (bool, error) {
	if err := tx.Share(ctx, holdVideo(videoID)); err != nil {
		return false, err
	}
	return s.videos.Deleted(ctx, videoID)
}

// videoDeleted hears VideoDeleted. It needs no receipt: it may do its work again.
func (s *Service) videoDeleted(ctx context.Context, e event.Envelope) error {
	var d event.VideoDeleted
	if err := e.Decode(&d); err != nil || d.ID == "" {
		s.log.Error("post-processing: an event that makes no sense", "type", e.DetailType, "event", e.ID, "err", err)
		return nil
	}
	err := s.kept.Forget(ctx, d.ID)
	s.forget(d.ID)
	return err
}

// gone is the outcome of a flow whose video was deleted.
const gone = "gone"
