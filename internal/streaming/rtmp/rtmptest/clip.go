package rtmptest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/chunk"
)

const makeTimeout = time.Minute

// Spec says what a clip is made of.
type Spec struct {
	Size      string // "640x360" if empty
	FrameRate int    // 30 if 0
	Seconds   int    // whole
	BFrames   int
	KeyEvery  int      // frames; one second if 0
	Bitrate   string   // of video, "800k" if empty
	Mono      bool     // audio
	Rate      int      // of audio, 48000 Hz if 0
	NoAudio   bool     // no audio track
	Source    string   // a filter graph of ffmpeg's for the picture, "testsrc2" if empty
	Sound     string   // and for the sound
	Args      []string // more for ffmpeg
}

// Clip is some seconds of media that can be sent again and again, without an
// end of sequence. Headers come before the first tag, and again when the clip
// begins again.
type Clip struct {
	Headers []Tag
	Tags    []Tag // in the order of their timestamps, from 0
	Length  time.Duration
}

// MakeClip makes a clip with ffmpeg: H264 and AAC.
func MakeClip(ctx context.Context, s Spec) (*Clip, error) {
	ctx, cancel := context.WithTimeout(ctx, makeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ffmpeg", s.arguments()...)
	var out, words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &words
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("making a clip: %w: %s", err, words.Bytes())
	}
	return NewClip(out.Bytes(), time.Duration(s.Seconds)*time.Second)
}

// NewClip makes a clip of an FLV file of a length.
func NewClip(file []byte, length time.Duration) (*Clip, error) {
	tags, err := ReadFLV(file)
	if err != nil {
		return nil, err
	}
	clip := &Clip{Length: length}
	for _, t := range tags {
		switch {
		case t.Type == chunk.DataAMF0 || t.Data[1] == SequenceStart:
			clip.Headers = append(clip.Headers, t)
		case t.Data[1] == CodedFrames:
			clip.Tags = append(clip.Tags, t)
		}
	}
	if len(clip.Tags) == 0 {
		return nil, errors.New("the clip is empty")
	}
	return clip, nil
}

// arguments returns those of ffmpeg, with FLV to its output.
func (s Spec) arguments() []string {
	or := func(v, otherwise string) string {
		if v == "" {
			return otherwise
		}
		return v
	}
	fps := max(s.FrameRate, 1)
	if s.FrameRate == 0 {
		fps = 30
	}
	rate, channels := 48000, "2"
	if s.Rate > 0 {
		rate = s.Rate
	}
	if s.Mono {
		channels = "1"
	}
	key := s.KeyEvery
	if key == 0 {
		key = fps
	}
	picture := or(s.Source, "testsrc2") + fmt.Sprintf("=size=%s:rate=%d", or(s.Size, "640x360"), fps)
	sound := or(s.Sound, fmt.Sprintf("sine=frequency=440:sample_rate=%d", rate))
	a := []string{"-hide_banner", "-v", "error", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, "-map", "0:v"}
	if !s.NoAudio {
		a = append(a, "-map", "1:a", "-c:a", "aac", "-b:a", "96k", "-ac", channels, "-ar", strconv.Itoa(rate))
	}
	a = append(a, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-b:v", or(s.Bitrate, "800k"),
		"-g", strconv.Itoa(key), "-keyint_min", strconv.Itoa(key), "-sc_threshold", "0", "-bf", strconv.Itoa(s.BFrames))
	a = append(a, s.Args...)
	return append(a, "-t", strconv.Itoa(s.Seconds), "-flvflags", "no_duration_filesize", "-f", "flv", "-")
}

// ReadFLV takes an FLV file apart.
func ReadFLV(file []byte) ([]Tag, error) {
	if len(file) < 13 || string(file[:3]) != "FLV" {
		return nil, errors.New("no FLV file")
	}
	file = file[13:] // the header and a size
	var tags []Tag
	for len(file) > 0 {
		if len(file) < 11 {
			return nil, errors.New("an FLV file ends within a tag")
		}
		size := int(binary.BigEndian.Uint32(file) & 0xffffff)
		timestamp := binary.BigEndian.Uint32(file[4:])>>8 | uint32(file[7])<<24
		if len(file) < 11+size+4 {
			return nil, errors.New("an FLV file ends within a tag")
		}
		if size > 1 {
			tags = append(tags, Tag{Type: file[0] & 0x1f, Timestamp: timestamp, Data: file[11 : 11+size]})
		}
		file = file[11+size+4:]
	}
	return tags, nil
}
