package bus

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/failpoint"
)

// read returns the event of a message. Who may publish on which subject is the
// server's to check, so an event is what its subject says or it is a forgery.
func read(subject string, data []byte) (event.Envelope, error) {
	e, err := event.Parse(data)
	if err != nil {
		return e, err
	}
	says, err := e.CheckedSubject()
	if err == nil && says != subject {
		err = fmt.Errorf("event %s says it is %s but came on %s", e.ID, says, subject)
	}
	return e, err
}

// receive gives one delivery to the handler and tells the server what became
// of it.
func (c *consumer) receive(msg *delivery) {
	e, err := read(msg.Subject, msg.Data)
	if err != nil {
		c.bus.log.Warn("bus: refused", "consumer", c.Name, "subject", msg.Subject, "err", err)
		c.settle(msg.Term("not a valid event"))
		return
	}
	if !slices.ContainsFunc(c.Filters, func(f event.Filter) bool { return f.Match(e) }) {
		c.settle(msg.Ack())
		return
	}
	if err := c.call(msg, e); err != nil {
		c.failed(msg, e, err)
		return
	}
	failpoint.Pass("consumer.handled", c.Name, e.DetailType)
	c.settle(msg.Ack())
	failpoint.Pass("consumer.acked", c.Name, e.DetailType)
}

// settle logs an answer that did not go out. The event is delivered again, and
// the receipts of the consumer make that count once.
func (c *consumer) settle(err error) {
	if err != nil {
		c.bus.log.Warn("bus: acknowledging", "consumer", c.Name, "err", err)
	}
}

// call runs the handler, and keeps the delivery alive while it runs.
func (c *consumer) call(msg *delivery, e event.Envelope) (err error) {
	ctx, cancel := context.WithTimeout(c.bus.handling, c.bus.cfg.HandleTimeout)
	defer cancel()
	alive := c.keepAlive(msg)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		alive()
	}()
	if err := failpoint.Fail("consumer.handle", c.Name, msg.Subject); err != nil {
		return err
	}
	return c.Handle(ctx, e)
}

// keepAlive tells the server now and then that the delivery is in work, until the
// function that it returns is called: afterwards it says nothing more.
func (c *consumer) keepAlive(msg *delivery) (stop func()) {
	var mu sync.Mutex
	over := false
	pause := c.bus.cfg.AckWait / 3
	var timer *time.Timer
	mu.Lock()
	timer = time.AfterFunc(pause, func() {
		mu.Lock()
		defer mu.Unlock()
		if over {
			return
		}
		c.settle(msg.InProgress())
		timer.Reset(pause)
	})
	mu.Unlock()
	return func() {
		timer.Stop()
		mu.Lock()
		defer mu.Unlock()
		over = true
	}
}

// failed has the event delivered again after a pause, or puts it away after
// the last try.
func (c *consumer) failed(msg *delivery, e event.Envelope, failure error) {
	meta, err := msg.Metadata()
	if err != nil {
		c.settle(err)
		return
	}
	log := c.bus.log.With("consumer", c.Name, "event", e.ID, "type", e.DetailType, "try", meta.NumDelivered, "err", failure)
	if c.bus.handling.Err() != nil {
		log.Info("bus: given up at shutdown; it will be delivered again")
		c.settle(msg.Nak())
		return
	}
	if meta.NumDelivered < uint64(c.bus.cfg.Tries) {
		pause := c.bus.pause(meta.NumDelivered)
		log.Warn("bus: not handled, trying again", "in", pause)
		c.settle(msg.NakWithDelay(pause))
		return
	}
	log.Error("bus: not handled, put away as a dead letter")
	err = c.bus.bury(c.bus.handling, DeadLetter{
		Consumer: c.Name, Sequence: meta.Sequence.Stream, Subject: msg.Subject,
		Reason: firstLine(failure.Error()), Data: msg.Data,
	})
	if err != nil {
		// The server notices that the tries are used up, and watchDead
		// buries it then.
		c.settle(err)
		return
	}
	c.settle(msg.Term("no tries left"))
}

// pause is how long the next try waits after the given number of tries: twice
// as long each time, by chance up to a quarter more or less, so that what
// failed together is not tried together.
func (b *Bus) pause(tries uint64) time.Duration {
	d := b.cfg.RetryFirst
	for i := uint64(1); i < tries && d < b.cfg.RetryMax; i++ {
		d *= 2
	}
	d = min(d, b.cfg.RetryMax)
	return d*3/4 + rand.N(d/2+1)
}
