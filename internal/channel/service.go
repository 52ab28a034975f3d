// Package channel is the channel service: one channel for each broadcaster,
// with its stream key, whether it is live, and the reactions of its viewers. A
// channel's id is its owner's.
package channel

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/channel/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// URLs makes the absolute URLs of a channel.
type URLs interface {
	Live(channel string) string // the live playlist
	WHIP(channel string) string // where publishers send to
	RTMP() string               // where encoders send to; "" when nothing listens for them
	// LivePicture is the latest picture of a live stream.
	LivePicture(channel, stream string) string
}

// Realtime carries passing messages to the open pages of all nodes.
type Realtime interface {
	PublishLive(subject string, data []byte) error
}

// Audience knows how live streams are.
type Audience interface {
	// Now returns how a live stream is; false when it is not known here.
	Now(streamID string) (LiveNow, bool)
}

// LiveNow is how a live stream is just now.
type LiveNow struct {
	Viewers      int
	Reconnecting bool          // its publisher is away, or brings no media
	Picture      bool          // there is a picture of it
	OpenFor      time.Duration // it still waits for media, at least 0
}

// Owners knows who may broadcast.
type Owners interface {
	// MayBroadcast refuses the owner of a channel who is suspended or gone, with the
	// reason. Errors: errs.Forbidden.
	MayBroadcast(ctx context.Context, tx *store.Tx, owner string) error
	// Gone says whether the account is deleted, and is right about it until the
	// transaction ends.
	Gone(ctx context.Context, tx *store.Tx, owner string) (bool, error)
}

// Config is what the service needs; all of it is required.
type Config struct {
	DB       *store.DB
	Logger   *slog.Logger
	Secret   []byte                     // the node's, at least store.MinSecret bytes
	URLs     func(context.Context) URLs // for the answer to the context's request
	Realtime Realtime
	Audience Audience
	Owners   Owners
}

// Service is the channel service.
type Service struct {
	db       *store.DB
	log      *slog.Logger
	sealer   *store.Sealer
	urls     func(context.Context) URLs
	realtime Realtime
	audience Audience
	owners   Owners
	react    *throttle
}

// New returns the service.
func New(cfg Config) (*Service, error) {
	if cfg.DB == nil || cfg.Logger == nil || cfg.URLs == nil || cfg.Realtime == nil || cfg.Audience == nil || cfg.Owners == nil {
		return nil, errors.New("channel: DB, Logger, URLs, Realtime, Audience and Owners are needed")
	}
	sealer, err := store.NewSealer(cfg.Secret, "stream keys")
	if err != nil {
		return nil, fmt.Errorf("channel: %w", err)
	}
	return &Service{
		db: cfg.DB, log: cfg.Logger, sealer: sealer, urls: cfg.URLs, realtime: cfg.Realtime, audience: cfg.Audience,
		owners: cfg.Owners, react: newThrottle(reactionsPerSecond, reactionBurst),
	}, nil
}

// Channel is somebody's channel.
type Channel struct {
	ID        string
	Username  string // the friendly name
	StreamKey string // only where it is asked for
	Live      bool
	StreamID  string    // while live
	LiveSince time.Time // while live
	CreatedAt time.Time
}

// fromRow makes a Channel without its key.
func fromRow(row sqlc.Channel) Channel {
	c := Channel{ID: row.ID, Username: row.Username, Live: row.Live, CreatedAt: store.Time(row.CreatedAt)}
	if row.Live {
		c.StreamID, c.LiveSince = row.LiveStreamID, store.Time(row.LiveSince)
	}
	return c
}

// withKey makes a Channel with its key.
func (s *Service) withKey(row sqlc.Channel) (Channel, error) {
	c := fromRow(row)
	key, err := s.sealer.Open(row.KeySealed, row.ID)
	if err != nil {
		return c, fmt.Errorf("the stream key of %s: %w", row.ID, err)
	}
	c.StreamKey = key
	return c, nil
}

// Ensure returns the user's channel with its stream key, making it if there is
// none. It may be called any number of times, by several nodes at once. Errors:
// errs.NotFound (the channel is closed).
func (s *Service) Ensure(ctx context.Context, user identity.Principal) (Channel, error) {
	var c Channel
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		row, err := s.ensure(ctx, tx, user)
		if err != nil {
			return err
		}
		c, err = s.withKey(row)
		return err
	})
	return c, err
}

