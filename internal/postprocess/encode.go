package postprocess

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
)

// What is encoded again, Config.Encode.
const (
	EncodeNever   = "never"
	EncodeMissing = "missing" // H.264 and AAC, where the recording has none
)

// encodeResult is the MP4 as it is after the step.
type encodeResult struct {
	mp4Result
	Note string `json:",omitempty"` // for the history, why it was not encoded
}

// encodeStep fails only when the run is over: an MP4 that some players cannot
// show is better than none.
func (s *Service) encodeStep(c flow.Context, j Job, mp4 mp4Result) (encodeResult, error) {
	as := encodeResult{mp4Result: mp4}
	fresh, err := flow.Patched(c, encodePatch)
	if err != nil || !fresh {
		return as, err
	}
	encoded, err := flow.Step(c, stepEncode, func(ctx context.Context) (encodeResult, error) {
		return s.makeEncoded(ctx, j, mp4)
	}, s.pictureRetries())
	if err != nil && !errors.Is(err, flow.ErrInterrupted) {
		s.log.Warn("post-processing: not encoded", "video", j.ID, "err", err)
		as.Note = notEncoded(err)
		return as, nil
	}
	return encoded, err
}

func notEncoded(err error) string {
	return "The MP4 is not for every player: " + errs.MessageOf(err) + "."
}

// makeEncoded replaces the MP4 by one that every player shows, if the operator
// wants that and it is not one already.
func (s *Service) makeEncoded(ctx context.Context, j Job, mp4 mp4Result) (encodeResult, error) {
	as := encodeResult{mp4Result: mp4}
	e := planEncoding(mp4.Media)
	if s.cfg.Encode != EncodeMissing || !e.video && !e.audio {
		return as, nil
	}
	if _, err := s.findFFmpeg(); err != nil {
		as.Note = notEncoded(err)
		return as, nil
	}
	path, release, err := s.begin(ctx, j, stepEncode)
	if err != nil {
		return as, err
	}
	defer release()
	err = s.writeFile(path, func(f *os.File) error {
		return coded(s.runEncoder(ctx, j, mp4.Media, e.args(path, f.Name(), mp4.Media)), "ffmpeg could not encode the video")
	})
	if err != nil {
		return as, err
	}
	if as.Codecs, err = e.codecs(path, mp4.Codecs); err != nil {
		return as, err
	}
	as.Size, err = s.put(ctx, mp4Key(j.ID), path)
	return as, err
}

// runEncoder waits for as long as the making of an MP4 may be silent: in the end
// ffmpeg writes the file once more, with the moov box first, without a word.
func (s *Service) runEncoder(ctx context.Context, j Job, m Media, args []string) error {
	return s.runFFmpegWithin(ctx, s.cfg.RemuxStall, args, func(r io.Reader) error {
		return readProgress(r, func(us int64) {
			s.tracker.at(j, stepEncode, float64(us)/float64(max(1, m.DurationMillis)*1000))
		})
	})
}

// readProgress reads what ffmpeg's -progress writes and hears of the time that
// is encoded, in µs.
func readProgress(r io.Reader, at func(us int64)) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "out_time_us="); ok {
			if us, err := strconv.ParseInt(text, 10, 64); err == nil { // "N/A" before the first frame
				at(us)
			}
		}
	}
	return lines.Err()
}

// encoding says which tracks of an MP4 are encoded.
type encoding struct{ video, audio bool }

// planEncoding finds what not every player can show. Where the picture would be
// copied and has several sample entries, of a phone that was turned, it is
// encoded too: ffmpeg copies samples, but the first entry alone.
func planEncoding(m Media) encoding {
	var e encoding
	for _, codec := range m.Codecs {
		switch {
		case isAAC(codec):
		case codec == "opus": // the only other sound that is recorded
			e.audio = true
		default:
			e.video = e.video || !isH264(codec)
		}
	}
	if e.audio && m.Width > 0 && m.Entries != 1 {
		e.video = true
	}
	return e
}

func isH264(codec string) bool { return strings.HasPrefix(codec, "avc1.") }
func isAAC(codec string) bool  { return strings.HasPrefix(codec, "mp4a.40.") }

// args have ffmpeg write the MP4 out. A picture of another shape, of a phone that
// was turned, stands in the middle of the largest, with black beside it.
func (e encoding) args(in, out string, m Media) []string {
	args := []string{"-nostdin", "-hide_banner", "-nostats", "-v", "error", "-protocol_whitelist", "file,pipe",
		"-max_pixels", strconv.Itoa(maxPixels), "-progress", "pipe:1", "-i", in, "-map", "0:v:0?", "-map", "0:a:0?"}
	if e.video {
		width, height := max(2, m.Width&^1), max(2, m.Height&^1)
		args = append(args, "-vf", fmt.Sprintf("scale=%[1]d:%[2]d:force_original_aspect_ratio=decrease,pad=%[1]d:%[2]d:-1:-1,setsar=1", width, height),
			"-c:v", "libx264", "-preset", "veryfast", "-crf", "22", "-pix_fmt", "yuv420p",
			"-force_key_frames", "expr:gte(t,n_forced*2)")
	} else {
		args = append(args, "-c:v", "copy")
	}
	if e.audio {
		args = append(args, "-c:a", "aac", "-b:a", "128k")
	} else {
		args = append(args, "-c:a", "copy")
	}
	return append(args, "-movflags", "+faststart", "-f", "mp4", "-y", out)
}

// codecs returns those of the encoded file, which had others before.
func (e encoding) codecs(path string, before []string) ([]string, error) {
	var video, audio []string
	for _, codec := range before {
		switch {
		case isAAC(codec):
			audio = []string{codec}
		case codec == "opus":
			audio = []string{"mp4a.40.2"} // AAC-LC, ffmpeg's default
		default:
			video = append(video, codec)
		}
	}
	if e.video {
		codec, err := h264Of(path)
		if err != nil {
			return nil, err
		}
		video = []string{codec}
	}
	return append(video, audio...), nil
}

// h264Of reads an MP4's codec string (RFC 6381, 3.3) out of its
// AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1), which in a file with
// the moov box first lies at the beginning.
func h264Of(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, 256<<10))
	if err != nil {
		return "", err
	}
	_, record, found := bytes.Cut(head, []byte("avcC"))
	if !found || len(record) < 4 || record[0] != 1 {
		return "", errs.New(errs.Internal, "ffmpeg made no H.264")
	}
	return fmt.Sprintf("avc1.%x", record[1:4]), nil
}
