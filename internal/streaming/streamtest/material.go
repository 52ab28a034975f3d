// Package streamtest publishes real media over WHIP, for tests of everything
// that needs a live stream: video and Opus made by ffmpeg, sent by pion in real
// time.
package streamtest

import (
	"bytes"
	"cmp"
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
	// second, or of every FlashEvery seconds, so that their distance can be measured.
	Flash      bool
	FlashEvery int
	Codec      cmaf.VideoCodec // H264 if 0
	// Bitrate of the video in bits per second, 800,000 if 0.
	Bitrate int
	// KeyEvery is so many frames from one key frame to the next, a second's if 0.
	KeyEvery int
}

// Clip is some seconds of video and audio that can be sent again and again.
type Clip struct {
	Picture Picture
	Frames  [][]byte // access units: H264 and H265 in annex B, AV1 with temporal delimiters
	Packets [][]byte // Opus, 20 ms each
}

func (c *Clip) codec() cmaf.VideoCodec {
	if c.Picture.Codec == 0 {
		return cmaf.H264
	}
	return c.Picture.Codec
}

// Length is the duration of the clip.
func (c *Clip) Length() time.Duration { return time.Duration(len(c.Frames)) * frameDuration }

// MakeClip makes a clip with ffmpeg: video with regular key frames (H264 is
// constrained baseline), and Opus. Seconds must be whole.
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
		every := cmp.Or(p.FlashEvery, 1)
		video = fmt.Sprintf("color=black:size=%dx%d:rate=%d,drawbox=c=white:t=fill:enable='lt(mod(t,%d),0.099)'", p.Width, p.Height, FrameRate, every)
		audio = fmt.Sprintf("aevalsrc='if(lt(mod(t,%d),0.1),0.5*sin(2*PI*1000*t),0)':s=48000", every)
	}
	bitrate, keyEvery := fmt.Sprint(cmp.Or(p.Bitrate, 800_000)), fmt.Sprint(cmp.Or(p.KeyEvery, FrameRate))
	if p.Codec == 0 {
		p.Codec = cmaf.H264
	}
	encoder, err := encoderOf(p.Codec)
	if err != nil {
		return nil, err
	}
	bitstream, ogg := filepath.Join(dir, "video"), filepath.Join(dir, "a.ogg")
	length := fmt.Sprint(seconds)
	arguments := []string{
		"-hide_banner", "-v", "error", "-y", "-f", "lavfi", "-i", video, "-f", "lavfi", "-i", audio, "-t", length, "-map", "0:v",
	}
	arguments = append(append(arguments, encoder.command()...),
		"-pix_fmt", "yuv420p", "-b:v", bitrate, "-minrate", bitrate, "-maxrate", bitrate, "-bufsize", bitrate,
		"-g", keyEvery, "-keyint_min", keyEvery, "-f", encoder.container, bitstream,
		"-map", "1:a", "-c:a", "libopus", "-b:a", "48k", "-ac", "2", "-t", length, "-page_duration", "20000", "-f", "ogg", ogg)
	if out, err := exec.CommandContext(ctx, "ffmpeg", arguments...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("making a clip: %w: %s", err, out)
	}
	stream, err := os.ReadFile(bitstream)
	if err != nil {
		return nil, err
	}
	clip := &Clip{Picture: p}
	if clip.Frames, err = encoder.split(stream); err != nil {
		return nil, err
	}
	if len(clip.Frames) != seconds*FrameRate {
		return nil, fmt.Errorf("the clip has %d frames, not %d", len(clip.Frames), seconds*FrameRate)
	}
	clip.Packets, err = packets(ogg, seconds*int(time.Second/audioDuration))
	return clip, err
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
