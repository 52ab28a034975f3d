package app

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/archive"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/rules"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// eventServices makes the rules and the archive, which commands on a folder at
// rest read, too.
func (c *core) eventServices() error {
	cfg := rules.Config{DB: c.db, Logger: c.log, Secret: c.secret, Node: c.nodeID, Live: c.realtime}
	for _, text := range c.cfg.Rules.AllowNetworks {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("rules.allow_networks: %w", err)
		}
		cfg.AllowNetworks = append(cfg.AllowNetworks, network.Masked())
	}
	var err error
	if c.rules, err = rules.New(cfg); err != nil {
		return err
	}
	c.archive, err = archive.New(archive.Config{
		DB: c.db, Logger: c.log, Rules: replayRules{c.rules},
		Keep: time.Duration(c.cfg.Archive.Keep) * 24 * time.Hour, MaxSize: int64(c.cfg.Archive.MaxSize) << 20,
	})
	return err
}

// replayRules is what the archive needs of the rules.
type replayRules struct{ rules *rules.Service }

// Rule returns a rule as a replay sees it.
func (r replayRules) Rule(ctx context.Context, id string) (archive.Rule, error) {
	t, err := r.rules.ReplayTarget(ctx, id)
	return archive.Rule(t), err
}

// Queue adds deliveries of events to a rule.
func (r replayRules) Queue(ctx context.Context, tx *store.Tx, rule, replay string, events []event.Envelope) (int, error) {
	return r.rules.QueueReplay(ctx, tx, rule, replay, events)
}

// Withdraw takes back what waits of a replay.
func (r replayRules) Withdraw(ctx context.Context, tx *store.Tx, rule, replay string) (int64, error) {
	return r.rules.WithdrawReplay(ctx, tx, rule, replay)
}

// Look makes the deliveries that were queued begin now.
func (r replayRules) Look() { r.rules.LookAfterReplay() }
