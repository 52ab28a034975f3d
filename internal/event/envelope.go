// Package event holds the event types of the contract and their envelope, the
// JSON shape of Amazon EventBridge. It knows nothing about how events travel.
package event

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/serverlessvideo/serverlessvideo/internal/id"
)

// MaxSize is the largest encoded envelope in bytes, the limit of EventBridge's
// PutEvents for one entry.
const MaxSize = 256 * 1024

// Envelope is an event as consumers see it.
type Envelope struct {
	Version    string          `json:"version"`
	ID         string          `json:"id"`
	DetailType string          `json:"detail-type"`
	Source     string          `json:"source"`
	Account    string          `json:"account"`
	Time       time.Time       `json:"time"`
	Region     string          `json:"region"`
	Resources  []string        `json:"resources"`
	Detail     json.RawMessage `json:"detail"`
}

// Detail is what one type of event says. Its methods name the event.
type Detail interface {
	EventSource() string
	EventType() string
}

// New returns a new event with an id of its own.
func New(d Detail) Envelope { return NewWithID(id.Event(), d) }

// NewWithID returns an event under a given id. Somebody who may say the same
// thing twice (a step that runs again) derives the id, so that it counts once.
func NewWithID(eventID string, d Detail) Envelope {
	detail, err := json.Marshal(d)
	if err != nil {
		// Details are plain structs of this package and JSON that was parsed
		// before; one that cannot be encoded is a programming error.
		panic(fmt.Sprintf("event: encoding %s: %v", d.EventType(), err))
	}
	return Envelope{
		Version:    "0",
		ID:         eventID,
		DetailType: d.EventType(),
		Source:     d.EventSource(),
		Account:    "local",
		Time:       time.Now().UTC().Truncate(time.Millisecond),
		Region:     "local",
		Resources:  []string{},
		Detail:     detail,
	}
}

// Decode reads the event's detail into d, a pointer to a detail struct.
func (e Envelope) Decode(d any) error {
	if err := json.Unmarshal(e.Detail, d); err != nil {
		return fmt.Errorf("detail of %s %s: %w", e.DetailType, e.ID, err)
	}
	return nil
}

// Parse reads an envelope and checks what every envelope must have.
func Parse(b []byte) (Envelope, error) {
	var e Envelope
	if len(b) > MaxSize {
		return e, fmt.Errorf("event of %d bytes is over the limit of %d", len(b), MaxSize)
	}
	if err := json.Unmarshal(b, &e); err != nil {
		return e, fmt.Errorf("not an event: %w", err)
	}
	switch {
	case e.ID == "":
		return e, fmt.Errorf("event without id")
	case e.Source == "":
		return e, fmt.Errorf("event %s without source", e.ID)
	case e.DetailType == "":
		return e, fmt.Errorf("event %s without detail-type", e.ID)
	case len(e.Detail) == 0 || e.Detail[0] != '{':
		return e, fmt.Errorf("event %s: detail is not an object", e.ID)
	}
	return e, nil
}

// The longest id and names that an event from outside may have, in bytes.
const (
	maxID   = 128
	maxName = 256
)

// CheckedSubject is Subject of an event from outside. It refuses one whose id or
// names no row can keep: who sends it may write anything there, and one that cannot
// be kept would hold up those that are kept together with it.
func (e Envelope) CheckedSubject() (string, error) {
	about := e.About()
	for _, n := range []struct {
		what, is string
		most     int
	}{{"id", e.ID, maxID}, {"source", e.Source, maxName}, {"detail-type", e.DetailType, maxName}, {"subject (id, stream_id, channel_name)", about, MaxSize}} {
		if len(n.is) > n.most {
			return "", fmt.Errorf("the event's %s has %d bytes, at most %d are allowed", n.what, len(n.is), n.most)
		}
		if strings.ContainsFunc(n.is, unicode.IsControl) {
			return "", fmt.Errorf("the event's %s %q has a control character", n.what, n.is)
		}
	}
	return e.subject(about), nil
}

// Subject returns the bus subject of the event, ev.<source>.<detail-type>.<id>:
// always four tokens. The last is what the event is about. Subjects only
// pre-select; the envelope decides.
func (e Envelope) Subject() string { return e.subject(e.About()) }

func (e Envelope) subject(about string) string {
	return strings.Join([]string{"ev", Token(e.Source), Token(e.DetailType), Token(about)}, ".")
}

// About returns what the event is about: the id of its video or stream, else of
// its channel, else "-".
func (e Envelope) About() string {
	video, channel := e.Video()
	for _, s := range []string{video, channel} {
		if s != "" {
			return s
		}
	}
	return "-"
}

// Video returns the video or stream that the event is about and its channel, ""
// where it says none. A detail that comes from outside may say anything.
func (e Envelope) Video() (video, channel string) {
	var d struct {
		ID       string `json:"id"`
		StreamID string `json:"stream_id"`
		Channel  string `json:"channel_name"`
		Video    struct {
			ID      string `json:"id"`
			Channel string `json:"channel"`
		} `json:"video"`
	}
	// A foreign detail may use these names for something else; then it is
	// about nothing that we know.
	_ = json.Unmarshal(e.Detail, &d)
	return cmp.Or(d.ID, d.StreamID, d.Video.ID), cmp.Or(d.Channel, d.Video.Channel)
}

// Token returns s as one token of a subject: every byte outside [A-Za-z0-9_-]
// becomes "-", and so does the empty string.
func Token(s string) string {
	if s == "" {
		return "-"
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-':
			return r
		}
		return '-'
	}, s)
}
