package bus

import (
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// delivery is a message of a durable consumer and the answers to it
// (docs.nats.io, reference: NATS API for consumers, "Acknowledging messages").
type delivery struct {
	*nats.Msg
	nc *nats.Conn
}

func (d *delivery) answer(s string) error { return d.nc.Publish(d.Reply, []byte(s)) }

// Ack says that the message is done with.
func (d *delivery) Ack() error { return d.answer("+ACK") }

// Nak asks for it again at once.
func (d *delivery) Nak() error { return d.answer("-NAK") }

// NakWithDelay asks for it again after the pause.
func (d *delivery) NakWithDelay(pause time.Duration) error {
	return d.answer(`-NAK {"delay": ` + strconv.FormatInt(pause.Nanoseconds(), 10) + `}`)
}

// InProgress says that it is in work, so that it is not delivered again.
func (d *delivery) InProgress() error { return d.answer("+WPI") }

// Term says that it is not to be delivered again, and why.
func (d *delivery) Term(reason string) error { return d.answer("+TERM " + reason) }
