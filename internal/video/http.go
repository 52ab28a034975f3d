package video

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/video/sqlc"
)

// Video is a video as the API shows it.
type Video struct {
	ID          string      `json:"id"`
	Channel     string      `json:"channel" doc:"id of the channel, which is its owner's sub"`
	Author      VideoAuthor `json:"author"`
	CreatedAt   string      `json:"createdAt" format:"date-time"`
	Thumbnail   string      `json:"thumbnail" doc:"URL of a JPEG; empty while there is none"`
	StreamURL   string      `json:"streamURL" doc:"URL of the HLS playlist"`
	PlaybackURL string      `json:"playbackURL" doc:"URL of the MP4; empty while there is none"`
	Storyboard  string      `json:"storyboardURL,omitempty" doc:"URL of a WebVTT whose cues name pictures for the player's time line; absent while there is none"`
	Title       string      `json:"title,omitempty"`
	Description string      `json:"description,omitempty" doc:"in lines"`
	Tags        []string    `json:"tags,omitempty" nullable:"false"`
	Transcript  string      `json:"transcriptURL,omitempty" doc:"URL of what is said in it, text or WebVTT, that a plugin made"`
	Event       string      `json:"event,omitempty" doc:"event tag: a conference, a campaign"`
	Duration    int64       `json:"duration" doc:"milliseconds"`
	Width       int64       `json:"width" doc:"pixels; 0 while unknown"`
	Height      int64       `json:"height" doc:"pixels; 0 while unknown"`
	Visibility  string      `json:"visibility" enum:"public,unlisted,private" doc:"unlisted: for who has the link; private: for its owner and admins"`
	Status      string      `json:"status" enum:"processing,valid,invalid,failed"`
	Reason      string      `json:"reason,omitempty" doc:"why it is not valid; for its owner and admins"`
}

// VideoAuthor is whose video it is, by the name that people see.
type VideoAuthor struct {
	Username string `json:"username"`
}

// PageQuery asks for a page of a list. It is exported for huma to fill it in.
type PageQuery struct {
	Offset string `query:"offset" maxLength:"256" doc:"nextPage of the page before, unread"`
	Limit  int    `query:"limit" default:"10" minimum:"1" maximum:"100" doc:"rows on a page"`
}

// SearchQuery asks for a page of a list, of all videos or of those with some
// words. It is exported for huma to fill it in.
type SearchQuery struct {
	Q string `query:"q" maxLength:"200" doc:"words, all of which stand in the video's title, description, tags, event tag, transcript or author's name, or begin a word there"`
	PageQuery
}

type list struct{ Body store.List[Video] }

type one struct{ Body Video }

// ByID names a video or a channel in the path.
type ByID struct {
	ID string `path:"id" maxLength:"128"`
}

// previewLimit is how many a preview shows when it is not told.
const previewLimit = 5

// Register adds the video manager's operations to the API.
func (s *Service) Register(api huma.API) {
	get := func(id, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: http.MethodGet, Path: path, Summary: summary, Tags: []string{"videos"}}
	}
	// The same for everybody: the gateway lets signed-out readers keep it for 5 s.
	open := func(id, path, summary string) huma.Operation {
		op := get(id, path, summary)
		op.Metadata = map[string]any{"cache": "public"}
		return op
	}
	huma.Register(api, open("list-videos", "/api/videos", "Valid public videos, all or those with some words, newest first"), s.listPublic)
	huma.Register(api, open("list-event-videos", "/api/videos/{event}", "Valid public videos of an event tag"), s.listEvent)
	huma.Register(api, open("preview-event-videos", "/api/videos/{event}/preview", "The newest videos of an event tag"), s.previewEvent)
	huma.Register(api, get("get-video", "/api/video/{id}", "One video"), s.getVideo)
	huma.Register(api, get("list-my-videos", "/api/channel/videos", "My videos, whatever their status, all or those with some words"), s.listMine)
	huma.Register(api, open("list-channel-videos", "/api/channel/{id}/videos", "Somebody's valid public videos"), s.listChannel)
	huma.Register(api, huma.Operation{
		OperationID: "update-video", Method: http.MethodPatch, Path: "/api/video/{id}",
		Summary: "Title, description, tags, event tag and visibility, by the owner or an admin", Tags: []string{"videos"},
	}, s.updateVideo)
	huma.Register(api, huma.Operation{
		OperationID: "delete-video", Method: http.MethodDelete, Path: "/api/video/{id}",
		Summary: "Delete a video and its files, by the owner or an admin", Tags: []string{"videos"},
		DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *ByID) (*struct{}, error) {
		return nil, s.Delete(ctx, in.ID)
	})
	s.registerRetention(api)
}

