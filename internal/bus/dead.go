package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// DeadLetter is an event that a consumer could not handle.
type DeadLetter struct {
	Number   uint64    // among the dead letters, from 1; the newest has the highest
	At       time.Time // when it became one
	Consumer string
	Sequence uint64 // in the stream of events
	Subject  string
	Reason   string
	Data     []byte // the event as it was published
}

const (
	deadPrefix     = "dead."
	headerSubject  = "Dead-Subject"
	headerSequence = "Dead-Sequence"
	headerReason   = "Dead-Reason"

	maxReason = 500 // bytes
)

// bury stores a dead letter; burying the same again does nothing.
func (b *Bus) bury(ctx context.Context, d DeadLetter) error {
	sequence := strconv.FormatUint(d.Sequence, 10)
	return b.publish(ctx, &nats.Msg{
		Subject: deadPrefix + d.Consumer,
		Data:    d.Data,
		Header: nats.Header{
			jetstream.MsgIDHeader: {d.Consumer + ":" + sequence},
			headerSubject:         {d.Subject},
			headerSequence:        {sequence},
			headerReason:          {d.Reason},
		},
	})
}

// deadWatch buries the events whose handling used up its tries without a word:
// the process died each time.
type deadWatch struct {
	bus  *Bus
	stop func() // returns when it has stopped
}

func (b *Bus) watchDead(ctx context.Context) (*deadWatch, error) {
	durable, err := b.js.CreateOrUpdateConsumer(ctx, advisoryStream, jetstream.ConsumerConfig{
		Durable: "dead", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Minute,
	})
	if err != nil {
		return nil, fmt.Errorf("watching for dead letters: %w", err)
	}
	taking, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	w := &deadWatch{bus: b, stop: func() { cancel(); <-done }}
	go func() {
		defer close(done)
		b.pull(taking, durable, 1, func(msg *delivery) {
			if err := w.bury(msg); err != nil {
				b.log.Warn("bus: burying a dead letter", "err", err)
			}
		})
	}()
	return w, nil
}

func (w *deadWatch) bury(msg *delivery) error {
	var said struct {
		Consumer string `json:"consumer"`
		Sequence uint64 `json:"stream_seq"`
		Tries    int    `json:"deliveries"`
	}
	if err := json.Unmarshal(msg.Data, &said); err != nil {
		return errors.Join(fmt.Errorf("an advisory: %w", err), msg.Term("not an advisory"))
	}
	ctx, cancel := context.WithTimeout(w.bus.handling, publishTries)
	defer cancel()
	stored, err := w.bus.events.GetMsg(ctx, said.Sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return msg.Ack() // it grew old meanwhile
	}
	if err != nil {
		return errors.Join(err, msg.NakWithDelay(w.bus.cfg.RetryMax))
	}
	w.bus.log.Error("bus: an event used up its tries", "consumer", said.Consumer, "subject", stored.Subject, "tries", said.Tries)
	err = w.bus.bury(ctx, DeadLetter{
		Consumer: said.Consumer, Sequence: said.Sequence, Subject: stored.Subject,
		Reason: fmt.Sprintf("not finished in %d tries", said.Tries), Data: stored.Data,
	})
	if err != nil {
		return errors.Join(err, msg.NakWithDelay(w.bus.cfg.RetryMax))
	}
	return msg.Ack()
}

// firstLine makes an error fit a header.
func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return strings.ToValidUTF8(s[:min(len(s), maxReason)], "")
}
