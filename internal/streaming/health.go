package streaming

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/live"
)

// What a broadcaster is advised about.
const (
	lossToTell     = 2.0  // per cent
	slowFrames     = 15.0 // per second
	longestKey     = 4 * time.Second
	roundTripToSay = 300 * time.Millisecond
)

// Health is how a live broadcast goes, for its broadcaster.
type Health struct {
	StreamID         string       `json:"streamId"`
	Protocol         string       `json:"protocol" doc:"WHIP or RTMP; empty while the publisher is away"`
	Reconnecting     bool         `json:"reconnecting" doc:"no media comes just now"`
	VideoCodec       string       `json:"videoCodec"`
	AudioCodec       string       `json:"audioCodec,omitempty"`
	Width            int          `json:"width" doc:"pixels"`
	Height           int          `json:"height" doc:"pixels"`
	FrameRate        float64      `json:"frameRate" doc:"per second"`
	Bitrate          int64        `json:"bitrate" doc:"bit/s of all that comes, over 5 s"`
	KeyFrameInterval float64      `json:"keyFrameInterval" doc:"seconds"`
	PacketsLost      int64        `json:"packetsLost" doc:"that never came or could not be used"`
	LossPercent      float64      `json:"lossPercent"`
	JitterMillis     float64      `json:"jitterMillis" doc:"RFC 3550, 6.4.1"`
	RoundTripMillis  float64      `json:"roundTripMillis" doc:"0 when it is not known"`
	Viewers          int          `json:"viewers"`
	Rungs            []RungHealth `json:"rungs" nullable:"false"`
	Advice           []string     `json:"advice" nullable:"false" doc:"what the broadcaster could do better"`
}

// RungHealth is one quality of a live broadcast, or one that it could have.
type RungHealth struct {
	Name    string `json:"name"`
	Width   int    `json:"width,omitempty"`
	Height  int    `json:"height,omitempty"`
	Bitrate int64  `json:"bitrate,omitempty" doc:"bit/s of its busiest segment"`
	State   string `json:"state" enum:"on,refused,failed"`
	Reason  string `json:"reason,omitempty"`
}

// States of a rung.
const (
	rungOn      = "on"
	rungRefused = "refused"
	rungFailed  = "failed"
)

// health tells how a broadcast goes.
func (s *Service) health(b *broadcast, now time.Time) Health {
	h := Health{
		StreamID: b.id, Reconnecting: b.reconnecting(), VideoCodec: b.video.String(),
		Viewers: s.viewersOf(b.id, now), Rungs: b.rungHealth(), Advice: []string{},
	}
	if b.audio != nil {
		h.AudioCodec = b.audio.Codec.String()
	}
	x := b.current()
	if x == nil {
		return h
	}
	h.Protocol = x.offer.Protocol
	h.VideoCodec = x.codec.String()
	if x.offer.Audio != nil {
		h.AudioCodec = x.offer.Audio.Codec.String()
	}
	in := x.live.Health(now)
	if in.Video != nil {
		h.Width, h.Height = in.Video.Width, in.Video.Height
	}
	h.FrameRate = math.Round(in.FrameRate*10) / 10
	h.KeyFrameInterval = math.Round(in.KeyInterval.Seconds()*10) / 10
	x.measure(&h, now)
	h.Advice = advise(h, in)
	return h
}

// measure adds what is known of the connection.
func (x *session) measure(h *Health, now time.Time) {
	x.mu.Lock()
	h.Bitrate, h.PacketsLost = x.bitrate, x.lost
	if d := now.Sub(x.windowed); d > bitrateWindow || d > time.Second && x.bitrate == 0 {
		h.Bitrate = x.bytes * 8 * int64(time.Second) / int64(d) // the first seconds, or nothing comes any more
	}
	x.mu.Unlock()
	stats := x.publisher.Stats()
	if all := stats.PacketsReceived + stats.PacketsLost; all > 0 {
		h.LossPercent = math.Round(float64(stats.PacketsLost)*10_000/float64(all)) / 100
	}
	h.JitterMillis = float64(stats.Jitter.Microseconds()) / 1000
	h.RoundTripMillis = float64(stats.RoundTrip.Microseconds()) / 1000
}

