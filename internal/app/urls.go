package app

import (
	"context"

	"github.com/serverlessvideo/serverlessvideo/internal/gateway"
)

// urls makes absolute URLs of what the node serves, as they stand in the
// contract, section 9.
type urls struct{ base string }

// urlsFor returns the URLs for the answer to a request: they begin with the
// configured public URL, else with where the request was sent to; outside a
// request with the node's own address.
func (c *core) urlsFor(ctx context.Context) urls {
	if c.cfg.PublicURL == "" {
		if base := gateway.BaseURL(ctx); base != "" {
			return urls{base}
		}
	}
	return urls{c.cfg.BaseURL()}
}

// WHIP is where a channel's publisher begins.
func (u urls) WHIP(channel string) string { return u.base + "/whip/" + channel }

// Live is the playlist of a channel's live stream.
func (u urls) Live(channel string) string { return u.base + "/live/" + channel + "/master.m3u8" }

// VOD is the playlist of a recording.
func (u urls) VOD(video string) string { return u.base + "/vod/" + video + "/master.m3u8" }

// MP4 is a recording in one file.
func (u urls) MP4(video string) string { return u.base + "/vod/" + video + "/video.mp4" }

// Thumbnail is a recording's picture.
func (u urls) Thumbnail(video string) string { return u.base + "/vod/" + video + "/thumbnail.jpg" }
