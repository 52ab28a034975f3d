package rules

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/rules/sqlc"
)

// The targets.
const (
	targetWebhook = "webhook"
	targetLog     = "log"
	targetPlugin  = "plugin"
	targetFlow    = "flow"
	targetTag     = "tag"
)

// targets returns all of them.
func targets() []string {
	return []string{targetWebhook, targetLog, targetPlugin, targetFlow, targetTag}
}

// Plugins are asked about events.
type Plugins interface {
	// ForEvents returns the plugins that rules may give events to.
	ForEvents() []Choice
	// Ask gives an event to a plugin and waits for its answer, no longer than
	// the plugin's time limit. A delivery that is asked again while its plugin has
	// still to answer is not asked twice, and one that was answered is answered at
	// once. Errors: why the plugin did not take the event; errs.Invalid and
	// errs.Conflict when it never will.
	Ask(ctx context.Context, a Asking) error
}

// Choice is something that a rule's target may name.
type Choice struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

// Asking is a delivery for a plugin. Event is an envelope without task tokens.
type Asking struct {
	Delivery, Plugin   string
	RuleID, RuleName   string
	Event              json.RawMessage
	VideoID, ChannelID string // that the event is about, "" when it says none
}

// Flow is durable work that events start.
type Flow struct {
	Choice
	// Start starts it for the video that an event is about, once for a delivery
	// however often it is called. Errors as those of Plugins.Ask.
	Start func(ctx context.Context, delivery, video string) error
}

// Tagger gives videos an event tag.
type Tagger interface {
	// CheckEventTag says what is wrong with a tag.
	CheckEventTag(tag string) error
	// TagByRule tags a video, of a channel that may be "" when the video is known,
	// once for a delivery. Errors as those of Plugins.Ask.
	TagByRule(ctx context.Context, delivery, video, channel, tag string) error
}

// maxLogged is how much of an event stands in a line of the log, in bytes.
const maxLogged = 8 << 10

// pluginTime is the longest that a plugin may take, and a little more for what
// it takes to ask.
const pluginTime = 65 * time.Second

// limit is how long a try may last.
func (s *Service) limit(target string) time.Duration {
	if target == targetPlugin {
		return pluginTime
	}
	return s.cfg.Timeout
}

// send makes one try of a delivery.
func (s *Service) send(ctx context.Context, r sqlc.Rule, d sqlc.RuleDelivery) outcome {
	ctx, cancel := context.WithTimeout(ctx, s.limit(r.Target))
	defer cancel()
	if r.Target != targetLog && simulated(d) {
		// It was the log's when the event came.
		return outcome{err: "the event is about a simulated video: it goes into the log alone", final: true}
	}
	switch r.Target {
	case targetWebhook:
		return s.post(ctx, r, d)
	case targetLog:
		s.write(ctx, r, d)
		return outcome{}
	case targetPlugin:
		video, channel := aboutOf(d)
		return s.outcomeOf(r, d, s.cfg.Plugins.Ask(ctx, Asking{
			Delivery: d.ID, Plugin: r.Argument, RuleID: r.ID, RuleName: r.Name, Event: json.RawMessage(d.Body), VideoID: video, ChannelID: channel,
		}))
	case targetFlow, targetTag:
		return s.outcomeOf(r, d, s.act(ctx, r, d))
	}
	return outcome{err: fmt.Sprintf("this version has no target %q", r.Target)}
}

// act does what a flow or a tag is for with the video of an event.
func (s *Service) act(ctx context.Context, r sqlc.Rule, d sqlc.RuleDelivery) error {
	video, channel := aboutOf(d)
	if video == "" {
		return errs.Newf(errs.Invalid, "the event %s is about no video; let the rule's pattern match events that have one", d.DetailType)
	}
	if r.Target == targetTag {
		return s.cfg.Tagger.TagByRule(ctx, d.ID, video, channel, r.Argument)
	}
	for _, f := range s.cfg.Flows {
		if f.Name == r.Argument {
			return f.Start(ctx, d.ID, video)
		}
	}
	return errs.Newf(errs.Invalid, "this version has no flow %q", r.Argument)
}

