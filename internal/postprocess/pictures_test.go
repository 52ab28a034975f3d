package postprocess_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/postprocess"
)

// scenes is a video of a minute whose most is nothing to show: black, then
// coloured bars, then a blank wall, then black again.
const scenes = "color=black:size=640x360:rate=10:duration=20[a];testsrc=size=640x360:rate=10:duration=10[b];" +
	"color=gray:size=640x360:rate=10:duration=10[c];color=black:size=640x360:rate=10:duration=20[d];[a][b][c][d]concat=n=4"

// TestPictures looks at what is made of a video: previews for its time line, and
// as its thumbnail the scene that shows something.
func TestPictures(t *testing.T) {
	files, err := encode(scenes)
	if err != nil {
		t.Fatal(err)
	}
	eachPlace(t, func(t *testing.T, p place) {
		n := open(t, p, postprocess.Config{}, nil)
		n.start(t)
		stream := streamID()
		put(t, n.objects, "recordings/chan/"+stream, files)
		n.mustHear(t, ended(stream))
		n.await(t, stream, flow.Done)
		if d := last[event.MP4ProcessingComplete](t, n); len(d.Notes) > 0 {
			t.Errorf("notes: %q", d.Notes)
		}
		folder := "videos/" + stream + "/"
		thumbnail := decode(t, read(t, n.objects, folder+"thumbnail.jpg"))
		if colours := coloured(thumbnail, thumbnail.Bounds()); colours < 0.3 {
			t.Errorf("the thumbnail has %.0f %% colour", 100*colours)
		}
		// 30 tiles, 2 s apart: a sheet of 25 and one of 5.
		sheets := map[string]image.Image{}
		for name, size := range map[string]image.Point{"storyboard-1.jpg": {1280, 720}, "storyboard-2.jpg": {1280, 144}} {
			sheets[name] = decode(t, read(t, n.objects, folder+name))
			if got := sheets[name].Bounds().Size(); got != size {
				t.Errorf("%s is %v, want %v", name, got, size)
			}
		}
		cues := strings.Split(strings.TrimSpace(string(read(t, n.objects, folder+"storyboard.vtt"))), "\n\n")
		if len(cues) != 31 || cues[0] != "WEBVTT" {
			t.Fatalf("%d cues: %q", len(cues)-1, cues)
		}
		for i, cue := range cues[1:] {
			checkCue(t, i, cue, sheets)
		}
		emptyWorkDir(t, p)
	})
}

// checkCue follows a cue to its tile and looks whether it shows its scene.
func checkCue(t *testing.T, i int, cue string, sheets map[string]image.Image) {
	t.Helper()
	var fm, fs, tm, ts, n, x, y, w, h int
	_, err := fmt.Sscanf(strings.ReplaceAll(cue, "\n", " "), "00:%d:%d.000 --> 00:%d:%d.000 storyboard-%d.jpg#xywh=%d,%d,%d,%d",
		&fm, &fs, &tm, &ts, &n, &x, &y, &w, &h)
	if err != nil && i < 29 { // the last ends with the video
		t.Fatalf("cue %d: %q: %v", i, cue, err)
	}
	if i == 29 {
		return
	}
	from, to := 60*fm+fs, 60*tm+ts
	if from != 2*i || to != 2*i+2 || w != 256 || h != 144 {
		t.Errorf("cue %d: %q", i, cue)
	}
	sheet := sheets[fmt.Sprintf("storyboard-%d.jpg", n)]
	tile := image.Rect(x, y, x+w, y+h)
	if sheet == nil || !tile.In(sheet.Bounds()) {
		t.Fatalf("cue %d names a tile that is not there: %q", i, cue)
	}
	if bars := coloured(sheet, tile) > 0.3; bars != (from >= 20 && from < 30) {
		t.Errorf("at %d s the preview shows the wrong scene", from)
	}
}

