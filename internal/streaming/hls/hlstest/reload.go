package hlstest

import (
	"reflect"
	"slices"
	"time"
)

// CheckReload checks two fetches of one live media playlist, without segments
// skipped, the earlier one first. Each by itself is for CheckMedia.
func CheckReload(before, after []byte) error {
	a, b, err := parseTwo(before, after)
	if err != nil {
		return err
	}
	return checkReload(a, b).err()
}

// CheckUpdate is CheckReload for two fetches in a row, the second of which came
// some time after the first and has something new.
func CheckUpdate(before, after []byte, passed time.Duration) error {
	a, b, err := parseTwo(before, after)
	if err != nil {
		return err
	}
	f := checkReload(a, b)
	checkPace(&f, a, b, passed)
	return f.err()
}

func parseTwo(before, after []byte) (a, b *Media, err error) {
	var f Findings
	if a, err = ParseMedia(before); err != nil {
		f.addErr("the earlier playlist", err)
	}
	if b, err = ParseMedia(after); err != nil {
		f.addErr("the later playlist", err)
	}
	return a, b, f.err()
}

func checkReload(a, b *Media) Findings {
	var f Findings
	checkHeaderKept(&f, a, b)
	if a.Ended {
		if !b.Ended || !reflect.DeepEqual(a.Segments, b.Segments) {
			f.add("reload-ended", "the playlist changed after EXT-X-ENDLIST")
		}
		return f
	}
	if b.MediaSequence < a.MediaSequence {
		f.add("sequence-back", "EXT-X-MEDIA-SEQUENCE went back from %d to %d", a.MediaSequence, b.MediaSequence)
		return f
	}
	if b.NextMSN() < a.NextMSN() {
		f.add("edge-back", "the last segment went back from %d to %d", a.NextMSN()-1, b.NextMSN()-1)
		return f
	}
	if b.MediaSequence > a.NextMSN() {
		f.add("reload-jump", "the playlists are too far apart: %d to %d, then from %d", a.MediaSequence, a.NextMSN()-1, b.MediaSequence)
		return f
	}
	checkRemoved(&f, a, b)
	checkKept(&f, a, b)
	checkHintKept(&f, a, b)
	return f
}

// checkHeaderKept checks the tags of the whole playlist. EXT-X-VERSION is not
// one of them between a playlist and its delta update.
func checkHeaderKept(f *Findings, a, b *Media) {
	if a.TargetDuration != b.TargetDuration {
		f.add("reload-target", "EXT-X-TARGETDURATION changed from %v to %v", a.TargetDuration, b.TargetDuration)
	}
	same := func(what string, x, y any) {
		if x != y {
			f.add("reload-header", "%s changed from %v to %v", what, x, y)
		}
	}
	if a.Skipped == 0 && b.Skipped == 0 {
		same("EXT-X-VERSION", a.Version, b.Version)
	}
	same("EXT-X-PLAYLIST-TYPE", a.Type, b.Type)
	same("EXT-X-INDEPENDENT-SEGMENTS", a.IndependentSegments, b.IndependentSegments)
	same("PART-TARGET", a.PartTarget, b.PartTarget)
	same("EXT-X-SERVER-CONTROL", a.control(), b.control())
}

// control is the attributes of EXT-X-SERVER-CONTROL, to be compared.
func (m *Media) control() any {
	return [...]any{m.CanBlockReload, m.HoldBack, m.PartHoldBack, m.SkipUntil}
}

// checkRemoved checks the sequence numbers.
func checkRemoved(f *Findings, a, b *Media) {
	if a.Type != "" && b.MediaSequence != a.MediaSequence {
		f.add("event-removed", "segments were removed from an %s playlist", a.Type)
	}
	gone := a.DiscontinuitySequence
	for i := range a.Segments[:min(b.MediaSequence-a.MediaSequence, uint64(len(a.Segments)))] {
		if a.Segments[i].Discontinuity {
			gone++
		}
	}
	if b.DiscontinuitySequence != gone {
		f.add("discontinuity-sequence", "EXT-X-DISCONTINUITY-SEQUENCE is %d after %d, it should be %d",
			b.DiscontinuitySequence, a.DiscontinuitySequence, gone)
	}
}

// checkKept: a segment that stays stays the same.
func checkKept(f *Findings, a, b *Media) {
	for i := range a.Segments {
		n := a.MediaSequence + uint64(i)
		if n < b.MediaSequence {
			continue
		}
		x, y := &a.Segments[i], &b.Segments[n-b.MediaSequence]
		if x.Discontinuity != y.Discontinuity || x.Init != y.Init || !x.ProgramDateTime.Equal(y.ProgramDateTime) {
			f.add("segment-changed", "segment %d changed its date, its init segment or its discontinuity", n)
		}
		if x.URI != "" && (x.URI != y.URI || x.Duration != y.Duration || x.Gap != y.Gap) {
			f.add("segment-changed", "segment %d was %s of %v and is %s of %v", n, x.URI, x.Duration, y.URI, y.Duration)
		}
		if len(y.Parts) == 0 && y.URI != "" && x.URI != "" {
			continue // parts leave complete segments as these grow old
		}
		if len(y.Parts) < len(x.Parts) || !slices.Equal(x.Parts, y.Parts[:len(x.Parts)]) ||
			x.URI != "" && len(x.Parts) != len(y.Parts) {
			f.add("part-changed", "the parts of segment %d changed", n)
		}
	}
}

// checkHintKept: the part that was hinted at is the one that came, unless a key
// frame ended the segment right there and it will never come.
func checkHintKept(f *Findings, a, b *Media) {
	msn, part := a.Next()
	if a.Hint == "" || part < 0 || msn < b.MediaSequence || msn >= b.NextMSN() {
		return
	}
	s := &b.Segments[msn-b.MediaSequence]
	if part >= len(s.Parts) {
		return
	}
	if s.Parts[part].URI != a.Hint {
		f.add("hint-kept", "the hint was %s, the part is %s", a.Hint, s.Parts[part].URI)
		return
	}
	if n := len(a.Segments); n > 0 && a.Segments[n-1].Init != s.Init && a.HintInit != s.Init && !s.Discontinuity {
		f.add("hint-map", "the part %s, which was hinted at, has another EXT-X-MAP %s, which was not", a.Hint, s.Init)
	}
}

// checkPace checks how long the next part and the next segment took.
func checkPace(f *Findings, a, b *Media, passed time.Duration) {
	if b.Ended {
		return
	}
	if limit := a.TargetDuration * 3 / 2; passed > limit && a.PartTarget == 0 {
		f.add("update-segment", "nothing new came for %v; a segment must come within %v", passed, limit)
	}
	if limit := 2 * a.PartTarget; a.PartTarget > 0 && passed > limit {
		f.add("update-part", "nothing new came for %v; a part must come every %v", passed, a.PartTarget)
	}
}
