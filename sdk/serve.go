package sdk

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Options say where a plugin serves and who it is.
type Options struct {
	URL    string // of the event bus, such as nats://localhost:4222 or tls://video.example.com:4222
	Name   string // under which the plugin is registered
	Secret string // that it was registered with

	Concurrency int           // invocations at a time; 1 when zero, at most 32
	Timeout     time.Duration // for one invocation; 15 min when zero
	TLS         *tls.Config   // nil: the system's certificate authorities, for a tls:// URL
	Logger      *slog.Logger  // slog.Default() when nil
}

const (
	stream         = "EVENTS"
	consumerPrefix = "plugin-"
	maxConcurrency = 32
	defaultTimeout = 15 * time.Minute

	pullTime    = 30 * time.Second // one wait for an invocation
	alivePeriod = 20 * time.Second // a third of the time after which the bus asks somebody else
	answerTime  = 20 * time.Second // for sending an answer; a bus that restarts is back by then
	firstPause  = time.Second      // between tries, doubled up to
	longPause   = 30 * time.Second
)

var nameRule = regexp.MustCompile(`^[A-Za-z0-9_-]{1,50}$`)

func (o Options) withDefaults() (Options, error) {
	switch {
	case o.URL == "":
		return o, errors.New("sdk: Options.URL is empty: it is where the server's bus listens, such as nats://localhost:4222")
	case !nameRule.MatchString(o.Name):
		return o, fmt.Errorf("sdk: Options.Name %q: a plugin's name is 1 to 50 letters, digits, - and _", o.Name)
	case o.Secret == "":
		return o, errors.New("sdk: Options.Secret is empty: it is the one that the plugin was registered with")
	case o.Concurrency < 0 || o.Concurrency > maxConcurrency:
		return o, fmt.Errorf("sdk: Options.Concurrency %d is not between 1 and %d", o.Concurrency, maxConcurrency)
	}
	if o.Concurrency == 0 {
		o.Concurrency = 1
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o, nil
}

// Serve connects to the server's event bus, hears the plugin's invocations and
// answers them, until ctx is done: then it returns nil, and what was being
// worked on is given to the plugin again when it is back. A server that is away
// is waited for. An invocation whose handler fails is tried again after a
// pause, until the plugin's time limit is over.
//
// Errors: options that cannot be right, and a name and secret that the server
// does not take.
func Serve(ctx context.Context, o Options, h Handler) error {
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	nc, err := connect(ctx, o, cancel)
	if err != nil {
		return cause(ctx, err)
	}
	defer closeConn(nc)
	js, err := nc.JetStream()
	if err != nil {
		return fmt.Errorf("sdk: %w", err)
	}
	s := &server{Options: o, handler: h, nc: nc, js: js}
	var workers sync.WaitGroup
	for range o.Concurrency {
		workers.Go(func() {
			if err := s.work(ctx); err != nil {
				cancel(err)
			}
		})
	}
	workers.Wait()
	return cause(ctx, nil)
}

// cause is why Serve ends: err, or nothing when its caller wished it.
func cause(ctx context.Context, err error) error {
	why := context.Cause(ctx)
	switch {
	case why == nil:
		return err
	case errors.Is(why, context.Canceled), errors.Is(why, context.DeadlineExceeded):
		return nil
	}
	return why
}

// connect waits for a server. end is called when the connection is lost for good.
func connect(ctx context.Context, o Options, end context.CancelCauseFunc) (*nats.Conn, error) {
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		options := []nats.Option{
			nats.Name("plugin " + o.Name),
			nats.UserInfo(o.Name, o.Secret),
			nats.MaxReconnects(-1),
			nats.ReconnectWait(firstPause),
			nats.ClosedHandler(func(nc *nats.Conn) {
				if err := nc.LastError(); err != nil {
					end(refused(err))
				}
			}),
			nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
				o.Logger.Warn("the connection to the event bus", "err", err)
			}),
		}
		if o.TLS != nil {
			options = append(options, nats.Secure(o.TLS))
		}
		nc, err := nats.Connect(o.URL, options...)
		if err == nil {
			return nc, nil
		}
		if errors.Is(err, nats.ErrAuthorization) {
			return nil, refused(err)
		}
		o.Logger.Warn("the event bus is not reached", "url", o.URL, "err", err, "again", pause)
		if !sleep(ctx, pause) {
			return nil, ctx.Err()
		}
	}
}

