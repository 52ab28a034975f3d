package app

import (
	"context"
	"log/slog"

	"github.com/serverlessvideo/serverlessvideo/internal/admin"
	"github.com/serverlessvideo/serverlessvideo/internal/config"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
)

// operator does what commands ask for, on a running node and on a folder at
// rest. What it says waits in the outbox for a node that runs.
type operator struct {
	*core
	node *App // nil on a folder at rest
}

// OpenOperator opens a folder at rest for a command. The caller holds the
// folder's lock.
func OpenOperator(ctx context.Context, cfg config.Config, log *slog.Logger) (admin.Offline, error) {
	c, err := openCore(ctx, cfg, log)
	if err != nil {
		return nil, err
	}
	return &operator{core: c}, nil
}

// Close closes the folder.
func (o *operator) Close() error { return o.db.Close() }

// AddUser makes a user, and the channel of one who may broadcast. The channel
// service makes it too when it hears of the user: both come to one channel.
func (o *operator) AddUser(ctx context.Context, u admin.NewUser) (admin.User, error) {
	p, err := o.accounts.AddUser(ctx, u.Email, u.Password, u.Roles)
	if err != nil {
		return admin.User{}, err
	}
	user := admin.User{ID: p.ID, Email: p.Email, Roles: p.Roles}
	if !p.Roles.Has(identity.Broadcaster) {
		return user, nil
	}
	ch, err := o.channels.Ensure(ctx, p)
	if err != nil {
		return admin.User{}, err
	}
	user.Channel = &admin.ChannelKey{ID: ch.ID, StreamKey: ch.StreamKey}
	return user, nil
}

// ListChannels lists all channels, oldest first.
func (o *operator) ListChannels(ctx context.Context) ([]admin.Channel, error) {
	all, err := o.channels.List(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]admin.Channel, 0, len(all))
	for _, c := range all {
		out = append(out, admin.Channel{ID: c.ID, Username: c.Username, Live: c.Live})
	}
	return out, nil
}

// RotateKey gives a channel a new stream key.
func (o *operator) RotateKey(ctx context.Context, channelID string) (admin.ChannelKey, error) {
	key, err := o.channels.RotateKey(ctx, channelID)
	if err != nil {
		return admin.ChannelKey{}, err
	}
	return admin.ChannelKey{ID: channelID, StreamKey: key}, nil
}
