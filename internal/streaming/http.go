package streaming

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/live"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/recorder"
)

// Routes mounts ingest and playback.
func (s *Service) Routes(mux *http.ServeMux) {
	s.whip.Routes(mux)
	mux.HandleFunc("GET /live/{channel}/master.m3u8", s.liveMaster)
	mux.HandleFunc("GET /live/{channel}/{stream}/{rung}/{name}", s.liveMedia)
	mux.HandleFunc("GET /vod/{video}/{name}", s.vodFile)
	mux.HandleFunc("GET /vod/{video}/{rung}/{name}", s.vodMedia)
	mux.HandleFunc("OPTIONS /live/", preflight)
	mux.HandleFunc("OPTIONS /vod/", preflight)
}

// preflight answers the CORS question of a page of another origin.
func preflight(w http.ResponseWriter, _ *http.Request) {
	live.AllowAnyOrigin(w)
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "Range, If-None-Match, If-Modified-Since")
	h.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
}

func (s *Service) liveMaster(w http.ResponseWriter, r *http.Request) {
	live.AllowAnyOrigin(w)
	stream, err := s.stream(r.PathValue("channel"), "")
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.origin.Master(w, r, stream)
}

func (s *Service) liveMedia(w http.ResponseWriter, r *http.Request) {
	live.AllowAnyOrigin(w)
	name := r.PathValue("name")
	stream, err := s.stream(r.PathValue("channel"), r.PathValue("stream"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if strings.HasSuffix(name, ".m3u8") {
		s.watches(r, stream.ID())
	}
	s.origin.Serve(w, r, stream, r.PathValue("rung"), name)
}

// storedSegment serves a live segment that is only in the object store any more.
func (s *Service) storedSegment(w http.ResponseWriter, r *http.Request, stream *live.Stream, seg *live.Segment) {
	key, err := recorder.Key(recorder.Prefix(r.PathValue("channel"), stream.ID()), live.Rung, facts(seg).Name())
	if err == nil {
		err = s.serveObject(w, r, key, object{cache: live.CacheForever, contentType: live.SegmentType})
	}
	if err != nil {
		s.fail(w, r, err)
	}
}

// beaconInput is what a page says of its viewer.
type beaconInput struct {
	Channel string `path:"channel" maxLength:"64" doc:"Channel id"`
	Body    struct {
		Viewer   string `json:"viewer" minLength:"8" maxLength:"64" pattern:"^[A-Za-z0-9_-]+$" doc:"Random id of this viewing, made by the page"`
		StreamID string `json:"streamId" minLength:"1" maxLength:"64" doc:"The stream that is watched"`
	}
	remote, agent string
}

// Resolve keeps who sends the request.
func (b *beaconInput) Resolve(ctx huma.Context) []error {
	b.remote, b.agent = ctx.RemoteAddr(), ctx.Header("User-Agent")
	return nil
}

// Register adds the API's operations.
func (s *Service) Register(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "watchBeacon", Method: http.MethodPost, Path: "/api/viewers/{channel}",
		Summary: "Say that somebody watches a live stream", Tags: []string{"Live"},
		Description:   "A page that plays a live stream sends this every 15 s. A viewer counts for 30 s.",
		DefaultStatus: http.StatusNoContent, MaxBodyBytes: 1024,
		Errors: []int{http.StatusNotFound, http.StatusTooManyRequests},
	}, func(_ context.Context, in *beaconInput) (*struct{}, error) {
		if !s.viewers.allow(in.remote) {
			return nil, errs.New(errs.TooMany, "too many beacons from this address; one every 15 s is enough")
		}
		b := s.broadcastOf(in.Channel)
		if b == nil || b.id != in.Body.StreamID {
			return nil, errs.New(errs.NotFound, "this stream is not live on the channel")
		}
		s.viewers.beacon(b.id, in.Body.Viewer, s.viewers.fingerprint(in.remote, in.agent), time.Now())
		return nil, nil
	})
}
