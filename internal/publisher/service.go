// Package publisher pushes what happens to every open page, over MQTT 3.1.1 on
// WebSocket at /mqtt and as server-sent events at /events. Pages only listen.
//
// Each node hears all events from now on and pushes them to its own pages,
// once, at most once: a page that was away asks the API for the present state.
package publisher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
)

// Bus is what the publisher hears by. Both calls deliver what is said from now
// on, one message at a time and at most once; stop ends that.
type Bus interface {
	SubscribeEvents(fn func(e event.Envelope)) (stop func(), err error)
	SubscribeLive(subject string, fn func(subject string, data []byte)) (stop func(), err error)
}

// Videos knows of which videos everybody may hear.
type Videos interface {
	// Public says whether the video is there, and neither unlisted nor private.
	Public(ctx context.Context, video string) (bool, error)
}

// Config is what a publisher needs. Zero limits mean the defaults given.
type Config struct {
	Bus       Bus
	Videos    Videos
	PublicURL string   // pages of its host may connect, and those of the host that they ask
	Origins   []string // of other sites whose pages may connect
	// Authenticate says who makes a request. The publisher asks again while
	// the page is open, so that a session that ended loses its private topic.
	Authenticate func(ctx context.Context, r *http.Request) (identity.Principal, bool, error)
	// Fail answers a request with an error.
	Fail   func(w http.ResponseWriter, r *http.Request, err error)
	Logger *slog.Logger

	MaxPages        int           // open at a time: 20,000
	MaxPerAddress   int           // of one address (IPv4, or /64 of IPv6): 1,000
	MaxTopics       int           // of one page: 20
	MaxQueue        int           // messages that a page may leave unread: 128
	ConnectDeadline time.Duration // for the MQTT CONNECT: 10 s
	WriteDeadline   time.Duration // for one message: 10 s
	MaxKeepAlive    time.Duration // that an MQTT client may ask for, in whole seconds: 2 min
	Heartbeat       time.Duration // of server-sent events: 15 s
	SessionCheck    time.Duration // between two looks at the sessions: 1 min
}

func (c Config) withDefaults() (Config, error) {
	if c.Bus == nil || c.Videos == nil || c.Authenticate == nil || c.Fail == nil || c.Logger == nil {
		return c, errors.New("publisher: Bus, Videos, Authenticate, Fail and Logger are needed")
	}
	setDefault(&c.MaxPages, 20_000)
	setDefault(&c.MaxPerAddress, 1_000)
	setDefault(&c.MaxTopics, 20)
	setDefault(&c.MaxQueue, 128)
	setDefault(&c.ConnectDeadline, 10*time.Second)
	setDefault(&c.WriteDeadline, 10*time.Second)
	setDefault(&c.MaxKeepAlive, 2*time.Minute)
	setDefault(&c.Heartbeat, 15*time.Second)
	setDefault(&c.SessionCheck, time.Minute)
	return c, nil
}

func setDefault[T int | time.Duration](v *T, to T) {
	if *v == 0 {
		*v = to
	}
}

// Service is a running publisher.
type Service struct {
	cfg     Config
	log     *slog.Logger
	origins []string // hosts of Config's origins
	pages   *pages
	streams *streams // pages on server-sent events
	broker  *broker  // pages on MQTT
	seen    *seen    // events that were pushed

	stopHearing []func()
	closing     context.Context
	close       context.CancelFunc
	watching    sync.WaitGroup
}

// New starts a publisher; Close ends it.
func New(cfg Config) (*Service, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, log: cfg.Logger, streams: newStreams(), seen: newSeen()}
	if s.origins, err = hosts(append([]string{cfg.PublicURL}, cfg.Origins...)); err != nil {
		return nil, err
	}
	s.pages = newPages(cfg.MaxPages, cfg.MaxPerAddress)
	if s.broker, err = newBroker(cfg); err != nil {
		return nil, err
	}
	s.closing, s.close = context.WithCancel(context.Background())
	if err := s.hear(); err != nil {
		s.Close()
		return nil, err
	}
	s.watching.Go(s.watchSessions)
	return s, nil
}

// Close stops hearing, ends all pages' connections and waits until they are
// gone. An http.Server's Shutdown waits for server-sent events, so Close comes
// before it or with it (RegisterOnShutdown). It may be called again.
func (s *Service) Close() {
	s.close()
	for _, stop := range s.stopHearing {
		stop()
	}
	s.pages.close()
	s.watching.Wait()
	s.broker.close()
}

// Routes registers the publisher's routes.
func (s *Service) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /mqtt", s.serveMQTT)
	mux.HandleFunc("GET /events", s.serveEvents)
}

// Pages returns how many pages are connected.
func (s *Service) Pages() int { return s.pages.count() }

// push sends a message to all pages that hear the topic.
func (s *Service) push(topic string, message []byte) {
	s.streams.push(topic, message)
	if err := s.broker.push(topic, message); err != nil {
		s.log.Warn("publisher: MQTT", "topic", topic, "err", err)
	}
}

// watchSessions takes the private topic from pages whose session is over.
func (s *Service) watchSessions() {
	tick := time.NewTicker(s.cfg.SessionCheck)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.checkSessions()
		case <-s.closing.Done():
			return
		}
	}
}

func (s *Service) checkSessions() {
	for _, p := range s.pages.signedIn() {
		ctx, cancel := context.WithTimeout(s.closing, 5*time.Second)
		who, ok, err := s.cfg.Authenticate(ctx, p.request)
		cancel()
		if s.closing.Err() != nil {
			return
		}
		if err != nil {
			// Nobody is signed out because the database does not answer.
			s.log.Warn("publisher: sessions are not checked", "err", err)
			return
		}
		if !ok || who.ID != p.userID() {
			p.signOut()
		}
	}
}

func hosts(urls []string) ([]string, error) {
	var out []string
	for _, text := range urls {
		if text == "" {
			continue
		}
		host, err := hostOf(text)
		if err != nil {
			return nil, fmt.Errorf("publisher: the origin %q is not like https://video.example.com", text)
		}
		out = append(out, host)
	}
	return out, nil
}