// advise says what the broadcaster could do better.
func advise(h Health, in live.Health) []string {
	advice := []string{}
	add := func(format string, args ...any) { advice = append(advice, fmt.Sprintf(format, args...)) }
	if in.LongGOP || in.KeyInterval > longestKey {
		add("Key frames come every %.1f s, so viewers start late: set the key frame interval of your encoder to 2 s.", in.KeyInterval.Seconds())
	}
	if in.Reordered {
		add("Your encoder sends B-frames, which WebRTC viewers cannot get: turn them off for the lowest latency.")
	}
	if h.LossPercent >= lossToTell {
		add("%.1f %% of your packets are lost: move closer to the Wi-Fi, or use a cable.", h.LossPercent)
	}
	if in.FrameRate > 0 && in.FrameRate < slowFrames {
		add("Only %.0f pictures a second arrive: close other programs, or choose a smaller picture.", in.FrameRate)
	}
	if rtt := time.Duration(h.RoundTripMillis * float64(time.Millisecond)); rtt > roundTripToSay {
		add("Your connection answers slowly (%d ms).", rtt.Milliseconds())
	}
	return advice
}

// rungHealth lists what is made of the broadcast, and what is not and why.
func (b *broadcast) rungHealth() []RungHealth {
	infos := map[string]live.RungInfo{}
	for _, r := range b.stream.Rungs() {
		infos[r.Name] = r
	}
	source := infos[live.Source]
	all := []RungHealth{{Name: live.Source, Width: source.Width, Height: source.Height, Bitrate: source.Bitrate, State: rungOn}}
	for _, d := range b.sidecars.plan.made.Decisions {
		h := RungHealth{Name: d.What, State: rungOn, Reason: d.Why}
		if !d.Granted {
			h.State = rungRefused
			all = append(all, h)
			continue
		}
		info := infos[strings.ToLower(d.What)]
		h.Width, h.Height, h.Bitrate = info.Width, info.Height, info.Bitrate
		if t := b.sidecars.running[d.What]; t != nil {
			if failed := t.Stats().Failed; failed != "" {
				h.State, h.Reason = rungFailed, failed
			} else if info.Dead {
				h.State, h.Reason = rungFailed, "It came too late to be offered to this broadcast's viewers."
			}
		}
		all = append(all, h)
	}
	return all
}

// mine returns the live broadcast of the broadcaster who asks.
func (s *Service) mine(ctx context.Context) (*broadcast, error) {
	p, err := identity.Require(ctx, identity.Broadcaster)
	if err != nil {
		return nil, err
	}
	if b := s.broadcastOf(p.ID); b != nil {
		return b, nil
	}
	return nil, errs.New(errs.NotFound, "you are not live")
}

// registerHealth adds the operations of a broadcaster on the own broadcast.
func (s *Service) registerHealth(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "broadcast-health", Method: http.MethodGet, Path: "/api/channel/health",
		Summary: "How my live broadcast goes", Tags: []string{"Live"},
		Errors: []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound},
	}, func(ctx context.Context, _ *struct{}) (*struct{ Body Health }, error) {
		b, err := s.mine(ctx)
		if err != nil {
			return nil, err
		}
		return &struct{ Body Health }{s.health(b, time.Now())}, nil
	})
	huma.Register(api, huma.Operation{
		OperationID: "end-broadcast", Method: http.MethodDelete, Path: "/api/channel/live",
		Summary: "End my live broadcast now", Tags: []string{"Live"}, DefaultStatus: http.StatusNoContent,
		Description: "Also while it waits for its publisher to come back.",
		Errors:      []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound},
	}, func(ctx context.Context, _ *struct{}) (*struct{}, error) {
		b, err := s.mine(ctx)
		if err != nil {
			return nil, err
		}
		b.end("the broadcaster ended it")
		return nil, wait(ctx, b.done)
	})
}
