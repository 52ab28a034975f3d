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

// After is New, ordered behind an earlier id of New's, also when the clock has gone
// back since that was made.
func After(earlier string) string {
	ms := ulid.Now()
	if e, err := ulid.ParseStrict(strings.ToUpper(earlier)); err == nil {
		ms = max(ms, e.Time()+1)
	}
	return strings.ToLower(ulid.MustNew(ms, rand.Reader).String())
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
// millisecond, and when the clock goes back. It is safe for concurrent use.
type Sequence struct {
	mu      sync.Mutex
	last    uint64 // ms
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
	s.last = max(s.last, ulid.Now())
	return strings.ToLower(ulid.MustNew(s.last, s.entropy).String())
}
