package rtmp

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/amf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/chunk"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/rtmptest"
)

// What ffmpeg publishes arrives whole, and it says goodbye.
func TestFFmpeg(t *testing.T) {
	h := newHost()
	address := serve(t, Config{}, h)
	const seconds = 5
	out, err := ffmpeg(t, seconds, address+"/live/"+testKey)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r := h.ended(t, 0)
	if !r.forGood {
		t.Errorf("the broadcast waits for its publisher: %s", r.reason)
	}
	if len(r.video) != seconds*30 || len(r.audio) < seconds*44100/1024-2 || r.dropped != 0 {
		t.Errorf("%d frames of video and %d of audio, %d dropped", len(r.video), len(r.audio), r.dropped)
	}
	if r.offer.Audio == nil || r.offer.Audio.SampleRate != 44100 {
		t.Errorf("the audio is %+v", r.offer.Audio)
	}
	ordered, offsets := true, 0
	for i, f := range r.video {
		ordered = ordered && (i == 0 || int32(f.Timestamp-r.video[i-1].Timestamp) > 0)
		if f.Offset != r.video[0].Offset {
			offsets++
		}
	}
	if !ordered || offsets == 0 || !r.video[0].Key {
		t.Errorf("in order %v, %d frames are shown out of order, the first is a key frame %v", ordered, offsets, r.video[0].Key)
	}
}

func TestFFmpegWithAWrongKey(t *testing.T) {
	out, err := ffmpeg(t, 2, serve(t, Config{}, newHost())+"/live/wrong")
	if err == nil || !strings.Contains(out, "this stream key is not valid") {
		t.Errorf("ffmpeg said %q", out)
	}
}

func ffmpeg(t *testing.T, seconds int, url string) (words string, err error) {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Fatal("ffmpeg is missing; install it: apt-get install ffmpeg")
	}
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-hide_banner", "-v", "error", "-nostdin",
		"-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100",
		"-t", string(rune('0'+seconds)), "-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "30", "-c:a", "aac", "-f", "flv", url)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// The bytes that GStreamer's rtmp2sink has sent: 30 frames of video and 46 of
// audio (gst-launch-1.0 1.22: videotestsrc, x264enc, audiotestsrc, voaacenc,
// flvmux streamable=true, rtmp2sink).
func TestGStreamer(t *testing.T) {
	recorded, err := os.ReadFile("testdata/gstreamer-1.22-rtmp2sink.bin")
	if err != nil {
		t.Fatal(err)
	}
	h := newHost()
	c := connect(t, serve(t, Config{}, h))
	if _, err := c.Write(recorded); err != nil {
		t.Fatal(err)
	}
	r := h.ended(t, 0)
	if !r.forGood || len(r.video) != 30 || len(r.audio) != 46 || r.dropped != 0 {
		t.Errorf("for good %v, %d frames of video, %d of audio, %d dropped", r.forGood, len(r.video), len(r.audio), r.dropped)
	}
	if r.offer.Audio == nil || r.offer.Audio.Channels != 1 || !r.video[0].Key || r.video[0].Config.Width != 64 {
		t.Errorf("the offer is %+v, the first frame %+v", r.offer, r.video[0].Config)
	}
}

