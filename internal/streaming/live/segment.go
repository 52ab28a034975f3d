package live

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Part is a partial segment of one rendition. Its bytes serve two files: with
// the audio, and with the video alone, whose head is another.
type Part struct {
	Duration    int64 // ticks of 90 kHz
	Independent bool  // begins with a key frame
	Gap         bool  // holds nothing

	data      []byte // what comes before the moof, moof, samples of video and audio
	before    int    // bytes before the moof: styp and emsg
	videoHead []byte // moof and mdat header of the video alone, nil where that is the same
	video     int    // where the samples of video begin, 0 for none
	videoEnd  int
	uri       string
}

// bytes returns what a file of the view has for the part, nil for a gap.
func (p *Part) bytes(v view) [][]byte {
	switch {
	case p.gap(v):
		return nil
	case v == videoOnly && p.videoHead != nil:
		return [][]byte{p.data[:p.before], p.videoHead, p.data[p.video:p.videoEnd]}
	}
	return [][]byte{p.data}
}

// gap says whether the part holds nothing in a view.
func (p *Part) gap(v view) bool { return p.Gap || v == videoOnly && p.video == 0 }

// Segment is a media segment of one rendition. It does not change once it is
// complete.
type Segment struct {
	Epoch         int64
	MSN           uint64
	Init          int // version of its init segment in the epoch
	Discontinuity bool
	Dependent     bool      // its first picture is no key frame
	Start         time.Time // wall clock of its first frame, UTC
	Ticks         int64     // duration in 1/90000 s
	Size          int64     // bytes; 0 for a gap

	start    int64 // place in the output, ticks
	pictured bool  // it has a picture
	complete bool
	released bool // its bytes are not in memory any more
	lost     bool // nor in the object store
	parts    []*Part
	uri      string
}

// Data returns the bytes of a complete segment, part by part. Whoever is told of
// a segment by OnSegment must take them then: later they may be let go.
func (s *Segment) Data() [][]byte { return s.bytes(muxed) }

func (s *Segment) bytes(v view) [][]byte {
	data := make([][]byte, 0, len(s.parts)*3)
	for _, p := range s.parts {
		data = append(data, p.bytes(v)...)
	}
	return data
}

// gap says whether a complete segment holds nothing.
func (s *Segment) gap() bool { return s.complete && s.Size == 0 || s.released && s.lost }

// length is the duration, so far if the segment is not complete.
func (s *Segment) length() int64 {
	if s.complete {
		return s.Ticks
	}
	var ticks int64
	for _, p := range s.parts {
		ticks += p.Duration
	}
	return ticks
}

// Names of what a playlist lists, relative to it.

func segmentName(epoch int64, msn uint64) string { return fmt.Sprintf("%d-%d.mp4", epoch, msn) }

func partName(epoch int64, msn uint64, part int) string {
	return fmt.Sprintf("%d-%d.%d.mp4", epoch, msn, part)
}

func initName(epoch int64, version int) string { return fmt.Sprintf("%d-init-%d.mp4", epoch, version) }

// mediaName is a parsed name.
type mediaName struct {
	epoch int64
	init  int // version, 0: no init segment
	msn   uint64
	part  int // -1: the whole segment
}

// parseName reads the name of a segment, part or init segment.
func parseName(name string) (mediaName, bool) {
	base, ok := strings.CutSuffix(name, ".mp4")
	if !ok || len(base) > 64 {
		return mediaName{}, false
	}
	epochText, rest, ok := strings.Cut(base, "-")
	epoch, err := strconv.ParseUint(epochText, 10, 62)
	if !ok || err != nil {
		return mediaName{}, false
	}
	n := mediaName{epoch: int64(epoch), part: -1}
	if version, isInit := strings.CutPrefix(rest, "init-"); isInit {
		n.init, err = strconv.Atoi(version)
		return n, err == nil && n.init > 0
	}
	msn, part, hasPart := strings.Cut(rest, ".")
	if n.msn, err = strconv.ParseUint(msn, 10, 62); err != nil {
		return mediaName{}, false
	}
	if hasPart {
		value, err := strconv.ParseUint(part, 10, 31)
		if err != nil {
			return mediaName{}, false
		}
		n.part = int(value)
	}
	return n, true
}