func (s *Service) listPublic(ctx context.Context, in *SearchQuery) (*list, error) {
	if in.Q != "" {
		return s.search(ctx, *in, s.findPublic)
	}
	return s.list(ctx, in.PageQuery, func(q *sqlc.Queries, p store.Page) ([]sqlc.Video, error) {
		return q.ListPublic(ctx, sqlc.ListPublicParams{At: p.After.At, LastID: p.After.ID, RowCount: rows(p)})
	})
}

func (s *Service) listEvent(ctx context.Context, in *struct {
	Event string `path:"event" maxLength:"64"`
	PageQuery
}) (*list, error) {
	return s.eventPage(ctx, in.Event, in.PageQuery)
}

func (s *Service) eventPage(ctx context.Context, tag string, pg PageQuery) (*list, error) {
	if err := checkEventTag(tag); err != nil {
		return nil, err
	}
	return s.list(ctx, pg, func(q *sqlc.Queries, p store.Page) ([]sqlc.Video, error) {
		return q.ListEvent(ctx, sqlc.ListEventParams{EventTag: tag, At: p.After.At, LastID: p.After.ID, RowCount: rows(p)})
	})
}

func (s *Service) previewEvent(ctx context.Context, in *struct {
	Event string `path:"event" maxLength:"64"`
	Limit int    `query:"limit" default:"5" minimum:"1" maximum:"100"`
}) (*list, error) {
	if in.Limit == 0 {
		in.Limit = previewLimit
	}
	return s.eventPage(ctx, in.Event, PageQuery{Limit: in.Limit})
}

func (s *Service) listMine(ctx context.Context, in *SearchQuery) (*list, error) {
	me, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	if in.Q != "" {
		return s.search(ctx, *in, s.findOf(me.ID))
	}
	return s.list(ctx, in.PageQuery, func(q *sqlc.Queries, p store.Page) ([]sqlc.Video, error) {
		return q.ListChannel(ctx, sqlc.ListChannelParams{Channel: me.ID, At: p.After.At, LastID: p.After.ID, RowCount: rows(p)})
	})
}

func (s *Service) listChannel(ctx context.Context, in *struct {
	ByID
	PageQuery
}) (*list, error) {
	return s.list(ctx, in.PageQuery, func(q *sqlc.Queries, p store.Page) ([]sqlc.Video, error) {
		return q.ListChannelPublic(ctx, sqlc.ListChannelPublicParams{Channel: in.ID, At: p.After.At, LastID: p.After.ID, RowCount: rows(p)})
	})
}

func (s *Service) getVideo(ctx context.Context, in *ByID) (*one, error) {
	v, err := s.readable(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &one{Body: s.show(ctx, v)}, nil
}

func (s *Service) list(ctx context.Context, in PageQuery, read func(*sqlc.Queries, store.Page) ([]sqlc.Video, error)) (*list, error) {
	p, err := store.ParsePage(in.Offset, in.Limit)
	if err != nil {
		return nil, err
	}
	found, err := read(sqlc.New(s.db.Read()), p)
	if err != nil {
		return nil, fmt.Errorf("listing videos: %w", err)
	}
	body := store.MakeList(p, found,
		func(v sqlc.Video) store.Key { return store.Key{At: v.CreatedAt, ID: v.ID} },
		func(v sqlc.Video) Video { return s.show(ctx, v) })
	return &list{Body: body}, nil
}

// rows is how many rows a query reads: one more than the page has, which has at most store.MaxLimit.
func rows(p store.Page) int32 { return int32(p.Limit) + 1 }

// show is the video for who asks.
func (s *Service) show(ctx context.Context, v sqlc.Video) Video {
	urls := s.answered(ctx)
	out := Video{
		ID:          v.ID,
		Channel:     v.Channel,
		Author:      VideoAuthor{Username: v.Username},
		CreatedAt:   store.Timestamp(v.CreatedAt),
		Thumbnail:   thumbnailURL(urls, v),
		StreamURL:   urls.VOD(v.ID),
		PlaybackURL: mp4URL(urls, v),
		Storyboard:  storyboardURL(urls, v),
		Title:       titleOf(v),
		Description: v.Description,
		Tags:        tagsOf(v),
		Transcript:  transcriptURL(urls, v),
		Event:       v.EventTag,
		Duration:    v.DurationMs,
		Width:       v.Width,
		Height:      v.Height,
		Visibility:  v.Visibility,
		Status:      v.Status,
	}
	if governs(ctx, v) {
		out.Reason = v.Reason
	}
	return out
}

func mp4URL(urls URLs, v sqlc.Video) string {
	if v.Mp4Key == "" {
		return ""
	}
	return urls.MP4(v.ID)
}

func thumbnailURL(urls URLs, v sqlc.Video) string {
	if v.ThumbnailKey == "" {
		return ""
	}
	return urls.Thumbnail(v.ID)
}

func storyboardURL(urls URLs, v sqlc.Video) string {
	if !v.Storyboard {
		return ""
	}
	return urls.Storyboard(v.ID)
}
