package postprocess

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"
)

// webVTT describes the tiles (WebVTT, with the media fragments of
// https://www.w3.org/TR/media-frags/#naming-space in the cues, as players read
// thumbnails). The names of the sheets are relative to its own.
func (b storyboard) webVTT(tiles int) []byte {
	var out bytes.Buffer
	out.WriteString("WEBVTT\n")
	for i := range tiles {
		from, to := time.Duration(i)*b.every, time.Duration(i+1)*b.every
		if i == tiles-1 {
			to = max(b.length, from+time.Millisecond)
		}
		x, y := b.place(i)
		fmt.Fprintf(&out, "\n%s --> %s\n%s#xywh=%d,%d,%d,%d\n", vttTime(from), vttTime(to),
			sheetName(i/(sheetTiles*sheetTiles)+1), x, y, b.width, b.height)
	}
	return out.Bytes()
}

// vttTime is a WebVTT timestamp: hours have two digits or more.
func vttTime(d time.Duration) string {
	ms := d.Milliseconds()
	return fmt.Sprintf("%02d:%02d:%02d.%03d", ms/3_600_000, ms/60_000%60, ms/1000%60, ms%1000)
}

// times returns when tiles are shown, in ms, the best first.
func (b storyboard) times(tiles []int, scores []float64) []int64 {
	slices.SortStableFunc(tiles, func(x, y int) int { return cmp.Compare(scores[y], scores[x]) })
	out := make([]int64, len(tiles))
	for i, tile := range tiles {
		out[i] = (time.Duration(tile) * b.every).Milliseconds()
	}
	return out
}
