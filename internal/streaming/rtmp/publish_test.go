package rtmp

import (
	"errors"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/chunk"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/rtmptest"
)

// A clip with B-frames, sent as fast as it goes, arrives whole.
func TestPublish(t *testing.T) {
	h := newHost()
	address := serve(t, Config{}, h)
	material := clip(t, rtmptest.Spec{BFrames: 2, Seconds: 6, Rate: 44100})
	c := publish(t, address)
	send(t, c, material.Headers...)
	send(t, c, material.Tags...)
	if err := c.Unpublish(); err != nil {
		t.Fatal(err)
	}
	r := h.ended(t, 0)
	if !r.forGood || r.leftMoreOften || r.cameAfterLeave {
		t.Errorf("it was left %+v", r)
	}
	if r.offer.Channel != testChannel || r.offer.Protocol != "RTMP" || r.offer.Video[0] != cmaf.H264 {
		t.Errorf("the offer is %+v", r.offer)
	}
	if r.offer.Audio == nil || r.offer.Audio.Codec != cmaf.AAC || r.offer.Audio.SampleRate != 44100 {
		t.Fatalf("the audio is %+v", r.offer.Audio)
	}
	checkVideo(t, r, material)
	checkAudio(t, r, material)
	checkReports(t, r)
	if s := r.publisher.Stats(); s.PacketsReceived < int64(len(material.Tags)) {
		t.Errorf("%d messages were counted", s.PacketsReceived)
	}
}

func checkVideo(t *testing.T, r *recording, material *rtmptest.Clip) {
	t.Helper()
	offsets, keys, n := 0, 0, 0
	for _, tag := range material.Tags {
		if tag.Type != chunk.Video {
			continue
		}
		if n == len(r.video) {
			t.Fatalf("only %d frames arrived", n)
		}
		f := r.video[n]
		n++
		if f.Timestamp != tag.Timestamp*90 {
			t.Fatalf("frame %d is at %d, want %d", n, f.Timestamp, tag.Timestamp*90)
		}
		if f.Offset != 0 {
			offsets++
		}
		if f.Key != (f.Config != nil) {
			t.Fatalf("frame %d: key %v, config %v", n, f.Key, f.Config)
		}
		if f.Key {
			keys++
			if f.Config.Width != 640 || f.Config.Height != 360 {
				t.Errorf("the picture has %dx%d", f.Config.Width, f.Config.Height)
			}
		}
		nals, err := cmaf.SplitAVCC(f.Data)
		if err != nil || len(nals) == 0 {
			t.Fatalf("frame %d: %v", n, err)
		}
		for _, nal := range nals {
			if k := cmaf.NALType(nal); k != cmaf.NALSlice && k != cmaf.NALIDR && k != cmaf.NALSEI {
				t.Errorf("frame %d has a NAL unit of type %d", n, k)
			}
		}
	}
	if n != len(r.video) || keys != 6 || offsets == 0 {
		t.Errorf("%d of %d frames, %d keys, %d with an offset", len(r.video), n, keys, offsets)
	}
}

func checkAudio(t *testing.T, r *recording, material *rtmptest.Clip) {
	t.Helper()
	n := 0
	for _, tag := range material.Tags {
		if tag.Type == chunk.Audio {
			n++
		}
	}
	if len(r.audio) != n {
		t.Fatalf("%d of %d audio frames arrived", len(r.audio), n)
	}
	for i := range r.audio[1:] {
		if d := r.audio[i+1].Timestamp - r.audio[i].Timestamp; d != 1024 {
			t.Fatalf("audio frame %d is %d samples long", i, d)
		}
	}
}

// checkReports looks whether both tracks' reports speak of one clock.
func checkReports(t *testing.T, r *recording) {
	t.Helper()
	if len(r.videoReports) < 2 || len(r.audioReports) < 2 {
		t.Fatalf("%d and %d reports of 6 seconds", len(r.videoReports), len(r.audioReports))
	}
	video, audio := r.videoReports[0], r.audioReports[0]
	apart := float64(int64(video.NTP-audio.NTP)) / (1 << 32)
	want := float64(video.Timestamp)/90000 - float64(audio.Timestamp)/44100
	if d := apart - want; d > 0.001 || d < -0.001 {
		t.Errorf("the reports put the tracks %v s apart, their timestamps %v s", apart, want)
	}
}

func TestKeys(t *testing.T) {
	h := newHost()
	address := serve(t, Config{}, h)
	tests := []struct {
		name, path string
		code       string // "" if it is taken
	}{
		{"the stream name", "/live/" + testKey, ""},
		{"with a slash in front", "/live//" + testKey, ""},
		{"with a query", "/live/" + testKey + "%3Fbackup=1", ""},
		{"in another app", "/app/" + testKey, ""},
		{"alone in the URL", "/" + testKey, ""},
		{"a wrong one", "/live/wrong", "NetStream.Publish.Denied"},
		{"none", "/live", "NetStream.Publish.Denied"},
		{"none, with a slash", "/live/", "NetStream.Publish.Denied"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, address+tt.path)
			err := c.Publish()
			if tt.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantRefusal(t, err, tt.code)
			if _, err := c.Message(); err == nil {
				t.Error("the connection was left open")
			}
		})
	}
}

