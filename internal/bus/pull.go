package bus

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	pullTime      = 30 * time.Second // one request for a message waits so long
	pullHeartbeat = 10 * time.Second // the server says so often that it still waits
	pullPause     = time.Second      // after a failure
)

// pull gives the messages of a durable consumer to handle until ctx is done.
// It asks for one when slots has room, and handle gives the room back: a
// message that waited in a buffer would use up its tries there. (The library's
// Messages iterator with a buffer of one sometimes forgets to ask.)
func (b *Bus) pull(ctx context.Context, from jetstream.Consumer, slots chan struct{}, handle func(jetstream.Msg)) {
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		msg, err := pullOne(ctx, from)
		if err == nil {
			handle(msg)
			continue
		}
		<-slots
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, nats.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) {
			continue
		}
		b.log.Warn("bus: waiting for events", "consumer", from.CachedInfo().Name, "err", err)
		select {
		case <-time.After(pullPause):
		case <-ctx.Done():
		}
	}
}

func pullOne(ctx context.Context, from jetstream.Consumer) (jetstream.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, pullTime)
	defer cancel()
	return from.Next(jetstream.FetchContext(ctx), jetstream.FetchHeartbeat(pullHeartbeat))
}
