package rules

import (
	"context"
	"net/netip"
	"time"
)

// MayReach is mayReach.
func MayReach(a netip.Addr, networks []netip.Prefix) error { return mayReach(a, networks) }

// Pause is pause.
func (s *Service) Pause(tries int64, asked time.Duration) time.Duration { return s.pause(tries, asked) }

// Prune is prune.
func (s *Service) Prune(ctx context.Context) error { return s.prune(ctx) }

// Bound sets how many deliveries a rule keeps.
func (c *Config) Bound(waiting, unmade, done int) {
	c.mostWaiting, c.mostDead, c.mostDone = waiting, unmade, done
}

// DefaultTries is defaultTries.
const DefaultTries = defaultTries

// Add is add.
func (s *Service) Add(ctx context.Context, in RuleInput) (string, error) {
	r, _, err := s.add(ctx, in)
	return r.ID, err
}
