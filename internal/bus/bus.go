// Package bus carries events: durable ones over JetStream of an embedded NATS
// server (publish.go, consume.go, dead.go), passing ones over core NATS
// (live.go), and those of plugins outside the process (plugins.go).
//
// The embedded server is reached within the process; it listens on the network
// only for outside plugins. All that the bus does, it does over a client
// connection, so a cluster reached by URL can take the server's place.
package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/serverlessvideo/serverlessvideo/internal/event/schema"
	"github.com/serverlessvideo/serverlessvideo/internal/failpoint"
)

// Config says how the bus works. Zero values mean the defaults given.
type Config struct {
	Dir     string      // folder of the streams; one running bus at a time
	Listen  string      // host:port for outside plugins; "" listens nowhere, port 0 takes a free one
	TLS     *tls.Config // for Listen; nil: plain TCP
	Plugins []Plugin    // who may connect to Listen from the first moment; SetPlugins says it anew
	Secret  []byte      // nobody outside knows it, the same over restarts; needed with Listen
	Logger  *slog.Logger

	Schemas *schema.Registry // that events are held to; nil: one of its own

	MaxBytes      int64         // of stored events: 1 GiB; the oldest go first
	AckWait       time.Duration // until an unfinished delivery is repeated: 10 s; handlers that run longer say so
	Tries         int           // deliveries before an event is a dead letter: 20
	RetryFirst    time.Duration // pause after the first failure, doubled after each: 250 ms
	RetryMax      time.Duration // longest pause: 1 min
	HandleTimeout time.Duration // for one call of a handler: 10 min
	Concurrency   int           // calls of one consumer at a time: 8
	WriteDeadline time.Duration // until a client that does not read is cut: 10 s
}

func (c Config) withDefaults() Config {
	setDefault(&c.MaxBytes, 1<<30)
	setDefault(&c.AckWait, time.Duration(failpoint.Int("bus.ack_wait_s", 10))*time.Second)
	setDefault(&c.Tries, failpoint.Int("bus.tries", 20))
	setDefault(&c.RetryFirst, 250*time.Millisecond)
	setDefault(&c.RetryMax, time.Minute)
	setDefault(&c.HandleTimeout, 10*time.Minute)
	setDefault(&c.Concurrency, 8)
	setDefault(&c.WriteDeadline, 10*time.Second)
	if c.Schemas == nil {
		c.Schemas = schema.New()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func setDefault[T int | int64 | time.Duration](v *T, to T) {
	if *v == 0 {
		*v = to
	}
}

// Bus is a running bus.
type Bus struct {
	cfg    Config
	log    *slog.Logger
	server *embedded
	nc     *nats.Conn
	js     jetstream.JetStream
	events jetstream.Stream
	dead   *deadWatch

	taking     context.Context // of consumers; ends when they are to stop
	takeNoMore context.CancelFunc
	handling   context.Context // of handlers; ends when a stop will wait no longer
	giveUp     context.CancelFunc

	mu        sync.Mutex
	stopped   bool
	consumers map[string]*consumer
}

// Open starts the embedded server on its folder and makes the streams.
func Open(ctx context.Context, cfg Config) (*Bus, error) {
	cfg = cfg.withDefaults()
	if cfg.Listen != "" && len(cfg.Secret) == 0 {
		return nil, errors.New("the bus lets nobody in from outside without a secret of its own")
	}
	srv, err := startServer(cfg)
	if err != nil {
		return nil, err
	}
	b := &Bus{cfg: cfg, log: cfg.Logger, server: srv, consumers: map[string]*consumer{}}
	b.taking, b.takeNoMore = context.WithCancel(context.Background())
	b.handling, b.giveUp = context.WithCancel(context.Background())
	if err := b.connect(ctx); err != nil {
		b.shutDown()
		return nil, err
	}
	return b, nil
}

// connectTimeout is for a machine that is busy: the server is in this process or
// near.
const connectTimeout = 20 * time.Second

// connect is what a bus on any server needs.
func (b *Bus) connect(ctx context.Context) error {
	nc, err := nats.Connect("", append(b.server.clientOptions(),
		nats.Name("serverlessvideo"),
		nats.Timeout(connectTimeout),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(50*time.Millisecond),
		nats.ErrorHandler(b.asyncError()),
	)...)
	if err != nil {
		return fmt.Errorf("connecting to the bus: %w", err)
	}
	b.nc = nc
	if b.js, err = jetstream.New(nc, jetstream.WithPublishAsyncTimeout(publishAttempt)); err != nil {
		return err
	}
	if b.events, err = b.makeStreams(ctx); err != nil {
		return err
	}
	b.dead, err = b.watchDead(ctx)
	return err
}

// Addr returns where outside plugins connect, "" when nowhere.
func (b *Bus) Addr() string { return b.server.addr() }

// Ready says whether events can be published now.
func (b *Bus) Ready() error {
	if !b.nc.IsConnected() {
		return errors.New("the bus is not connected")
	}
	return nil
}

// Close stops the consumers, if they still run, and then the server: its
// outside clients are told before they are cut, so that they come back to the
// next start by themselves.
func (b *Bus) Close(ctx context.Context) error {
	err := b.StopConsumers(ctx)
	b.shutDown()
	return err
}

func (b *Bus) shutDown() {
	b.takeNoMore()
	b.giveUp()
	if b.dead != nil {
		b.dead.stop()
	}
	if b.nc != nil {
		closeConn(b.nc)
	}
	b.server.shutDown()
}

// closeConn flushes and closes the connection and returns when its goroutines
// have handed over what they had.
func closeConn(nc *nats.Conn) {
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	_ = nc.FlushTimeout(time.Second)
	nc.Close()
	select {
	case <-closed:
	case <-time.After(time.Second):
	}
}

// asyncError logs what goes wrong on the connection without a caller to tell:
// a live subscriber that falls behind and misses messages. At most one line a
// second.
func (b *Bus) asyncError() nats.ErrHandler {
	var mu sync.Mutex
	var last time.Time
	var unsaid int
	return func(_ *nats.Conn, sub *nats.Subscription, err error) {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(last) < time.Second {
			unsaid++
			return
		}
		subject := ""
		if sub != nil {
			subject = sub.Subject
		}
		b.log.Warn("bus: connection", "err", err, "subject", subject, "more", unsaid)
		last, unsaid = time.Now(), 0
	}
}