func connect(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(address, "rtmp://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// librtmp sends as OBS does: all media on chunk stream 4, with headers as short
// as they can be.
type librtmp struct {
	wire []byte
	last chunk.Message
	size int
}

func (l *librtmp) command(stream uint32, values ...any) {
	w := chunk.NewWriter()
	if l.size != chunk.DefaultSize {
		w.SetSize(nil, l.size)
	}
	l.wire = w.Append(l.wire, 3, chunk.Message{Type: chunk.CommandAMF0, StreamID: stream, Payload: amf.Append(nil, values...)})
}

func (l *librtmp) media(m chunk.Message) {
	format := byte(1)
	switch {
	case m.Timestamp == 0 || m.Type == chunk.DataAMF0:
		format = 0
	case len(m.Payload) == len(l.last.Payload) && m.Type == l.last.Type && m.Timestamp == l.last.Timestamp:
		format = 3
	case len(m.Payload) == len(l.last.Payload) && m.Type == l.last.Type:
		format = 2
	}
	time := m.Timestamp
	if format > 0 {
		time -= l.last.Timestamp
	}
	header := binary.BigEndian.AppendUint32(nil, min(time, 0xffffff)<<8)[:3]
	header = append(header, byte(len(m.Payload)>>16), byte(len(m.Payload)>>8), byte(len(m.Payload)), m.Type, 1, 0, 0, 0)
	l.wire = append(append(l.wire, format<<6|4), header[:[...]int{11, 7, 3, 0}[format]]...)
	extended := time >= 0xffffff
	for left := m.Payload; ; {
		if extended {
			l.wire = binary.BigEndian.AppendUint32(l.wire, time)
		}
		n := min(len(left), l.size)
		l.wire = append(l.wire, left[:n]...)
		if left = left[n:]; len(left) == 0 {
			break
		}
		l.wire = append(l.wire, 0xc4)
	}
	l.last = m
}

// An OBS-style publisher: the commands of librtmp, nothing of what comes is
// read, and the stream runs over the time where timestamps get longer.
func TestOBS(t *testing.T) {
	material := smallClip(t)
	l := &librtmp{size: chunk.DefaultSize}
	l.wire = append(l.wire, 3)
	l.wire = append(l.wire, make([]byte, 2*handshakeSize)...)
	l.command(0, "connect", 1, amf.Object{
		{Name: "app", Value: "live"}, {Name: "type", Value: "nonprivate"}, {Name: "flashVer", Value: "FMLE/3.0 (compatible; FMSc/1.0)"},
		{Name: "swfUrl", Value: "rtmp://host/live"}, {Name: "tcUrl", Value: "rtmp://host/live"},
		{Name: "fourCcList", Value: []any{"av01", "hvc1"}},
	})
	l.wire = chunk.NewWriter().SetSize(l.wire, 4096)
	l.size = 4096
	l.command(0, "releaseStream", 2, nil, testKey)
	l.command(0, "FCPublish", 3, nil, testKey)
	l.command(0, "createStream", 4, nil)
	l.command(1, "publish", 5, nil, testKey, "live")
	l.media(chunk.Message{Type: chunk.DataAMF0, Payload: amf.Append(nil, "@setDataFrame", "onMetaData", amf.ECMAArray{
		{Name: "videocodecid", Value: 7}, {Name: "audiocodecid", Value: 10}, {Name: "encoder", Value: "obs-output module"},
	})})
	video, audio := 0, 0
	for round := range uint32(2) { // the second one after 4.6 hours
		for _, tag := range append(material.Headers, material.Tags...) {
			if tag.Type == chunk.DataAMF0 {
				continue
			}
			l.media(chunk.Message{Type: tag.Type, Timestamp: tag.Timestamp + round*(0xffffff-1000), Payload: tag.Data})
		}
		for _, tag := range material.Tags {
			if tag.Type == chunk.Video {
				video++
			} else {
				audio++
			}
		}
	}
	l.command(0, "FCUnpublish", 6, nil, testKey)
	l.command(0, "deleteStream", 7, nil, 1)

	h := newHost()
	c := connect(t, serve(t, Config{}, h))
	if _, err := c.Write(l.wire); err != nil {
		t.Fatal(err)
	}
	r := h.ended(t, 0)
	if !r.forGood || len(r.video) != video || len(r.audio) != audio || r.dropped != 0 {
		t.Errorf("for good %v, %d of %d frames of video, %d of %d of audio, %d dropped",
			r.forGood, len(r.video), video, len(r.audio), audio, r.dropped)
	}
	last := lastVideo(material) + 0xffffff - 1000
	if got := r.video[len(r.video)-1].Timestamp / 90; got != last {
		t.Errorf("the last frame is at %d ms, sent at %d", got, last)
	}
	// It was told what enhanced RTMP the server can.
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(answer, []byte("videoFourCcInfoMap")) || !bytes.Contains(answer, []byte("NetStream.Publish.Start")) {
		t.Error("the answers lack something")
	}
}

// Metadata decides how long audio is waited for.
func TestWithoutAudio(t *testing.T) {
	material := smallClip(t)
	for name, metadata := range map[string]amf.ECMAArray{
		"announced as missing": {{Name: "videocodecid", Value: 7}},
		"not announced":        nil,
		"announced as coming":  {{Name: "videocodecid", Value: 7}, {Name: "audiocodecid", Value: "mp4a"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost()
			c := publish(t, serve(t, Config{}, h))
			if metadata != nil {
				send(t, c, rtmptest.Tag{Type: chunk.DataAMF0, Data: amf.Append(nil, "onMetaData", metadata)})
			}
			for _, tag := range append(material.Headers, material.Tags...) {
				if tag.Type == chunk.Video {
					send(t, c, tag)
				}
			}
			// Audio after all is not taken, and does no harm.
			send(t, c, rtmptest.AACHeader(5000, []byte{0x11, 0x90}), rtmptest.AAC(5000, []byte{1}), rtmptest.Tag{Type: chunk.Audio, Data: []byte("\x2fmp3")})
			if err := c.Unpublish(); err != nil {
				t.Fatal(err)
			}
			r := h.ended(t, 0)
			if r.offer.Audio != nil || len(r.video) != 60 || len(r.audio) != 0 {
				t.Errorf("audio %+v, %d frames of video, %d of audio", r.offer.Audio, len(r.video), len(r.audio))
			}
		})
	}
}

// An encoder that sends parameter sets with its frames, not before them.
func TestInBandParameterSets(t *testing.T) {
	first := clip(t, rtmptest.Spec{Size: "160x90", NoAudio: true, Args: []string{"-x264-params", "repeat-headers=1:aud=1"}})
	second := clip(t, rtmptest.Spec{Size: "320x180", NoAudio: true, Args: []string{"-x264-params", "repeat-headers=1:aud=1"}})
	h := newHost()
	c := publish(t, serve(t, Config{}, h))
	send(t, c, first.Tags...)
	for _, tag := range second.Tags {
		tag.Timestamp += 2000
		send(t, c, tag)
	}
	if err := c.Unpublish(); err != nil {
		t.Fatal(err)
	}
	r := h.ended(t, 0)
	if len(r.video) != 120 || r.dropped != 0 {
		t.Fatalf("%d frames, %d dropped", len(r.video), r.dropped)
	}
	var before *cmaf.VideoConfig
	changes := 0
	for i, f := range r.video {
		if f.Config != nil && f.Config != before {
			changes++
			before = f.Config
		}
		nals, err := cmaf.SplitAVCC(f.Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, nal := range nals {
			if k := cmaf.NALType(nal); k == cmaf.NALSPS || k == cmaf.NALPPS || k == cmaf.NALAUD {
				t.Fatalf("frame %d has a NAL unit of type %d", i, k)
			}
		}
	}
	if changes != 2 || r.video[0].Config.Width != 160 || before.Width != 320 {
		t.Errorf("%d configurations, from %+v to %+v", changes, r.video[0].Config, before)
	}
}

// A new header within the stream changes the next key frame's configuration.
func TestNewHeader(t *testing.T) {
	first, second := smallClip(t), clip(t, rtmptest.Spec{Size: "320x180", NoAudio: true})
	h := newHost()
	c := publish(t, serve(t, Config{}, h))
	send(t, c, first.Headers...)
	send(t, c, first.Tags...)
	for _, tag := range append(second.Headers, second.Tags...) {
		tag.Timestamp += 2000
		send(t, c, tag)
	}
	if err := c.Unpublish(); err != nil {
		t.Fatal(err)
	}
	r := h.ended(t, 0)
	if first, last := r.video[0].Config, r.video[90].Config; first == nil || last == nil || first.Width != 160 || last.Width != 320 {
		t.Errorf("the first is %+v, the last %+v", first, last)
	}
}

// What cannot be part of a broadcast that has begun ends it, with words.
func TestChangesThatCannotBe(t *testing.T) {
	for name, tag := range map[string]rtmptest.Tag{
		"the video changed from H264 to AV1 within the broadcast; publish anew":   rtmptest.ExVideo(2000, "av01", 1, true, []byte{1}),
		"the audio format has changed within the broadcast; publish anew":         rtmptest.AACHeader(2000, []byte{0x12, 0x08}),
		"the video codec VP6 is not taken over RTMP; use H264, H265, AV1 or VP9":  {Type: chunk.Video, Timestamp: 2000, Data: []byte("\x14x")},
		"the H264 video cannot be taken: its configuration record ends too early": rtmptest.AVCHeader(2000, []byte{1}),
	} {
		t.Run(name, func(t *testing.T) {
			h, c, _ := begun(t, Config{})
			send(t, c, tag)
			if r := h.ended(t, 0); r.forGood || r.reason != name {
				t.Errorf("left for good %v: %s", r.forGood, r.reason)
			}
			_, err := c.WaitStatus("none")
			wantRefusal(t, err, "NetStream.Publish.Rejected")
		})
	}
}

// Several messages in one.
func TestAggregate(t *testing.T) {
	material := smallClip(t)
	tags := append(material.Headers, material.Tags...)
	h := newHost()
	c := publish(t, serve(t, Config{}, h))
	for len(tags) > 0 {
		n := min(len(tags), 5)
		send(t, c, aggregate(tags[:n]))
		tags = tags[n:]
	}
	if err := c.Unpublish(); err != nil {
		t.Fatal(err)
	}
	r := h.ended(t, 0)
	if len(r.video) != 60 || len(r.audio) == 0 || r.video[59].Timestamp != 90*lastVideo(material) {
		t.Errorf("%d frames of video, %d of audio", len(r.video), len(r.audio))
	}
}

func lastVideo(c *rtmptest.Clip) uint32 {
	at := uint32(0)
	for _, tag := range c.Tags {
		if tag.Type == chunk.Video {
			at = tag.Timestamp
		}
	}
	return at
}

// aggregate puts messages into one, whose timestamps begin at 7 within it.
func aggregate(tags []rtmptest.Tag) rtmptest.Tag {
	var b []byte
	for _, tag := range tags {
		at := tag.Timestamp - tags[0].Timestamp + 7
		b = append(b, tag.Type, byte(len(tag.Data)>>16), byte(len(tag.Data)>>8), byte(len(tag.Data)))
		b = append(b, byte(at>>16), byte(at>>8), byte(at), byte(at>>24), 0, 0, 0)
		b = append(b, tag.Data...)
		b = binary.BigEndian.AppendUint32(b, uint32(11+len(tag.Data)))
	}
	return rtmptest.Tag{Type: chunk.Aggregate, Timestamp: tags[0].Timestamp, Data: b}
}

func TestDamagedAggregate(t *testing.T) {
	for _, bad := range []string{"\x09\x00", "\x09\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00abc"} {
		h, c, _ := begun(t, Config{})
		send(t, c, rtmptest.Tag{Type: chunk.Aggregate, Data: []byte(bad)})
		if r := h.ended(t, 0); !strings.Contains(r.reason, "aggregate") {
			t.Errorf("%q ended with %s", bad, r.reason)
		}
	}
}
