package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

const onEvent = "onEvent"

// Event is an event that a rule gave to the plugin: Amazon EventBridge's envelope,
// task tokens in it masked.
type Event struct {
	ID         string          `json:"id"`
	Source     string          `json:"source"`
	DetailType string          `json:"detail-type"`
	Time       time.Time       `json:"time"`
	Detail     json.RawMessage `json:"detail"`
}

// Delivery is an event for the plugin, and the rule that sends it. ID stays the
// same when the event is given to the plugin again.
type Delivery struct {
	ID    string `json:"deliveryId"`
	Rule  Rule   `json:"rule"`
	Event Event  `json:"event"`
}

// Rule is a rule of the server's administrators.
type Rule struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Events is a Handler for onEvent, the hook of plugins that rules give events to.
// What it returns is sent as JSON, and seen by nobody. An error says to the server
// that the plugin did not take the event, and why; it is given to the plugin
// again, as the rule says.
type Events func(ctx context.Context, d Delivery) (any, error)

func (f Events) handle(ctx context.Context, in Invocation) (any, error) {
	value, err := f(ctx, *in.delivery)
	if err != nil && ctx.Err() == nil {
		return map[string]string{"error": err.Error()}, nil
	}
	return value, err
}

// fits says whether the handler is one for what it is asked.
func fits(h Handler, in Invocation) error {
	_, takes := h.(Events)
	switch {
	case in.delivery != nil && !takes:
		return errors.New("the plugin is registered for onEvent, but its handler is not an sdk.Events")
	case in.delivery == nil && takes:
		return errors.New("the plugin's handler is an sdk.Events, but it is registered for " + in.Hook)
	}
	return nil
}

// about is what the answer is about: the video, or the delivery.
func (in Invocation) about() string {
	if in.delivery != nil {
		return in.delivery.ID
	}
	return in.Video.ID
}
