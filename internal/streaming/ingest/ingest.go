// Package ingest is what the protocols that take live video in have in common:
// how a publisher is let in, and how its media is handed on.
package ingest

import (
	"context"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
)

// Offer is what a publisher can send.
type Offer struct {
	Channel  string
	Protocol string // "WHIP" or "RTMP", for people
	// Video is the codecs it offers, the preferred one first. The host picks one.
	Video []cmaf.VideoCodec
	Audio *cmaf.AudioConfig // nil: none
	// Width and Height of the picture in pixels, where the protocol tells them
	// before the first one; else 0.
	Width, Height int
}

// Host is who broadcasts belong to.
type Host interface {
	// Begin lets a publisher in, to a new broadcast or to the one of its channel
	// that has lost its publisher. It may call the publisher before it returns.
	// Errors: errs.Conflict while another publisher is sending, errs.Unsupported
	// for codecs that cannot be taken (naming those that can), errs.Unavailable
	// when the node takes no more.
	Begin(ctx context.Context, o Offer, p Publisher) (Session, error)
}

// Publisher is what a broadcast can ask of its source.
type Publisher interface {
	// RequestKeyFrame does not block. A protocol that cannot ask ignores it.
	RequestKeyFrame()
	// Close cuts the connection. It does not wait for it.
	Close(reason string)
	// Stats is the state of the connection now.
	Stats() Stats
}

// Session takes the media of one publisher. Frames come in decoding order; the
// two tracks may be brought by two goroutines.
type Session interface {
	// Codec is the video codec that the host picked.
	Codec() cmaf.VideoCodec
	Video(frame.Video)
	Audio(frame.Audio)
	VideoReport(frame.Report)
	AudioReport(frame.Report)
	// Lost says that video is missing.
	Lost(now time.Time)
	// Received counts bytes of media, Dropped packets that never came or that
	// could not be used.
	Received(bytes int, now time.Time)
	Dropped(packets int)
	// Leave says that the publisher is gone: for good when it said so, else for a
	// while. That it is for good may be said later too; nothing else is said
	// twice. It returns when what it means is done.
	Leave(forGood bool, reason string)
}

// Stats is how well a connection works. What a protocol does not know is 0.
type Stats struct {
	PacketsReceived, PacketsLost int64
	Jitter, RoundTrip            time.Duration
}
