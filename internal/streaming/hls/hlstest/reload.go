package hlstest

import (
	"errors"
	"fmt"
	"reflect"
)

// CheckReload checks two fetches of one live media playlist, without segments
// skipped, the earlier one first (the draft, 6.2.1, 6.2.2). Each by itself is
// for CheckMedia.
func CheckReload(before, after []byte) error {
	a, err := ParseMedia(before)
	if err != nil {
		return fmt.Errorf("the earlier playlist: %w", err)
	}
	b, err := ParseMedia(after)
	if err != nil {
		return fmt.Errorf("the later playlist: %w", err)
	}
	if a.Skipped > 0 || b.Skipped > 0 {
		return errors.New("a delta update cannot be compared; see CheckDelta")
	}
	var f findings
	checkSameHeader(&f, a, b)
	if a.Ended {
		if !b.Ended || !reflect.DeepEqual(a.Segments, b.Segments) {
			f.add("the playlist changed after EXT-X-ENDLIST")
		}
		return errors.Join(f...)
	}
	if b.MediaSequence < a.MediaSequence {
		f.add("EXT-X-MEDIA-SEQUENCE went back from %d to %d", a.MediaSequence, b.MediaSequence)
		return errors.Join(f...)
	}
	if b.NextMSN() < a.NextMSN() {
		f.add("the last segment went back from %d to %d", a.NextMSN()-1, b.NextMSN()-1)
		return errors.Join(f...)
	}
	if b.MediaSequence > a.NextMSN() {
		f.add("the playlists are too far apart: %d to %d, then from %d", a.MediaSequence, a.NextMSN()-1, b.MediaSequence)
		return errors.Join(f...)
	}
	checkRemoved(&f, a, b)
	checkKept(&f, a, b)
	return errors.Join(f...)
}

func checkSameHeader(f *findings, a, b *Media) {
	same := func(what string, x, y any) {
		if x != y {
			f.add("%s changed from %v to %v", what, x, y)
		}
	}
	same("EXT-X-TARGETDURATION", a.TargetDuration, b.TargetDuration)
	same("EXT-X-VERSION", a.Version, b.Version)
	same("EXT-X-PLAYLIST-TYPE", a.Type, b.Type)
	same("PART-TARGET", a.PartTarget, b.PartTarget)
	if !b.Ended {
		same("PART-HOLD-BACK", a.PartHoldBack, b.PartHoldBack)
		same("HOLD-BACK", a.HoldBack, b.HoldBack)
		same("CAN-SKIP-UNTIL", a.SkipUntil, b.SkipUntil)
	}
}

// checkRemoved: every discontinuity that leaves the playlist raises the
// sequence by one (the draft, 6.2.2).
func checkRemoved(f *findings, a, b *Media) {
	if a.Type != "" && b.MediaSequence != a.MediaSequence {
		f.add("segments were removed from an %s playlist", a.Type)
	}
	gone := a.DiscontinuitySequence
	for i := range a.Segments[:min(b.MediaSequence-a.MediaSequence, uint64(len(a.Segments)))] {
		if a.Segments[i].Discontinuity {
			gone++
		}
	}
	if b.DiscontinuitySequence != gone {
		f.add("EXT-X-DISCONTINUITY-SEQUENCE is %d after %d, it should be %d",
			b.DiscontinuitySequence, a.DiscontinuitySequence, gone)
	}
}

// checkKept: a segment that stays stays the same.
func checkKept(f *findings, a, b *Media) {
	for i := range a.Segments {
		n := a.MediaSequence + uint64(i)
		if n < b.MediaSequence {
			continue
		}
		x, y := &a.Segments[i], &b.Segments[n-b.MediaSequence]
		if x.Discontinuity != y.Discontinuity || x.Init != y.Init || !x.ProgramDateTime.Equal(y.ProgramDateTime) {
			f.add("segment %d changed its date, its init segment or its discontinuity", n)
		}
		if x.URI != "" && (x.URI != y.URI || x.Duration != y.Duration || x.Gap != y.Gap) {
			f.add("segment %d was %s of %v and is %s of %v", n, x.URI, x.Duration, y.URI, y.Duration)
		}
		if len(y.Parts) == 0 && y.URI != "" && x.URI != "" {
			continue // parts leave complete segments as these grow old
		}
		if len(y.Parts) < len(x.Parts) || !reflect.DeepEqual(x.Parts, y.Parts[:len(x.Parts)]) {
			f.add("the parts of segment %d changed", n)
			continue
		}
	}
	checkHint(f, a, b)
}

// checkHint: the part that was hinted at is the one that came (the draft,
// 4.4.5.3), unless a key frame ended the segment right there and none came.
func checkHint(f *findings, a, b *Media) {
	if a.Hint == "" {
		return
	}
	msn, part := a.NextMSN(), 0
	if n := len(a.Segments); n > 0 && a.Segments[n-1].URI == "" {
		msn, part = msn-1, len(a.Segments[n-1].Parts)
	}
	if msn < b.MediaSequence || msn >= b.NextMSN() {
		return
	}
	s := &b.Segments[msn-b.MediaSequence]
	if part < len(s.Parts) && s.Parts[part].URI != a.Hint {
		f.add("the hint was %s, the part is %s", a.Hint, s.Parts[part].URI)
	}
}

// CheckDelta checks a delta update against the full playlist of the same
// moment (the draft, 6.2.5.1).
func CheckDelta(full, delta []byte) error {
	a, err := ParseMedia(full)
	if err != nil {
		return fmt.Errorf("the full playlist: %w", err)
	}
	b, err := ParseMedia(delta)
	if err != nil {
		return fmt.Errorf("the delta update: %w", err)
	}
	var f findings
	checkSameHeader(&f, a, b)
	if a.MediaSequence != b.MediaSequence || a.DiscontinuitySequence != b.DiscontinuitySequence {
		f.add("the sequence numbers differ")
	}
	if b.Skipped == 0 {
		f.add("nothing is skipped")
	}
	if b.Skipped+len(b.Segments) != len(a.Segments) {
		f.add("%d segments are skipped and %d listed, of %d", b.Skipped, len(b.Segments), len(a.Segments))
		return errors.Join(f...)
	}
	if !reflect.DeepEqual(a.Segments[b.Skipped:], b.Segments) || a.Hint != b.Hint || a.Ended != b.Ended {
		f.add("what is listed differs from the full playlist")
	}
	listed := a.Segments[b.Skipped].length()
	for i := b.Skipped + 1; i < len(a.Segments); i++ {
		listed += a.Segments[i].length()
	}
	if listed < a.SkipUntil {
		f.add("only %v are listed; what is newer than %v may not be skipped", listed, a.SkipUntil)
	}
	return errors.Join(f...)
}
