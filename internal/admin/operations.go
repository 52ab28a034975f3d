// Package admin lets commands work on a data folder, whether a node runs on it
// or not. The node that runs holds the folder's lock and says in admin.json
// where it listens, on the loopback, for calls with a token that is fresh per
// start. A command calls that node; when the lock is free it takes the lock and
// works on the folder itself.
package admin

import (
	"context"

	"github.com/serverlessvideo/serverlessvideo/internal/identity"
)

// Operations is what commands can do, the same way on a running node and on a
// folder at rest. Errors are coded (package errs).
type Operations interface {
	// AddUser makes a user whose address counts as confirmed, with a channel
	// when the roles have Broadcaster. errs.Conflict: the address is taken.
	AddUser(ctx context.Context, u NewUser) (User, error)
	// ListChannels returns all channels, oldest first, without their secrets.
	ListChannels(ctx context.Context) ([]Channel, error)
	// RotateKey gives a channel a new stream key; the old one ends at once.
	RotateKey(ctx context.Context, channelID string) (ChannelKey, error)
	// StartSimulation begins to replay the newest recordings; it is stopped when
	// nobody follows it. On a folder at rest these three are ErrNotRunning.
	StartSimulation(ctx context.Context, n NewSimulation) (Simulation, error)
	// FollowSimulation returns how a simulation is, and says that somebody waits
	// for it. errs.NotFound: its results are gone.
	FollowSimulation(ctx context.Context, id string) (Simulation, error)
	// StopSimulation ends a simulation, and removes its videos.
	StopSimulation(ctx context.Context, id string) (Simulation, error)
}

// NewUser is a user to be made.
type NewUser struct {
	Email    string         `json:"email"`
	Password string         `json:"password"`
	Roles    identity.Roles `json:"roles"`
}

// User is a user that was made. Channel is nil for users who cannot broadcast.
type User struct {
	ID      string         `json:"id"`
	Email   string         `json:"email"`
	Roles   identity.Roles `json:"roles"`
	Channel *ChannelKey    `json:"channel,omitempty"`
}

// ChannelKey is a channel with its secret.
type ChannelKey struct {
	ID        string `json:"id"`
	StreamKey string `json:"streamKey"`
}

// Channel is a channel as the operator sees it in the list.
type Channel struct {
	ID       string `json:"id"`
	Username string `json:"username"`
	Live     bool   `json:"live"`
}

// operation is one of Operations as both ends of the wire know it.
type operation[In, Out any] struct {
	path  string
	run   func(ops Operations, ctx context.Context, in In) (Out, error)
	quiet bool // it only looks, and often
}

func addUser() operation[NewUser, User] {
	return operation[NewUser, User]{path: "/user/add", run: Operations.AddUser}
}

func listChannels() operation[struct{}, []Channel] {
	return operation[struct{}, []Channel]{path: "/channel/list", run: func(ops Operations, ctx context.Context, _ struct{}) ([]Channel, error) {
		return ops.ListChannels(ctx)
	}}
}

func rotateKey() operation[string, ChannelKey] {
	return operation[string, ChannelKey]{path: "/channel/rotate-key", run: Operations.RotateKey}
}