// aboutOf returns the video that a delivery's event is about, and its channel. What
// comes from outside, plugins' answers too, may name any: it is not believed.
func aboutOf(d sqlc.RuleDelivery) (video, channel string) {
	e, err := event.Parse([]byte(d.Body)) // handle has encoded it
	if err != nil || !strings.HasPrefix(e.Source, "serverlessVideo.") || strings.HasPrefix(e.Source, event.SourcePluginPrefix) {
		return "", ""
	}
	return e.Video()
}

// outcomeOf is what became of a try in this process. What can never come right
// is not tried again.
func (s *Service) outcomeOf(r sqlc.Rule, d sqlc.RuleDelivery, err error) outcome {
	if err == nil {
		return outcome{}
	}
	code := errs.CodeOf(err)
	if code == errs.Internal {
		s.log.Error("rules: a try failed", "rule", r.Name, "delivery", d.ID, "err", err)
	}
	return outcome{err: clip(errs.MessageOf(err)), final: code == errs.Invalid || code == errs.Conflict}
}

// simulated says whether a delivery's event is about a simulated video.
func simulated(d sqlc.RuleDelivery) bool {
	e, err := event.Parse([]byte(d.Body))
	return err == nil && e.Simulated()
}

// write puts an event into the log, one line.
func (s *Service) write(ctx context.Context, r sqlc.Rule, d sqlc.RuleDelivery) {
	body := d.Body
	if len(body) > maxLogged {
		body = body[:maxLogged] + "…"
	}
	log := s.log
	if d.Replay != "" {
		log = log.With("replay", d.Replay)
	}
	log.InfoContext(ctx, "an event matched a rule", "rule", r.Name, "rule_id", r.ID, "delivery", d.ID,
		"event_id", d.Event, "source", d.Source, "type", d.DetailType, "event", body)
}

// checkTarget says what is wrong with a target, and of which field.
func (s *Service) checkTarget(t RuleTarget) *errs.Place {
	for _, f := range []struct {
		name, value, of string
		check           func(string) string
	}{
		{"url", t.URL, targetWebhook, s.checkURL},
		{"plugin", t.Plugin, targetPlugin, s.checkPlugin},
		{"flow", t.Flow, targetFlow, func(name string) string { return checkChoice(name, "flow", s.flows()) }},
		{"tag", t.Tag, targetTag, s.checkTag},
	} {
		wrong := ""
		switch {
		case f.of == t.Type:
			wrong = f.check(f.value)
		case f.value != "":
			wrong = fmt.Sprintf("a target of the type %s has no %s; leave it out", t.Type, f.name)
		}
		if wrong != "" {
			return &errs.Place{Location: "body.target." + f.name, Message: wrong}
		}
	}
	return nil
}

func (s *Service) checkTag(tag string) string {
	if err := s.cfg.Tagger.CheckEventTag(tag); err != nil {
		return errs.MessageOf(err)
	}
	return ""
}

func (s *Service) checkPlugin(name string) string {
	choices := s.cfg.Plugins.ForEvents()
	if len(choices) == 0 {
		return "no plugin is registered that takes events: its plugin.json has the eventHook " + event.OnEvent
	}
	return checkChoice(name, "plugin that takes events", choices)
}

func checkChoice(name, what string, choices []Choice) string {
	if slices.ContainsFunc(choices, func(c Choice) bool { return c.Name == name }) {
		return ""
	}
	names := make([]string, len(choices))
	for i, c := range choices {
		names[i] = c.Name
	}
	return fmt.Sprintf("there is no %s %q; it is one of: %s", what, name, strings.Join(names, ", "))
}

func (s *Service) flows() []Choice {
	all := make([]Choice, len(s.cfg.Flows))
	for i, f := range s.cfg.Flows {
		all[i] = f.Choice
	}
	return all
}

// checkURL says what is wrong with a webhook's URL. What a name stands for is
// seen when it is connected to.
func (s *Service) checkURL(text string) string {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return "a webhook needs a URL"
	case err != nil:
		return "this is no URL"
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Hostname() == "":
		return "a webhook's URL begins with https:// or http:// and a host, such as https://example.com/hook"
	case u.User != nil:
		return "a webhook's URL has no user name or password: the signature says who calls"
	case u.Fragment != "":
		return "a fragment (#…) is not sent; leave it out"
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := mayReach(a, s.cfg.AllowNetworks); err != nil {
			return err.Error()
		}
	}
	return ""
}
