package recorder

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/hls"
)

// Set says which variants a multivariant playlist has.
type Set int

// The sets. A recording without an AAC rendition has one alone, whichever is
// asked for.
const (
	// AllSets has the rungs with their own sound, then those with AAC.
	AllSets Set = iota
	// AACSet is for players that have no Opus: the rungs without their sound, and
	// the AAC rendition.
	AACSet
)

const (
	mediaPlaylist = "media.m3u8" // the whole view of a rung
	videoPlaylist = "video.m3u8" // its video alone
	// A rung that lacks more than one in mostMissing of the recording is left out.
	mostMissing = 10
	// Both groups must have the same members (the HLS draft, 4.4.6.1.1).
	renditionName = "Audio"
	ownGroup      = "own"
	// Of video, and of the lengths of segments.
	ticksPerSecond = cmaf.VideoTimescale
)

// Multivariant returns the multivariant playlist of a recording; its URIs are
// relative to the prefix. Codecs and picture size come from the init segments.
//
// The rungs' own sound is declared as a group without a URI when there is
// another one: hls.js takes a set without a group for one without stereo sound,
// and would never begin with it.
func (r Recording) Multivariant(ctx context.Context, store blob.Store, set Set) (*hls.Multivariant, error) {
	rungs, err := r.describe(ctx, store)
	if err != nil {
		return nil, err
	}
	m := &hls.Multivariant{} // that segments are independent is said in each playlist
	i := slices.IndexFunc(rungs, func(d rungFacts) bool { return d.name == AACRung })
	if i < 0 || len(rungs) == 1 {
		m.Variants = ownVariants(rungs, "")
		return m, nil
	}
	aac := rungs[i]
	rungs = slices.Delete(rungs, i, i+1)
	if set == AllSets {
		m.Renditions = append(m.Renditions, rendition(ownGroup, "", rungs[0].channels))
		m.Variants = ownVariants(rungs, ownGroup)
	}
	m.Renditions = append(m.Renditions, rendition(AACRung, aac.name+"/"+mediaPlaylist, aac.channels))
	m.Variants = append(m.Variants, splitVariants(rungs, aac)...)
	return m, nil
}

func rendition(group, uri string, channels int) hls.Rendition {
	return hls.Rendition{GroupID: group, Name: renditionName, URI: uri, Default: true, Channels: channels}
}

// ownVariants names rungs with the sound that is in them.
func ownVariants(rungs []rungFacts, group string) []hls.Variant {
	variants := make([]hls.Variant, len(rungs))
	for i, d := range rungs {
		variants[i] = hls.Variant{
			URI: d.name + "/" + mediaPlaylist, Bandwidth: int(max(d.peak, 1)), AverageBandwidth: int(d.average),
			Codecs: slices.Concat(d.formats.Video, d.formats.Audio), Width: d.formats.Width, Height: d.formats.Height, FrameRate: d.frameRate, AudioGroup: group,
		}
	}
	return variants
}

// splitVariants names rungs without their sound, beside that of another rung.
func splitVariants(rungs []rungFacts, sound rungFacts) []hls.Variant {
	variants := make([]hls.Variant, 0, len(rungs))
	for _, d := range rungs {
		if len(d.formats.Video) == 0 {
			continue
		}
		variants = append(variants, hls.Variant{
			URI:       d.name + "/" + videoPlaylist,
			Bandwidth: int(max(d.peak-d.sound+sound.peak, 1)), AverageBandwidth: int(max(d.average-d.sound+sound.average, 1)),
			Codecs: slices.Concat(d.formats.Video, sound.formats.Audio), Width: d.formats.Width, Height: d.formats.Height, FrameRate: d.frameRate, AudioGroup: sound.name,
		})
	}
	return variants
}

// rungFacts is what a multivariant playlist says of a rung. Rates are in bits
// per second.
type rungFacts struct {
	name          string
	formats       cmaf.Formats
	channels      int
	peak, average int64
	sound         int64   // of the average
	frameRate     float64 // to a half
}

// describe gathers the facts of the rungs that are whole enough to be played.
func (r Recording) describe(ctx context.Context, store blob.Store) ([]rungFacts, error) {
	var all []rungFacts
	slots := r.timeline()
	for i, rung := range r.Rungs {
		if missing, length := lacks(slots, i); i > 0 && missing*mostMissing > length {
			continue
		}
		d := rungFacts{name: rung.Name}
		if err := d.read(ctx, store, r.Prefix, rung); err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
}

func (d *rungFacts) read(ctx context.Context, store blob.Store, prefix string, rung RungRecording) error {
	inits, err := rung.inits(ctx, store, prefix)
	if err != nil {
		return err
	}
	for _, init := range inits {
		d.formats.Add(init)
		if init.Audio != nil {
			d.channels = max(d.channels, init.Audio.Channels)
		}
	}
	var size, length int64
	for _, s := range rung.Segments {
		size += s.Size
		length += s.Ticks
	}
	d.average = bitrate(size, length)
	d.peak = max(peak(rung.Segments), d.average) // the rate of very short segments is not known
	return d.sample(ctx, store, join(prefix, rung.Name, rung.Segments[len(rung.Segments)/2].Name()))
}

// peak is the peak segment bit rate in bits per second: the highest of any
// segments in a row that last half a target duration to one and a half (the
// draft, 4.1; EXTINF rounds). So a last segment of a few frames, which may have
// a key frame, counts with the one before.
func peak(segments []Segment) int64 {
	var longest, most int64
	for _, s := range segments {
		longest = max(longest, s.Ticks)
	}
	for i := range segments {
		var size, length int64
		for _, s := range segments[i:] {
			size += s.Size
			if length += s.Ticks; length > longest*3/2+ticksPerSecond {
				break
			}
			if length >= longest/3 {
				most = max(most, bitrate(size, length))
			}
		}
	}
	return most
}

// sample finds the frame rate and the bitrate of the sound in a stored segment.
func (d *rungFacts) sample(ctx context.Context, store blob.Store, key string) error {
	o, err := store.Open(ctx, key)
	if err != nil {
		return err
	}
	defer func() { _ = o.Close() }() // it was only read
	fragments, err := cmaf.ReadSegment(o)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	var frames, ticks uint64
	var sound int64
	for _, f := range fragments {
		if f.Video != nil {
			frames += uint64(len(f.Video.Samples))
			ticks += f.Video.Duration()
		}
		if f.Audio != nil {
			for _, s := range f.Audio.Samples {
				sound += int64(s.Size)
			}
		}
	}
	if frames > 0 && ticks > 0 {
		d.frameRate = math.Round(2*float64(frames)*cmaf.VideoTimescale/float64(ticks)) / 2
		d.sound = bitrate(sound, int64(ticks))
	}
	return nil
}

// bitrate in bits per second.
func bitrate(size, length int64) int64 {
	return size * 8 * ticksPerSecond / max(length, ticksPerSecond/10)
}
