package streaming

import (
	"context"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/ingest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/transcode"
)

// TestTwoAtOnce: of two who come at the same time one remains, and the other one
// is told.
func TestTwoAtOnce(t *testing.T) {
	s := newBroadcasts(t, t.TempDir(), &held{})
	publishers := []*source{{}, {}}
	var coming sync.WaitGroup
	for _, p := range publishers {
		coming.Go(func() {
			if _, err := s.Begin(context.Background(), offer, p); err != nil {
				t.Error(err)
			}
		})
	}
	coming.Wait()
	first, second := publishers[0].reason(), publishers[1].reason()
	if (first == "") == (second == "") || first+second != tookOver {
		t.Errorf("they are told %q and %q", first, second)
	}
}

// TestLetGo: who has sent nothing yet, or nothing for 2 s, is replaced at once;
// who sends is not, and neither is anybody by one who cannot be taken.
func TestLetGo(t *testing.T) {
	for _, window := range []time.Duration{time.Minute, 0} {
		s := newBroadcasts(t, t.TempDir(), &held{})
		s.cfg.ReconnectWindow = window
		p := &source{}
		first := begin(t, s, p)
		if _, err := s.Begin(context.Background(), ingest.Offer{Channel: "c", Video: []cmaf.VideoCodec{cmaf.VP8}}, &source{}); errs.CodeOf(err) != errs.Unsupported {
			t.Errorf("VP8 without ffmpeg: %v", err)
		}
		if first.broadcast.current() != first || p.reason() != "" {
			t.Errorf("%s: who was there is let go for one who cannot be taken", window)
		}
		first.Received(1000, time.Now())
		if _, err := s.Begin(context.Background(), offer, &source{}); errs.CodeOf(err) != errs.Conflict {
			t.Errorf("beside one who sends: %v", err)
		}
		first.Received(1000, time.Now().Add(-2*time.Second))
		quick := &source{}
		second := begin(t, s, quick)
		if p.reason() != tookOver || (second.broadcast == first.broadcast) != (window > 0) {
			t.Errorf("%s: after 2 s of silence the one before is told %q", window, p.reason())
		}
		third := begin(t, s, &source{})
		if quick.reason() != tookOver || s.broadcastOf("c").current() != third {
			t.Errorf("%s: who has not sent yet is told %q", window, quick.reason())
		}
	}
}

// TestShareOfTheOneBefore: a publisher whose pictures have to be converted gets
// its share of the machine back when it comes again before the server has noticed
// that it was gone.
func TestShareOfTheOneBefore(t *testing.T) {
	path, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Fatal(err)
	}
	s := newBroadcasts(t, t.TempDir(), &held{})
	if s.tools, err = transcode.Available(context.Background(), path); err != nil {
		t.Fatal(err)
	}
	s.budget = transcode.NewBudget(s.tools, 1) // room for one 720p of VP8, not for two and what the first broadcast has
	first := begin(t, s, &source{})
	taken := s.budget.Usage().Used
	first.Leave(false, "lost")
	first.Received(1000, time.Now())
	phone := ingest.Offer{Channel: "c", Protocol: "WHIP", Video: []cmaf.VideoCodec{cmaf.VP8}}
	come := func(p *source) (*session, error) {
		x, err := s.Begin(context.Background(), phone, p)
		if err != nil {
			return nil, err
		}
		return x.(*session), nil
	}
	before := &source{}
	second, err := come(before)
	if err != nil {
		t.Fatal(err)
	}
	share := s.budget.Usage().Used - taken
	if share <= 0 || s.budget.Usage().Used+share <= 1 {
		t.Fatalf("the share is %.2f of %+v: this tests nothing", share, s.budget.Usage())
	}
	third, err := come(&source{})
	if err != nil {
		t.Fatalf("it is refused its own share: %v", err)
	}
	if second.broadcast.current() != third || before.reason() != tookOver {
		t.Errorf("the one before is told %q", before.reason())
	}
	second.Leave(false, before.reason())
	if got := s.budget.Usage().Used - taken; got != share {
		t.Errorf("%.2f cores are held, not %.2f", got, share)
	}
	third.Leave(true, "over")
	if got := s.budget.Usage(); got.Used != 0 || got.Streams != 0 {
		t.Errorf("%+v is held after the end", got)
	}
}

// TestFarTooMuch: a publisher of 100 Mbit/s is cut within seconds and told why; one
// just below the limit is not.
func TestFarTooMuch(t *testing.T) {
	for rate, cut := range map[int]bool{100_000_000: true, 19_500_000: false} {
		s := newBroadcasts(t, t.TempDir(), &held{})
		p := &source{}
		x := begin(t, s, p)
		start := time.Now()
		brought := time.Duration(0)
		for ; p.reason() == "" && brought < time.Minute; brought += 10 * time.Millisecond {
			x.Received(rate/8/100, start.Add(brought))
		}
		if cut != (brought < 3*time.Second) || cut && p.reason() != "the publisher sent more than 20000 kbit/s" {
			t.Errorf("%d bit/s: after %s it is told %q", rate, brought, p.reason())
		}
	}
}
