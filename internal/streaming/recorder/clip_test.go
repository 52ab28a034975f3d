package recorder

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// tool runs ffmpeg or ffprobe, which may complain of nothing.
func tool(t testing.TB, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Fatalf("%s is missing; install it: apt-get install ffmpeg", name)
	}
	cmd := exec.CommandContext(t.Context(), name, append([]string{"-v", "error"}, args...)...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil || complaints.Len() > 0 {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, complaints.Bytes())
	}
	return out.String()
}

// clip is encoded media: four seconds, a key frame every second.
type clip struct {
	video, audio cmaf.Init
	frames       []cmaf.Sample
	packets      []cmaf.Sample
}

const (
	clipSeconds = 4
	clipRate    = 30
)

// makeClip lets ffmpeg encode a test picture and a tone, in fragments that this
// program's reader knows.
func makeClip(t testing.TB, size, audio string) clip {
	t.Helper()
	dir := t.TempDir()
	picture, tone := filepath.Join(dir, "v.h264"), filepath.Join(dir, "a.mp4")
	tool(t, "ffmpeg", "-f", "lavfi", "-i", "testsrc=size="+size+":rate="+strconv.Itoa(clipRate)+":duration="+strconv.Itoa(clipSeconds),
		"-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "baseline", "-pix_fmt", "yuv420p", "-g", strconv.Itoa(clipRate),
		"-x264-params", "aud=1:scenecut=0", "-f", "h264", picture)
	tool(t, "ffmpeg", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration="+strconv.Itoa(clipSeconds),
		"-c:a", audio, "-ac", "2", "-b:a", "64k", "-frag_duration", "1000000", "-movflags", "+empty_moov+default_base_moof+frag_every_frame", tone)
	c := clip{}
	c.readVideo(t, picture)
	c.readAudio(t, tone, audio)
	return c
}

func (c *clip) readVideo(t testing.TB, path string) {
	stream, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var sps, pps []byte
	for _, nal := range cmaf.SplitAnnexB(stream) {
		switch kind := cmaf.NALType(nal); kind {
		case cmaf.NALAUD:
			c.frames = append(c.frames, cmaf.Sample{Duration: cmaf.VideoTimescale / clipRate})
		case 7:
			sps = nal
		case 8:
			pps = nal
		default:
			s := &c.frames[len(c.frames)-1]
			s.Data = cmaf.AppendAVCC(s.Data, nal)
			s.Key = s.Key || kind == 5
		}
	}
	config, err := cmaf.ParseAVC(sps, pps)
	if err != nil || len(c.frames) != clipSeconds*clipRate {
		t.Fatalf("%d frames, %v", len(c.frames), err)
	}
	c.video = cmaf.Init{Video: &config}
}

// readAudio takes the packets out of where ffprobe finds them.
func (c *clip) readAudio(t testing.TB, path, codec string) {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	length := uint32(960)
	config := cmaf.AudioConfig{Codec: cmaf.Opus, SampleRate: 48000, Channels: 2, PreSkip: 312}
	if codec == "aac" {
		length = 1024
		if config, err = cmaf.ParseAAC([]byte{0x11, 0x90}); err != nil { // LC, 48 kHz, stereo
			t.Fatal(err)
		}
	}
	c.audio = cmaf.Init{Audio: &config}
	for line := range strings.Lines(tool(t, "ffprobe", "-show_entries", "packet=pos,size", "-of", "csv=p=0", path)) {
		fields := strings.Split(strings.TrimSpace(line), ",")
		size, err1 := strconv.Atoi(fields[0])
		pos, err2 := strconv.Atoi(fields[1])
		if err1 != nil || err2 != nil {
			t.Fatalf("%q", line)
		}
		c.packets = append(c.packets, cmaf.Sample{Duration: length, Key: true, Data: data[pos : pos+size]})
	}
}

// second returns a second of the clip as a segment of five parts, with video,
// audio or both.
func (c clip) second(n int, video, audio bool) []byte {
	const parts = 5
	var out []byte
	for part := range parts {
		f := cmaf.Fragment{Sequence: uint32(n*parts + part)}
		if video {
			per := clipRate / parts
			first := n*clipRate + part*per
			f.Video = &cmaf.Run{BaseTime: uint64(first) * cmaf.VideoTimescale / clipRate, Samples: c.frames[first : first+per]}
		}
		if audio {
			length := int(c.packets[0].Duration)
			at := func(part int) int { return min((part*48000/parts+length-1)/length, len(c.packets)) }
			first, end := at(n*parts+part), at(n*parts+part+1)
			f.Audio = &cmaf.Run{BaseTime: uint64(first * length), Samples: c.packets[first:end]}
		}
		out = f.AppendTo(out)
	}
	return out
}

// put stores an object of a recording.
func put(t testing.TB, store blob.Store, rung, name string, data []byte) {
	t.Helper()
	if err := store.Put(context.Background(), join(prefix, rung, name), bytes.NewReader(data), int64(len(data))); err != nil {
		t.Fatal(err)
	}
}

// facts is those of the clip's nth second.
func facts(n int, data []byte) Segment {
	return Segment{Epoch: 1, MSN: uint64(n), StartMS: 1_700_000_000_000 + int64(n)*1000, Ticks: 90_000, Init: 1, Size: int64(len(data))}
}

// storeClip stores a recording: the source and a smaller rung with Opus, and an
// AAC rendition. Those seconds for which lacks says so are not stored.
func storeClip(t testing.TB, store blob.Store, lacks func(rung string, second int) bool) {
	t.Helper()
	source, small, aac := makeClip(t, "640x360", "libopus"), makeClip(t, "320x180", "libopus"), makeClip(t, "320x180", "aac")
	for rung, c := range map[string]clip{"source": source, "180p": small, "aac": aac} {
		init := cmaf.Init{Video: c.video.Video, Audio: c.audio.Audio}
		if rung == "aac" {
			init.Video = nil
		}
		put(t, store, rung, InitName(1, 1), init.Marshal())
		for n := range clipSeconds {
			if lacks == nil || !lacks(rung, n) {
				data := c.second(n, rung != "aac", true)
				put(t, store, rung, facts(n, data).Name(), data)
			}
		}
	}
}
