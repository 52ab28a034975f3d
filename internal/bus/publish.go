package bus

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/event/schema"
	"github.com/serverlessvideo/serverlessvideo/internal/failpoint"
)

const (
	publishTries   = 18 * time.Second // a server that restarts is back by then
	publishAttempt = 5 * time.Second  // one wait for the acknowledgement
	publishPause   = 50 * time.Millisecond
)

// Publish stores the event; when it returns nil, the event survives a power
// cut and reaches every consumer. It tries for 18 s or until ctx is done. An
// event may be published again under its id. Events of our own are held to
// their schemas; answers of plugins are not, the plugin manager weighs them.
// Errors: errs.Invalid (too large, breaks its schema), errs.Unavailable.
func (b *Bus) Publish(ctx context.Context, e event.Envelope) error {
	if !schema.IsAnswer(e) {
		if err := b.cfg.Schemas.Check(e); err != nil {
			return errs.Wrap(err, errs.Invalid, "the event is not what its schema says")
		}
	}
	return b.Relay(ctx, e)
}

// Relay is Publish for events of the outbox, which were held to their schemas
// when they were said: those of an older build may have broken the schemas of
// today.
func (b *Bus) Relay(ctx context.Context, e event.Envelope) error {
	msg, err := b.message(e)
	if err != nil {
		return err
	}
	return b.publish(ctx, msg)
}

// RelayAll is Relay for several events, which are under way at a time and
// stored in their order. It returns how many of the first are stored, and why
// the others may not be. When it tries again, what came after a failure may be
// stored before it.
func (b *Bus) RelayAll(ctx context.Context, events []event.Envelope) (int, error) {
	var msgs []*nats.Msg
	var invalid error
	for _, e := range events {
		var msg *nats.Msg
		if msg, invalid = b.message(e); invalid != nil {
			break // those before it are published
		}
		msgs = append(msgs, msg)
	}
	done := 0
	err := b.persist(ctx, func(ctx context.Context) error {
		n, err := b.publishMany(ctx, msgs[done:])
		done += n
		return err
	})
	if err == nil {
		err = invalid
	}
	return done, err
}

func (b *Bus) message(e event.Envelope) (*nats.Msg, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "the event cannot be encoded")
	}
	if _, err := event.Parse(body); err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "the event is not one")
	}
	return &nats.Msg{Subject: e.Subject(), Data: body, Header: nats.Header{jetstream.MsgIDHeader: {b.messageID(e)}}}, nil
}

// messageID is by what the server knows an event that is published again. It is
// keyed: ids of events can be foreseen, and a plugin that sent its own answer
// under one would make the server drop the real event as a repetition.
func (b *Bus) messageID(e event.Envelope) string {
	mac := hmac.New(sha256.New, b.cfg.Secret)
	_, _ = mac.Write([]byte(e.ID)) // a hash never fails
	return hex.EncodeToString(mac.Sum(nil))
}

// publish repeats until the message is acknowledged. Its Nats-Msg-Id makes the
// repetition harmless.
func (b *Bus) publish(ctx context.Context, msg *nats.Msg) error {
	err := b.persist(ctx, func(ctx context.Context) error {
		_, err := b.publishMany(ctx, []*nats.Msg{msg})
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", msg.Subject, err)
	}
	return nil
}

// persist tries for publishTries or until ctx is done.
func (b *Bus) persist(ctx context.Context, try func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, publishTries)
	defer cancel()
	for pause := publishPause; ; pause = min(2*pause, time.Second) {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return errs.Wrap(err, errs.Unavailable, "the event bus does not answer")
		}
	}
}

// publishMany returns how many of the first messages are acknowledged, and why
// not all. It learns at once when the connection breaks, where a publish that is
// a request waits for its answer until publishAttempt is over.
func (b *Bus) publishMany(ctx context.Context, msgs []*nats.Msg) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err // what follows would send it all the same
	}
	ctx, cancel := context.WithTimeout(ctx, publishAttempt)
	defer cancel()
	futures := make([]jetstream.PubAckFuture, 0, len(msgs))
	var unsent error
	for _, m := range msgs {
		b.failpoint()
		f, err := b.js.PublishMsgAsync(&nats.Msg{Subject: m.Subject, Data: m.Data, Header: m.Header}, jetstream.WithRetryAttempts(0))
		if err != nil {
			unsent = err
			break
		}
		futures = append(futures, f)
	}
	for i, f := range futures {
		select {
		case <-f.Ok():
		case err := <-f.Err():
			return i, err
		case <-ctx.Done():
			return i, ctx.Err()
		}
	}
	return len(futures), unsent
}

// failpoint lets tests end the server between any two events.
func (b *Bus) failpoint() {
	if failpoint.Fail("bus.restart") != nil {
		b.server.restart("a failpoint says so")
	}
}
