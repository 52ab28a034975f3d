package whip

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/ingest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	key      = "sk-1"
	patience = 20 * time.Second
)

// sink is a broadcast that remembers what it got.
type sink struct {
	codec cmaf.VideoCodec

	mu            sync.Mutex
	frames        []frame.Video
	sounds        []frame.Audio
	reports       int
	lost, dropped int
	left          chan struct{}
	forGood       bool
	reason        string
}

func newSink(codec cmaf.VideoCodec) *sink { return &sink{codec: codec, left: make(chan struct{})} }

func (s *sink) Codec() cmaf.VideoCodec { return s.codec }

func (s *sink) Video(f frame.Video) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames = append(s.frames, f)
}

func (s *sink) Audio(a frame.Audio) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sounds = append(s.sounds, a)
}

func (s *sink) VideoReport(frame.Report) { s.report() }
func (s *sink) AudioReport(frame.Report) { s.report() }
func (s *sink) report() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reports++
}

func (s *sink) Lost(time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost++
}

func (s *sink) Received(int, time.Time) {}
func (s *sink) Dropped(packets int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropped += packets
}

func (s *sink) Leave(forGood bool, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	late := forGood && s.reason != "" && !s.forGood // a goodbye after the connection was closed
	s.forGood, s.reason = forGood, reason
	if !late {
		close(s.left)
	}
}

// counts returns how many pictures and sounds came.
func (s *sink) counts() (frames, sounds int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.frames), len(s.sounds)
}

// host lets everybody in who has the key, to a sink each.
type host struct {
	codec  cmaf.VideoCodec // 0: the first that is offered
	refuse error

	mu         sync.Mutex
	sinks      []*sink
	publishers []ingest.Publisher
	offers     []ingest.Offer
}

func (h *host) Authorize(_ context.Context, _, k string) error {
	if k != key {
		return errs.New(errs.Unauthenticated, "this is not the key")
	}
	return nil
}

func (h *host) Begin(_ context.Context, o ingest.Offer, p ingest.Publisher) (ingest.Session, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refuse != nil {
		return nil, h.refuse
	}
	codec := h.codec
	if codec == 0 {
		codec = o.Video[0]
	}
	s := newSink(codec)
	h.sinks, h.publishers, h.offers = append(h.sinks, s), append(h.publishers, p), append(h.offers, o)
	return s, nil
}

func (h *host) last() (*sink, ingest.Publisher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sinks[len(h.sinks)-1], h.publishers[len(h.publishers)-1]
}

// fail answers as the gateway does.
func fail(w http.ResponseWriter, _ *http.Request, err error) {
	status := map[errs.Code]int{
		errs.Invalid: 400, errs.Unauthenticated: 401, errs.Forbidden: 403, errs.NotFound: 404, errs.Conflict: 409,
		errs.Unsupported: 422, errs.Unavailable: 503,
	}[errs.CodeOf(err)]
	if status == 0 {
		status = http.StatusInternalServerError
	}
	http.Error(w, err.Error(), status)
}

// eventually waits for a state.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("it never came true: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// waitLeft waits for the end of a session.
func waitLeft(t testing.TB, s *sink) (forGood bool, reason string) {
	t.Helper()
	select {
	case <-s.left:
	case <-time.After(patience):
		t.Fatal("the session does not end")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.forGood, s.reason
}
