package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// The streams.
const (
	eventStream    = "EVENTS"     // ev.>: every event
	deadStream     = "DEAD"       // dead.<consumer>: what a consumer could not handle
	advisoryStream = "ADVISORIES" // the server's word that a consumer ran out of tries

	eventsAre   = "ev.>"
	deadAre     = "dead.*"
	exhaustedIs = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES." + eventStream + ".*"
)

const (
	eventMaxAge      = 7 * 24 * time.Hour
	deadMaxAge       = 30 * 24 * time.Hour
	deadMaxBytes     = 128 << 20
	advisoryMaxBytes = 16 << 20

	// Within this time an event that is published again is stored once. Later
	// the receipts of its consumers make it count once.
	dedupeWindow = 5 * time.Minute
)

func (b *Bus) makeStreams(ctx context.Context) (events jetstream.Stream, err error) {
	for _, cfg := range []jetstream.StreamConfig{
		{Name: deadStream, Subjects: []string{deadAre}, MaxAge: deadMaxAge, MaxBytes: deadMaxBytes, Duplicates: dedupeWindow},
		{Name: advisoryStream, Subjects: []string{exhaustedIs}, MaxAge: eventMaxAge, MaxBytes: advisoryMaxBytes, Retention: jetstream.WorkQueuePolicy},
		{Name: eventStream, Subjects: []string{eventsAre}, MaxAge: eventMaxAge, MaxBytes: b.cfg.MaxBytes, Duplicates: dedupeWindow},
	} {
		if events, err = b.js.CreateOrUpdateStream(ctx, cfg); err != nil {
			return nil, fmt.Errorf("making the stream %s: %w", cfg.Name, err)
		}
	}
	return events, nil
}
