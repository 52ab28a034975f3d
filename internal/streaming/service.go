// Package streaming is the live video service. It takes a broadcaster's video
// over WHIP or RTMP, serves it as low-latency HLS while it lasts, stores every segment
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
	"slices"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/live"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/recorder"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtc"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/transcode"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/whep"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/whip"
)

// Channels is what streaming needs of the channels. A channel's id is its
// owner's user id.
type Channels interface {
	// ChannelByKey returns whose stream key it is. Errors: errs.NotFound.
	ChannelByKey(ctx context.Context, key string) (id, username string, err error)
	// Channel returns a channel's friendly name. Errors: errs.NotFound.
	Channel(ctx context.Context, id string) (username string, err error)
	// MayBroadcast refuses a channel whose owner may not broadcast. Errors:
	// errs.Forbidden.
	MayBroadcast(ctx context.Context, channelID string) error
	// OwnerGone says whether the account of a channel's owner is deleted, and is right
	// about it until the transaction ends.
	OwnerGone(ctx context.Context, tx *store.Tx, channelID string) (bool, error)
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
	// SubscribeLive hears what is said and not kept.
	SubscribeLive(subject string, fn func(subject string, data []byte)) (stop func(), err error)
}

// Config is what an operator may choose. Zero values stand for the defaults.
type Config struct {
	Node           string // this node's id, required
	Network        rtc.Network
	ICEServers     []webrtc.ICEServer // that clients are told of
	PartTarget     time.Duration      // longest LL-HLS part, default 220 ms
	NoMediaTimeout time.Duration      // a publisher without media is let go after it, default 10 s
	// ReconnectWindow is how long a broadcast waits for its publisher to come back,
	// since its last media. 0 ends it when the publisher is gone.
	ReconnectWindow time.Duration
	SpillDir        string        // folder for segments that the object store does not take; empty: none
	FFmpeg          string        // path; empty: as found on the search path
	TranscodeCores  float64       // for sidecars of all streams, default 60 % of the machine's
	PictureEvery    time.Duration // pictures of live streams; 0: none
	MaxStreams      int           // live at a time on this node, default 200
	MaxBitrate      int64         // bits per second of one publisher, default 20 Mbit/s
	EndedFor        time.Duration // how long an ended stream's playlists stay, default 60 s
	CountEvery      time.Duration // how often view counts are said, default 15 s
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

// leftPatience is how long a start waits for segments that were left to be
// stored.
const leftPatience = 5 * time.Second

// toolsTimeout is how long ffmpeg may take to say what it can do.
const toolsTimeout = 10 * time.Second

// Service is the streaming service.
type Service struct {
	cfg     Config
	needs   Needs
	log     *slog.Logger
	metrics metrics
	rtc     *rtc.Engine
	whip    *whip.Server
	whep    *whep.Server
	rtmp    *rtmp.Server
	tools   transcode.Tools
	budget  *transcode.Budget
	stills  *transcode.Stills
	spill   *recorder.Spill   // nil for none
	stored  *recorder.Pending // the object store, and what waits for it
	origin  live.Origin
	viewers *viewers
	vods    *listings

	mu       sync.Mutex
	live     map[string]*broadcast // by channel
	ended    map[string]*endedStream
	storing  map[string]time.Time // streams that are over and their recordings not, since when
	patience time.Duration        // with a store that does not take the end of a recording
	slowest  time.Duration        // that a client may take for a step of an answer
	stopping bool

	running     context.Context // until Shutdown
	stop        context.CancelFunc
	background  sync.WaitGroup
	saying      *speaker
	unsubscribe func()
}

// New opens the media ports. Nothing is live before Start.
func New(cfg Config, needs Needs) (*Service, error) {
	if cfg.Node == "" {
		return nil, errors.New("streaming: no node id")
	}
	s := &Service{
		cfg: cfg.withDefaults(), needs: needs, log: needs.Log, unsubscribe: func() {},
		live: map[string]*broadcast{}, ended: map[string]*endedStream{}, storing: map[string]time.Time{},
	}
	s.running, s.stop = context.WithCancel(context.Background())
	s.saying = &speaker{bus: needs.Bus, log: needs.Log}
	s.viewers = newViewers()
	s.origin = live.Origin{Fail: s.fail, Stored: s.liveStored}
	var err error
	s.slowest = slowestStep
	s.patience = storeOrLoseWithin
	if cfg.SpillDir != "" {
		s.patience = storePatience
		if s.spill, err = recorder.OpenSpill(cfg.SpillDir, needs.Log); err != nil {
			return nil, err
		}
	}
	s.stored = recorder.NewPending(needs.Objects, s.spill)
	s.vods = newListings(s.stored)
	if s.metrics, err = newMetrics(needs.Metrics, s); err != nil {
		return nil, err
	}
	if s.rtc, err = rtc.New(cfg.Network, needs.Log); err != nil {
		return nil, err
	}
	s.whip = whip.New(whip.Config{ICEServers: cfg.ICEServers}, whip.Needs{
		Engine: s.rtc, Gate: s, Host: s, Fail: s.fail, Log: needs.Log,
	})
	s.whep, err = whep.New(s.rtc, s, whep.Config{ICEServers: withoutSecrets(cfg.ICEServers), Metrics: s.metrics.whep()}, s.fail, needs.Log)
	if err != nil {
		return nil, errors.Join(err, s.rtc.Close())
	}
	s.rtmp = rtmp.New(rtmp.Config{IdleTimeout: s.cfg.NoMediaTimeout}, s, s, needs.Log)
	s.findTools()
	return s, nil
}

// withoutSecrets leaves out the servers with credentials: viewers may be anybody.
func withoutSecrets(servers []webrtc.ICEServer) []webrtc.ICEServer {
	return slices.DeleteFunc(slices.Clone(servers), func(s webrtc.ICEServer) bool { return s.Username != "" })
}

// findTools looks for ffmpeg. All that needs no codec works without it.
func (s *Service) findTools() {
	ctx, cancel := context.WithTimeout(context.Background(), toolsTimeout)
	defer cancel()
	var err error
	if s.tools, err = transcode.Available(ctx, s.cfg.FFmpeg); err != nil {
		s.log.Warn("live streams are not transcoded", "reason", errs.MessageOf(err))
	}
	s.budget = transcode.NewBudget(s.tools, s.cfg.TranscodeCores)
	s.stills = transcode.NewStills(s.tools, 1)
}

// ServeRTMP takes publishers over RTMP on a listener, until Shutdown.
func (s *Service) ServeRTMP(l net.Listener) error { return s.rtmp.Serve(l) }

// MediaAddress is where WebRTC media comes in over UDP.
func (s *Service) MediaAddress() net.Addr { return s.rtc.Address() }

// Start finishes what a killed process left unfinished on this node, and begins
// the background work.
func (s *Service) Start(ctx context.Context) error {
	var err error
	if s.unsubscribe, err = s.needs.Bus.SubscribeLive(reactionSubject+">", s.reaction); err != nil {
		return err
	}
	s.storeLeftFirst(ctx)
	if err := s.recover(ctx, true); err != nil {
		return err
	}
	s.background.Go(s.sweep)
	s.background.Go(s.sayViewCounts)
	return nil
}

// Shutdown completes the media of all broadcasts and stops. Where a reconnect
// window is open the next process goes on with them; else they end. It returns
// when that is done, or with ctx's error.
func (s *Service) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		return nil
	}
	s.stopping = true
	s.mu.Unlock()
	s.stop()
	done := make(chan error, 1)
	go func() {
		s.unsubscribe()
		s.whep.Close()
		s.whip.Close()
		s.rtmp.Close()
		for _, b := range s.reserved() {
			<-b.made
			if b.stream != nil {
				b.park()
			}
		}
		s.background.Wait()
		s.saying.close()
		done <- s.rtc.Close()
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
