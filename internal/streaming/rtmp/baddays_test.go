package rtmp

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/ingest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/amf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/chunk"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/rtmptest"
)

// begun publishes a clip and returns when the broadcast has begun.
func begun(t *testing.T, cfg Config) (*host, *rtmptest.Client, *rtmptest.Clip) {
	t.Helper()
	h := newHost()
	material := smallClip(t)
	c := publish(t, serve(t, cfg, h))
	send(t, c, material.Headers...)
	send(t, c, material.Tags...)
	h.session(t, 0)
	return h, c, material
}

func TestLostConnection(t *testing.T) {
	h, c, _ := begun(t, Config{})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if r := h.ended(t, 0); r.forGood || r.reason != "the publisher closed the connection" {
		t.Errorf("left for good %v: %s", r.forGood, r.reason)
	}
}

func TestReset(t *testing.T) {
	h := newHost()
	p, err := rtmptest.Publish(t.Context(), serve(t, Config{}, h)+"/live/"+testKey, rtmptest.Options{Clips: []*rtmptest.Clip{smallClip(t)}})
	if err != nil {
		t.Fatal(err)
	}
	h.session(t, 0)
	if err := p.Vanish(); err != nil {
		t.Fatal(err)
	}
	if r := h.ended(t, 0); r.forGood {
		t.Error("a lost connection ended the broadcast for good")
	}
}

func TestClosedByTheHost(t *testing.T) {
	h, c, _ := begun(t, Config{})
	h.session(t, 0).publisher.Close("another publisher took over")
	_, err := c.WaitStatus("none")
	wantRefusal(t, err, "NetStream.Failed")
	if !strings.Contains(err.Error(), "another publisher took over") {
		t.Errorf("the client was told %v", err)
	}
	if r := h.ended(t, 0); r.forGood || r.reason != "another publisher took over" {
		t.Errorf("left for good %v: %s", r.forGood, r.reason)
	}
	// The client may still be sending what it had: that is no error of its own.
	if _, err := c.Message(); !errors.Is(err, io.EOF) {
		t.Errorf("the connection ended with %v", err)
	}
}

func TestSilentClient(t *testing.T) {
	address := serve(t, Config{SetupTimeout: 50 * time.Millisecond}, newHost())
	for name, first := range map[string]string{"nothing": "", "half a handshake": "\x03abc", "a handshake": "\x03" + strings.Repeat("x", 3072)} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(address, "rtmp://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, first)
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Errorf("%s: the connection was not closed: %v", name, err)
		}
	}
}

// A publisher that sends a byte now and then, but no media, is idle.
func TestSlowPublisher(t *testing.T) {
	h, c, _ := begun(t, Config{IdleTimeout: 300 * time.Millisecond})
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		header := "\x06\x00\x00\x00\x10\x00\x00\x09\x01\x00\x00\x00"
		_ = c.Write([]byte(header))
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				_ = c.Write([]byte{0})
			}
		}
	}()
	r := h.ended(t, 0)
	close(stop)
	<-done
	if r.forGood || r.reason != "no media came for 300ms" {
		t.Errorf("left for good %v: %s", r.forGood, r.reason)
	}
}

func TestGarbageAfterAGoodStart(t *testing.T) {
	h, c, _ := begun(t, Config{})
	garbage := bytes.Repeat([]byte{0x9d, 0x17, 0xee, 0x00, 0xff}, 4096)
	if err := c.Write(garbage); err != nil {
		t.Fatal(err)
	}
	if r := h.ended(t, 0); r.forGood || !strings.HasPrefix(r.reason, "what came is no RTMP") {
		t.Errorf("left for good %v: %s", r.forGood, r.reason)
	}
	_, err := c.WaitStatus("none")
	wantRefusal(t, err, "NetStream.Failed")
}

// Frames that are damaged are dropped, and the next ones taken.
func TestDamagedFrames(t *testing.T) {
	h, c, material := begun(t, Config{})
	send(t, c,
		rtmptest.Tag{Type: chunk.Video, Timestamp: 2000, Data: []byte("\x27\x01\x00")},
		rtmptest.AVC(2033, false, 0, []byte{0, 0, 0, 99, 1}),
		rtmptest.Tag{Type: chunk.Audio, Timestamp: 2040, Data: []byte("\xaf")},
		rtmptest.Tag{Type: chunk.Audio, Timestamp: 2041},
		rtmptest.Tag{Type: chunk.DataAMF0, Data: []byte("\x02\xff\xff")},
	)
	again := material.Tags[0]
	again.Timestamp = 3000
	send(t, c, again)
	if err := c.Unpublish(); err != nil {
		t.Fatal(err)
	}
	if r := h.ended(t, 0); r.dropped != 3 || r.lost != 2 || !r.forGood {
		t.Errorf("%d dropped, video lost %d times, for good %v", r.dropped, r.lost, r.forGood)
	}
}

