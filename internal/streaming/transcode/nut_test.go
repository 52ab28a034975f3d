package transcode

import (
	"bytes"
	"errors"
	"io"
	"os/exec"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

func TestNUTRoundTrip(t *testing.T) {
	w := &nutWriter{}
	stream := w.header(cmaf.AudioConfig{Codec: cmaf.AAC, SampleRate: 44100, Channels: 2, ASC: []byte{0x12, 0x10}})
	var want [][]byte
	for i := range 2000 {
		data := bytes.Repeat([]byte{byte(i)}, 1+i*7%1500)
		want = append(want, data)
		stream = w.appendFrame(stream, data, int64(i)*1024)
	}
	r, err := newNUTReader(bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		f, err := r.next()
		if err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		if f.pts != int64(i)*1024 || !f.key || !bytes.Equal(f.data, want[i]) {
			t.Fatalf("frame %d: pts %d, key %v, %d bytes", i, f.pts, f.key, len(f.data))
		}
	}
	if _, err := r.next(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	if r.track.class != nutAudio || r.track.denom != 44100 || r.track.num != 1 || !bytes.Equal(r.track.private, []byte{0x12, 0x10}) {
		t.Errorf("track %+v", r.track)
	}
}

// TestNUTOfFFmpeg reads what ffmpeg writes, with every time exact.
func TestNUTOfFFmpeg(t *testing.T) {
	out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30:duration=3",
		"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-b:v", "6M", "-enc_time_base", "1:90000",
		"-force_key_frames", "expr:gte(t,n_forced)", "-f", "nut", "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	r, err := newNUTReader(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 90 {
		f, err := r.next()
		if err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		if f.pts*r.track.num*30 != int64(i)*r.track.denom || f.key != (i%30 == 0) || len(cmaf.SplitAnnexB(f.data)) == 0 {
			t.Fatalf("frame %d: pts %d of %d/%d, key %v", i, f.pts, r.track.num, r.track.denom, f.key)
		}
	}
	if _, err := r.next(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

func FuzzNUT(f *testing.F) {
	w := &nutWriter{}
	stream := w.header(cmaf.AudioConfig{Codec: cmaf.Opus, Channels: 2})
	f.Add(w.appendFrame(stream, []byte("a frame"), 960))
	if out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=64x64:duration=0.3",
		"-c:v", "libx264", "-f", "nut", "-").Output(); err == nil {
		f.Add(out)
	}
	f.Fuzz(func(_ *testing.T, data []byte) {
		r, err := newNUTReader(bytes.NewReader(data))
		for err == nil {
			_, err = r.next()
		}
	})
}
