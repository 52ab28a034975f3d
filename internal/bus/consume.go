package bus

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
)

// maxUnfinished is how many events of one consumer may wait for their next try
// before it is given no new ones.
const maxUnfinished = 1000

// A consumer hears events on behalf of a service.
type consumer struct {
	event.Consumer
	bus  *Bus
	done chan struct{} // closed when no call runs and none will
}

var consumerName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Consume begins to give events to c, from the oldest that is stored if c is
// new, else from where it was. What the bus knows of c stays until Prune: a
// service that is down misses nothing, however long.
func (b *Bus) Consume(ctx context.Context, c event.Consumer) error {
	if err := b.checkConsumer(c); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return errors.New("the consumers have been stopped")
	}
	if b.consumers[c.Name] != nil {
		return fmt.Errorf("there already is a consumer %s", c.Name)
	}
	cfg := jetstream.ConsumerConfig{
		Durable:        c.Name,
		FilterSubjects: subjects(c.Filters),
		DeliverPolicy:  jetstream.DeliverAllPolicy,
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        b.cfg.AckWait,
		MaxDeliver:     b.cfg.Tries,
		MaxAckPending:  maxUnfinished,
	}
	durable, err := b.js.CreateOrUpdateConsumer(ctx, eventStream, cfg)
	if err != nil {
		return fmt.Errorf("making the consumer %s: %w", c.Name, err)
	}
	running := &consumer{Consumer: c, bus: b, done: make(chan struct{})}
	b.consumers[c.Name] = running
	go running.run(durable)
	return nil
}

func (b *Bus) checkConsumer(c event.Consumer) error {
	switch {
	case !consumerName.MatchString(c.Name):
		return fmt.Errorf("a consumer's name is 1 to 64 of [A-Za-z0-9_-], not %q", c.Name)
	case strings.HasPrefix(c.Name, pluginPrefix):
		return fmt.Errorf("the consumer %s has a name that is kept for outside plugins", c.Name)
	case len(c.Filters) == 0:
		return fmt.Errorf("the consumer %s has no filter; the empty filter selects all", c.Name)
	case c.Handle == nil:
		return fmt.Errorf("the consumer %s has no handler", c.Name)
	}
	return nil
}

// subjects are what the server pre-selects by, without those that another one
// includes, which it would refuse.
func subjects(filters []event.Filter) []string {
	var all []string
	for _, f := range filters {
		if s := f.Subject(); !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool {
		return slices.ContainsFunc(all, func(other string) bool { return s != other && includes(other, s) })
	})
}

// includes says whether pattern selects all that s selects; both have four
// tokens.
func includes(pattern, s string) bool {
	p, t := strings.Split(pattern, "."), strings.Split(s, ".")
	for i := range p {
		if p[i] != "*" && p[i] != t[i] {
			return false
		}
	}
	return true
}

func (c *consumer) run(durable jetstream.Consumer) {
	defer close(c.done)
	c.bus.pull(c.bus.taking, durable, c.bus.cfg.Concurrency, c.receive)
}

// StopConsumers takes no more events and waits for the handlers that run. When
// ctx is done their context is cancelled; what they leave is delivered again
// after the next start. Afterwards Consume refuses.
func (b *Bus) StopConsumers(ctx context.Context) error {
	b.mu.Lock()
	b.stopped = true
	var running []*consumer
	for _, c := range b.consumers {
		running = append(running, c)
	}
	b.mu.Unlock()
	b.takeNoMore()
	var late []string
	for _, c := range running {
		select {
		case <-c.done:
		case <-ctx.Done():
			b.giveUp()
			late = append(late, c.Name)
			<-c.done
		}
	}
	if len(late) > 0 {
		return fmt.Errorf("events in work were given up: %s: %w", strings.Join(late, ", "), ctx.Err())
	}
	return nil
}

// Prune removes what the bus knows of consumers that nobody starts any more,
// and returns their names. To be called when all services have started theirs;
// on a bus that several nodes share, when all of them run this version.
func (b *Bus) Prune(ctx context.Context) ([]string, error) {
	names := b.events.ConsumerNames(ctx)
	var gone []string
	for name := range names.Name() {
		if b.unknown(name) {
			gone = append(gone, name)
		}
	}
	if err := names.Err(); err != nil {
		return nil, fmt.Errorf("listing the consumers: %w", err)
	}
	for _, name := range gone {
		if err := b.events.DeleteConsumer(ctx, name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return nil, fmt.Errorf("removing the consumer %s: %w", name, err)
		}
	}
	return gone, nil
}

func (b *Bus) unknown(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.consumers[name] == nil && !strings.HasPrefix(name, pluginPrefix)
}
