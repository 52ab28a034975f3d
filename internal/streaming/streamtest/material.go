// Package streamtest publishes real media over WHIP, for tests of everything
// that needs a live stream: H264 and Opus made by ffmpeg, sent by pion in real
// time.
package streamtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/pion/webrtc/v4/pkg/media/oggreader"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// FrameRate is that of all clips.
const FrameRate = 30

const (
	frameDuration = time.Second / FrameRate
	audioDuration = 20 * time.Millisecond
	makeTimeout   = time.Minute
)

// Picture is what a clip shows.
type Picture struct {
	Width, Height int
	// Flash makes it black, with white and a tone in the first 100 ms of every
	// second, so that their distance can be measured.
	Flash bool
}

// Clip is some seconds of video and audio that can be sent again and again.
type Clip struct {
	Picture Picture
	Frames  [][]byte // access units, annex B
	Packets [][]byte // Opus, 20 ms each
}

// Length is the duration of the clip.
func (c *Clip) Length() time.Duration { return time.Duration(len(c.Frames)) * frameDuration }

// MakeClip makes a clip with ffmpeg: H264 constrained baseline with a key frame
// every second, and Opus. Seconds must be whole.
func MakeClip(ctx context.Context, p Picture, seconds int) (*Clip, error) {
	ctx, cancel := context.WithTimeout(ctx, makeTimeout)
	defer cancel()
	dir, err := os.MkdirTemp("", "clip-")
	if err != nil {
		return nil, err
	}
	clip, err := makeClip(ctx, dir, p, seconds)
	return clip, errors.Join(err, os.RemoveAll(dir))
}

func makeClip(ctx context.Context, dir string, p Picture, seconds int) (*Clip, error) {
	video := fmt.Sprintf("testsrc2=size=%dx%d:rate=%d", p.Width, p.Height, FrameRate)
	audio := "sine=frequency=440:sample_rate=48000"
	if p.Flash {
		video = fmt.Sprintf("color=black:size=%dx%d:rate=%d,drawbox=c=white:t=fill:enable='lt(mod(t,1),0.099)'", p.Width, p.Height, FrameRate)
		audio = "aevalsrc='if(lt(mod(t,1),0.1),0.5*sin(2*PI*1000*t),0)':s=48000"
	}
	h264, ogg := filepath.Join(dir, "v.h264"), filepath.Join(dir, "a.ogg")
	cmd := exec.CommandContext(ctx, "ffmpeg", "-hide_banner", "-v", "error", "-y",
		"-f", "lavfi", "-i", video, "-f", "lavfi", "-i", audio, "-t", fmt.Sprint(seconds),
		"-map", "0:v", "-c:v", "libx264", "-profile:v", "baseline", "-preset", "veryfast", "-tune", "zerolatency",
		"-pix_fmt", "yuv420p", "-b:v", "800k", "-g", fmt.Sprint(FrameRate), "-keyint_min", fmt.Sprint(FrameRate),
		"-sc_threshold", "0", "-x264-params", "aud=1:repeat-headers=1", "-f", "h264", h264,
		"-map", "1:a", "-c:a", "libopus", "-b:a", "48k", "-ac", "2", "-t", fmt.Sprint(seconds), "-page_duration", "20000", "-f", "ogg", ogg)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("making a clip: %w: %s", err, out)
	}
	stream, err := os.ReadFile(h264)
	if err != nil {
		return nil, err
	}
	clip := &Clip{Picture: p, Frames: accessUnits(stream)}
	if len(clip.Frames) != seconds*FrameRate {
		return nil, fmt.Errorf("the clip has %d frames, not %d", len(clip.Frames), seconds*FrameRate)
	}
	clip.Packets, err = packets(ogg, seconds*int(time.Second/audioDuration))
	return clip, err
}

// accessUnits splits a byte stream at its delimiters.
func accessUnits(stream []byte) [][]byte {
	var units [][]byte
	for _, nal := range cmaf.SplitAnnexB(stream) {
		if cmaf.NALType(nal) == cmaf.NALAUD {
			units = append(units, nil)
			continue
		}
		if len(units) > 0 {
			u := &units[len(units)-1]
			*u = append(append(*u, 0, 0, 0, 1), nal...)
		}
	}
	return units
}

// packets reads up to n Opus packets of an Ogg file with one packet a page.
func packets(path string, n int) ([][]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r, err := oggreader.NewWithOptions(bytes.NewReader(data), oggreader.WithDoChecksum(false))
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for len(out) < n {
		packet, _, err := r.ParseNextPage()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if bytes.HasPrefix(packet, []byte("OpusHead")) || bytes.HasPrefix(packet, []byte("OpusTags")) {
			continue
		}
		out = append(out, packet)
	}
	return out, nil
}
