package history

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/history/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

func (s *Service) keep(ctx context.Context, video, channel string, facts ...fact) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := keep(ctx, tx, video, channel, facts...)
		return err
	})
}

// keep adds facts to a video's, unless it was deleted: then it is buried. The
// channel may be empty when the video's row is there.
func keep(ctx context.Context, tx *store.Tx, video, channel string, facts ...fact) (buried bool, err error) {
	q := sqlc.New(tx)
	v, err := q.ClaimVideo(ctx, sqlc.ClaimVideoParams{ID: video, Channel: channel})
	if err != nil {
		return false, fmt.Errorf("the history of video %s: %w", video, err)
	}
	if v.DeletedAt > 0 {
		return true, nil
	}
	for _, f := range facts {
		text, err := json.Marshal(f.detail)
		if err != nil {
			return false, fmt.Errorf("encoding %s of video %s: %w", f.Name, video, err)
		}
		err = q.KeepFact(ctx, sqlc.KeepFactParams{
			VideoID: video, Name: f.Name, HappenedAt: f.At, Weight: f.Weight, Detail: string(text),
		})
		if err != nil {
			return false, fmt.Errorf("keeping %s of video %s: %w", f.Name, video, err)
		}
	}
	return false, nil
}

// keepOfStream is keep for what streaming says. It may be about a broadcast that
// never becomes a video, so nobody says that it is deleted when its owner's account is.
func (s *Service) keepOfStream(ctx context.Context, stream, channel string, f fact) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.Share(ctx, channelName(channel)); err != nil {
			return err
		}
		closed, err := sqlc.New(tx).ChannelClosed(ctx, channel)
		if err != nil {
			return fmt.Errorf("looking for channel %s: %w", channel, err)
		}
		if closed {
			return forget(ctx, tx, stream, channel)
		}
		_, err = keep(ctx, tx, stream, channel, f)
		return err
	})
}

// closeChannel remembers that a channel's owner is gone.
func (s *Service) closeChannel(ctx context.Context, channel string) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		// Whoever has asked before, is waited for; whoever asks later, is told.
		if err := tx.Alone(ctx, channelName(channel)); err != nil {
			return err
		}
		if err := sqlc.New(tx).CloseChannel(ctx, sqlc.CloseChannelParams{Channel: channel, ClosedAt: store.Now()}); err != nil {
			return fmt.Errorf("closing channel %s: %w", channel, err)
		}
		return nil
	})
}

// channelName is by which transactions about a channel's end wait for each other.
func channelName(channel string) string { return "history-channel:" + channel }

// forget removes what is known of a video. Its row stays as a tombstone: news
// of the video that comes late must not begin its history anew.
func (s *Service) forget(ctx context.Context, video, channel string) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return forget(ctx, tx, video, channel) })
}

func forget(ctx context.Context, tx *store.Tx, video, channel string) error {
	q := sqlc.New(tx)
	// The tasks first, as asked and pluginAnswered lock them first.
	if err := q.ForgetTasks(ctx, video); err != nil {
		return fmt.Errorf("forgetting the tasks of video %s: %w", video, err)
	}
	if _, err := q.ClaimVideo(ctx, sqlc.ClaimVideoParams{ID: video, Channel: channel}); err != nil {
		return fmt.Errorf("the history of video %s: %w", video, err)
	}
	// Those of a rebuild that was broken off, too.
	if err := errors.Join(q.ForgetFacts(ctx, video), q.ForgetStaged(ctx, video)); err != nil {
		return fmt.Errorf("forgetting the history of video %s: %w", video, err)
	}
	if err := q.BuryVideo(ctx, sqlc.BuryVideoParams{DeletedAt: store.Now(), ID: video}); err != nil {
		return fmt.Errorf("forgetting video %s: %w", video, err)
	}
	return nil
}

// Videos calls fn with the ids of all videos that something is known of.
func (s *Service) Videos(ctx context.Context, fn func(videoID string)) error {
	const batch = 1000
	after := ""
	for {
		ids, err := sqlc.New(s.db.Read()).VideoIDs(ctx, sqlc.VideoIDsParams{After: after, RowCount: batch})
		if err != nil {
			return fmt.Errorf("reading the videos of the history: %w", err)
		}
		for _, videoID := range ids {
			after = videoID
			fn(videoID)
		}
		if len(ids) < batch {
			return nil
		}
	}
}

// Forget removes what is known of a video, for good. It may run again.
func (s *Service) Forget(ctx context.Context, videoID string) error {
	return s.forget(ctx, videoID, "")
}

// facts returns what is known of a video by name, and its channel; nothing of a
// video that the history never heard of.
func (s *Service) facts(ctx context.Context, video string) (channel string, facts map[string]fact, err error) {
	q := sqlc.New(s.db.Read())
	channel, err = q.Channel(ctx, video)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", nil, fmt.Errorf("reading the history of video %s: %w", video, err)
	}
	rows, err := q.Facts(ctx, video)
	if err != nil {
		return "", nil, fmt.Errorf("reading the history of video %s: %w", video, err)
	}
	facts = make(map[string]fact, len(rows))
	for _, r := range rows {
		f := fact{Name: r.Name, At: r.HappenedAt, Weight: r.Weight}
		if err := json.Unmarshal([]byte(r.Detail), &f.detail); err != nil {
			return "", nil, fmt.Errorf("reading %s of video %s: %w", r.Name, video, err)
		}
		facts[f.Name] = f
	}
	return channel, facts, nil
}
