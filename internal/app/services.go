package app

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/pion/webrtc/v4"

	"github.com/serverlessvideo/serverlessvideo/internal/account"
	"github.com/serverlessvideo/serverlessvideo/internal/archive"
	"github.com/serverlessvideo/serverlessvideo/internal/channel"
	"github.com/serverlessvideo/serverlessvideo/internal/config"
	"github.com/serverlessvideo/serverlessvideo/internal/deadletter"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/flowadmin"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway"
	"github.com/serverlessvideo/serverlessvideo/internal/history"
	"github.com/serverlessvideo/serverlessvideo/internal/pluginmanager"
	"github.com/serverlessvideo/serverlessvideo/internal/postprocess"
	"github.com/serverlessvideo/serverlessvideo/internal/publisher"
	"github.com/serverlessvideo/serverlessvideo/internal/rules"
	"github.com/serverlessvideo/serverlessvideo/internal/simulator"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtc"
	"github.com/serverlessvideo/serverlessvideo/internal/video"
	durationplugin "github.com/serverlessvideo/serverlessvideo/plugins/duration_plugin"
	"github.com/serverlessvideo/serverlessvideo/sdk"
)

// services are all services of a node.
type services struct {
	accounts    *account.Service
	channels    *channel.Service
	streaming   *streaming.Service
	postprocess *postprocess.Service
	videos      *video.Service
	plugins     *pluginmanager.Service
	publisher   *publisher.Service
	history     *history.Service
	rules       *rules.Service
	archive     *archive.Service
	liveEvents  *archive.Live
	simulator   *simulator.Service
	flows       *flowadmin.Service
	deadLetters *deadletter.Service
}

// consumers are all that hear events.
func (s *services) consumers() []event.Consumer {
	var all []event.Consumer
	for _, service := range []interface{ Consumers() []event.Consumer }{
		s.channels, s.streaming, s.postprocess, s.videos, s.plugins, s.history, s.rules, s.archive, s.simulator,
	} {
		all = append(all, service.Consumers()...)
	}
	return all
}

// background is the periodic work of all services.
func (s *services) background() []func(context.Context) {
	return []func(context.Context){
		s.accounts.Run, s.channels.Run, s.videos.Run, s.postprocess.Run, s.plugins.Run, s.history.Run, s.rules.Run, s.archive.Run,
		s.simulator.Run,
	}
}

// register puts the services' operations and routes into the gateway.
func (s *services) register(api huma.API, mux *http.ServeMux) {
	for _, service := range []interface{ Register(api huma.API) }{
		s.accounts, s.channels, s.streaming, s.postprocess, s.videos, s.plugins, s.history, s.rules, s.archive, s.simulator, s.flows,
		s.deadLetters,
	} {
		service.Register(api)
	}
	for _, service := range []interface{ Routes(mux *http.ServeMux) }{s.streaming, s.publisher, s.liveEvents} {
		service.Routes(mux)
	}
}

// services makes those that work without a bus.
func (c *core) services() error {
	var sender account.Sender
	if m := c.cfg.SMTP; m.Host != "" {
		sender = account.SMTP{Host: m.Host, Port: m.Port, Username: m.Username, Password: m.Password, From: m.From}
	}
	var err error
	c.accounts, err = account.New(account.Config{
		DB: c.db, Logger: c.log, Secret: c.secret, Mail: sender,
		BaseURL:        c.cfg.BaseURL(),
		SecureCookies:  isHTTPS(c.cfg.PublicURL),
		SignUpClosed:   c.cfg.Auth.SignUp == "closed",
		AllowedDomains: c.cfg.Auth.AllowedDomains,
	})
	if err != nil {
		return err
	}
	c.channels, err = channel.New(channel.Config{
		DB: c.db, Logger: c.log, Secret: c.secret, Realtime: c.realtime, Audience: c.audience, Owners: c.accounts,
		URLs: func(ctx context.Context) channel.URLs { return c.urlsFor(ctx) },
	})
	if err != nil {
		return err
	}
	c.archive, err = archive.New(archive.Config{
		DB: c.db, Logger: c.log, Rules: c.replays,
		Keep: time.Duration(c.cfg.Archive.Keep) * 24 * time.Hour, MaxSize: int64(c.cfg.Archive.MaxSize) << 20,
	})
	return err
}

