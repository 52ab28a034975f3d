package streamtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media/ivfreader"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// encoder is how ffmpeg makes a codec's frames in real time: without B-frames,
// a key frame every second, all that decodes it before each.
type encoder struct {
	arguments string
	container string // of ffmpeg: a byte stream or IVF
	mime      string
	format    string // parameters in SDP
	split     func(stream []byte) ([][]byte, error)
}

func encoderOf(codec cmaf.VideoCodec) (encoder, error) {
	switch codec {
	case cmaf.H264:
		return encoder{
			"-c:v libx264 -profile:v baseline -preset veryfast -tune zerolatency -sc_threshold 0 -x264-params aud=1:repeat-headers=1",
			"h264", webrtc.MimeTypeH264, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
			byDelimiter(func(nal []byte) bool { return cmaf.NALType(nal) == cmaf.NALAUD }),
		}, nil
	case cmaf.H265:
		return encoder{
			"-c:v libx265 -preset ultrafast -tune zerolatency -x265-params log-level=none:aud=1:repeat-headers=1:bframes=0:scenecut=0:open-gop=0:keyint=30",
			"hevc", webrtc.MimeTypeH265, "level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST",
			byDelimiter(func(nal []byte) bool { return len(nal) > 0 && nal[0]>>1 == 35 }),
		}, nil
	case cmaf.VP8:
		return encoder{"-c:v libvpx -deadline realtime -cpu-used 8 -lag-in-frames 0 -auto-alt-ref 0", "ivf", webrtc.MimeTypeVP8, "", ivf}, nil
	case cmaf.VP9:
		return encoder{"-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -lag-in-frames 0 -auto-alt-ref 0", "ivf", webrtc.MimeTypeVP9, "profile-id=0", ivf}, nil
	case cmaf.AV1:
		return encoder{"-c:v libaom-av1 -usage realtime -cpu-used 8 -lag-in-frames 0", "ivf", webrtc.MimeTypeAV1, "profile=0", ivf}, nil
	}
	return encoder{}, fmt.Errorf("no clips of %s are made", codec)
}

// command is the arguments of ffmpeg for the video.
func (e encoder) command() []string { return strings.Fields(e.arguments) }

// byDelimiter splits a byte stream at its access unit delimiters.
func byDelimiter(delimits func(nal []byte) bool) func([]byte) ([][]byte, error) {
	return func(stream []byte) ([][]byte, error) {
		var units [][]byte
		for _, nal := range cmaf.SplitAnnexB(stream) {
			if delimits(nal) {
				units = append(units, nil)
				continue
			}
			if len(units) > 0 {
				u := &units[len(units)-1]
				*u = append(append(*u, 0, 0, 0, 1), nal...)
			}
		}
		return units, nil
	}
}

// ivf splits an IVF file into its frames.
func ivf(stream []byte) ([][]byte, error) {
	r, _, err := ivfreader.NewWith(bytes.NewReader(stream))
	if err != nil {
		return nil, err
	}
	var frames [][]byte
	for {
		frame, _, err := r.ParseNextFrame()
		if errors.Is(err, io.EOF) {
			return frames, nil
		}
		if err != nil {
			return nil, err
		}
		frames = append(frames, frame)
	}
}
