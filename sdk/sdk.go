// Package sdk is for the authors of ServerlessVideo plugins.
//
// A plugin is asked about every recorded video at one hook, and answers:
// validators (preValidate, postValidate) with a verdict, metadata plugins
// (preMetadata, postMetadata) with any JSON. A whole plugin:
//
//	plugin := sdk.Metadata(func(ctx context.Context, in sdk.Invocation) (any, error) {
//		return sdk.Description{Title: "A talk by " + in.Video.Author.Username}, nil
//	})
//	err := sdk.Serve(ctx, sdk.Options{URL: "nats://localhost:4222", Name: "my_plugin", Secret: secret}, plugin)
package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// MaxAnswer is the size in bytes of the largest answer. What is larger goes
// elsewhere, and the answer says where.
const MaxAnswer = 20 * 1024

// Invocation asks a plugin about one video.
type Invocation struct {
	Hook       string     `json:"-"` // preValidate, postValidate, preMetadata or postMetadata
	Plugin     string     `json:"-"` // the name under which this plugin is registered
	Video      Video      `json:"video"`
	PluginData PluginData `json:"pluginData,omitempty"`

	token    string
	delivery *Delivery // at onEvent, instead of a video
}

// Video is the video in question. URLs are absolute.
type Video struct {
	ID                   string `json:"id"`
	Channel              string `json:"channel"`
	Author               Author `json:"author"`
	CreatedAt            string `json:"createdAt"`      // RFC 3339
	DurationMillis       int64  `json:"durationmillis"` // ms
	Thumbnail            string `json:"thumbnail"`      // a JPEG; empty when there is none
	PlaybackURL          string `json:"playbackUrl"`    // the MP4
	StreamURL            string `json:"streamUrl"`      // the HLS playlist
	RecordingS3KeyPrefix string `json:"recording_s3_key_prefix"`
}

// Author is whose video it is.
type Author struct {
	Username string `json:"username"`
}

// PluginData is what the plugins of earlier hooks answered: by hook, in the
// order of their registration.
type PluginData map[string][]Output

// Output is one plugin's answer. OutputKey is "plugin-" and its name.
type Output struct {
	OutputKey   string          `json:"OutputKey"`
	OutputValue json.RawMessage `json:"OutputValue"`
}

// Of reads the answer that a plugin gave at an earlier hook into v, and says
// whether there is one.
func (d PluginData) Of(hook, plugin string, v any) (bool, error) {
	for _, out := range d[hook] {
		if out.OutputKey == "plugin-"+plugin {
			return true, json.Unmarshal(out.OutputValue, v)
		}
	}
	return false, nil
}

// Verdict is a validator's answer.
type Verdict struct {
	Valid  bool   `json:"valid"`
	Reason string `json:"reason,omitempty"` // for the video's owner, when it is not valid
}

// Valid is the verdict that lets the video pass.
func Valid() Verdict { return Verdict{Valid: true} }

// Invalid is the verdict that the video may not be published, and why.
func Invalid(reason string) Verdict { return Verdict{Reason: reason} }

// Description is the usual shape of a metadata plugin's answer. The video's
// title and tags are taken from it.
type Description struct {
	Title      string   `json:"title,omitempty"`
	Tags       []string `json:"tags,omitempty"`
	PluginData any      `json:"pluginData,omitempty"` // for plugins of later hooks
}

// Handler answers invocations: a Validator or a Metadata. It may be called
// again for the same video, and by several goroutines at once.
type Handler interface {
	handle(ctx context.Context, in Invocation) (any, error)
}

// Validator is a Handler for preValidate or postValidate.
type Validator func(ctx context.Context, in Invocation) (Verdict, error)

func (v Validator) handle(ctx context.Context, in Invocation) (any, error) { return v(ctx, in) }

// Metadata is a Handler for preMetadata or postMetadata. What it returns is
// sent as JSON.
type Metadata func(ctx context.Context, in Invocation) (any, error)

func (m Metadata) handle(ctx context.Context, in Invocation) (any, error) { return m(ctx, in) }

// Run gives a handler one invocation, the detail-type and detail of its event,
// and returns its answer: what Serve does for each event.
func Run(ctx context.Context, h Handler, detailType string, detail []byte) ([]byte, error) {
	in, err := parse(detailType, detail)
	if err != nil {
		return nil, err
	}
	return answer(ctx, h, in)
}

func parse(detailType string, detail []byte) (Invocation, error) {
	var d struct {
		Invocation
		TaskToken string `json:"taskToken"`
	}
	hook, plugin, ok := strings.Cut(detailType, ".")
	if !ok {
		return Invocation{}, fmt.Errorf("%q is no invocation: it is called {hook}.{plugin}", detailType)
	}
	if err := json.Unmarshal(detail, &d); err != nil {
		return Invocation{}, fmt.Errorf("reading the invocation: %w", err)
	}
	in := d.Invocation
	in.Hook, in.Plugin, in.token = hook, plugin, d.TaskToken
	if hook == onEvent {
		in.delivery = &Delivery{}
		if err := json.Unmarshal(detail, in.delivery); err != nil {
			return Invocation{}, fmt.Errorf("reading the invocation: %w", err)
		}
	}
	if in.token == "" || in.about() == "" {
		return Invocation{}, errors.New("the invocation has no task token, or is about nothing")
	}
	return in, nil
}

func answer(ctx context.Context, h Handler, in Invocation) (message []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			message, err = nil, fmt.Errorf("the handler panicked: %v", p)
		}
	}()
	if err := fits(h, in); err != nil {
		return nil, err
	}
	value, err := h.handle(ctx, in)
	if err != nil {
		return nil, err
	}
	message, err = json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encoding the answer: %w", err)
	}
	if len(message) > MaxAnswer {
		return nil, fmt.Errorf("the answer has %d bytes; at most %d are allowed", len(message), MaxAnswer)
	}
	return message, nil
}
