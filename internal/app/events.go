package app

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/serverlessvideo/serverlessvideo/internal/archive"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/pluginmanager"
	"github.com/serverlessvideo/serverlessvideo/internal/rules"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// newRules makes the rules, with what their targets may be.
func (a *App) newRules(s *services) (*rules.Service, error) {
	cfg := rules.Config{
		DB: a.db, Videos: s.videos, Logger: a.log, Secret: a.secret, Node: a.nodeID, Metrics: a.registry, Live: a.bus,
		Plugins: askedPlugins{s.plugins}, Tagger: s.videos,
		Flows: []rules.Flow{{
			Choice: rules.Choice{Name: "postprocess", Description: "Makes the MP4 and the pictures of the event's video again, when that has failed; up to five attempts in all."},
			Start:  s.postprocess.AgainByRule,
		}},
	}
	for _, text := range a.cfg.Rules.AllowNetworks {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("rules.allow_networks: %w", err)
		}
		cfg.AllowNetworks = append(cfg.AllowNetworks, network.Masked())
	}
	return rules.New(cfg)
}

// askedPlugins are the plugins that rules give events to.
type askedPlugins struct{ *pluginmanager.Service }

// ForEvents returns the plugins that take events.
func (p askedPlugins) ForEvents() []rules.Choice {
	all := []rules.Choice{}
	for _, plugin := range p.EventPlugins() {
		all = append(all, rules.Choice{Name: plugin.Name, Description: plugin.Description})
	}
	return all
}

// Ask gives an event to a plugin and waits for its answer.
func (p askedPlugins) Ask(ctx context.Context, a rules.Asking) error {
	return p.Service.Ask(ctx, pluginmanager.EventTask{
		Delivery: a.Delivery, Plugin: a.Plugin, Rule: event.PluginEventRule{ID: a.RuleID, Name: a.RuleName},
		Event: a.Event, Video: a.VideoID, Channel: a.ChannelID,
	})
}

// replayRules is what the archive needs of the rules. A folder at rest has an
// archive to read, but no rules.
type replayRules struct{ rules *rules.Service }

// Rule returns a rule as a replay sees it.
func (r *replayRules) Rule(ctx context.Context, id string) (archive.Rule, error) {
	t, err := r.rules.ReplayTarget(ctx, id)
	return archive.Rule(t), err
}

// Queue adds deliveries of events to a rule.
func (r *replayRules) Queue(ctx context.Context, tx *store.Tx, rule, replay string, events []event.Envelope) (int, error) {
	return r.rules.QueueReplay(ctx, tx, rule, replay, events)
}

// Withdraw takes back what waits of a replay.
func (r *replayRules) Withdraw(ctx context.Context, tx *store.Tx, rule, replay string) (int64, error) {
	return r.rules.WithdrawReplay(ctx, tx, rule, replay)
}

// Look makes the deliveries that were queued begin now.
func (r *replayRules) Look() { r.rules.LookAfterReplay() }