// newServices makes the others and joins them all.
func (a *App) newServices(ctx context.Context) (*services, error) {
	s := &services{accounts: a.accounts, channels: a.channels, archive: a.archive}
	s.videos = video.New(a.db, a.objects, a.channels,
		func(ctx context.Context) video.URLs { return a.urlsFor(ctx) }, a.log)
	s.history = history.New(a.db, s.videos, a.log)

	var err error
	s.streaming, err = streaming.New(streaming.Config{
		Node:            a.nodeID,
		Network:         rtc.Network{UDP: a.cfg.WebRTCUDP, TCP: a.cfg.WebRTCTCP, Hosts: a.cfg.WebRTCHost},
		PartTarget:      a.cfg.Streaming.PartTarget,
		NoMediaTimeout:  a.cfg.Streaming.NoMediaTimeout,
		ReconnectWindow: a.cfg.Streaming.ReconnectWindow,
		MaxBitrate:      int64(a.cfg.Streaming.MaxBitrate) * 1000,
		SpillDir:        a.folder.spill(),
		FFmpeg:          a.cfg.Streaming.FFmpeg,
		TranscodeCores:  a.cfg.Streaming.TranscodeCores,
		PictureEvery:    a.cfg.Streaming.ThumbnailEvery,
		ICEServers:      iceServers(a.cfg.ICEServers),
	}, streaming.Needs{
		DB: a.db, Objects: a.objects, Channels: publishedChannels{a.channels}, Library: s.videos, Bus: a.bus,
		Fail: gateway.Fail, Metrics: a.registry, Log: a.log,
	})
	if err != nil {
		return nil, mediaPort(err, a.cfg)
	}
	a.closeLast("the live streams", func() error { return s.streaming.Shutdown(context.Background()) })
	a.audience.set(s.streaming)

	s.postprocess, err = postprocess.New(postprocess.Needs{
		DB: a.db, Objects: a.objects, Flows: a.flows, Remuxer: remuxer{s.streaming}, URLs: a.urlsFor(ctx),
		Videos: s.videos, Realtime: a.bus, Log: a.log,
	}, postprocess.Config{WorkDir: a.folder.work(), FFmpeg: a.cfg.Streaming.FFmpeg, Encode: a.cfg.Processing.Encode})
	if err != nil {
		return nil, err
	}
	if s.plugins, err = a.newPlugins(ctx, s.videos); err != nil {
		return nil, err
	}
	if s.rules, err = a.newRules(s); err != nil {
		return nil, err
	}
	a.replays.rules = s.rules
	s.simulator = a.newSimulator(s)
	s.flows = flowadmin.New(a.flows, s.postprocess, s.plugins)
	s.deadLetters = deadletter.New(deadLetters{a.bus})
	s.publisher, err = publisher.New(publisher.Config{
		Bus: a.bus, Videos: s.videos, PublicURL: a.cfg.PublicURL, Authenticate: a.accounts.Authenticate, Fail: gateway.Fail, Logger: a.log,
	})
	if err != nil {
		return nil, err
	}
	a.closeLast("the pages' connections", func() error { s.publisher.Close(); return nil })
	s.liveEvents, err = archive.NewLive(archive.LiveConfig{
		Bus: a.bus, Authenticate: a.accounts.Authenticate, Fail: gateway.Fail, Logger: a.log,
	})
	if err != nil {
		return nil, err
	}
	a.closeLast("the admins' view of the events", func() error { s.liveEvents.Close(); return nil })
	return s, nil
}

// newPlugins makes the plugin manager, and lets the plugins outside the process
// in to the bus.
func (a *App) newPlugins(ctx context.Context, videos *video.Service) (*pluginmanager.Service, error) {
	manager, err := pluginmanager.New(pluginmanager.Options{
		DB: a.db, Flows: a.flows, Videos: videos,
		BuiltIns: []pluginmanager.BuiltIn{builtIn(durationplugin.Manifest(), durationplugin.Handler())},
		Plugins:  a.plugins, Metrics: a.registry, Logger: a.log,
	})
	if err != nil {
		return nil, err
	}
	if err := a.bus.SetPlugins(ctx, a.onBus); err != nil {
		return nil, fmt.Errorf("the plugins' access to the bus: %w", err)
	}
	return manager, nil
}

func iceServers(configured []config.ICEServer) []webrtc.ICEServer {
	servers := make([]webrtc.ICEServer, len(configured))
	for i, s := range configured {
		servers[i] = webrtc.ICEServer{URLs: []string{s.URL}, Username: s.Username, Credential: s.Password}
	}
	return servers
}

func builtIn(manifest []byte, h sdk.Handler) pluginmanager.BuiltIn {
	return pluginmanager.BuiltIn{
		Manifest: manifest,
		Run: func(ctx context.Context, detailType string, detail []byte) ([]byte, error) {
			return sdk.Run(ctx, h, detailType, detail)
		},
	}
}

// remuxer lets post-processing make MP4s of what streaming has recorded.
type remuxer struct{ streaming *streaming.Service }

// Remux writes a recording as one MP4.
func (r remuxer) Remux(ctx context.Context, prefix string, w io.Writer, progress func(done, total int64)) (postprocess.Media, error) {
	info, err := r.streaming.Remux(ctx, prefix, w, progress)
	if err != nil {
		return postprocess.Media{}, err
	}
	return postprocess.Media{
		DurationMillis: info.DurationMS, Width: info.Width, Height: info.Height, Codecs: info.Codecs, Frames: info.VideoSamples,
		Entries: info.VideoEntries,
	}, nil
}

// publishedChannels is what streaming needs of the channels.
type publishedChannels struct{ *channel.Service }

// Channel returns a channel's friendly name.
func (c publishedChannels) Channel(ctx context.Context, id string) (string, error) {
	return c.Username(ctx, id)
}
