package transcode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

const (
	askTimeout = 10 * time.Second // for each of the questions to ffmpeg
	maxAnswer  = 1 << 20          // bytes of an answer
)

// Tools is the ffmpeg of this machine and what it can do. The zero value is a
// machine without one.
type Tools struct {
	path               string
	version            string // "" when it does not say
	oldSync            bool   // before 5.1: -vsync in place of -fps_mode
	encoders, decoders map[string]bool
}

// Available asks the ffmpeg at path, "ffmpeg" on the search path when it is
// empty, what it can do. It may take some seconds. With an error, errs.Unsupported
// when there is no usable ffmpeg, the Tools are those of a machine without one.
func Available(ctx context.Context, path string) (Tools, error) {
	if path == "" {
		path = "ffmpeg"
	}
	found, err := exec.LookPath(path)
	if err != nil {
		return Tools{}, errs.Wrap(err, errs.Unsupported, fmt.Sprintf(
			"there is no %s on this server: install ffmpeg (4.4 or newer) to have lower renditions, AAC, and H264 of other codecs", path))
	}
	t := Tools{path: found}
	version, err := ask(ctx, found, "-version")
	if err != nil {
		return Tools{}, err
	}
	t.version, t.oldSync = parseVersion(version)
	encoders, err := ask(ctx, found, "-encoders")
	if err != nil {
		return Tools{}, err
	}
	decoders, err := ask(ctx, found, "-decoders")
	if err != nil {
		return Tools{}, err
	}
	t.encoders, t.decoders = parseCodecs(encoders), parseCodecs(decoders)
	if !t.encoders["libx264"] && !t.encoders["aac"] && !t.encoders["libopus"] {
		return Tools{}, errs.Newf(errs.Unsupported,
			"%s has none of the encoders libx264, aac and libopus: install an ffmpeg that has them", found)
	}
	return t, nil
}

// ask runs ffmpeg for a list.
func ask(ctx context.Context, path, question string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-hide_banner", question)
	var out bytes.Buffer
	cmd.Stdout, cmd.Env, cmd.WaitDelay = &limitedWriter{w: &out, left: maxAnswer}, childEnvironment(), time.Second
	ownGroup(cmd)
	cmd.Cancel = func() error { killGroup(cmd); return nil }
	if err := cmd.Run(); err != nil {
		return "", errs.Wrap(err, errs.Unsupported, fmt.Sprintf("%s does not say what it can do (%s): is it an ffmpeg?", path, question))
	}
	return out.String(), nil
}

// limitedWriter fails beyond a number of bytes.
type limitedWriter struct {
	w    io.Writer
	left int
}

func (l *limitedWriter) Write(b []byte) (int, error) {
	if len(b) > l.left {
		return 0, errors.New("too much output")
	}
	l.left -= len(b)
	return l.w.Write(b)
}

// parseVersion reads "ffmpeg version 5.1.9-0+deb12u1 Copyright". A build that has
// no number is taken for a new one.
func parseVersion(out string) (version string, oldSync bool) {
	rest, ok := strings.CutPrefix(out, "ffmpeg version ")
	if !ok {
		return "", false
	}
	version, _, _ = strings.Cut(rest, " ")
	var major, minor int
	if n, _ := fmt.Sscanf(strings.TrimPrefix(version, "n"), "%d.%d", &major, &minor); n < 2 {
		return version, false
	}
	return version, major < 5 || major == 5 && minor < 1
}

// parseCodecs reads the lines of -encoders and -decoders: flags, name, text.
func parseCodecs(out string) map[string]bool {
	names := map[string]bool{}
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) > 1 && len(f[0]) == 6 && f[1] != "=" {
			names[f[1]] = true
		}
	}
	return names
}

// Path is where ffmpeg is, "" when there is none.
func (t Tools) Path() string { return t.path }

// Version is the one ffmpeg says, "" when it says none.
func (t Tools) Version() string { return t.version }

// CanVideo tells whether H264 can be made of a codec. The error, errs.Unsupported,
// says why not, and what would do.
func (t Tools) CanVideo(from cmaf.VideoCodec) error {
	instead := ""
	if from != cmaf.H264 {
		instead = "; send H264"
	}
	if t.path == "" {
		return errs.Newf(errs.Unsupported, "this server has no ffmpeg to make H264 of %s%s", from, instead)
	}
	if !t.encoders["libx264"] {
		return errs.Newf(errs.Unsupported, "the ffmpeg of this server cannot make H264 (it has no libx264)%s", instead)
	}
	if !t.hasDecoder(videoDecoders(from)) {
		return errs.Newf(errs.Unsupported, "the ffmpeg of this server cannot read %s%s", from, instead)
	}
	return nil
}

// CanAudio tells whether one codec can be made of another, as CanVideo does.
func (t Tools) CanAudio(from, to cmaf.AudioCodec) error {
	if t.path == "" {
		return errs.Newf(errs.Unsupported, "this server has no ffmpeg to make %s of %s", to, from)
	}
	encoder, decoders := "aac", []string{"opus", "libopus"}
	if to == cmaf.Opus {
		encoder = "libopus"
	}
	if from == cmaf.AAC {
		decoders = []string{"aac"}
	}
	if !t.encoders[encoder] || !t.hasDecoder(decoders) {
		return errs.Newf(errs.Unsupported, "the ffmpeg of this server cannot make %s of %s", to, from)
	}
	return nil
}

func (t Tools) hasDecoder(names []string) bool {
	for _, name := range names {
		if t.decoders[name] {
			return true
		}
	}
	return false
}

func videoDecoders(c cmaf.VideoCodec) []string {
	switch c {
	case cmaf.H264:
		return []string{"h264"}
	case cmaf.H265:
		return []string{"hevc"}
	case cmaf.VP8:
		return []string{"vp8", "libvpx"}
	case cmaf.VP9:
		return []string{"vp9", "libvpx-vp9"}
	case cmaf.AV1:
		return []string{"libdav1d", "libaom-av1"} // "av1" needs a graphics card
	}
	return nil
}

// passthrough is the option for as many frames out as in.
func (t Tools) passthrough() []string {
	if t.oldSync {
		return []string{"-vsync", "passthrough"}
	}
	return []string{"-fps_mode", "passthrough"}
}
