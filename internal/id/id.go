// Package id makes identifiers. All are made of [A-Za-z0-9_-].
package id

import (
	"crypto/rand"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// New returns a new ULID in lower case: 26 characters, ordered by time to the
// millisecond, with 80 random bits behind.
func New() string {
	return strings.ToLower(ulid.MustNew(ulid.Now(), rand.Reader).String())
}

// Event returns a new id for an event: a UUIDv7 (RFC 9562), ordered by time.
func Event() string {
	return uuid.Must(uuid.NewV7()).String()
}

// Derived returns the same UUIDv5 for the same parts, so that a repeated step
// says the same event again instead of a second one.
func Derived(parts ...string) string {
	return uuid.NewSHA1(namespace(), []byte(strings.Join(parts, "\x00"))).String()
}

// namespace separates our derived ids from everybody else's.
func namespace() uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceDNS, []byte("events.serverlessvideo"))
}

// A Sequence makes ids that are strictly increasing within it, even within one
// millisecond. It is safe for concurrent use.
type Sequence struct {
	mu      sync.Mutex
	entropy *ulid.MonotonicEntropy
}

// NewSequence returns a Sequence.
func NewSequence() *Sequence {
	return &Sequence{entropy: ulid.Monotonic(rand.Reader, 0)}
}

// Next returns the sequence's next id, in the form of New.
func (s *Sequence) Next() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.ToLower(ulid.MustNew(ulid.Now(), s.entropy).String())
}
