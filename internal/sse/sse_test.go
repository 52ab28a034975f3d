package sse_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/serverlessvideo/serverlessvideo/internal/sse"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestWriter: a page gets its frames; one that does not read is cut by its
// deadline, or at once by an interrupt, however much waits.
func TestWriter(t *testing.T) {
	for name, tt := range map[string]struct {
		deadline  time.Duration
		interrupt bool
	}{"deadline": {50 * time.Millisecond, false}, "interrupt": {time.Minute, true}} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan error, 1)
			begun := make(chan struct{})
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctx, cancel := context.WithCancel(r.Context())
				defer cancel()
				out := sse.New(ctx, w, tt.deadline)
				defer out.Finish()
				out.Begin(r)
				err := out.Write([]byte("data: hello\n\n"))
				close(begun)
				if tt.interrupt {
					defer time.AfterFunc(50*time.Millisecond, func() { cancel(); out.Interrupt() }).Stop()
				}
				for frame := make([]byte, 1<<20); err == nil; {
					err = out.Write(frame)
				}
				ended <- err
			}))
			defer s.Close()
			resp, err := http.Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if line, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil || line != "data: hello\n" {
				t.Errorf("%q, %v", line, err)
			}
			if kind := resp.Header.Get("Content-Type"); kind != "text/event-stream" {
				t.Errorf("Content-Type %q", kind)
			}
			<-begun
			if err := <-ended; err == nil {
				t.Error("nothing ended it")
			}
		})
	}
}