func refused(err error) error {
	if errors.Is(err, nats.ErrAuthorization) {
		return fmt.Errorf("sdk: the server does not take the plugin's name and secret: %w", err)
	}
	return fmt.Errorf("sdk: the connection to the event bus is lost: %w", err)
}

// closeConn returns when the connection's goroutines are done.
func closeConn(nc *nats.Conn) {
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	_ = nc.FlushTimeout(time.Second)
	if nc.IsClosed() {
		return
	}
	nc.Close()
	select {
	case <-closed:
	case <-time.After(time.Second):
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// server is a plugin that serves.
type server struct {
	Options
	handler Handler
	nc      *nats.Conn
	js      nats.JetStreamContext
}

// work takes one invocation after the other until ctx is done.
func (s *server) work(ctx context.Context) error {
	durable := consumerPrefix + s.Name
	// The server made the consumer, and lets a plugin pull from it, no more.
	sub, err := s.js.PullSubscribe("", durable, nats.Bind(stream, durable), nats.SkipConsumerLookup())
	if err != nil {
		return fmt.Errorf("sdk: subscribing: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	for ctx.Err() == nil {
		msg, err := s.next(ctx, sub)
		switch {
		case err != nil && ctx.Err() == nil:
			s.Logger.Warn("waiting for invocations", "err", err)
			sleep(ctx, firstPause)
		case msg != nil:
			s.serve(ctx, msg)
		}
	}
	return nil
}

// next returns the next invocation, nil when there is none for a while.
func (s *server) next(ctx context.Context, sub *nats.Subscription) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, pullTime)
	defer cancel()
	msgs, err := sub.Fetch(1, nats.Context(ctx))
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) {
		return nil, nil
	}
	if err != nil || len(msgs) == 0 {
		return nil, err
	}
	return msgs[0], nil
}

// serve answers one delivery of an invocation.
func (s *server) serve(ctx context.Context, msg *nats.Msg) {
	var envelope struct {
		DetailType string          `json:"detail-type"`
		Detail     json.RawMessage `json:"detail"`
	}
	err := json.Unmarshal(msg.Data, &envelope)
	var in Invocation
	if err == nil {
		in, err = parse(envelope.DetailType, envelope.Detail)
	}
	if err != nil {
		s.Logger.Error("what came is no invocation", "subject", msg.Subject, "err", err)
		s.tell(msg.Term())
		return
	}
	log := s.Logger.With("about", in.about(), "hook", in.Hook)
	message, err := s.handle(ctx, msg, in)
	if err == nil {
		err = s.send(ctx, in, message)
	}
	switch {
	case err == nil:
		s.tell(msg.Ack())
	case ctx.Err() != nil:
		s.tell(msg.Nak())
	default:
		pause := pauseAfter(msg)
		log.Error("an invocation is not answered", "err", err, "again", pause)
		s.tell(msg.NakWithDelay(pause))
	}
}

// handle calls the handler, and meanwhile tells the bus that somebody works.
func (s *server) handle(ctx context.Context, msg *nats.Msg, in Invocation) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	var alive sync.WaitGroup
	defer alive.Wait()
	defer cancel()
	alive.Go(func() {
		for sleep(ctx, alivePeriod) {
			s.tell(msg.InProgress())
		}
	})
	return answer(ctx, s.handler, in)
}

func (s *server) tell(err error) {
	if err != nil {
		s.Logger.Warn("the event bus did not hear", "err", err)
	}
}

// pauseAfter doubles with every delivery of the invocation.
func pauseAfter(msg *nats.Msg) time.Duration {
	meta, err := msg.Metadata()
	if err != nil {
		return longPause
	}
	pause := firstPause
	for range min(meta.NumDelivered, 10) - 1 {
		pause *= 2
	}
	return min(pause, longPause)
}
