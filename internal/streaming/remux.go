package streaming

import (
	"context"
	"io"
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/recorder"
)

// Remux writes a recording as one MP4, its moov first, samples copied. progress,
// which may be nil, hears of bytes written out of all. Errors: errs.NotFound when
// nothing is stored below prefix.
func (s *Service) Remux(ctx context.Context, prefix string, w io.Writer, progress func(done, total int64)) (cmaf.Info, error) {
	rec, err := recorder.List(ctx, s.stored, strings.TrimSuffix(prefix, "/"))
	if err != nil {
		return cmaf.Info{}, err
	}
	video, audio := rec.Sources(s.stored)
	if len(video) == 0 {
		return cmaf.Info{}, errs.New(errs.NotFound, "the recording has no segments")
	}
	return cmaf.Remux(ctx, w, video, audio, progress)
}
