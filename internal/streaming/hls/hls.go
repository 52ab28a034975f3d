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
	// IndependentSegments promises for every segment of every media playlist,
	// also those to come, that it begins with a key frame. The media playlists
	// then need not say it (the draft, 4.4.2.1). A live stream that cannot be sure
	// says it in the media playlists alone.
	IndependentSegments bool
	Variants            []Variant
	Renditions          []Rendition
}

// Variant is one EXT-X-STREAM-INF. Fields that are zero are left out.
type Variant struct {
	URI              string
	Bandwidth        int // bits per second, the peak of any segment; required
	AverageBandwidth int // bits per second
	Codecs           []string
	Width, Height    int
	FrameRate        float64    // frames per second, the highest
	Range            VideoRange // of all variants or of none (Apple 9.16)
	Score            float64    // of all variants or of none (Apple 9.19)
	AudioGroup       string     // GroupID of its audio renditions
}

// VideoRange is the value of VIDEO-RANGE. Without it, a variant is SDR.
type VideoRange string

// The ranges (the draft, 4.4.6.2).
const (
	SDR VideoRange = "SDR"
	HLG VideoRange = "HLG"
	PQ  VideoRange = "PQ"
)

// Rendition is one EXT-X-MEDIA of type AUDIO. Names differ within a group, and
// a group has at most one default (the draft, 4.4.6.1.1).
type Rendition struct {
	GroupID, Name string
	Language      string // BCP 47; empty: not known, written as "und" (Apple 8.10)
	URI           string // empty: the audio is in the variants themselves
	Default       bool
	Channels      int // 0: not told; the draft wants it told
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
	HintInit              string // URI of its init segment if that is a new one (the draft, B.1)
	Reports               []Report
	Ended                 bool
}

// Report is one EXT-X-RENDITION-REPORT (the draft, 4.4.5.4): how far another
// media playlist of the multivariant playlist is. A low-latency playlist has one
// for every other (B.1).
type Report struct {
	URI      string // of the other media playlist, relative to this one
	LastMSN  uint64 // of its last part, or of its last segment if it has no parts
	LastPart int    // number of that part in its segment, from 0; -1: no parts
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
