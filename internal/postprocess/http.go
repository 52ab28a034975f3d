package postprocess

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/serverlessvideo/serverlessvideo/internal/postprocess/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Processing is how far a video's MP4 and pictures are, as the API shows it.
type Processing struct {
	State     string           `json:"state" enum:"waiting,processing,done,failed"`
	Step      string           `json:"step,omitempty" enum:"mp4,encode,storyboard,thumbnail" doc:"what is being made; absent while it waits for its turn"`
	Percent   int              `json:"percent" minimum:"0" maximum:"100" doc:"of the whole work"`
	Attempt   int              `json:"attempt" doc:"1 for the first"`
	Compute   string           `json:"compute" enum:"local,worker" doc:"where it is made: recordings of more than 15 minutes by a worker"`
	Reason    string           `json:"reason,omitempty" doc:"why it failed"`
	Media     *ProcessingMedia `json:"media,omitempty" doc:"what the MP4 holds, once it is made"`
	UpdatedAt string           `json:"updatedAt" format:"date-time"`
}

// ProcessingMedia is what the MP4 holds.
type ProcessingMedia struct {
	Duration  int64    `json:"duration" doc:"milliseconds"`
	Size      int64    `json:"size" doc:"bytes"`
	Width     int64    `json:"width" doc:"pixels, of the largest picture; 0 without video"`
	Height    int64    `json:"height" doc:"pixels; 0 without video"`
	Codecs    []string `json:"codecs" nullable:"false" doc:"RFC 6381, video first"`
	FrameRate float64  `json:"frameRate" doc:"pictures a second on average; 0 without video"`
}

type processingOutput struct{ Body Processing }

// ByVideo names a video in the path. It is exported for huma to fill it in.
type ByVideo struct {
	ID string `path:"id" maxLength:"128"`
}

// Register adds the service's operations to the API.
func (s *Service) Register(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "get-processing", Method: http.MethodGet, Path: "/api/video/{id}/processing",
		Summary: "How far a video's MP4 and pictures are, for the owner or an admin", Tags: []string{"videos"},
	}, s.getProcessing)
	huma.Register(api, huma.Operation{
		OperationID: "retry-processing", Method: http.MethodPost, Path: "/api/video/{id}/processing",
		Summary: "Try again to make a video's MP4 and pictures, by the owner or an admin", Tags: []string{"videos"},
		Description:   "Only after the last attempt has failed; else 409.",
		DefaultStatus: http.StatusAccepted,
	}, s.retryProcessing)
}

func (s *Service) getProcessing(ctx context.Context, in *ByVideo) (*processingOutput, error) {
	if err := s.videos.MayChange(ctx, in.ID); err != nil {
		return nil, err
	}
	row, err := s.jobRow(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &processingOutput{Body: s.show(row)}, nil
}

// retryProcessing begins a new attempt. When the engine does not take its flow,
// Reconcile starts it.
func (s *Service) retryProcessing(ctx context.Context, in *ByVideo) (*processingOutput, error) {
	if err := s.videos.MayChange(ctx, in.ID); err != nil {
		return nil, err
	}
	j, begun, err := s.beginAgain(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	row, err := s.jobRow(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if !begun {
		return nil, notFailed(row.State)
	}
	if err := s.start(ctx, j); err != nil {
		s.log.Warn("post-processing: an attempt begins later", "video", j.ID, "err", err)
	}
	return &processingOutput{Body: s.show(row)}, nil
}

func (s *Service) show(row sqlc.PostprocessJob) Processing {
	j := jobOf(row)
	p := Processing{
		State: row.State, Attempt: j.attempt(), Compute: j.compute(), Reason: row.Reason,
		UpdatedAt: store.Timestamp(row.UpdatedAt),
	}
	switch row.State {
	case done:
		p.Percent, p.Media = 100, mediaOf(row)
	case waiting, processing:
		if now, ok := s.tracker.of(row.ID); ok {
			p.Step, p.Percent = now.step, now.percent
		}
	}
	return p
}

// mediaOf is nil for jobs that were done before this was noted.
func mediaOf(row sqlc.PostprocessJob) *ProcessingMedia {
	if row.Codecs == "" {
		return nil
	}
	m := &ProcessingMedia{
		Duration: row.MediaMs, Size: row.Size, Width: row.Width, Height: row.Height, Codecs: strings.Split(row.Codecs, ","),
	}
	if row.MediaMs > 0 {
		m.FrameRate = float64(row.Frames*1_000_000/row.MediaMs) / 1000
	}
	return m
}
