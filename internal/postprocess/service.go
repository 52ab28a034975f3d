// Package postprocess is the post-processing service: it makes the MP4, the
// thumbnail and the storyboard of every recording that has ended. Each attempt
// at a recording is one durable flow (flow.go), which goes on after a restart or
// on another node.
//
// Nothing is encoded again unless the operator wants it (encode.go). The live engine has already seen to it that every
// recording plays: it has H.264 made of other codecs and AAC of Opus while the
// broadcast runs, as far as the node's cores allow, and records what it made
// (docs/streaming.md). The MP4 holds the best picture as it was sent, with the
// AAC where there is some. Encoding hours of video afterwards would cost cores
// that live broadcasts need, for the few players that know neither.
package postprocess

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Media is what a recording holds, as our own reader of its segments found it.
type Media struct {
	DurationMillis int64    // ms of media
	Width, Height  int      // pixels, of the largest picture; 0 without video
	Codecs         []string `json:",omitempty"` // RFC 6381, video first
	Frames         int      `json:",omitempty"` // pictures in all
	Entries        int      `json:",omitempty"` // sample entries of the video: more than 1 of a phone that was turned
}

// Remuxer writes a recording as one MP4, its moov first, samples copied. Its
// segments are the objects below prefix, a key without slash at its end.
// progress hears of bytes written out of all. An error that trying again does
// not mend has one of the codes errs.Invalid, errs.NotFound and
// errs.Unsupported, and a message for the broadcaster.
type Remuxer interface {
	Remux(ctx context.Context, prefix string, w io.Writer, progress func(done, total int64)) (Media, error)
}

// URLs makes the absolute URLs under which a video's media is found.
type URLs interface {
	VOD(video string) string
	MP4(video string) string
	Thumbnail(video string) string
	Storyboard(video string) string
}

// Videos is the catalogue.
type Videos interface {
	// MayChange returns nil for a video's owner and for admins. Errors:
	// errs.Unauthenticated, errs.NotFound, errs.Forbidden.
	MayChange(ctx context.Context, videoID string) error
	// Deleted says whether the video was there and is deleted.
	Deleted(ctx context.Context, videoID string) (bool, error)
}

// Realtime says what is not kept, to who hears at the moment.
type Realtime interface {
	PublishLive(subject string, data []byte) error
}

// Needs is what the service works with.
type Needs struct {
	DB       *store.DB
	Objects  blob.Store
	Flows    *flow.Engine
	Remuxer  Remuxer
	URLs     URLs
	Videos   Videos
	Realtime Realtime
	Log      *slog.Logger
}

// Config is what an operator may choose.
type Config struct {
	// WorkDir is a folder of this node's own for unfinished files. What is in
	// it at the start is removed.
	WorkDir string
	// Local and Workers are how many recordings this node works on at a time: short
	// ones, at once, and long ones from the queue of the workers (queues.go); 2
	// and 1 when zero.
	Local, Workers int
	// Encode says what is encoded again: EncodeNever, also when empty, or
	// EncodeMissing.
	Encode string
	// FFmpeg is the program that makes pictures and encodes; "ffmpeg" on the path when empty. A
	// node without it works, its videos have no thumbnail and no storyboard.
	FFmpeg string
	// FFmpegStall ends an ffmpeg that has given nothing for so long; 1 minute when
	// zero.
	FFmpegStall time.Duration
	// RemuxStall ends the making of an MP4 that makes no progress, because the
	// object store hangs, for so long; 5 minutes when zero.
	RemuxStall time.Duration
	// Retries are those of a step that failed; up to 5 within about a minute
	// when its Base is zero. Pictures are tried again twice at most: a video is not
	// kept from its viewers for them.
	Retries flow.Retries
	// ReconcileEvery is how often jobs without a flow are looked for; 1 minute
	// when zero.
	ReconcileEvery time.Duration
}

// Service is the post-processing service.
type Service struct {
	db      *store.DB
	objects blob.Store
	flows   *flow.Engine
	remuxer Remuxer
	urls    URLs
	videos  Videos
	cfg     Config
	log     *slog.Logger
	queues  queues
	tracker *tracker
	kept    *Kept
}

// New returns the service and registers its flow, so it comes before the start
// of the engine. Its consumers (Consumers) must be wired to the bus, its
// operations (Register) to the API, and Run must run.
func New(n Needs, cfg Config) (*Service, error) {
	cfg = cfg.withDefaults()
	if err := emptyDir(cfg.WorkDir); err != nil {
		return nil, fmt.Errorf("the work folder of post-processing: %w", err)
	}
	s := &Service{
		db: n.DB, objects: n.Objects, flows: n.Flows, remuxer: n.Remuxer, urls: n.URLs, videos: n.Videos, cfg: cfg, log: n.Log,
		queues:  newQueues(cfg.Local, cfg.Workers),
		tracker: newTracker(n.Realtime, n.Log),
		kept:    NewKept(n.DB, n.Flows),
	}
	flow.Register(n.Flows, flowName, s.process)
	return s, nil
}

func (c Config) withDefaults() Config {
	if c.Local <= 0 {
		c.Local = 2
	}
	if c.Workers <= 0 {
		c.Workers = 1
	}
	if c.FFmpeg == "" {
		c.FFmpeg = "ffmpeg"
	}
	if c.FFmpegStall <= 0 {
		c.FFmpegStall = time.Minute
	}
	if c.RemuxStall <= 0 {
		c.RemuxStall = 5 * time.Minute
	}
	if c.Retries.Base <= 0 {
		c.Retries = flow.Retries{Max: 5, Base: time.Second, MaxDelay: 30 * time.Second}
	}
	if c.ReconcileEvery <= 0 {
		c.ReconcileEvery = time.Minute
	}
	return c
}

// emptyDir makes the folder, and removes what an earlier run left in it.
func emptyDir(dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range left {
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

// Run reconciles, now and every minute, until ctx is done. It begins after the
// engine has started.
func (s *Service) Run(ctx context.Context) {
	tick := time.NewTicker(s.cfg.ReconcileEvery)
	defer tick.Stop()
	for {
		if err := s.Reconcile(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("post-processing: some recordings may wait", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
