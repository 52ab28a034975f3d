package bus

import (
	"fmt"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
)

// What a live subscriber may leave unread; beyond that it misses messages.
const (
	livePending      = 4096
	livePendingBytes = 8 << 20
)

// livePrefix begins the subjects of passing messages: reactions, progress.
const livePrefix = "rt."

// PublishLive sends a passing message: it reaches whoever listens now, at most
// once, and is not kept. The subject begins with "rt.".
func (b *Bus) PublishLive(subject string, data []byte) error {
	if !strings.HasPrefix(subject, livePrefix) || strings.ContainsAny(subject, "*> \t\r\n") {
		return fmt.Errorf("%q is not a subject of live messages: it begins with %q and has no wildcard", subject, livePrefix)
	}
	return b.nc.Publish(subject, data)
}

// SubscribeLive calls fn, one call at a time, for the passing messages of a
// subject, which may end in wildcards, until stop. When fn is too slow messages
// are lost. stop returns when fn will not be called again; fn must not call it.
func (b *Bus) SubscribeLive(subject string, fn func(subject string, data []byte)) (stop func(), err error) {
	if !strings.HasPrefix(subject, livePrefix) {
		return nil, fmt.Errorf("%q is not a subject of live messages: it begins with %q", subject, livePrefix)
	}
	return b.subscribe(subject, func(m *nats.Msg) { fn(m.Subject, m.Data) })
}

// SubscribeEvents calls fn, one call at a time, for every event from now on, at
// most once for each publication, until stop: for those who show what happens
// and can look up what they missed. stop is that of SubscribeLive.
func (b *Bus) SubscribeEvents(fn func(e event.Envelope)) (stop func(), err error) {
	return b.subscribe(eventsAre, func(m *nats.Msg) {
		// What is forged is said by the durable consumers.
		if e, err := read(m.Subject, m.Data); err == nil {
			fn(e)
		}
	})
}

func (b *Bus) subscribe(subject string, fn func(m *nats.Msg)) (stop func(), err error) {
	var mu sync.Mutex
	var stopped bool
	sub, err := b.nc.Subscribe(subject, func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		if !stopped {
			fn(m)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("subscribing to %s: %w", subject, err)
	}
	if err := sub.SetPendingLimits(livePending, livePendingBytes); err != nil {
		return nil, err
	}
	return func() {
		_ = sub.Unsubscribe() // it fails when the connection is closed: then it is done
		mu.Lock()
		defer mu.Unlock()
		stopped = true
	}, b.nc.Flush()
}
