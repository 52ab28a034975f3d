package rtmp

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/amf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/chunk"
)

// canned is a connection on which bytes come and whatever is sent goes nowhere.
type canned struct{ io.Reader }

func (canned) Write(b []byte) (int, error)      { return len(b), nil }
func (canned) Close() error                     { return nil }
func (canned) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (canned) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (canned) SetDeadline(time.Time) error      { return nil }
func (canned) SetReadDeadline(time.Time) error  { return nil }
func (canned) SetWriteDeadline(time.Time) error { return nil }

// overture is what precedes media: the handshake and the commands.
func overture() []byte {
	wire := append([]byte{3}, make([]byte, 2*handshakeSize)...)
	w := chunk.NewWriter()
	for _, values := range [][]any{
		{"connect", 1, amf.Object{{Name: "app", Value: "live"}}}, {"createStream", 2, nil}, {"publish", 3, nil, testKey, "live"},
	} {
		wire = w.Append(wire, 3, chunk.Message{Type: chunk.CommandAMF0, StreamID: 1, Payload: amf.Append(nil, values...)})
	}
	return w.SetSize(wire, 4096)
}

// Whatever comes after a good start, the connection ends without a panic, and
// what the host hears is of the right form.
func FuzzConnection(f *testing.F) {
	w := chunk.NewWriter()
	w.SetSize(nil, 4096)
	var media []byte
	for _, tag := range append(smallClip(f).Headers, smallClip(f).Tags[:3]...) {
		media = w.Append(media, 4, chunk.Message{Type: tag.Type, StreamID: 1, Timestamp: tag.Timestamp, Payload: tag.Data})
	}
	f.Add(media)
	recorded, err := os.ReadFile("testdata/gstreamer-1.22-rtmp2sink.bin")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(recorded[1+2*handshakeSize : 6<<10])
	end := w.Append(nil, 3, chunk.Message{Type: chunk.CommandAMF0, Payload: amf.Append(nil, "FCUnpublish", 4, nil, testKey)})
	f.Add(append(bytes.Clone(media[:min(len(media), 2000)]), end...))
	start := overture()
	f.Fuzz(func(t *testing.T, wire []byte) {
		h := newHost()
		s := New(Config{MaxMessage: 1 << 20}, oneKey{}, h, slog.New(slog.DiscardHandler))
		session := newSession(s, canned{io.MultiReader(bytes.NewReader(start), bytes.NewReader(wire))}, "fuzz")
		session.run(s.ctx)
		for _, r := range h.sessions {
			checkForm(t, r)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func checkForm(t *testing.T, r *recording) {
	t.Helper()
	if !r.left || r.leftMoreOften || r.cameAfterLeave {
		t.Fatalf("it was left in the wrong way: %v, %v, %v", r.left, r.leftMoreOften, r.cameAfterLeave)
	}
	for _, v := range r.video {
		if len(v.Data) == 0 || v.Key != (v.Config != nil) || v.Key && v.Config.Codec != r.offer.Video[0] {
			t.Fatalf("a frame: %+v", v)
		}
		var err error
		switch r.offer.Video[0] {
		case cmaf.H264, cmaf.H265:
			_, err = cmaf.SplitAVCC(v.Data)
		case cmaf.AV1:
			_, err = cmaf.SplitOBUs(v.Data)
		}
		if err != nil {
			t.Fatalf("a frame is not in the form of a sample: %v", err)
		}
	}
	for _, a := range r.audio {
		if len(a.Data) == 0 || r.offer.Audio == nil {
			t.Fatalf("audio: %+v", a)
		}
	}
}

// The handshake and the commands, with anything in them.
func FuzzStart(f *testing.F) {
	f.Add(overture())
	f.Add(hello(digestFirst))
	f.Add([]byte("\x03abc"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		h := newHost()
		s := New(Config{MaxMessage: 1 << 20}, oneKey{}, h, slog.New(slog.DiscardHandler))
		newSession(s, canned{bytes.NewReader(wire)}, "fuzz").run(s.ctx)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
