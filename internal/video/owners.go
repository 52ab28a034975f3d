package video

import (
	"context"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/failpoint"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/video/sqlc"
)

// ownerGone is why videos are deleted of which the owner's account is.
const ownerGone = "the account was deleted"

// buryBatch is how many videos one transaction deletes: others wait for it.
const buryBatch = 50

func (s *Service) ownersChange(ctx context.Context, e event.Envelope) error {
	if e.DetailType == (event.UserDeleted{}).EventType() {
		return s.ownerDeleted(ctx, e)
	}
	return s.streamEnded(ctx, e)
}

// streamEnded deletes what was live when its owner's account was deleted, also
// when it comes to no recording: others know of the broadcast, and hear it so.
func (s *Service) streamEnded(ctx context.Context, e event.Envelope) error {
	var d event.StreamStateChange
	if err := e.Decode(&d); err != nil {
		return s.ignore(e, err)
	}
	if d.EventName != event.StreamEnd || event.Simulated(d.StreamID) {
		return nil
	}
	if err := checkIDs(d.StreamID, d.ChannelName); err != nil {
		return s.ignore(e, err)
	}
	closed, err := sqlc.New(s.db.Read()).ChannelClosed(ctx, d.ChannelName)
	if err != nil || !closed {
		return err
	}
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		v, err := claim(ctx, tx, d.StreamID, d.ChannelName)
		if err != nil || v.DeletedAt > 0 {
			return err
		}
		if err := bury(ctx, tx, &v, ownerGone); err != nil {
			return err
		}
		return save(ctx, tx, v)
	})
}

// ownerDeleted deletes what a channel has when its owner's account is deleted, and
// remembers that, for a recording that ends later. It may run again: what is deleted
// stays so.
func (s *Service) ownerDeleted(ctx context.Context, e event.Envelope) error {
	var d event.UserDeleted
	if err := e.Decode(&d); err != nil {
		return s.ignore(e, err)
	}
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		// Whoever has asked before, is waited for; whoever asks later, is told.
		if err := tx.Alone(ctx, channelName(d.Sub)); err != nil {
			return err
		}
		q := sqlc.New(tx)
		if err := q.CloseChannel(ctx, sqlc.CloseChannelParams{Channel: d.Sub, ClosedAt: store.Now()}); err != nil {
			return fmt.Errorf("closing a channel: %w", err)
		}
		return q.RemoveRetention(ctx, d.Sub)
	})
	failpoint.Pass("owner.closed")
	for more := true; more && err == nil; {
		more, err = s.buryOf(ctx, d.Sub)
		failpoint.Pass("owner.buried")
	}
	return err
}

// buryOf deletes some of a channel's videos, and says whether there may be more.
func (s *Service) buryOf(ctx context.Context, channel string) (more bool, err error) {
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		q := sqlc.New(tx)
		ids, err := q.UndeletedOf(ctx, sqlc.UndeletedOfParams{Channel: channel, Limit: buryBatch})
		if err != nil {
			return fmt.Errorf("reading the videos of a channel: %w", err)
		}
		more = len(ids) == buryBatch
		for _, videoID := range ids {
			v, err := q.LockVideo(ctx, videoID)
			if err != nil {
				return named(err, videoID)
			}
			if v.DeletedAt > 0 {
				continue
			}
			if err := bury(ctx, tx, &v, ownerGone); err != nil {
				return err
			}
			if err := save(ctx, tx, v); err != nil {
				return err
			}
		}
		return nil
	})
	return more, err
}

// ownerIsGone says whether the account of a video's owner is deleted, and is right
// about it until the transaction ends. Simulated videos are the simulator's.
func ownerIsGone(ctx context.Context, tx *store.Tx, v sqlc.Video) (bool, error) {
	if event.Simulated(v.ID) {
		return false, nil
	}
	if err := tx.Share(ctx, channelName(v.Channel)); err != nil {
		return false, err
	}
	closed, err := sqlc.New(tx).ChannelClosed(ctx, v.Channel)
	if err != nil {
		return false, fmt.Errorf("looking for the channel of video %s: %w", v.ID, err)
	}
	return closed, nil
}

// channelName is by which transactions about a channel's end wait for each other.
func channelName(channel string) string { return "video-channel:" + channel }
