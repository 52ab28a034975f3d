// Package admin lets commands work on a data folder, whether a node runs on it
// or not. The node that runs holds the folder's lock and says in admin.json
// where it listens, on the loopback, for calls with a token that is fresh per
// start. A command calls that node; when the lock is free it takes the lock and
// works on the folder itself.
package admin

import (
	"context"
	"time"

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
	// Check looks for objects and rows that nobody owns, and mends them on request.
	// progress hears, in words, how far it is.
	Check(ctx context.Context, r CheckRequest, progress func(string)) (CheckReport, error)
	// RebuildHistory makes the timelines of videos anew of the archived events.
	RebuildHistory(ctx context.Context, r RebuildRequest, progress func(string)) (RebuildReport, error)
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

// CheckRequest says how is checked.
type CheckRequest struct {
	Repair bool          `json:"repair"`
	Grace  time.Duration `json:"grace"` // what is younger counts as being made
}

// CheckReport is what a check came to.
type CheckReport struct {
	Objects  int       `json:"objects"` // looked at
	Bytes    int64     `json:"bytes"`
	Videos   int       `json:"videos"`
	Findings []Finding `json:"findings"`
	More     int       `json:"more,omitempty"` // findings that are not listed
	Left     int       `json:"left"`           // findings that are not repaired
}

// Finding is one thing that is not as it should be; docs/operating.md lists the
// kinds.
type Finding struct {
	Kind     string `json:"kind"`
	Video    string `json:"video,omitempty"`
	Service  string `json:"service,omitempty"`
	Prefix   string `json:"prefix,omitempty"` // of the objects' keys
	Objects  int    `json:"objects,omitempty"`
	Bytes    int64  `json:"bytes,omitempty"`
	What     string `json:"what"`
	Repair   string `json:"repair,omitempty"` // what mends it; empty: no command does
	Repaired bool   `json:"repaired,omitempty"`
	Failed   string `json:"failed,omitempty"` // why it is not repaired
}

// RebuildRequest says what of the history is made anew.
type RebuildRequest struct {
	From  time.Time `json:"from"`  // of events from then on; zero: of all that are archived
	Video string    `json:"video"` // of this video alone; empty: of all
}

// RebuildReport is what a rebuild came to.
type RebuildReport struct {
	Events int       `json:"events"` // read of the archive
	Videos int       `json:"videos"` // whose timeline was made anew
	Oldest time.Time `json:"oldest"` // event of the archive; what is older stays as it was
	Newest time.Time `json:"newest"`
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

// longOperation is one that takes its time and tells meanwhile how far it is.
type longOperation[In, Out any] struct {
	path string
	run  func(ops Operations, ctx context.Context, in In, progress func(string)) (Out, error)
}

func check() longOperation[CheckRequest, CheckReport] {
	return longOperation[CheckRequest, CheckReport]{"/check", Operations.Check}
}

func rebuildHistory() longOperation[RebuildRequest, RebuildReport] {
	return longOperation[RebuildRequest, RebuildReport]{"/history/rebuild", Operations.RebuildHistory}
}
