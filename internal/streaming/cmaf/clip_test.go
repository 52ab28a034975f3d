package cmaf

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// tool runs ffmpeg or ffprobe and returns what it printed; anything on stderr
// fails the test, since both are asked for errors alone.
func tool(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Fatalf("%s is missing; install it: apt-get install ffmpeg", name)
	}
	cmd := exec.Command(name, append([]string{"-v", "error"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Env = append(os.Environ(), "SVT_LOG=1") // SVT-AV1 says errors alone
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil || errs.Len() > 0 {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, errs.Bytes())
	}
	return out.Bytes()
}

// clip is real encoded media taken apart into samples.
type clip struct {
	init         Init
	video, audio []Sample
	raised       int32 // what ffmpeg added to all composition offsets
}

// clipSpec says what ffmpeg encodes.
type clipSpec struct {
	size    string // "640x360"; empty: no video
	seconds float64
	codec   string   // "libx265"; empty: libx264
	video   []string // more options
	audio   string   // "libopus", "aac"; empty: none
	colour  string   // a plain picture instead of the test picture
}

// encode makes a clip of a test picture and a tone.
func encode(t testing.TB, spec clipSpec) clip {
	t.Helper()
	if spec.codec == "libvpx" {
		return encodeVP8(t, spec)
	}
	path := filepath.Join(t.TempDir(), "clip.mp4")
	tool(t, "ffmpeg", append(spec.arguments(), "-use_editlist", "0", path)...)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c := clip{}
	if spec.size != "" {
		config, err := parseVideoEntry(sampleEntry(t, data, spec.entry()))
		if err != nil {
			t.Fatal(err)
		}
		c.init.Video = &config
	}
	if kind := map[string]string{"libopus": "Opus", "aac": "mp4a"}[spec.audio]; kind != "" {
		config, err := parseAudioEntry(sampleEntry(t, data, kind))
		if err != nil {
			t.Fatal(err)
		}
		c.init.Audio = &config
	}
	c.addPackets(t, path, data)
	return c
}

// encodeVP8 makes a clip of VP8 through an IVF file, because ffmpeg does not
// write it into MP4. It has no audio.
func encodeVP8(t testing.TB, spec clipSpec) clip {
	t.Helper()
	spec.audio = ""
	data := tool(t, "ffmpeg", append(spec.arguments(), "-f", "ivf", "-")...)
	var c clip
	for at := 32; at+12 <= len(data); {
		frame := data[at+12 : at+12+int(binary.LittleEndian.Uint32(data[at:]))]
		at += 12 + len(frame)
		c.video = append(c.video, Sample{Duration: VideoTimescale / 30, Key: frame[0]&1 == 0, Data: frame})
	}
	config, err := ParseVP8(c.video[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	c.init.Video = &config
	return c
}

// arguments returns those of ffmpeg, without the output file.
func (spec clipSpec) arguments() []string {
	const fps = "30"
	length := strconv.FormatFloat(spec.seconds, 'f', 3, 64)
	var args []string
	if spec.size != "" {
		source := "testsrc=size=" + spec.size
		if spec.colour != "" {
			source = "color=" + spec.colour + ":size=" + spec.size
		}
		args = append(args, "-f", "lavfi", "-t", length, "-i", source+":rate="+fps)
	}
	if spec.audio != "" {
		args = append(args, "-f", "lavfi", "-t", length, "-i", "sine=frequency=440:sample_rate=48000",
			"-c:a", spec.audio, "-ac", "2", "-b:a", "64k")
	}
	if spec.size != "" {
		args = append(args, "-g", fps, "-pix_fmt", "yuv420p", "-video_track_timescale", "90000", "-c:v")
		args = append(args, spec.encoder()...)
		args = append(args, spec.video...)
	}
	return args
}

// encoder returns the encoder and its options, as fast as they get.
func (spec clipSpec) encoder() []string {
	switch spec.codec {
	case "libx265":
		return []string{"libx265", "-preset", "ultrafast", "-tag:v", "hvc1",
			"-x265-params", "log-level=none:scenecut=0:bframes=0:keyint=30:min-keyint=30"}
	case "libvpx", "libvpx-vp9":
		return []string{spec.codec, "-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0"}
	case "libaom-av1":
		return []string{spec.codec, "-usage", "realtime", "-cpu-used", "8", "-lag-in-frames", "0"}
	case "libsvtav1":
		return []string{spec.codec, "-preset", "12"}
	}
	return []string{"libx264", "-preset", "ultrafast", "-sc_threshold", "0", "-bf", "0"}
}

// entry returns the sample entry that ffmpeg writes.
func (spec clipSpec) entry() string {
	return map[string]string{"": "avc1", "libx265": "hvc1", "libvpx": "vp08", "libvpx-vp9": "vp09",
		"libaom-av1": "av01", "libsvtav1": "av01"}[spec.codec]
}

// addPackets takes the samples out of a file where ffprobe finds them.
func (c *clip) addPackets(t testing.TB, path string, data []byte) {
	t.Helper()
	var list struct {
		Packets []struct {
			Type      string `json:"codec_type"`
			PTS, DTS  int64
			Pos, Size string
			Flags     string
		}
	}
	if err := json.Unmarshal(tool(t, "ffprobe", "-show_packets", "-of", "json", path), &list); err != nil {
		t.Fatal(err)
	}
	for _, p := range list.Packets {
		pos, _ := strconv.Atoi(p.Pos)
		size, _ := strconv.Atoi(p.Size)
		s := Sample{Key: strings.HasPrefix(p.Flags, "K"), Data: data[pos : pos+size]}
		if p.Type == "audio" {
			s.Duration = 960
			if c.init.Audio.Codec == AAC {
				s.Duration = 1024
			}
			c.audio = append(c.audio, s)
			continue
		}
		s.Duration, s.CompositionOffset = VideoTimescale/30, int32(p.PTS-p.DTS)
		if len(c.video) > 0 {
			// As in a live timeline, the first frame is shown at its decoding
			// time: the offsets of B-frames are negative.
			s.CompositionOffset -= c.raised
		} else {
			c.raised, s.CompositionOffset = s.CompositionOffset, 0
		}
		c.video = append(c.video, s)
	}
}

// sampleEntry finds a sample entry in a file that ffmpeg wrote.
func sampleEntry(t testing.TB, data []byte, kind string) box {
	t.Helper()
	at := bytes.LastIndex(data, append([]byte(kind), make([]byte, 6)...))
	if at < 4 {
		t.Fatalf("ffmpeg's file has no %s", kind)
	}
	boxes, err := children(data[at-4 : at-4+int(binary.BigEndian.Uint32(data[at-4:]))])
	if err != nil {
		t.Fatal(err)
	}
	return boxes[0]
}

// clock is where the timeline of a recording under construction stands.
type clock struct {
	sequence     uint32
	video, audio uint64
}

// segments packs a clip into segments, one for each key frame, of parts of
// about 0.2 s, from the clock's time on.
func (c clip) segments(clock *clock) [][]byte {
	var out [][]byte
	audio := c.audio
	takeAudio := func(until float64) *Run {
		run := &Run{BaseTime: clock.audio}
		for len(audio) > 0 && float64(clock.audio)/float64(c.init.Audio.Timescale()) < until {
			run.Samples = append(run.Samples, audio[0])
			clock.audio += uint64(audio[0].Duration)
			audio = audio[1:]
		}
		return run
	}
	var segment []byte
	part := &Run{BaseTime: clock.video}
	flush := func(until float64) {
		f := Fragment{Sequence: clock.sequence, Video: part}
		if c.init.Audio != nil {
			f.Audio = takeAudio(until)
		}
		clock.sequence++
		segment = f.AppendTo(segment)
		part = &Run{BaseTime: clock.video}
	}
	for i, s := range c.video {
		if s.Key && i > 0 {
			flush(float64(clock.video) / VideoTimescale)
			out = append(out, segment)
			segment = AppendSegmentType(nil)
		} else if part.Duration() >= VideoTimescale/5 {
			flush(float64(clock.video) / VideoTimescale)
		}
		part.Samples = append(part.Samples, s)
		clock.video += uint64(s.Duration)
	}
	flush(1e9)
	return append(out, segment)
}

// memorySource is a segment in memory.
type memorySource struct{ init, data []byte }

func (s memorySource) Init(context.Context) ([]byte, error) { return s.init, nil }

func (s memorySource) Open(context.Context) (io.ReadSeekCloser, error) {
	return nopCloser{bytes.NewReader(s.data)}, nil
}

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }

// sources packs a clip into sources for Remux.
func (c clip) sources(clock *clock) []Source {
	var list []Source
	init := c.init.Marshal()
	for _, s := range c.segments(clock) {
		list = append(list, memorySource{init, s})
	}
	return list
}

// probed is what ffprobe says of a file.
type probed struct {
	Streams []struct {
		CodecName     string `json:"codec_name"`
		CodecType     string `json:"codec_type"`
		Width, Height int
		Frames        string `json:"nb_read_frames"`
		Packets       string `json:"nb_read_packets"`
		StartTime     string `json:"start_time"`
		Duration      string
	}
	Format struct {
		Duration string
		Start    string `json:"start_time"`
	}
}

func probe(t testing.TB, path string) probed {
	t.Helper()
	var p probed
	out := tool(t, "ffprobe", "-count_frames", "-count_packets", "-show_streams", "-show_format", "-of", "json", path)
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// decode lets ffmpeg decode all of a file; any complaint fails the test.
func decode(t testing.TB, path string) {
	t.Helper()
	tool(t, "ffmpeg", "-xerror", "-err_detect", "explode", "-i", path, "-f", "null", "-")
}

func seconds(t testing.TB, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func writeFile(t testing.TB, name string, parts ...[]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, bytes.Join(parts, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