func TestLimits(t *testing.T) {
	header := func(kind byte, length int) []byte {
		return append([]byte{7, 0, 0, 0}, byte(length>>16), byte(length>>8), byte(length), kind, 1, 0, 0, 0)
	}
	tests := []struct {
		name string
		wire []byte
		want string
	}{
		{"a video message over the limit", header(chunk.Video, 2<<20), "at most 1048576"},
		{"an audio message over the limit", header(chunk.Audio, 1<<20), "at most 262144"},
		{"a command over the limit", header(chunk.CommandAMF0, 1<<20), "at most 65536"},
		{"a control message over the limit", header(chunk.WindowAckSize, 65), "at most 64"},
		{"a chunk size of nothing", append([]byte{2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0}, 0, 0, 0, 0), "chunk size"},
		{"many message streams", createStreams(), "more than 16 message streams"},
		{"a command that cannot be read", append([]byte{3, 0, 0, 0, 0, 0, 1, 20, 0, 0, 0, 0}, 2), "ends too early"},
		{"an empty command", []byte{3, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 0}, "without a name"},
		{"a second connect", chunk.NewWriter().Append(nil, 3, chunk.Message{Type: chunk.CommandAMF0, Payload: amf.Append(nil, "connect", 9, amf.Object{})}), "a second connect"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, c, _ := begun(t, Config{MaxMessage: 1 << 20})
			if err := c.Write(tt.wire); err != nil {
				t.Fatal(err)
			}
			if r := h.ended(t, 0); r.forGood || !strings.Contains(r.reason, tt.want) {
				t.Errorf("left for good %v: %s", r.forGood, r.reason)
			}
		})
	}
}

func createStreams() []byte {
	w := chunk.NewWriter()
	var wire []byte
	for range maxStreams {
		wire = w.Append(wire, 3, chunk.Message{Type: chunk.CommandAMF0, Payload: amf.Append(nil, "createStream", 5, nil)})
	}
	return wire
}

