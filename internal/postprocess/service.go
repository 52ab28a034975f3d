// Package postprocess is the post-processing service: it makes the MP4 and the
// thumbnail of every recording that has ended. Each recording is one durable
// flow (flow.go), which goes on after a restart or on another node.
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

// Media is what a recording holds.
type Media struct {
	DurationMillis int64 // ms of media
	Width, Height  int   // pixels, of the largest picture; 0 without video
}

// Remuxer writes a recording as one MP4, its moov first, samples copied. Its
// segments are the objects below prefix, a key without slash at its end. An
// error that trying again does not mend has one of the codes errs.Invalid,
// errs.NotFound and errs.Unsupported, and a message for the broadcaster.
type Remuxer interface {
	Remux(ctx context.Context, prefix string, w io.Writer) (Media, error)
}

// URLs makes the absolute URLs under which a video's media is found.
type URLs interface {
	VOD(video string) string
	MP4(video string) string
	Thumbnail(video string) string
}

// Config is what an operator may choose.
type Config struct {
	// WorkDir is a folder of this node's own for unfinished files. What is in
	// it at the start is removed.
	WorkDir string
	// Parallel is how many recordings this node works on at a time; 1 when zero.
	Parallel int
	// FFmpeg is the program that makes thumbnails; "ffmpeg" on the path when
	// empty. A node without it works, its videos have no thumbnail.
	FFmpeg string
	// FFmpegTimeout ends an ffmpeg that hangs; 1 minute when zero.
	FFmpegTimeout time.Duration
	// Retries are those of a step that failed; up to 5 within about a minute
	// when its Base is zero.
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
	cfg     Config
	log     *slog.Logger
	slots   chan struct{} // holds one value for each recording that is worked on
}

// New returns the service and registers its flow, so it comes before the start
// of the engine. Its consumers (Consumers) must be wired to the bus, and Run
// must run.
func New(db *store.DB, objects blob.Store, flows *flow.Engine, remuxer Remuxer, urls URLs, cfg Config, log *slog.Logger) (*Service, error) {
	if cfg.Parallel <= 0 {
		cfg.Parallel = 1
	}
	if cfg.FFmpeg == "" {
		cfg.FFmpeg = "ffmpeg"
	}
	if cfg.FFmpegTimeout <= 0 {
		cfg.FFmpegTimeout = time.Minute
	}
	if cfg.Retries.Base <= 0 {
		cfg.Retries = flow.Retries{Max: 5, Base: time.Second, MaxDelay: 30 * time.Second}
	}
	if cfg.ReconcileEvery <= 0 {
		cfg.ReconcileEvery = time.Minute
	}
	if err := emptyDir(cfg.WorkDir); err != nil {
		return nil, fmt.Errorf("the work folder of post-processing: %w", err)
	}
	s := &Service{
		db: db, objects: objects, flows: flows, remuxer: remuxer, urls: urls, cfg: cfg, log: log,
		slots: make(chan struct{}, cfg.Parallel),
	}
	flow.Register(flows, flowName, s.process)
	return s, nil
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
