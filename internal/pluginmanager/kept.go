package pluginmanager

import (
	"context"
	"fmt"
	"slices"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/pluginmanager/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Kept is what the plugin manager keeps of videos: lifecycles, tasks, answers,
// flows and their receipts. It works on a folder at rest too, with an engine that
// is not started.
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
		ids, err := sqlc.New(k.db.Read()).LifecycleVideos(ctx, sqlc.LifecycleVideosParams{After: after, RowCount: batch})
		if err != nil {
			return fmt.Errorf("reading the lifecycles: %w", err)
		}
		for _, row := range ids {
			after = row.FlowID
			fn(row.VideoID)
		}
		if len(ids) < batch {
			break
		}
	}
	flows, err := k.flows.IDs(ctx, flowPrefix)
	for _, f := range flows {
		fn(videoOf(f))
	}
	return err
}

// Forget ends a video's lifecycle and removes all that is kept of it. Plugins that
// still answer find their task gone. It may run again.
func (k *Kept) Forget(ctx context.Context, videoID string) error {
	flows, err := k.lifecycles(ctx, videoID)
	if err != nil {
		return err
	}
	err = k.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.Alone(ctx, holdVideo(videoID)); err != nil {
			return err
		}
		q := sqlc.New(tx)
		// The tasks first, locked: an answer that is being taken has its row by then.
		if err := q.LockTasksOfVideo(ctx, videoID); err != nil {
			return fmt.Errorf("locking the tasks of video %s: %w", videoID, err)
		}
		if err := q.RemoveAnswers(ctx, videoID); err != nil {
			return fmt.Errorf("removing the answers to video %s: %w", videoID, err)
		}
		if err := q.RemoveTasks(ctx, videoID); err != nil {
			return fmt.Errorf("removing the tasks of video %s: %w", videoID, err)
		}
		if err := q.RemoveLifecycles(ctx, videoID); err != nil {
			return fmt.Errorf("removing the lifecycle of video %s: %w", videoID, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := k.flows.Forget(ctx, flows...); err != nil {
		return err
	}
	// The receipts last: a flow that ran has written them until now.
	return k.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.Alone(ctx, holdVideo(videoID)); err != nil {
			return err
		}
		return tx.ForgetFlows(ctx, flows...)
	})
}

// holdVideo is what transactions that write about a video share (store.Tx.Share).
func holdVideo(videoID string) string { return "plugins " + videoID }

// deleted says whether a video is deleted, for a transaction that writes about it:
// Forget removes that if it is deleted before the commit.
func (s *Service) deleted(ctx context.Context, tx *store.Tx, videoID string) (bool, error) {
	if err := tx.Share(ctx, holdVideo(videoID)); err != nil {
		return false, err
	}
	return s.videos.Deleted(ctx, videoID)
}

// lifecycles returns the ids of all lifecycles of a video, also of those of which
// the row alone or the flow alone is left; always that of the first one, of which
// a run of Forget that was broken off may have left the receipts.
func (k *Kept) lifecycles(ctx context.Context, videoID string) ([]string, error) {
	flows, err := k.flows.Attempts(ctx, firstID(videoID))
	if err != nil {
		return nil, err
	}
	rows, err := sqlc.New(k.db.Read()).LifecyclesOfVideo(ctx, videoID)
	if err != nil {
		return nil, fmt.Errorf("reading the lifecycles of video %s: %w", videoID, err)
	}
	flows = append(flows, firstID(videoID))
	for _, row := range rows {
		flows = append(flows, row.FlowID)
	}
	slices.Sort(flows)
	return slices.Compact(flows), nil
}

// Renew is Forget for a video whose lifecycle is to run from its beginning: what was
// said in the one before is forgotten, too, as it is said anew under the same ids.
func (k *Kept) Renew(ctx context.Context, videoID string) error {
	flows, err := k.lifecycles(ctx, videoID)
	if err != nil {
		return err
	}
	var events []string
	for _, flowID := range flows {
		tasks, err := sqlc.New(k.db.Read()).TasksOfFlow(ctx, flowID)
		if err != nil {
			return fmt.Errorf("reading the tasks of video %s: %w", videoID, err)
		}
		events = append(events, completeID(flowID))
		for _, t := range tasks {
			events = append(events, invocationID(flowID, t.Hook, t.Plugin, t.Attempt))
		}
	}
	err = k.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.ForgetEvents(ctx, events...) })
	if err != nil {
		return err
	}
	return k.Forget(ctx, videoID)
}

// videoDeleted hears VideoDeleted. It needs no receipt: it may do its work again.
func (s *Service) videoDeleted(ctx context.Context, e event.Envelope) error {
	var d event.VideoDeleted
	if err := e.Decode(&d); err != nil || d.ID == "" {
		s.log.Error("a VideoDeleted that cannot be understood", "event", e.ID, "err", err)
		return nil
	}
	return s.kept.Forget(ctx, d.ID)
}
