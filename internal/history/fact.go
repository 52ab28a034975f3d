package history

import (
	"encoding/json"
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
)

// fact is one thing that is known of a video. A video has at most one fact of a
// name; see KeepFact for which of two stays.
type fact struct {
	Name   string
	At     int64 // ms, the time of the event that said it
	Weight int64
	detail
}

// detail is what a fact says beyond that it happened. Texts are one line of
// bounded length; a task token never gets here.
type detail struct {
	DurationMs int64    `json:"durationMs,omitempty"`
	Size       int64    `json:"size,omitempty"` // bytes
	Width      int      `json:"width,omitempty"`
	Height     int      `json:"height,omitempty"`
	Compute    string   `json:"compute,omitempty"`
	Attempt    int      `json:"attempt,omitempty"`
	Notes      []string `json:"notes,omitempty"`
	Viewers    int64    `json:"viewers,omitempty"`

	// Of plugins.
	Hook   string `json:"hook,omitempty"`
	Plugin string `json:"plugin,omitempty"`
	Valid  *bool  `json:"valid,omitempty"` // nil: no verdict
	Reason string `json:"reason,omitempty"`

	// Of a lifecycle's end and of a status. The outcomes are verdicts by hook
	// and plugin; a plugin that gave no answer that counts is not there.
	Status   string                     `json:"status,omitempty"`
	Outcomes map[string]map[string]bool `json:"outcomes,omitempty"`
}

// The names of facts. Those that a step of the story tells alone are the step's
// key too.
const (
	streamStart        = "stream-start"
	streamEnd          = "stream-end"
	recordingStart     = "recording-start"
	recordingEnd       = "recording-end"
	recordingLost      = "recording-lost" // the first of its segments that was given up
	viewers            = "viewers"
	processingStart    = "processing-start"
	processingRetry    = "processing-retry" // the last attempt after the first
	processingComplete = "processing-complete"
	processingFailed   = "processing-failed"
	recordingReady     = "recording-ready"
	lifecycleStart     = "lifecycle-start"
	lifecycleComplete  = "lifecycle-complete"
	statusPrefix       = "status-"
	asked              = "asked"
	answered           = "answered"
	failed             = "failed"
)

// pluginFact names what happened with a plugin at a hook.
func pluginFact(what, hook, plugin string) string { return what + "." + hook + "." + plugin }

// hooks returns the hooks of the contract, section 4, in the order in which
// they run.
func hooks() []string { return []string{"preValidate", "postValidate", "preMetadata", "postMetadata"} }

// validates says whether the hook's plugins give a verdict.
func validates(hook string) bool { return hook == "preValidate" || hook == "postValidate" }

// verdictOf reads a validator's answer: whether it says "valid", nil when it
// does not say, and why. An answer of any other shape says neither.
func verdictOf(message json.RawMessage) (valid *bool, reason string) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(message, &fields) != nil {
		return nil, ""
	}
	switch string(fields["valid"]) {
	case "true":
		valid = new(true)
	case "false":
		valid = new(false)
	}
	if json.Unmarshal(fields["reason"], &reason) != nil {
		reason = ""
	}
	return valid, clean(reason)
}

// outcomesOf sums up what the plugins answered.
func outcomesOf(outputs event.PluginOutputs) map[string]map[string]bool {
	out := map[string]map[string]bool{}
	for _, hook := range hooks() {
		for _, o := range outputs[hook] {
			plugin := strings.TrimPrefix(o.OutputKey, "plugin-")
			if !isID(plugin) {
				continue
			}
			if out[hook] == nil {
				out[hook] = map[string]bool{}
			}
			passed := true
			if valid, _ := verdictOf(o.OutputValue); validates(hook) && valid != nil {
				passed = *valid
			}
			out[hook][plugin] = passed
		}
	}
	return out
}
