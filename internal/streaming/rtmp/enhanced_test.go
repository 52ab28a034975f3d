package rtmp

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/rtmptest"
)

// Codecs that only enhanced RTMP has, from real encoders.
func TestEnhanced(t *testing.T) {
	tests := []struct {
		name, fourCC, box string
		codec             cmaf.VideoCodec
		encoder           []string
	}{
		{"H265", "hvc1", "hvcC", cmaf.H265, []string{"libx265", "-x265-params", "log-level=error:keyint=30", "-tag:v", "hvc1"}},
		{"H264", "avc1", "avcC", cmaf.H264, []string{"libx264", "-g", "30"}},
		{"AV1", "av01", "av1C", cmaf.AV1, []string{"libaom-av1", "-cpu-used", "8", "-g", "30", "-usage", "realtime"}},
		{"VP9", "vp09", "vpcC", cmaf.VP9, []string{"libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "30", "-b:v", "100k"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := encode(t, append([]string{"-f", "lavfi", "-i", "testsrc2=size=160x90:rate=30", "-f", "lavfi", "-i", "sine=sample_rate=48000", "-t", "2",
				"-c:a", "libopus", "-strict", "-2", "-c:v"}, tt.encoder...)...)
			h := newHost()
			c := publish(t, serve(t, Config{}, h))
			send(t, c, rtmptest.ExVideo(0, tt.fourCC, rtmptest.SequenceStart, true, file.record(t, tt.box)))
			send(t, c, rtmptest.ExAudio(0, "Opus", rtmptest.SequenceStart, file.opusHead(t)))
			video := file.packets(t, "v")
			for _, p := range video {
				send(t, c, p.video(tt.fourCC, tt.codec))
			}
			audio := file.packets(t, "a")
			for _, p := range audio {
				send(t, c, rtmptest.ExAudio(p.dts, "Opus", rtmptest.CodedFrames, p.data))
			}
			send(t, c, rtmptest.ExVideo(2000, tt.fourCC, rtmptest.SequenceEnd, true, nil))
			if err := c.Unpublish(); err != nil {
				t.Fatal(err)
			}
			r := h.ended(t, 0)
			if len(r.video) != len(video) || len(r.audio) != len(audio) || r.dropped != 0 {
				t.Fatalf("%d of %d frames of video, %d of %d of audio", len(r.video), len(video), len(r.audio), len(audio))
			}
			if r.offer.Video[0] != tt.codec || r.offer.Audio == nil || r.offer.Audio.Codec != cmaf.Opus || r.offer.Audio.PreSkip != 312 {
				t.Errorf("the offer is %+v with %+v", r.offer, r.offer.Audio)
			}
			for i, f := range r.video {
				checkEnhanced(t, tt.codec, video[i], f.Key, f.Offset, f.Config)
				if tt.codec == cmaf.AV1 {
					checkOBUs(t, f.Data)
				}
			}
		})
	}
}

func checkEnhanced(t *testing.T, codec cmaf.VideoCodec, p packet, key bool, offset int32, config *cmaf.VideoConfig) {
	t.Helper()
	if key != p.key || key != (config != nil) || offset != p.offset*90 {
		t.Fatalf("key %v, config %v, offset %d of a frame with key %v, offset %d ms", key, config, offset, p.key, p.offset)
	}
	if key && (config.Codec != codec || config.Width != 160 || config.Height != 90) {
		t.Fatalf("the configuration is %+v", config)
	}
}

func checkOBUs(t *testing.T, data []byte) {
	t.Helper()
	obus, err := cmaf.SplitOBUs(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, obu := range obus {
		if cmaf.OBUType(obu) == cmaf.OBUTemporalDelimiter || obu[0]&2 == 0 {
			t.Fatalf("a unit begins with %#x", obu[0])
		}
	}
}

// mp4 is a file made by ffmpeg.
type mp4 struct {
	path  string
	bytes []byte
}

type packet struct {
	dts    uint32 // ms
	offset int32  // ms
	key    bool
	data   []byte
}

// video makes a message of a packet, in the shorter form where that says it.
func (p packet) video(fourCC string, codec cmaf.VideoCodec) rtmptest.Tag {
	timed := codec == cmaf.H264 || codec == cmaf.H265
	switch {
	case timed && p.offset == 0:
		return rtmptest.ExVideo(p.dts, fourCC, rtmptest.CodedFramesX, p.key, p.data)
	case timed:
		offset := []byte{byte(p.offset >> 16), byte(p.offset >> 8), byte(p.offset)}
		return rtmptest.ExVideo(p.dts, fourCC, rtmptest.CodedFrames, p.key, append(offset, p.data...))
	}
	return rtmptest.ExVideo(p.dts, fourCC, rtmptest.CodedFrames, p.key, p.data)
}

func encode(t *testing.T, arguments ...string) mp4 {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Fatal("ffmpeg is missing; install it: apt-get install ffmpeg")
	}
	f := mp4{path: filepath.Join(t.TempDir(), "clip.mp4")}
	cmd := exec.CommandContext(t.Context(), "ffmpeg", append(append([]string{"-hide_banner", "-v", "error", "-nostdin"}, arguments...), f.path)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var err error
	if f.bytes, err = os.ReadFile(f.path); err != nil {
		t.Fatal(err)
	}
	return f
}

// record returns what is in the first box of a kind.
func (f mp4) record(t *testing.T, kind string) []byte {
	t.Helper()
	at := bytes.Index(f.bytes, []byte(kind))
	if at < 4 {
		t.Fatalf("there is no %s", kind)
	}
	return f.bytes[at+4 : at-4+int(binary.BigEndian.Uint32(f.bytes[at-4:]))]
}

// opusHead makes the header that RTMP has of the box that MP4 has.
func (f mp4) opusHead(t *testing.T) []byte {
	t.Helper()
	box := f.record(t, "dOps")
	head := append([]byte("OpusHead\x01"), box[1])
	head = binary.LittleEndian.AppendUint16(head, binary.BigEndian.Uint16(box[2:]))
	head = binary.LittleEndian.AppendUint32(head, binary.BigEndian.Uint32(box[4:]))
	head = binary.LittleEndian.AppendUint16(head, binary.BigEndian.Uint16(box[8:]))
	return append(head, box[10])
}

func (f mp4) packets(t *testing.T, stream string) []packet {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-select_streams", stream, "-show_packets", "-of", "json", f.path)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Packets []struct {
			PTS   string `json:"pts_time"`
			DTS   string `json:"dts_time"`
			Flags string `json:"flags"`
			Pos   string `json:"pos"`
			Size  string `json:"size"`
		} `json:"packets"`
	}
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatal(err)
	}
	number := func(s string) float64 {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	var packets []packet
	for _, p := range list.Packets {
		pos, size := int(number(p.Pos)), int(number(p.Size))
		pts, dts := int32(number(p.PTS)*1000+1000), int32(number(p.DTS)*1000+1000) // none is below 0
		packets = append(packets, packet{dts: uint32(dts), offset: pts - dts, key: p.Flags[0] == 'K', data: f.bytes[pos : pos+size]})
	}
	return packets
}