// wantRefusal checks that an error is a refusal with a code and words.
func wantRefusal(t *testing.T, err error, code string) {
	t.Helper()
	var refused *rtmptest.StatusError
	if !errors.As(err, &refused) {
		t.Fatalf("it was not refused: %v", err)
	}
	if refused.Code != code || refused.Description == "" {
		t.Errorf("refused with %v, want %s", refused, code)
	}
}

func TestRefusals(t *testing.T) {
	material := smallClip(t)
	var audioOnly []rtmptest.Tag
	for i := range 600 {
		audioOnly = append(audioOnly, rtmptest.AAC(uint32(i*21), []byte{1, 2, 3}))
	}
	tests := []struct {
		name   string
		begin  error
		tags   []rtmptest.Tag
		code   string
		phrase string
	}{
		{"somebody else publishes", errs.New(errs.Conflict, "already publishing"), material.Tags, "NetStream.Publish.BadName", "already publishing"},
		{"a codec that the host cannot take", errs.New(errs.Unsupported, "use H264"), material.Tags, "NetStream.Publish.Rejected", "use H264"},
		{"no room", errs.New(errs.Unavailable, "try again"), material.Tags, "NetStream.Publish.Rejected", "try again"},
		{"a host that fails", errors.New("a secret"), material.Tags, "NetStream.Publish.Rejected", "something went wrong on the server"},
		{"MP3", nil, []rtmptest.Tag{{Type: chunk.Audio, Data: []byte("\x2fmp3")}}, "NetStream.Publish.Rejected", "the audio codec MP3 is not taken over RTMP; use AAC or Opus"},
		{"Sorenson", nil, []rtmptest.Tag{{Type: chunk.Video, Data: []byte("\x12x")}}, "NetStream.Publish.Rejected", "the video codec Sorenson H.263 is not taken over RTMP; use H264, H265, AV1 or VP9"},
		{"VVC", nil, []rtmptest.Tag{rtmptest.ExVideo(0, "vvc1", 0, true, nil)}, "NetStream.Publish.Rejected", "the video codec vvc1 is not taken over RTMP; use H264, H265, AV1 or VP9"},
		{"a record that says nothing", nil, []rtmptest.Tag{rtmptest.AVCHeader(0, []byte{1, 2})}, "NetStream.Publish.Rejected", "the H264 video cannot be taken: its configuration record ends too early"},
		{"AAC in 5.1", nil, []rtmptest.Tag{rtmptest.AACHeader(0, []byte{0x11, 0xb0})}, "NetStream.Publish.Rejected", "the AAC audio cannot be taken: AAC channel configuration 6; mono (1) and stereo (2) are supported"},
		{"AAC of 960 samples", nil, []rtmptest.Tag{rtmptest.AACHeader(0, []byte{0x11, 0x94})}, "NetStream.Publish.Rejected", "the AAC audio cannot be taken: AAC frames of 960 samples; 1024 are supported"},
		{"audio alone", nil, append([]rtmptest.Tag{rtmptest.AACHeader(0, []byte{0x11, 0x90})}, audioOnly...), "NetStream.Publish.Rejected", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost()
			h.refuse = tt.begin
			c := publish(t, serve(t, Config{}, h))
			if tt.begin != nil {
				send(t, c, material.Headers...)
			}
			for _, tag := range tt.tags {
				if c.Tag(tag) != nil {
					break // refused already
				}
			}
			_, err := c.WaitStatus("none")
			wantRefusal(t, err, tt.code)
			var refused *rtmptest.StatusError
			if errors.As(err, &refused) && tt.phrase != "" && refused.Description != tt.phrase {
				t.Errorf("the words are %q, want %q", refused.Description, tt.phrase)
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			if len(h.sessions) > 0 {
				t.Error("a broadcast has begun")
			}
		})
	}
}

func TestPlayIsRefused(t *testing.T) {
	c := dial(t, serve(t, Config{}, newHost())+"/live/"+testKey)
	if _, err := c.Call("connect"); err != nil {
		t.Fatal(err)
	}
	if err := c.Send(0, "play", nil, testKey); err != nil {
		t.Fatal(err)
	}
	_, err := c.WaitStatus("none")
	wantRefusal(t, err, "NetStream.Play.Failed")
}

// Two connections with one key: the second hears why it cannot.
func TestSecondPublisher(t *testing.T) {
	h := newHost()
	address := serve(t, Config{}, h)
	material := smallClip(t)
	first := publish(t, address)
	send(t, first, material.Headers...)
	send(t, first, material.Tags...)
	h.session(t, 0)
	second := publish(t, address)
	send(t, second, material.Headers...)
	send(t, second, material.Tags[0])
	_, err := second.WaitStatus("none")
	wantRefusal(t, err, "NetStream.Publish.BadName")
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sessions[0].left {
		t.Error("the first publisher was thrown out")
	}
}