// Before a key was shown nobody may make the server set much aside.
func TestLimitsOfStrangers(t *testing.T) {
	c := dial(t, serve(t, Config{}, newHost())+"/live/"+testKey)
	if _, err := c.Call("connect", amf.Object{{Name: "app", Value: "live"}}); err != nil {
		t.Fatal(err)
	}
	if err := c.Write([]byte{6, 0, 0, 0, 2, 0, 0, chunk.Video, 1, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	_, err := c.WaitStatus("none")
	wantRefusal(t, err, "NetStream.Failed")
}

func TestCommandBeforeConnect(t *testing.T) {
	c := dial(t, serve(t, Config{}, newHost())+"/live/"+testKey)
	if err := c.Send(0, "createStream", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Message(); !errors.Is(err, io.EOF) {
		t.Errorf("the connection ended with %v", err)
	}
}

// Idle connections make way for new ones, publishers do not.
func TestConnectionLimit(t *testing.T) {
	h := newHost()
	address := serve(t, Config{MaxConnections: 2}, h)
	first := publish(t, address)
	idle := dial(t, address+"/live/x")
	second := publish(t, address)
	if _, err := idle.Message(); err == nil {
		t.Error("the idle connection was kept")
	}
	if _, err := rtmptest.Dial(t.Context(), address+"/live/x", nil); err == nil {
		t.Error("a third one was taken beside two publishers")
	}
	material := smallClip(t)
	send(t, first, material.Headers...)
	send(t, second, material.Headers[0])
}

func TestServerClose(t *testing.T) {
	h := newHost()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{}, oneKey{}, h, slog.New(slog.DiscardHandler))
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	address := "rtmp://" + l.Addr().String()
	waiting := dial(t, address+"/live/x")
	c := publish(t, address)
	material := smallClip(t)
	send(t, c, material.Headers...)
	send(t, c, material.Tags...)
	h.session(t, 0)
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	_, err = c.WaitStatus("none")
	wantRefusal(t, err, "NetStream.Failed")
	_ = c.Close()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if r := h.ended(t, 0); r.forGood || r.reason != "the server is stopping" {
		t.Errorf("left for good %v: %s", r.forGood, r.reason)
	}
	if _, err := waiting.Message(); err == nil {
		t.Error("a connection that waits was kept")
	}
}

// blocked is a host whose database does not answer.
type blocked struct{ asked chan struct{} }

func (b blocked) Begin(ctx context.Context, _ ingest.Offer, _ ingest.Publisher) (ingest.Session, error) {
	close(b.asked)
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestServerCloseWhileBeginning(t *testing.T) {
	b := blocked{asked: make(chan struct{})}
	address := serve(t, Config{}, b)
	c := publish(t, address)
	material := smallClip(t)
	send(t, c, material.Headers...)
	send(t, c, material.Tags[0])
	<-b.asked // and the end of the test closes the server
}

// A publisher that ends its broadcast may begin another one.
func TestPublishAgain(t *testing.T) {
	h, c, material := begun(t, Config{})
	if err := c.Unpublish(); err != nil {
		t.Fatal(err)
	}
	h.ended(t, 0)
	if err := c.Send(1, "publish", nil, testKey, "live"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.WaitStatus("NetStream.Publish.Start"); err != nil {
		t.Fatal(err)
	}
	send(t, c, material.Headers...)
	send(t, c, material.Tags...)
	h.session(t, 1)
	if err := c.Send(1, "publish", nil, testKey, "live"); err != nil {
		t.Fatal(err)
	}
	_, err := c.WaitStatus("none")
	wantRefusal(t, err, "NetStream.Publish.BadName")
}

// The ways to say the end.
func TestEnds(t *testing.T) {
	for name, args := range map[string][]any{
		"FCUnpublish": {nil, testKey}, "closeStream": {nil}, "deleteStream": {nil, 1.0}, "deleteStream of no number": {nil, testKey},
	} {
		t.Run(name, func(t *testing.T) {
			h, c, _ := begun(t, Config{})
			command, _, _ := strings.Cut(name, " ")
			if err := c.Send(1, command, args...); err != nil {
				t.Fatal(err)
			}
			if r := h.ended(t, 0); !r.forGood {
				t.Error("the broadcast waits for its publisher")
			}
			if _, err := c.WaitStatus("NetStream.Unpublish.Success"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// deleteStream of another stream is not the end.
func TestDeleteAnotherStream(t *testing.T) {
	h := newHost()
	c := dial(t, serve(t, Config{}, h)+"/live/"+testKey)
	if _, err := c.Call("connect", amf.Object{{Name: "app", Value: "live"}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := c.Call("createStream", nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Send(2, "publish", nil, testKey); err != nil {
		t.Fatal(err)
	}
	if _, err := c.WaitStatus("NetStream.Publish.Start"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Call("deleteStream", nil, 1.0); err != nil {
		t.Fatal(err)
	}
	material := smallClip(t)
	send(t, c, material.Headers...)
	send(t, c, material.Tags...)
	h.session(t, 0)
}

func TestControlMessages(t *testing.T) {
	_, c, material := begun(t, Config{})
	w := chunk.NewWriter()
	ping := append(binary.BigEndian.AppendUint16(nil, eventPingRequest), 1, 2, 3, 4)
	wire := w.Append(nil, 2, chunk.Message{Type: chunk.UserControl, Payload: ping})
	wire = w.Append(wire, 2, chunk.Message{Type: chunk.WindowAckSize, Payload: []byte{0, 0, 0, 1}})
	wire = w.Append(wire, 2, chunk.Message{Type: chunk.Acknowledgement, Payload: []byte{0, 0, 0, 1}})
	wire = w.Append(wire, 2, chunk.Message{Type: chunk.SetPeerBandwidth, Payload: []byte{0, 0, 0, 1, 2}})
	wire = w.Append(wire, 2, chunk.Message{Type: 99, Payload: []byte{1}})
	if err := c.Write(wire); err != nil {
		t.Fatal(err)
	}
	if err := c.Send(0, "getStreamLength", nil, testKey); err != nil {
		t.Fatal(err)
	}
	send(t, c, material.Tags...)
	send(t, c, material.Tags...)
	pong, acknowledged := false, uint32(0)
	for !pong || acknowledged == 0 {
		m, err := c.Message()
		if err != nil {
			t.Fatal(err)
		}
		switch m.Type {
		case chunk.UserControl:
			pong = pong || bytes.Equal(m.Payload, []byte{0, eventPingResponse, 1, 2, 3, 4})
		case chunk.Acknowledgement:
			acknowledged = binary.BigEndian.Uint32(m.Payload)
		}
	}
	if acknowledged < minWindow/2 {
		t.Errorf("%d bytes were acknowledged", acknowledged)
	}
}

func TestRTMPS(t *testing.T) {
	certificate, roots := testCertificate(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := newHost()
	s := New(Config{}, oneKey{}, h, slog.New(slog.DiscardHandler))
	serveOn(t, s, tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}))
	p, err := rtmptest.Publish(t.Context(), "rtmps://"+l.Addr().String()+"/live/"+testKey, rtmptest.Options{
		Clips: []*rtmptest.Clip{smallClip(t)}, TLS: &tls.Config{RootCAs: roots, ServerName: "localhost"},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := h.session(t, 0)
	h.wait(t, "video and audio come", func() bool { return len(r.video) > 10 && len(r.audio) > 10 })
	r.publisher.RequestKeyFrame()
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	if r := h.ended(t, 0); !r.forGood {
		t.Error("the broadcast waits for its publisher")
	}
}

func testCertificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}
