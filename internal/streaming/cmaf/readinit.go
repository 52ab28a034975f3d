package cmaf

import (
	"errors"
	"fmt"
)

// ParseInit reads an init segment that Init.Marshal wrote.
func ParseInit(data []byte) (Init, error) {
	if len(data) > maxInit {
		return Init{}, fmt.Errorf("the init segment has %d bytes, at most %d are read", len(data), maxInit)
	}
	moov, err := find(data, "moov")
	if err != nil {
		return Init{}, fmt.Errorf("init segment: %w", err)
	}
	m, err := parseMovie(moov)
	return m.init, err
}

// movie is what a moov says: the tracks, and how their fragments are read.
type movie struct {
	init      Init
	timescale uint32
	tracks    []track
}

// track is a track of a file that need not be this package's.
type track struct {
	id        uint32
	video     bool
	timescale uint32
	defaults  trafDefaults
	delay     uint64 // of its edit list: in the movie's timescale, before it starts
	mediaTime int64  // of its edit list: what is shown first, in its timescale
}

// ownTracks returns the tracks as this package writes them.
func ownTracks() []track {
	return []track{{id: VideoTrackID, video: true}, {id: AudioTrackID}}
}

// parseMovie reads the contents of a moov with at most one track of a kind.
func parseMovie(moov []byte) (movie, error) {
	boxes, err := children(moov)
	if err != nil {
		return movie{}, fmt.Errorf("moov: %w", err)
	}
	m := movie{}
	if m.timescale, err = parseTimescale(moov, "mvhd"); err != nil {
		return movie{}, err
	}
	for _, b := range boxes {
		if b.kind != "trak" {
			continue
		}
		if err := m.addTrack(b.body); err != nil {
			return movie{}, fmt.Errorf("trak: %w", err)
		}
	}
	if len(m.tracks) == 0 {
		return movie{}, errors.New("the init segment has no track")
	}
	mvex, err := find(moov, "mvex")
	if err != nil {
		return m, nil // then no track has defaults
	}
	if boxes, err = children(mvex); err != nil {
		return movie{}, fmt.Errorf("mvex: %w", err)
	}
	for _, b := range boxes {
		if b.kind == "trex" {
			m.addDefaults(b.body)
		}
	}
	return m, nil
}

// addDefaults reads a trex (14496-12, 8.8.3).
func (m *movie) addDefaults(trex []byte) {
	r := fields{b: trex}
	r.u32()
	id := r.u32()
	r.u32() // default_sample_description_index
	d := trafDefaults{duration: r.u32(), size: r.u32(), flags: r.u32()}
	for i := range m.tracks {
		if m.tracks[i].id == id && r.err == nil {
			m.tracks[i].defaults = d
		}
	}
}

func (m *movie) addTrack(trak []byte) error {
	t, err := parseTrackHeaders(trak)
	if err != nil {
		return err
	}
	stsd, err := find(trak, "mdia", "minf", "stbl", "stsd")
	if err != nil {
		return err
	}
	if len(stsd) < 8 {
		return errShort
	}
	entries, err := children(stsd[8:])
	if err != nil {
		return fmt.Errorf("stsd: %w", err)
	}
	if len(entries) != 1 {
		return fmt.Errorf("it has %d sample entries, not 1", len(entries))
	}
	if t.video, err = m.init.addEntry(entries[0]); err != nil {
		return err
	}
	m.tracks = append(m.tracks, t)
	return nil
}

// parseTrackHeaders reads tkhd, mdhd and elst (14496-12, 8.3.2, 8.4.2, 8.6.6).
func parseTrackHeaders(trak []byte) (track, error) {
	var t track
	tkhd, err := find(trak, "tkhd")
	if err != nil {
		return track{}, err
	}
	r := fields{b: tkhd}
	r.skipTimes()
	if t.id = r.u32(); r.err != nil {
		return track{}, fmt.Errorf("tkhd: %w", r.err)
	}
	if t.timescale, err = parseTimescale(trak, "mdia", "mdhd"); err != nil {
		return track{}, err
	}
	if elst, err := find(trak, "edts", "elst"); err == nil {
		if err := t.addEdits(elst); err != nil {
			return track{}, fmt.Errorf("elst: %w", err)
		}
	}
	return t, nil
}

// parseTimescale reads the units per second of an mvhd or mdhd.
func parseTimescale(body []byte, path ...string) (uint32, error) {
	header, err := find(body, path...)
	if err != nil {
		return 0, err
	}
	r := fields{b: header}
	r.skipTimes()
	v := r.u32()
	if r.err != nil || v == 0 {
		return 0, fmt.Errorf("%s: it has no timescale", path[len(path)-1])
	}
	return v, nil
}

// skipTimes passes over the version, flags and dates of a header.
func (f *fields) skipTimes() {
	if f.u32()>>24 == 1 {
		f.take(16)
	} else {
		f.take(8)
	}
}

// addEdits reads empty edits and the first other one.
func (t *track) addEdits(elst []byte) error {
	r := fields{b: elst}
	wide := r.u32()>>24 == 1
	for range min(r.u32(), maxBoxesInABox) {
		var duration uint64
		var mediaTime int64
		if wide {
			duration, mediaTime = r.u64(), int64(r.u64())
		} else {
			duration, mediaTime = uint64(r.u32()), int64(int32(r.u32()))
		}
		r.u32() // media_rate
		if r.err != nil {
			return r.err
		}
		if mediaTime >= 0 {
			t.mediaTime = mediaTime
			return nil
		}
		t.delay += duration
	}
	return r.err
}

// addEntry reads a sample entry, and tells whether it is video.
func (i *Init) addEntry(entry box) (video bool, err error) {
	switch entry.kind {
	case "avc1", "avc3", "hvc1", "hev1", "vp08", "vp09", "av01":
		if i.Video != nil {
			return true, errors.New("a second video track")
		}
		c, err := parseVideoEntry(entry)
		if err != nil {
			return true, fmt.Errorf("%s: %w", entry.kind, err)
		}
		i.Video = &c
		return true, nil
	case "Opus", "mp4a":
		if i.Audio != nil {
			return false, errors.New("a second audio track")
		}
		c, err := parseAudioEntry(entry)
		if err != nil {
			return false, fmt.Errorf("%s: %w", entry.kind, err)
		}
		i.Audio = &c
		return false, nil
	}
	return false, fmt.Errorf("a sample entry %q", entry.kind)
}
