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
	"github.com/serverlessvideo/serverlessvideo/internal/failpoint"
)

const (
	publishTries   = 18 * time.Second // a server that restarts is back by then
	publishAttempt = 5 * time.Second  // one wait for the acknowledgement
	publishPause   = 50 * time.Millisecond
)

// Publish stores the event; when it returns nil, the event survives a power
// cut and reaches every consumer. It tries for 18 s or until ctx is done. An
// event may be published again under its id. Errors: errs.Invalid (too large),
// errs.Unavailable.
func (b *Bus) Publish(ctx context.Context, e event.Envelope) error {
	body, err := json.Marshal(e)
	if err != nil {
		return errs.Wrap(err, errs.Invalid, "the event cannot be encoded")
	}
	if _, err := event.Parse(body); err != nil {
		return errs.Wrap(err, errs.Invalid, "the event is not one")
	}
	msg := &nats.Msg{Subject: e.Subject(), Data: body, Header: nats.Header{jetstream.MsgIDHeader: {b.messageID(e)}}}
	return b.publish(ctx, msg)
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
	ctx, cancel := context.WithTimeout(ctx, publishTries)
	defer cancel()
	for pause := publishPause; ; pause = min(2*pause, time.Second) {
		err := b.publishOnce(ctx, msg)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return errs.Wrap(fmt.Errorf("publishing %s: %w", msg.Subject, err), errs.Unavailable, "the event bus does not answer")
		}
	}
}

func (b *Bus) publishOnce(ctx context.Context, msg *nats.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, publishAttempt)
	defer cancel()
	if failpoint.Fail("bus.restart") != nil {
		b.server.restart("a failpoint says so")
	}
	_, err := b.js.PublishMsg(ctx, msg, jetstream.WithRetryAttempts(0))
	return err
}
