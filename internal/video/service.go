// Package video is the video manager: the catalogue of recordings. It adds a
// video when its recording ends, keeps what post-processing and the plugins
// made of it, and says who may see it. The videos rows are its own alone.
package video

import (
	"context"
	"log/slog"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Channels knows by which name people see a channel's owner. A channel that
// does not exist is errs.NotFound.
type Channels interface {
	Username(ctx context.Context, channel string) (string, error)
}

// URLs makes the absolute URLs under which a video's media is found. Those of
// answers begin with where the request was sent to, those of events with the
// node's public address.
type URLs interface {
	VOD(video string) string
	MP4(video string) string
	Thumbnail(video string) string
	Storyboard(video string) string
}

// Service is the video manager.
type Service struct {
	db       *store.DB
	objects  blob.Store
	channels Channels
	said     URLs                       // in events
	answered func(context.Context) URLs // in the answer to the context's request
	log      *slog.Logger
	retain   chan struct{} // wakes Run: a channel keeps less now
}

// New returns the video manager. urls makes the URLs of the answer to a
// request, or of events when the context is none's. Its consumers (Consumers) must be wired to the
// bus, its operations (Register) to the API, and Run must run.
func New(db *store.DB, objects blob.Store, channels Channels, urls func(context.Context) URLs, log *slog.Logger) *Service {
	return &Service{db: db, objects: objects, channels: channels, said: urls(context.Background()), answered: urls, log: log,
		retain: make(chan struct{}, 1)}
}

// tidyEvery is how often the service looks for what is to be done without being
// told: a net under the consumer that removes objects at once.
const tidyEvery = 10 * time.Minute

// Run does the service's periodic work until ctx is done.
func (s *Service) Run(ctx context.Context) {
	if err := s.indexMissing(ctx); err != nil && ctx.Err() == nil {
		s.log.Error("search does not find all videos; the next start tries again", "err", err)
	}
	if err := s.sweepLeft(ctx); err != nil && ctx.Err() == nil {
		s.log.Error("objects of deleted videos may be left; they are looked for again within the hour", "err", err)
	}
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		s.tidy(ctx)
		select {
		case <-tick.C:
		case <-s.retain:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Service) tidy(ctx context.Context) {
	for _, work := range []struct {
		do     func(context.Context) error
		failed string
	}{
		{s.Sweep, "objects of deleted videos are still there"},
		{s.Measure, "the sizes of some videos are not known"},
		{s.Retain, "recordings that channels do not keep are still there"},
		{s.pruneTombstones, "deleted videos of long ago are not forgotten"},
	} {
		if err := work.do(ctx); err != nil && ctx.Err() == nil {
			s.log.Error(work.failed, "err", err)
		}
	}
}
