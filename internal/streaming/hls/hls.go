// Package hls renders HTTP Live Streaming playlists and reads the query of a
// blocking playlist request (draft-pantos-hls-rfc8216bis, called "the draft"
// below; its Appendix B is the low-latency server profile). It is pure: plain
// data in, bytes out.
package hls

import "time"

// ContentType is the media type of a playlist (the draft, 4).
const ContentType = "application/vnd.apple.mpegurl"

// Multivariant is a multivariant playlist (the draft, 4.4.6).
type Multivariant struct {
	Variants   []Variant
	Renditions []Rendition
}

// Variant is one EXT-X-STREAM-INF. Fields that are zero are left out.
type Variant struct {
	URI              string
	Bandwidth        int // bits per second, the peak of any segment; required
	AverageBandwidth int // bits per second
	Codecs           []string
	Width, Height    int
	FrameRate        float64 // frames per second, the highest
	AudioGroup       string  // GroupID of its audio renditions
}

// Rendition is one EXT-X-MEDIA of type AUDIO.
type Rendition struct {
	GroupID, Name string
	Language      string // BCP 47; may be empty
	URI           string // empty: the audio is in the variants themselves
	Default       bool
	Channels      int
}

// PlaylistType is the value of EXT-X-PLAYLIST-TYPE, Live for none.
type PlaylistType string

// The types of a media playlist.
const (
	Live  PlaylistType = ""
	Event PlaylistType = "EVENT"
	VOD   PlaylistType = "VOD"
)

// Media is a media playlist (the draft, 4.4.2, 4.4.3).
type Media struct {
	Type                  PlaylistType
	TargetDuration        int           // seconds; no segment is longer when rounded
	PartTarget            time.Duration // longest part; 0: no parts and no blocking reload
	HoldBack              time.Duration // distance from the end to play at; 0: not told
	PartHoldBack          time.Duration // the same in low latency; required with parts
	SkipUntil             time.Duration // CAN-SKIP-UNTIL; 0: no delta updates
	MediaSequence         uint64        // number of the first segment
	DiscontinuitySequence uint64
	IndependentSegments   bool
	Segments              []Segment
	Hint                  string // URI of the next part; empty: no hint
	Ended                 bool
}

// Segment is one media segment. With an empty URI it is the one being made, has
// nothing but parts and must be the last.
type Segment struct {
	URI             string
	Duration        time.Duration
	Discontinuity   bool
	Gap             bool
	Init            string    // URI of its init segment
	ProgramDateTime time.Time // zero: not told
	Parts           []Part
}

// Part is one partial segment (the draft, 4.4.4.9).
type Part struct {
	URI         string
	Duration    time.Duration
	Independent bool // begins with a key frame
	Gap         bool
}
