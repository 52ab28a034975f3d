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
	s.whep.Routes(mux)
	mux.HandleFunc("GET /live/{channel}/master.m3u8", s.liveMaster)
	mux.HandleFunc("GET /live/{channel}/{stream}/dvr.m3u8", s.liveDVR)
	mux.HandleFunc("GET /live/{channel}/{stream}/thumbnail.jpg", s.livePicture)
	mux.HandleFunc("GET /live/{channel}/{stream}/{rung}/{name}", s.liveMedia)
	mux.HandleFunc("GET /vod/{video}/{name}", s.vodFile)
	mux.HandleFunc("GET /vod/{video}/{rung}/{name}", s.vodMedia)
	mux.HandleFunc("GET /vod/{video}/plugins/{plugin}/{name}", s.vodPluginText)
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
	s.origin.Master(w, r, stream, aacOnly(r))
}

// aacOnly says whether the player asked for what needs no Opus.
func aacOnly(r *http.Request) bool { return r.URL.Query().Get("audio") == "aac" }

// liveDVR serves the playlist of all since the broadcast began.
func (s *Service) liveDVR(w http.ResponseWriter, r *http.Request) {
	live.AllowAnyOrigin(w)
	stream, err := s.stream(r.PathValue("channel"), r.PathValue("stream"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.origin.DVRMaster(w, r, stream, aacOnly(r))
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

// livePicture serves the latest picture of a live stream.
func (s *Service) livePicture(w http.ResponseWriter, r *http.Request) {
	live.AllowAnyOrigin(w)
	channel, stream := r.PathValue("channel"), r.PathValue("stream")
	err := s.pictureOf(channel, stream)
	if err == nil {
		err = s.serveObject(w, r, pictureKey(channel, stream), object{cache: cachePicture, contentType: "image/jpeg"})
	}
	if err != nil {
		s.fail(w, r, err)
	}
}

// liveStored serves media of a live stream that is only in the object store any
// more.
func (s *Service) liveStored(w http.ResponseWriter, r *http.Request, stream *live.Stream, m live.Stored) {
	from := storedMedia{
		prefix: recorder.Prefix(r.PathValue("channel"), stream.ID()), rung: m.Rung, name: recorder.InitName(m.Epoch, m.Init),
	}
	if m.Segment != nil {
		from.name = facts(m.Segment).Name()
	}
	if m.VideoOnly {
		from.view = recorder.VideoOnly
	}
	err := s.serveStored(w, r, from, object{cache: live.CacheForever, contentType: live.SegmentType})
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
	from, agent string
}

// Resolve keeps who sends the request.
func (b *beaconInput) Resolve(ctx huma.Context) []error {
	b.from, b.agent = sender(ctx.RemoteAddr(), ctx.Header("X-Forwarded-For")), ctx.Header("User-Agent")
	return nil
}

// Register adds the API's operations.
func (s *Service) Register(api huma.API) {
	s.registerHealth(api)
	huma.Register(api, huma.Operation{
		OperationID: "watchBeacon", Method: http.MethodPost, Path: "/api/viewers/{channel}",
		Summary: "Say that somebody watches a live stream", Tags: []string{"Live"},
		Description:   "A page that plays a live stream sends this every 15 s. A viewer counts for 30 s.",
		DefaultStatus: http.StatusNoContent, MaxBodyBytes: 1024,
		Errors: []int{http.StatusNotFound, http.StatusTooManyRequests},
	}, func(_ context.Context, in *beaconInput) (*struct{}, error) {
		if !s.viewers.allow(in.from) {
			return nil, errs.New(errs.TooMany, "too many beacons from this address; one every 15 s is enough")
		}
		b := s.broadcastOf(in.Channel)
		if b == nil || b.id != in.Body.StreamID {
			return nil, errs.New(errs.NotFound, "this stream is not live on the channel")
		}
		s.viewers.beacon(b.id, in.Body.Viewer, s.viewers.fingerprint(in.from, in.agent), time.Now())
		return nil, nil
	})
}
