package channel

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/serverlessvideo/serverlessvideo/internal/channel/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Register adds the operations of the service.
func (s *Service) Register(api huma.API) {
	op := func(id, method, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{"channels"}}
	}
	huma.Register(api, op("my-channel", http.MethodGet, "/api/channel", "My channel, with its stream key"), s.mine)
	huma.Register(api, op("rotate-stream-key", http.MethodPost, "/api/channel/rotate-key", "Give my channel a new stream key"), s.rotateMine)
	huma.Register(api, op("get-channel", http.MethodGet, "/api/channel/{id}", "A channel"), s.get)
	list := op("list-channels", http.MethodGet, "/api/channels", "Channels, the newest first; live ones, the latest to begin first")
	list.Metadata = map[string]any{"cache": "public"}
	huma.Register(api, list, s.list)
	huma.Register(api, op("react", http.MethodPost, "/api/channel/{id}/metadata", "Send a reaction to a live channel"), s.reaction)
}

// PublicChannel is a channel as all see it.
type PublicChannel struct {
	Name        string     `json:"name" doc:"the channel's id, which is its owner's"`
	Username    string     `json:"username" doc:"the name that people see"`
	PlaybackURL string     `json:"playbackURL" doc:"the live HLS playlist"`
	Live        bool       `json:"live"`
	StreamID    string     `json:"streamId,omitempty" doc:"while live"`
	StartedAt   *time.Time `json:"startedAt,omitempty" doc:"while live"`
	ViewCount   *int       `json:"viewCount,omitempty" doc:"while live, where it is known"`
	// Reconnecting is for pages that come in between two events.
	Reconnecting bool   `json:"reconnecting,omitempty" doc:"live, but no media comes just now; the broadcast waits for its publisher"`
	OpenFor      *int   `json:"openFor,omitempty" minimum:"0" doc:"while live, where it is known: seconds that the broadcast stays open without media from now on; 0 when it ends with its publisher's connection"`
	Thumbnail    string `json:"thumbnail,omitempty" doc:"the latest picture of the live stream, made anew every minute"`
}

// OwnChannel is a channel as its owner sees it.
type OwnChannel struct {
	PublicChannel
	InjestURL string `json:"injestURL" doc:"the same as ingestURL, in the spelling of the original"`
	IngestURL string `json:"ingestURL" doc:"where to send WHIP (RFC 9725), with the stream key as bearer token"`
	RTMPURL   string `json:"rtmpURL,omitempty" doc:"where encoders send RTMP to, with the stream key as stream name; missing when the node takes none"`
	StreamKey string `json:"streamKey" doc:"a secret"`
}

func (s *Service) public(ctx context.Context, c Channel) PublicChannel {
	v := PublicChannel{Name: c.ID, Username: c.Username, PlaybackURL: s.urls(ctx).Live(c.ID), Live: c.Live}
	if !c.Live {
		return v
	}
	v.StreamID, v.StartedAt = c.StreamID, &c.LiveSince
	if now, known := s.audience.Now(c.StreamID); known {
		openFor := int(now.OpenFor.Round(time.Second) / time.Second)
		v.ViewCount, v.Reconnecting, v.OpenFor = &now.Viewers, now.Reconnecting, &openFor
		if now.Picture {
			v.Thumbnail = s.urls(ctx).LivePicture(c.ID, c.StreamID)
		}
	}
	return v
}

func (s *Service) own(ctx context.Context, c Channel) *ownOutput {
	whip := s.urls(ctx).WHIP(c.ID)
	return &ownOutput{Body: OwnChannel{
		PublicChannel: s.public(ctx, c), InjestURL: whip, IngestURL: whip, RTMPURL: s.urls(ctx).RTMP(), StreamKey: c.StreamKey,
	}}
}

type ownOutput struct{ Body OwnChannel }

// mine makes the channel if the event that does so is still on its way.
func (s *Service) mine(ctx context.Context, _ *struct{}) (*ownOutput, error) {
	p, err := identity.Require(ctx, identity.Broadcaster)
	if err != nil {
		return nil, err
	}
	c, err := s.Ensure(ctx, p)
	if err != nil {
		return nil, err
	}
	return s.own(ctx, c), nil
}