func (s *Service) ensure(ctx context.Context, tx *store.Tx, user identity.Principal) (sqlc.Channel, error) {
	q := sqlc.New(tx)
	row, err := q.Get(ctx, user.ID)
	if !errors.Is(err, sql.ErrNoRows) {
		return row, err
	}
	key := newKey()
	made, err := q.Insert(ctx, sqlc.InsertParams{
		ID: user.ID, Username: user.Username, KeyHash: hashKey(key), KeySealed: s.sealer.Seal(key, user.ID), CreatedAt: store.Now(),
	})
	if err != nil {
		return row, fmt.Errorf("inserting a channel: %w", err)
	}
	if made == 1 {
		if err := tx.Emit(ctx, updated(user.ID)); err != nil {
			return row, err
		}
	}
	row, err = q.Get(ctx, user.ID)
	if errors.Is(err, sql.ErrNoRows) {
		return row, errs.Newf(errs.NotFound, "the channel %q is closed", user.ID)
	}
	return row, err
}

// Channel returns a channel without its key. Errors: errs.NotFound.
func (s *Service) Channel(ctx context.Context, id string) (Channel, error) {
	row, err := sqlc.New(s.db.Read()).Get(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return Channel{}, errs.Newf(errs.NotFound, "there is no channel %q", id)
	}
	if err != nil {
		return Channel{}, fmt.Errorf("reading a channel: %w", err)
	}
	return fromRow(row), nil
}

// Username returns a channel's friendly name. Errors: errs.NotFound.
func (s *Service) Username(ctx context.Context, id string) (string, error) {
	c, err := s.Channel(ctx, id)
	return c.Username, err
}

// ChannelByKey returns whose stream key it is. Errors: errs.NotFound.
func (s *Service) ChannelByKey(ctx context.Context, key string) (id, username string, err error) {
	row, err := sqlc.New(s.db.Read()).ByKey(ctx, hashKey(key))
	if errors.Is(err, sql.ErrNoRows) {
		return "", "", errs.New(errs.NotFound, "no channel has this stream key")
	}
	if err != nil {
		return "", "", fmt.Errorf("looking for a stream key: %w", err)
	}
	return row.ID, row.Username, nil
}

// List returns all channels without their keys, the oldest first.
func (s *Service) List(ctx context.Context) ([]Channel, error) {
	rows, err := sqlc.New(s.db.Read()).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading channels: %w", err)
	}
	channels := make([]Channel, 0, len(rows))
	for _, row := range rows {
		channels = append(channels, fromRow(row))
	}
	return channels, nil
}

// RotateKey gives a channel a new stream key and returns it; the old one finds
// the channel no more. Errors: errs.NotFound.
func (s *Service) RotateKey(ctx context.Context, id string) (string, error) {
	key := newKey()
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		changed, err := sqlc.New(tx).SetKey(ctx, sqlc.SetKeyParams{KeyHash: hashKey(key), KeySealed: s.sealer.Seal(key, id), ID: id})
		if err != nil {
			return fmt.Errorf("setting a stream key: %w", err)
		}
		if changed == 0 {
			return errs.Newf(errs.NotFound, "there is no channel %q", id)
		}
		return tx.Emit(ctx, keyRotated(id))
	})
	if err != nil {
		return "", err
	}
	return key, nil
}

// MayBroadcast refuses a channel whose owner is suspended or gone. Errors:
// errs.Forbidden.
func (s *Service) MayBroadcast(ctx context.Context, channelID string) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return s.owners.MayBroadcast(ctx, tx, channelID) })
}

// OwnerGone says whether the account of a channel's owner is deleted, and is right
// about it until the transaction ends.
func (s *Service) OwnerGone(ctx context.Context, tx *store.Tx, channelID string) (bool, error) {
	return s.owners.Gone(ctx, tx, channelID)
}

// RaiseEpoch raises and returns a channel's epoch, in the caller's transaction: a
// broadcast begins or goes on with it. Errors: errs.NotFound, errs.Forbidden (its
// owner is suspended or gone).
func (s *Service) RaiseEpoch(ctx context.Context, tx *store.Tx, channelID string) (int64, error) {
	if err := s.owners.MayBroadcast(ctx, tx, channelID); err != nil {
		return 0, err
	}
	epoch, err := sqlc.New(tx).RaiseEpoch(ctx, channelID)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, errs.Newf(errs.NotFound, "there is no channel %q", channelID)
	}
	if err != nil {
		return 0, fmt.Errorf("raising the epoch of a channel: %w", err)
	}
	return epoch, nil
}

// newKey returns a stream key: sk_ and 24 random bytes in base64url.
func newKey() string {
	b := make([]byte, 24)
	_, _ = rand.Read(b) // crypto/rand never fails
	return "sk_" + base64.RawURLEncoding.EncodeToString(b)
}

// hashKey is what a key is found by. It needs no salt and no stretching: a key
// has 192 random bits.
func hashKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}
