package streaming

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

// serveLarge serves an MP4 of so many MB, and says when each request is over. It
// returns the server's address.
func serveLarge(t *testing.T, s *Service, megabytes int, over chan<- struct{}) string {
	t.Helper()
	size := int64(megabytes) << 20
	if err := s.needs.Objects.Put(context.Background(), mp4Key("st-1"), io.LimitReader(zeros{}, size), size); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.serveObject(w, r, mp4Key("st-1"), object{contentType: "video/mp4"}); err != nil {
			t.Error(err)
		}
		over <- struct{}{}
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestNeverRead: a client that asks for a long file and reads nothing of it holds
// its connection for a while only.
func TestNeverRead(t *testing.T) {
	s := newBroadcasts(t, t.TempDir(), &held{})
	s.slowest = 100 * time.Millisecond
	over := make(chan struct{}, 1)
	conn, err := net.Dial("tcp", serveLarge(t, s, 64, over))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-over
	if n, err := io.Copy(io.Discard, conn); n >= 64<<20 {
		t.Errorf("%d bytes came, %v: the file is too small for this test", n, err)
	}
}

// TestSlowReader: who takes longer for the whole than for a step is allowed gets
// the whole.
func TestSlowReader(t *testing.T) {
	s := newBroadcasts(t, t.TempDir(), &held{})
	s.slowest = time.Second
	over := make(chan struct{}, 1)
	resp, err := http.Get("http://" + serveLarge(t, s, 48, over))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	defer http.DefaultClient.CloseIdleConnections()
	var total int64
	for err == nil {
		var n int64
		n, err = io.CopyN(io.Discard, resp.Body, 1<<20)
		total += n
		time.Sleep(30 * time.Millisecond)
	}
	if total != 48<<20 {
		t.Errorf("%d bytes came: %v", total, err)
	}
}

// sendfile is a server's answer that notes what it could send without copying.
type sendfile struct {
	*httptest.ResponseRecorder
	files, others int
}

func (s *sendfile) ReadFrom(src io.Reader) (int64, error) {
	limited, ok := src.(*io.LimitedReader)
	if _, isFile := limited.R.(*os.File); ok && isFile {
		s.files++
	} else {
		s.others++
	}
	return io.Copy(s.ResponseRecorder, src)
}

// TestSendfile: a stored file reaches the server as a file, whole and in ranges.
func TestSendfile(t *testing.T) {
	s := newBroadcasts(t, t.TempDir(), &held{})
	content := bytes.Repeat([]byte("0123456789abcdef"), paceStep/8) // two steps
	content = append(content, 'x')
	if err := s.needs.Objects.Put(context.Background(), mp4Key("st-1"), bytes.NewReader(content), int64(len(content))); err != nil {
		t.Fatal(err)
	}
	for rang, want := range map[string]struct {
		body  []byte
		steps int
	}{
		"": {content, 3}, "bytes=0-9": {content[:10], 1}, "bytes=10-": {content[10:], 2}, "bytes=-1": {content[len(content)-1:], 1},
	} {
		w := &sendfile{ResponseRecorder: httptest.NewRecorder()}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if rang != "" {
			r.Header.Set("Range", rang)
		}
		if err := s.serveObject(w, r, mp4Key("st-1"), object{}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(w.Body.Bytes(), want.body) || w.files != want.steps || w.others != 0 {
			t.Errorf("%q: %d bytes, %d steps from the file, %d not", rang, w.Body.Len(), w.files, w.others)
		}
	}
}
