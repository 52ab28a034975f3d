package recorder

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// The names of rungs that have a part of their own to play.
const (
	TopRung = "source" // the best; the recording's length is its
	AACRung = "aac"    // sound alone, for players that have no Opus
)

// Recording is a stored stream, as the listing of its objects says.
type Recording struct {
	Prefix string
	Rungs  []RungRecording // the best first, sound alone last
}

// RungRecording is one quality of a recording.
type RungRecording struct {
	Name     string
	Segments []Segment // in the order of playing, at least one
}

// List reads a recording. One without a segment has no rungs and is no error.
func List(ctx context.Context, store blob.Store, prefix string) (Recording, error) {
	infos, err := store.List(ctx, prefix+"/")
	if err != nil {
		return Recording{}, fmt.Errorf("reading a recording: %w", err)
	}
	rec := Recording{Prefix: prefix}
	names := newNames()
	for _, info := range infos {
		dir, name := path.Split(strings.TrimPrefix(info.Key, prefix+"/"))
		rung := strings.TrimSuffix(dir, "/")
		s, ok := names.parse(name)
		if !ok || rung == "" || strings.Contains(rung, "/") {
			continue // the MP4, the thumbnail, init segments
		}
		s.Size = info.Size
		rec.add(rung, s)
	}
	return rec, nil
}

// add puts a segment into its place. One that is there already is replaced.
func (r *Recording) add(rung string, s Segment) {
	i, ok := slices.BinarySearchFunc(r.Rungs, rung, func(rr RungRecording, name string) int { return compareRungs(rr.Name, name) })
	if !ok {
		r.Rungs = slices.Insert(r.Rungs, i, RungRecording{Name: rung})
	}
	segments := &r.Rungs[i].Segments
	at := len(*segments)
	for at > 0 && !(*segments)[at-1].before(s) {
		at--
	}
	if at < len(*segments) && !s.before((*segments)[at]) {
		(*segments)[at] = s
		return
	}
	*segments = slices.Insert(*segments, at, s)
}

// compareRungs orders rungs by their quality, the best first.
func compareRungs(a, b string) int {
	return cmp.Or(cmp.Compare(rank(b), rank(a)), cmp.Compare(a, b))
}

// passthroughRung is the source's picture in H264, beside one in another codec.
const passthroughRung = "h264"

// rank is the height that a rung's name says; the top rung's is above all.
func rank(rung string) int {
	if rung == TopRung {
		return 1 << 30
	}
	if rung == passthroughRung {
		return 1 << 29
	}
	height, err := strconv.Atoi(strings.TrimSuffix(rung, "p"))
	if err != nil {
		return 0
	}
	return min(height, 1<<20)
}

// rung returns a rung by its name, -1 if there is none.
func (r Recording) rung(name string) int {
	return slices.IndexFunc(r.Rungs, func(rr RungRecording) bool { return rr.Name == name })
}

// Summary returns what the best rung came to.
func (r Recording) Summary() Summary {
	var sum Summary
	if len(r.Rungs) == 0 {
		return sum
	}
	for _, s := range r.Rungs[0].Segments {
		sum.Segments++
		sum.Ticks += s.Ticks
	}
	return sum
}

// EndMS returns the wall clock of the end of the last segment, ms since 1970.
func (r Recording) EndMS() int64 {
	var end int64
	for _, rung := range r.Rungs {
		for _, s := range rung.Segments {
			end = max(end, s.StartMS+s.Ticks/90)
		}
	}
	return end
}

// Key returns the key of one of the recording's media objects by rung and name.
// Errors: errs.NotFound when no media has such a name.
func Key(prefix, rung, name string) (string, error) {
	key := join(prefix, rung, name)
	if !IsMedia(name) || blob.CheckKey(rung) != nil || strings.Contains(rung, "/") {
		return "", errs.Newf(errs.NotFound, "the recording has no %q", rung+"/"+name)
	}
	return key, nil
}
