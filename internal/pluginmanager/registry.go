package pluginmanager

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/pluginmanager/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// The hooks of the contract, section 4.
const (
	preValidate  = "preValidate"
	postValidate = "postValidate"
	preMetadata  = "preMetadata"
	postMetadata = "postMetadata"
)

// hooks returns the hooks of the lifecycle in the order in which they run.
func hooks() []string { return event.Hooks() }

// allHooks are those, and the one of no lifecycle.
func allHooks() []string { return append(hooks(), event.OnEvent) }

// hookLimit is how long a plugin has at a hook if it did not register less; 0
// when there is no such hook.
func hookLimit(hook string) time.Duration {
	switch hook {
	case preValidate:
		return 900 * time.Second
	case postValidate:
		return 30 * time.Second
	case preMetadata, postMetadata:
		return 600 * time.Second
	case event.OnEvent:
		return 60 * time.Second
	}
	return 0
}

// validates says whether the hook's plugins are asked for a verdict.
func validates(hook string) bool { return hook == preValidate || hook == postValidate }

// Manifest is a plugin.json.
type Manifest struct {
	Name                  string          `json:"name"`
	Description           string          `json:"description"`
	Author                string          `json:"author,omitempty"`
	Version               string          `json:"version,omitempty"`
	Tags                  []string        `json:"tags,omitempty"`
	EventHook             string          `json:"eventHook"`
	TimeLimit             float64         `json:"time_limit,omitempty"`              // seconds; 0: the hook's
	AverageCompletionTime any             `json:"average_completion_time,omitempty"` // as the author writes it
	Services              []string        `json:"services,omitempty"`
	DeploymentTemplate    string          `json:"deployment_template,omitempty"`
	OutputExample         json.RawMessage `json:"output_example,omitempty"`
	// Effects is false for a plugin that does nothing but answer: it may be asked
	// about simulated videos. Who does not say so has effects.
	Effects *bool `json:"effects,omitempty"`
}

// hasEffects says whether something may come of asking the plugin but its answer.
func (m Manifest) hasEffects() bool { return m.Effects == nil || *m.Effects }

// Plugin is a plugin outside the process, by its plugin.json. How it proves who
// it is, is the bus's matter.
type Plugin struct{ Manifest }

// ParsePlugin reads the plugin.json of a plugin outside the process. Keys that
// the contract does not know are the author's own. Errors: errs.Invalid.
func ParsePlugin(manifest []byte) (Plugin, error) {
	var p Plugin
	if err := json.Unmarshal(manifest, &p.Manifest); err != nil {
		return p, errs.Wrap(err, errs.Invalid, "a plugin.json cannot be read: "+err.Error())
	}
	return p, registration{p.Manifest, kindConfigured}.check()
}

// BuiltIn is a plugin that runs in this process: its plugin.json, and what it
// answers to an invocation, given the detail-type and detail of the event.
type BuiltIn struct {
	Manifest []byte
	Run      func(ctx context.Context, detailType string, detail []byte) (message []byte, err error)
}

const (
	kindBuiltIn    = "builtin"
	kindConfigured = "configured"

	maxName = 50
)

// registration is a plugin as this node's program and configuration have it.
type registration struct {
	Manifest
	kind string
}

// registrations checks the plugins and returns them, the built-in ones first.
func registrations(builtIns []BuiltIn, plugins []Plugin) ([]registration, error) {
	var all []registration
	for _, b := range builtIns {
		m, err := parseManifest(b.Manifest)
		if err != nil {
			return nil, err
		}
		all = append(all, registration{m, kindBuiltIn})
	}
	for _, p := range plugins {
		all = append(all, registration{p.Manifest, kindConfigured})
	}
	names := map[string]bool{}
	for _, r := range all {
		if err := r.check(); err != nil {
			return nil, err
		}
		if names[r.Name] {
			return nil, errs.Newf(errs.Invalid, "there are two plugins %q: a name belongs to one", r.Name)
		}
		names[r.Name] = true
	}
	return all, nil
}

func (r registration) check() error {
	most := hookLimit(r.EventHook)
	switch {
	case r.Name == "" || len(r.Name) > maxName || event.Token(r.Name) != r.Name:
		return errs.Newf(errs.Invalid, "a plugin's name is 1 to %d letters, digits, - and _, not %q", maxName, r.Name)
	case most == 0:
		return errs.Newf(errs.Invalid, "plugin %s: there is no hook %q: it is one of preValidate, postValidate, preMetadata, postMetadata, onEvent", r.Name, r.EventHook)
	case r.TimeLimit != 0 && (r.TimeLimit < 0.001 || r.TimeLimit > most.Seconds()):
		return errs.Newf(errs.Invalid, "plugin %s: the time_limit %g is not between 0.001 and %g, the seconds of %s", r.Name, r.TimeLimit, most.Seconds(), r.EventHook)
	}
	return nil
}

// limitMillis is how long the plugin has for one video.
func (r registration) limitMillis() int64 {
	if r.TimeLimit == 0 {
		return hookLimit(r.EventHook).Milliseconds()
	}
	return int64(r.TimeLimit * 1000)
}

func parseManifest(b []byte) (Manifest, error) {
	var m Manifest
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return m, errs.Wrap(err, errs.Invalid, "a plugin.json cannot be read: "+err.Error())
	}
	return m, nil
}

// register writes the registry. A plugin keeps its place in the order from the
// first time it was seen; one that went away keeps its row and is not asked.
func (s *Service) register(ctx context.Context) error {
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		q := sqlc.New(tx)
		known, err := q.Plugins(ctx)
		if err != nil {
			return err
		}
		next := int64(1)
		for _, p := range known {
			next = max(next, p.Position+1)
		}
		if err := q.RemovePlugins(ctx); err != nil {
			return err
		}
		for _, r := range s.plugins {
			manifest, err := json.Marshal(r.Manifest)
			if err != nil {
				return fmt.Errorf("the manifest of %s: %w", r.Name, err)
			}
			err = q.AddPlugin(ctx, sqlc.AddPluginParams{
				Name: r.Name, Hook: r.EventHook, Position: next, TimeLimitMs: r.limitMillis(),
				Kind: r.kind, Manifest: string(manifest), CreatedAt: store.Now(),
			})
			if err != nil {
				return err
			}
			next++
		}
		return nil
	})
	if err == nil {
		s.metrics.registered(s.plugins)
	}
	return err
}