func (s *Service) rotateMine(ctx context.Context, _ *struct{}) (*ownOutput, error) {
	p, err := identity.Require(ctx, identity.Broadcaster)
	if err != nil {
		return nil, err
	}
	if _, err := s.Ensure(ctx, p); err != nil {
		return nil, err
	}
	key, err := s.RotateKey(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	c, err := s.Channel(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	c.StreamKey = key
	return s.own(ctx, c), nil
}

func (s *Service) get(ctx context.Context, in *struct {
	ID string `path:"id" maxLength:"64"`
}) (*struct{ Body PublicChannel }, error) {
	c, err := s.Channel(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &struct{ Body PublicChannel }{s.public(ctx, c)}, nil
}

func (s *Service) list(ctx context.Context, in *struct {
	Live   bool   `query:"live" doc:"true: only channels that are live"`
	Offset string `query:"offset" maxLength:"200" doc:"nextPage of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"10"`
}) (*struct{ Body store.List[PublicChannel] }, error) {
	page, err := store.ParsePage(in.Offset, in.Limit)
	if err != nil {
		return nil, err
	}
	rows, key, err := s.page(ctx, page, in.Live)
	if err != nil {
		return nil, fmt.Errorf("reading channels: %w", err)
	}
	show := func(row sqlc.Channel) PublicChannel { return s.public(ctx, fromRow(row)) }
	return &struct{ Body store.List[PublicChannel] }{store.MakeList(page, rows, key, show)}, nil
}

// page reads a page of all channels or of the live ones, and says what orders
// them.
func (s *Service) page(ctx context.Context, page store.Page, live bool) ([]sqlc.Channel, func(sqlc.Channel) store.Key, error) {
	q := sqlc.New(s.db.Read())
	limit := int32(page.Limit + 1)
	if live {
		rows, err := q.Live(ctx, sqlc.LiveParams{LiveSince: page.After.At, ID: page.After.ID, Limit: limit})
		return rows, func(c sqlc.Channel) store.Key { return store.Key{At: c.LiveSince, ID: c.ID} }, err
	}
	rows, err := q.Newest(ctx, sqlc.NewestParams{CreatedAt: page.After.At, ID: page.After.ID, Limit: limit})
	return rows, func(c sqlc.Channel) store.Key { return store.Key{At: c.CreatedAt, ID: c.ID} }, err
}

// ReactionInput is a reaction: what, and where on the picture.
type ReactionInput struct {
	Type string  `json:"type" minLength:"1" maxLength:"32" doc:"an emoji or a short word, at most 32 bytes" example:"❤️"`
	X    float64 `json:"x" minimum:"0" maximum:"1" doc:"share of the picture's width from the left"`
	Y    float64 `json:"y" minimum:"0" maximum:"1" doc:"share of the picture's height from the top"`
}

// reactionMessage is a reaction as it travels to the pages.
type reactionMessage struct {
	Type   string         `json:"type"`
	Detail reactionDetail `json:"detail"`
}

type reactionDetail struct {
	X      float64 `json:"x"`
	Y      float64 `json:"y"`
	Type   string  `json:"type"`
	UserID string  `json:"userId"`
}

// maxReaction is how long a reaction's type may be in bytes.
const maxReaction = 32

func (s *Service) reaction(ctx context.Context, in *struct {
	ID   string `path:"id" maxLength:"64"`
	Body ReactionInput
}) (*struct{}, error) {
	p, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkReaction(in.Body.Type); err != nil {
		return nil, err
	}
	if !s.react.allow(p.ID, time.Now()) {
		return nil, huma.ErrorWithHeaders(errs.New(errs.TooMany, "you react faster than anybody can see; wait a moment"),
			http.Header{"Retry-After": {"1"}})
	}
	c, err := s.Channel(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if !c.Live {
		return nil, errs.New(errs.Conflict, "the channel is not live")
	}
	message, err := json.Marshal(reactionMessage{
		Type: "StreamMetadataSent", Detail: reactionDetail{X: in.Body.X, Y: in.Body.Y, Type: in.Body.Type, UserID: p.ID},
	})
	if err != nil {
		return nil, err
	}
	if err := s.realtime.PublishLive("rt.reaction."+c.ID, message); err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "the reaction cannot be sent now; try again")
	}
	return nil, nil
}

func checkReaction(kind string) error {
	odd := func(r rune) bool { return unicode.IsControl(r) || strings.ContainsRune("<>&", r) }
	if len(kind) > maxReaction || !utf8.ValidString(kind) || strings.ContainsFunc(kind, odd) {
		return errs.Newf(errs.Invalid, "type is an emoji or a short word, at most %d bytes, without control characters and markup", maxReaction)
	}
	return nil
}
