// Package streaming is the live video service. It takes a broadcaster's video
// over WHIP, serves it as low-latency HLS while it lasts, stores every segment
// as it completes, and serves the recording afterwards.
//
// The parts: whip takes the media in, live puts it on a timeline, packages it
// and serves it, recorder stores it and reads it back. This package owns the
// broadcasts: their rows, their events, their beginnings and ends.
package streaming

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/live"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/whip"
)

// Channels is what streaming needs of the channels. A channel's id is its
// owner's user id.
type Channels interface {
	// ChannelByKey returns whose stream key it is. Errors: errs.NotFound.
	ChannelByKey(ctx context.Context, key string) (id, username string, err error)
	// Channel returns a channel's friendly name. Errors: errs.NotFound.
	Channel(ctx context.Context, id string) (username string, err error)
	// RaiseEpoch raises and returns the channel's epoch, which tells the media
	// of its successive owners apart.
	RaiseEpoch(ctx context.Context, tx *store.Tx, channelID string) (int64, error)
}

// Library is what streaming needs of the catalogue to serve recordings.
type Library interface {
	// Known says whether the catalogue has the video, or had it and it was
	// deleted. Until then the stream's own row says who may see it.
	Known(ctx context.Context, videoID string) (bool, error)
	// MediaAccess returns whose recording it is and its prefix, if who asks may
	// play it. Errors: errs.NotFound.
	MediaAccess(ctx context.Context, videoID string) (channel, prefix string, privately bool, err error)
}

// Bus takes events that belong to no row.
type Bus interface {
	Publish(ctx context.Context, e event.Envelope) error
}

// Config is what an operator may choose. Zero values stand for the defaults.
type Config struct {
	Node           string // this node's id, required
	Network        whip.Network
	PartTarget     time.Duration // longest LL-HLS part, default 220 ms
	NoMediaTimeout time.Duration // a stream without media ends after it, default 10 s
	MaxStreams     int           // live at a time on this node, default 200
	MaxBitrate     int64         // bits per second of one publisher, default 20 Mbit/s
	EndedFor       time.Duration // how long an ended stream's playlists stay, default 60 s
	CountEvery     time.Duration // how often view counts are said, default 15 s
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	set(&c.PartTarget, 220*time.Millisecond)
	set(&c.NoMediaTimeout, 10*time.Second)
	set(&c.EndedFor, time.Minute)
	set(&c.CountEvery, 15*time.Second)
	if c.MaxStreams == 0 {
		c.MaxStreams = 200
	}
	if c.MaxBitrate == 0 {
		c.MaxBitrate = 20_000_000
	}
	return c
}

// Needs is what the service is given. All are required.
type Needs struct {
	DB       *store.DB
	Objects  blob.Store
	Channels Channels
	Library  Library
	Bus      Bus
	// Fail answers a request with an error.
	Fail    func(http.ResponseWriter, *http.Request, error)
	Metrics prometheus.Registerer
	Log     *slog.Logger
}

// Service is the streaming service.
type Service struct {
	cfg     Config
	needs   Needs
	log     *slog.Logger
	metrics metrics
	whip    *whip.Server
	origin  live.Origin
	viewers *viewers
	vods    *recordings

	mu       sync.Mutex
	live     map[string]*broadcast // by channel
	ended    map[string]*endedStream
	stopping bool

	stop       chan struct{}
	background sync.WaitGroup
}

// New opens the media ports. Nothing is live before Start.
func New(cfg Config, needs Needs) (*Service, error) {
	if cfg.Node == "" {
		return nil, errors.New("streaming: no node id")
	}
	s := &Service{
		cfg: cfg.withDefaults(), needs: needs, log: needs.Log,
		live: map[string]*broadcast{}, ended: map[string]*endedStream{},
		vods: newRecordings(needs.Objects), stop: make(chan struct{}),
	}
	s.viewers = newViewers()
	s.origin = live.Origin{Fail: s.fail, Stored: s.storedSegment}
	var err error
	if s.metrics, err = newMetrics(needs.Metrics, s); err != nil {
		return nil, err
	}
	s.whip, err = whip.New(cfg.Network, s, s.fail, needs.Log)
	return s, err
}

// MediaAddress is where WebRTC media comes in over UDP.
func (s *Service) MediaAddress() net.Addr { return s.whip.Address() }

// Start finishes what a killed process left unfinished on this node, and begins
// the background work.
func (s *Service) Start(ctx context.Context) error {
	if err := s.recover(ctx); err != nil {
		return err
	}
	s.background.Go(s.sweep)
	s.background.Go(s.sayViewCounts)
	return nil
}

// Shutdown ends all broadcasts as their publishers would: recordings are whole
// and their events said. It returns when that is done, or with ctx's error.
func (s *Service) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		return nil
	}
	s.stopping = true
	s.mu.Unlock()
	close(s.stop)
	done := make(chan error, 1)
	go func() {
		err := s.whip.Close()
		s.background.Wait()
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fail answers a request for media with an error, which no cache may keep.
func (s *Service) fail(w http.ResponseWriter, r *http.Request, err error) {
	w.Header().Set("Cache-Control", "no-store")
	if errs.CodeOf(err) == errs.Unavailable {
		w.Header().Set("Retry-After", "1")
	}
	s.needs.Fail(w, r, err)
}
