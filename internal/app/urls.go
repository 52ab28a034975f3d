package app

import (
	"context"
	"net"
	"net/url"
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/config"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway"
)

// urls makes absolute URLs of what the node serves, as they stand in the
// contract, section 9.
type urls struct{ base, rtmp string }

// urlsFor returns the URLs for the answer to a request: they begin with the
// configured public URL, else with where the request was sent to; outside a
// request with the node's own address.
func (c *core) urlsFor(ctx context.Context) urls {
	base := c.cfg.BaseURL()
	if c.cfg.PublicURL == "" {
		if asked := gateway.BaseURL(ctx); asked != "" {
			base = asked
		}
	}
	return urls{base, rtmpURL(base, c.cfg)}
}

// rtmpURL is where encoders send to, at the host of base.
func rtmpURL(base string, cfg config.Config) string {
	for _, at := range []struct{ scheme, addr, usual string }{{"rtmp", cfg.RTMP, "1935"}, {"rtmps", cfg.RTMPS, "443"}} {
		_, port, err := net.SplitHostPort(at.addr)
		u, err2 := url.Parse(base)
		if at.addr == "" || err != nil || err2 != nil {
			continue
		}
		host := u.Hostname()
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		if port != at.usual {
			host += ":" + port
		}
		return at.scheme + "://" + host + "/live"
	}
	return ""
}

// WHIP is where a channel's publisher begins.
func (u urls) WHIP(channel string) string { return u.base + "/whip/" + channel }

// LivePicture is the latest picture of a live stream.
func (u urls) LivePicture(channel, stream string) string {
	return u.base + "/live/" + channel + "/" + stream + "/thumbnail.jpg"
}

// RTMP is where encoders send to, with the stream key as stream name; "" when
// nothing listens for them.
func (u urls) RTMP() string { return u.rtmp }

// Live is the playlist of a channel's live stream.
func (u urls) Live(channel string) string { return u.base + "/live/" + channel + "/master.m3u8" }

// VOD is the playlist of a recording.
func (u urls) VOD(video string) string { return u.base + "/vod/" + video + "/master.m3u8" }

// MP4 is a recording in one file.
func (u urls) MP4(video string) string { return u.base + "/vod/" + video + "/video.mp4" }

// Thumbnail is a recording's picture.
func (u urls) Thumbnail(video string) string { return u.base + "/vod/" + video + "/thumbnail.jpg" }

// Storyboard describes the previews on a recording's time line.
func (u urls) Storyboard(video string) string { return u.base + "/vod/" + video + "/storyboard.vtt" }
