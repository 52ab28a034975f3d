package video

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
)

// RetentionInput is what a channel is to keep of its recordings.
type RetentionInput struct {
	KeepDays  int64 `json:"keepDays" minimum:"0" maximum:"36500" doc:"recordings that ended longer ago are deleted; 0: no limit"`
	KeepBytes int64 `json:"keepBytes" minimum:"0" doc:"while all recordings with their files take more, the oldest is deleted; 0: no limit"`
}

// Retention is what a channel keeps of its recordings, and what it has.
type Retention struct {
	RetentionInput
	Recordings int   `json:"recordings" doc:"videos that the channel has"`
	Bytes      int64 `json:"bytes" doc:"what they take with all their files, as far as it is counted"`
}

// RetentionPreview is what would be deleted now.
type RetentionPreview struct {
	Recordings int   `json:"recordings" doc:"videos that would be deleted at once"`
	Bytes      int64 `json:"bytes" doc:"what they take"`
	Left       int   `json:"left" doc:"videos that would stay"`
}

type (
	retentionOutput  struct{ Body Retention }
	retentionPreview struct{ Body RetentionPreview }
)

func (s *Service) registerRetention(api huma.API) {
	const path = "/api/channel/{id}/retention"
	tags := []string{"channels"}
	huma.Register(api, huma.Operation{
		OperationID: "get-retention", Method: http.MethodGet, Path: path, Tags: tags,
		Summary: "What a channel keeps of its recordings, for its owner or an admin",
	}, func(ctx context.Context, in *ByID) (*retentionOutput, error) {
		if _, err := s.governsChannel(ctx, in.ID); err != nil {
			return nil, err
		}
		return s.showRetention(ctx, in.ID)
	})
	huma.Register(api, huma.Operation{
		OperationID: "set-retention", Method: http.MethodPut, Path: path, Tags: tags,
		Summary: "Choose what a channel keeps of its recordings, by its owner or an admin",
		Description: "What it does not keep is deleted soon, for good, the oldest first; never what is live or processed. " +
			"Ask for the preview first.",
	}, func(ctx context.Context, in *struct {
		ByID
		Body RetentionInput
	}) (*retentionOutput, error) {
		by, err := s.governsChannel(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		if err := s.setRetention(ctx, in.ID, by, in.Body.keeping()); err != nil {
			return nil, err
		}
		return s.showRetention(ctx, in.ID)
	})
	huma.Register(api, huma.Operation{
		OperationID: "preview-retention", Method: http.MethodGet, Path: path + "/preview", Tags: tags,
		Summary: "How many recordings a channel would lose now by keeping so much, for its owner or an admin",
	}, func(ctx context.Context, in *struct {
		ByID
		KeepDays  int64 `query:"keepDays" minimum:"0" maximum:"36500" doc:"as when it is set"`
		KeepBytes int64 `query:"keepBytes" minimum:"0" doc:"as when it is set"`
	}) (*retentionPreview, error) {
		return s.previewRetention(ctx, in.ID, keeping{in.KeepDays, in.KeepBytes})
	})
}

func (in RetentionInput) keeping() keeping { return keeping{in.KeepDays, in.KeepBytes} }

// governsChannel returns the id of who asks if they own the channel or are an
// admin. A channel's id is its owner's.
func (s *Service) governsChannel(ctx context.Context, channel string) (by string, err error) {
	p, err := identity.Require(ctx)
	if err != nil {
		return "", err
	}
	if p.ID != channel && !p.Roles.Has(identity.Admin) {
		return "", errs.New(errs.Forbidden, "this channel is somebody else's: only its owner and admins see and change what it keeps")
	}
	if _, err := s.channels.Username(ctx, channel); err != nil {
		return "", err
	}
	return p.ID, nil
}

func (s *Service) showRetention(ctx context.Context, channel string) (*retentionOutput, error) {
	if err := s.measureOf(ctx, channel); err != nil {
		return nil, err
	}
	k, err := s.retentionOf(ctx, channel)
	if err != nil {
		return nil, err
	}
	_, all, err := s.surplus(ctx, channel, keeping{})
	if err != nil {
		return nil, err
	}
	out := Retention{RetentionInput: RetentionInput{k.days, k.bytes}, Recordings: len(all)}
	for _, v := range all {
		out.Bytes += max(0, v.StoredBytes)
	}
	return &retentionOutput{Body: out}, nil
}

func (s *Service) previewRetention(ctx context.Context, channel string, k keeping) (*retentionPreview, error) {
	if _, err := s.governsChannel(ctx, channel); err != nil {
		return nil, err
	}
	if err := s.measureOf(ctx, channel); err != nil {
		return nil, err
	}
	gone, all, err := s.surplus(ctx, channel, k)
	if err != nil {
		return nil, err
	}
	out := RetentionPreview{Recordings: len(gone), Left: len(all) - len(gone)}
	for _, v := range gone {
		out.Bytes += v.bytes
	}
	return &retentionPreview{Body: out}, nil
}
