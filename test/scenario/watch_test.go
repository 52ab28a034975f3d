package scenario

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os/exec"
	"sync"
	"testing"

	"github.com/pion/webrtc/v4"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/whep/wheptest"
	"github.com/serverlessvideo/serverlessvideo/test/harness"
)

// watchCodec watches a broadcast over WebRTC in its own codec, and has ffmpeg
// decode what came.
func watchCodec(t *testing.T, n *harness.Node, u harness.User, codec cmaf.VideoCodec) {
	t.Helper()
	mime := map[cmaf.VideoCodec]string{cmaf.VP9: webrtc.MimeTypeVP9, cmaf.AV1: webrtc.MimeTypeAV1, cmaf.H265: webrtc.MimeTypeH265}[codec]
	var mu sync.Mutex
	var pictures [][]byte
	var v *wheptest.Viewer
	// A channel is live a moment before its first picture has come.
	harness.Eventually(t, "a viewer is let in", func() (err error) {
		v, err = wheptest.Watch(t.Context(), n.URL+"/whep/"+u.ID, wheptest.Options{Codecs: []string{mime}, Unit: func(unit wheptest.Unit) {
			mu.Lock()
			defer mu.Unlock()
			if unit.Video {
				pictures = append(pictures, unit.Data)
			}
		}})
		return err
	})
	harness.Eventually(t, "picture and sound come over WebRTC", func() error {
		if s := v.Stats(); s.Frames < 60 || s.KeyFrames < 1 || s.AudioPackets < 50 {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	stats := v.Stats()
	if err := v.Close(); err != nil {
		t.Error(err)
	}
	if stats.Encoding != mime || stats.Lost > 0 {
		t.Errorf("%s came, not %s; %d packets are lost", stats.Encoding, mime, stats.Lost)
	}
	decoded(t, codec, pictures)
}

// decoded holds that ffmpeg decodes pictures, all of them, without a word.
func decoded(t *testing.T, codec cmaf.VideoCodec, pictures [][]byte) {
	t.Helper()
	format, stream := "hevc", bytes.Join(pictures, nil)
	if codec != cmaf.H265 {
		format, stream = "ivf", ivf(codec, pictures)
	}
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-xerror", "-f", format, "-i", "-", "-fps_mode", "passthrough", "-f", "framemd5", "-")
	cmd.Stdin = bytes.NewReader(stream)
	var words bytes.Buffer
	cmd.Stderr = &words
	out, err := cmd.Output()
	if err != nil || words.Len() > 0 {
		t.Errorf("ffmpeg on %v over WebRTC: %v\n%s", codec, err, words.Bytes())
	}
	if frames := bytes.Count(out, []byte("\n0,")); frames != len(pictures) {
		t.Errorf("%v over WebRTC: %d of %d pictures are decoded", codec, frames, len(pictures))
	}
}

// ivf puts pictures into a file of libvpx's container, 1/30 s each.
func ivf(codec cmaf.VideoCodec, pictures [][]byte) []byte {
	file := append([]byte("DKIF\x00\x00\x20\x00"), map[cmaf.VideoCodec]string{cmaf.VP9: "VP90", cmaf.AV1: "AV01"}[codec]...)
	file = binary.LittleEndian.AppendUint16(file, 640)
	file = binary.LittleEndian.AppendUint16(file, 360)
	file = binary.LittleEndian.AppendUint32(file, 30)
	file = binary.LittleEndian.AppendUint32(file, 1)
	file = binary.LittleEndian.AppendUint64(file, uint64(len(pictures)))
	for i, p := range pictures {
		if codec == cmaf.AV1 {
			p = append([]byte{cmaf.OBUTemporalDelimiter<<3 | 2, 0}, p...) // RTP leaves it out
		}
		file = binary.LittleEndian.AppendUint32(file, uint32(len(p)))
		file = binary.LittleEndian.AppendUint64(file, uint64(i))
		file = append(file, p...)
	}
	return file
}
