package channel

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/channel/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Consumers are the events that the service hears.
func (s *Service) Consumers() []event.Consumer {
	return []event.Consumer{
		{
			Name:    "channel-users",
			Filters: []event.Filter{{Source: event.SourceAuth, Type: event.BroadcastUserCreated{}.EventType()}},
			Handle:  s.userCreated,
		},
		{
			Name:    "channel-users-gone",
			Filters: []event.Filter{{Source: event.SourceAuth, Type: event.UserDeleted{}.EventType()}},
			Handle:  s.userDeleted,
		},
		{
			Name:    "channel-streams",
			Filters: []event.Filter{{Source: event.SourceStreaming, Type: event.StreamStateChange{}.EventType()}},
			Handle:  s.streamChanged,
		},
	}
}

// What the service says.
func updated(channel string) event.Envelope {
	return event.New(event.ChannelUpdated{ChannelName: channel})
}

func keyRotated(channel string) event.Envelope {
	return event.New(event.StreamKeyRotated{ChannelName: channel})
}

// userCreated makes the channel of a new broadcaster. It needs no receipt:
// whoever comes first, by event or by Ensure, makes it.
func (s *Service) userCreated(ctx context.Context, e event.Envelope) error {
	var d event.BroadcastUserCreated
	if err := e.Decode(&d); err != nil {
		return err
	}
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := s.ensure(ctx, tx, identity.Principal{ID: d.Sub, Username: d.Username})
		return err
	})
	if errs.CodeOf(err) == errs.NotFound {
		return nil // the account was deleted since
	}
	return err
}

// userDeleted closes the channel of an account that is gone. It needs no receipt:
// closing what is closed does nothing.
func (s *Service) userDeleted(ctx context.Context, e event.Envelope) error {
	var d event.UserDeleted
	if err := e.Decode(&d); err != nil {
		return err
	}
	key := newKey() // nobody is told: what finds the channel must not be empty
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		closed, err := sqlc.New(tx).Close(ctx, sqlc.CloseParams{
			ID: d.Sub, KeyHash: hashKey(key), KeySealed: s.sealer.Seal(key, d.Sub), CreatedAt: store.Now(),
		})
		if err != nil {
			return fmt.Errorf("closing a channel: %w", err)
		}
		if closed == 0 {
			return nil
		}
		return tx.Emit(ctx, updated(d.Sub))
	})
}

// pruneEvery is how often closed channels of long ago are forgotten.
const pruneEvery = time.Hour

// Run does the service's periodic work until ctx is done.
func (s *Service) Run(ctx context.Context) {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			return sqlc.New(tx).PruneClosed(ctx, store.Now()-store.ReceiptsKept.Milliseconds())
		})
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "closed channels of long ago are not forgotten", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// streamChanged keeps the live flag. Events come late, twice and in any order;
// stream ids are ordered by time, and that order decides.
func (s *Service) streamChanged(ctx context.Context, e event.Envelope) error {
	var d event.StreamStateChange
	if err := e.Decode(&d); err != nil {
		return err
	}
	if d.EventName != event.StreamStart && d.EventName != event.StreamEnd {
		return nil
	}
	return s.db.Once(ctx, "channel-streams", e.ID, func(ctx context.Context, tx *store.Tx) error {
		q := sqlc.New(tx)
		row, err := q.Get(ctx, d.ChannelName)
		if errors.Is(err, sql.ErrNoRows) {
			s.log.WarnContext(ctx, "a stream of an unknown channel", "channel", d.ChannelName, "stream", d.StreamID)
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading a channel: %w", err)
		}
		next := sqlc.SetLiveParams{
			Live: row.Live, LiveStreamID: row.LiveStreamID, LiveSince: row.LiveSince, LastEndedID: row.LastEndedID,
			ID: row.ID, LiveStreamID_2: row.LiveStreamID, LastEndedID_2: row.LastEndedID,
		}
		if d.EventName == event.StreamStart {
			started(&next, d.StreamID, e.Time.UnixMilli())
		} else {
			ended(&next, d.StreamID)
		}
		written, err := q.SetLive(ctx, next)
		if err != nil {
			return fmt.Errorf("setting the live flag: %w", err)
		}
		if written == 0 {
			return fmt.Errorf("the channel %s changed at the same moment", row.ID)
		}
		if next.Live == row.Live && next.LiveStreamID == row.LiveStreamID {
			return nil
		}
		return tx.Emit(ctx, updated(row.ID))
	})
}

// started turns the channel live, unless the stream has ended already or a
// newer one is live.
func started(c *sqlc.SetLiveParams, stream string, at int64) {
	if stream <= c.LastEndedID || stream <= c.LiveStreamID {
		return
	}
	c.Live, c.LiveStreamID, c.LiveSince = true, stream, at
}

// ended turns the channel off if it is this stream that is live, and remembers
// it, so that its Stream Start that comes late changes nothing.
func ended(c *sqlc.SetLiveParams, stream string) {
	c.LastEndedID = max(c.LastEndedID, stream)
	if c.LiveStreamID == stream {
		c.Live, c.LiveStreamID, c.LiveSince = false, "", 0
	}
}