func decode(t *testing.T, data []byte) image.Image {
	t.Helper()
	p, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// coloured is the share of a picture that is neither black, white nor grey.
func coloured(p image.Image, in image.Rectangle) float64 {
	n := 0
	for y := in.Min.Y; y < in.Max.Y; y++ {
		for x := in.Min.X; x < in.Max.X; x++ {
			r, g, b, _ := p.At(x, y).RGBA()
			if max(r, g, b)-min(r, g, b) > 0x4000 {
				n++
			}
		}
	}
	return float64(n) / float64(in.Dx()*in.Dy())
}

// turned makes a video of two pictures of lavfi, 4 s each, as of a phone that was
// turned.
func turned(t *testing.T, pictures ...string) (path string) {
	t.Helper()
	dir := t.TempDir()
	var all []byte
	for i, picture := range pictures {
		part := filepath.Join(dir, fmt.Sprint(i, ".ts"))
		tool(t, "ffmpeg", "-f", "lavfi", "-i", picture, "-t", "4", "-r", "10", "-c:v", "libx264", "-preset", "ultrafast",
			"-pix_fmt", "yuv420p", "-g", "10", "-muxdelay", "0", "-muxpreload", "0", "-output_ts_offset", fmt.Sprint(4*i), "-f", "mpegts", part)
		data, err := os.ReadFile(part)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data...)
	}
	path = filepath.Join(dir, "all.ts")
	if err := os.WriteFile(path, all, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestTurnedPhone: a recording whose picture changes its shape is one storyboard,
// in which every picture keeps its shape: it is a grey picture with a white square
// in its middle, and so is each tile.
func TestTurnedPhone(t *testing.T) {
	const square = ",drawbox=x=(iw-180)/2:y=(ih-180)/2:w=180:h=180:color=white:t=fill"
	for name, c := range map[string]struct {
		first, second string
		media         postprocess.Media
	}{
		"to portrait":  {"640x360", "360x640", postprocess.Media{DurationMillis: 8000, Width: 640, Height: 360}},
		"to landscape": {"360x640", "640x360", postprocess.Media{DurationMillis: 8000, Width: 360, Height: 640}},
	} {
		t.Run(name, func(t *testing.T) {
			path := turned(t, "color=gray:size="+c.first+square, "color=gray:size="+c.second+square)
			jpegs, tiles, size, err := postprocess.TilesOf(t.Context(), path, c.media)
			if err != nil || tiles != 4 || len(jpegs) != 1 {
				t.Fatalf("%d tiles on %d sheets, %v", tiles, len(jpegs), err)
			}
			sheet := decode(t, jpegs[0])
			for i := range tiles {
				tile := image.Rectangle{Max: size}.Add(image.Pt(i*size.X, 0))
				grey := bounds(sheet, tile, 70, 190).Size()
				white := bounds(sheet, tile, 215, 256)
				// The turned pictures are as high or as wide as the tile, between bars.
				wantGrey, side := size, 72
				if i >= 2 {
					wantGrey, side = image.Pt(144*360/640, 144), 40
					if size.Y > size.X {
						wantGrey.X, wantGrey.Y = wantGrey.Y, wantGrey.X
					}
				}
				if !about(grey.X, wantGrey.X) || !about(grey.Y, wantGrey.Y) {
					t.Errorf("the picture on tile %d is %v, want %v", i, grey, wantGrey)
				}
				if w := white.Dx(); !about(w, white.Dy()) || !about(w, side) {
					t.Errorf("the square on tile %d is %v, want %d", i, white.Size(), side)
				}
				if middle := white.Min.Add(white.Max).Div(2); !about(middle.X, (tile.Min.X+tile.Max.X)/2) || !about(middle.Y, size.Y/2) {
					t.Errorf("the square on tile %d is at %v", i, white)
				}
			}
		})
	}
}

// bounds is where in a part of a picture the luma is at least low and below high.
func bounds(p image.Image, in image.Rectangle, low, high uint32) image.Rectangle {
	var found image.Rectangle
	for y := in.Min.Y; y < in.Max.Y; y++ {
		for x := in.Min.X; x < in.Max.X; x++ {
			if luma, _, _, _ := color.GrayModel.Convert(p.At(x, y)).RGBA(); luma>>8 >= low && luma>>8 < high {
				found = found.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	return found
}

// about allows for rounding to even numbers and for the blur of edges.
func about(got, want int) bool { return max(got-want, want-got) <= 6 }

// TestProgressIsPushed: the owner's pages hear how far it is.
func TestProgressIsPushed(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		n := open(t, p, postprocess.Config{}, nil)
		n.start(t)
		stream := streamID()
		record(t, n.objects, "recordings/chan/"+stream)
		n.mustHear(t, ended(stream))
		n.await(t, stream, flow.Done)
		steps, at := []string{}, -1
		for _, line := range n.live() {
			text, ok := strings.CutPrefix(line, "rt.processing.chan ")
			var m struct {
				Type   string
				Detail struct {
					ID, Step string
					Percent  int
				}
			}
			if err := json.Unmarshal([]byte(text), &m); !ok || err != nil || m.Type != "MP4ProcessingProgress" || m.Detail.ID != stream {
				t.Fatalf("pushed %q: %v", line, err)
			}
			if m.Detail.Percent < at || m.Detail.Percent > 99 {
				t.Errorf("%d %% after %d %%", m.Detail.Percent, at)
			}
			at = m.Detail.Percent
			if len(steps) == 0 || steps[len(steps)-1] != m.Detail.Step {
				steps = append(steps, m.Detail.Step)
			}
		}
		if got := strings.Join(steps, " "); got != "mp4 storyboard thumbnail" {
			t.Errorf("steps %q", got)
		}
	})
}
