package streaming

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/live"
)

const (
	// A publisher that was heard in this time keeps its channel; after it
	// another one takes over at once.
	sendingFor = 2 * time.Second
	// Without media for this long the viewers are told so.
	starvingAfter = 2 * time.Second
	endTimeout    = 30 * time.Second
)

// broadcast is one live stream with all that belongs to it. Its publishers come
// and go; it ends when one says so, or when none has sent for a while.
type broadcast struct {
	service   *Service
	id        string
	channel   string
	startedAt time.Time
	made      chan struct{} // closed when stream is there, or the making failed
	done      chan struct{} // closed when it is over for everybody

	epoch      int64        // this and the following are set while it is made
	stream     *live.Stream // nil before it is made
	video      cmaf.VideoCodec
	audio      *cmaf.AudioConfig
	recordings *recordings
	sidecars   *sidecars
	pictures   *pictures

	stopTimer chan struct{}
	timer     sync.WaitGroup

	joining sync.Mutex // held while a publisher is let in

	mu       sync.Mutex
	session  *session  // nil while the publisher is away
	last     *session  // the one before, while it is
	heard    time.Time // when media came last
	media    bool      // any came
	starving bool
	over     bool // no publisher is let in any more; who sets it halts the broadcast
}

// run gives the stream its time until it ends, and ends what is overdue.
func (b *broadcast) run() {
	t := time.NewTicker(live.TickEvery)
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			b.stream.Tick(now)
			b.watch(now)
		case <-b.stopTimer:
			return
		}
	}
}

// watch notices that no media comes: the viewers are told, a silent publisher is
// let go, and a broadcast without one ends.
func (b *broadcast) watch(now time.Time) {
	cfg := b.service.cfg
	b.mu.Lock()
	silent := now.Sub(b.heard)
	session := b.session
	turned := b.media && b.starving != (silent > starvingAfter)
	if turned {
		b.starving = !b.starving
	}
	starving := b.starving
	b.mu.Unlock()
	if turned {
		b.service.sayStarvation(b, starving)
	}
	switch {
	case session != nil && silent > cfg.NoMediaTimeout && now.Sub(session.since) > cfg.NoMediaTimeout:
		session.publisher.Close(fmt.Sprintf("no media came for %s", cfg.NoMediaTimeout))
	case session == nil && silent > cfg.ReconnectWindow:
		b.end("the publisher did not come back")
	}
}

// sending says whether the publisher brings media. One that has just come, and
// brought none yet, does not: it may be the same person's attempt that failed.
func (b *broadcast) sending(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.session != nil && now.Sub(b.session.heard) < sendingFor
}

// reconnecting says whether no media comes just now.
func (b *broadcast) reconnecting() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.starving || b.session == nil
}

// openFor is how long the broadcast still waits for media.
func (b *broadcast) openFor(now time.Time) time.Duration {
	window := b.service.cfg.ReconnectWindow
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.session != nil && !b.starving {
		return window
	}
	return max(0, window-now.Sub(b.heard))
}

// current is the publisher, nil while it is away.
func (b *broadcast) current() *session {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.session
}

// claim lets no publisher in any more. It says whether the caller was the first
// to want that, and so is the one who halts the broadcast. It does not block:
// those who wait for that are among those who ask.
func (b *broadcast) claim() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	first := !b.over
	b.over = true
	return first
}

// end ends the broadcast in the background.
func (b *broadcast) end(reason string) {
	if b.claim() {
		b.service.background.Go(func() { b.finish(reason) })
	}
}

// halt stops all that runs for the broadcast but its recorders, and completes its
// media; complete is how its stream does so.
func (b *broadcast) halt(complete func(*live.Stream)) {
	b.mu.Lock()
	session := b.session
	b.session = nil
	b.mu.Unlock()
	close(b.stopTimer)
	b.timer.Wait()
	if session != nil {
		session.publisher.Close("the broadcast is over")
		session.via.flush()
		session.live.Detach(time.Now())
	}
	b.sidecars.flush()
	complete(b.stream)
	b.sidecars.close()
	b.pictures.close()
}

// finish ends the broadcast for everybody: its last segment, its row and its
// event; the channel is free. Its playlists stay for a while. The recording ends
// when all of it is stored.
func (b *broadcast) finish(reason string) {
	s := b.service
	b.halt((*live.Stream).End)
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	if _, err := s.endStream(ctx, ending{id: b.id, channel: b.channel, at: store.Now(), reason: reason}); err != nil {
		// The sweep tries again.
		s.log.Error("ending a broadcast", "stream", b.id, "error", err)
	}
	s.mu.Lock()
	delete(s.live, b.channel)
	s.ended[b.id] = &endedStream{stream: b.stream, channel: b.channel, until: time.Now().Add(s.cfg.EndedFor)}
	s.storing[b.id] = time.Now()
	s.mu.Unlock()
	s.log.Info("broadcast ended", "stream", b.id, "channel", b.channel, "reason", reason)
	close(b.done)
	s.storeRest(b)
}

// park completes the media of a broadcast when the server stops. Its row stays
// live: the next process goes on with it, or ends it. So players do not hear of
// an end.
func (b *broadcast) park() {
	if b.claim() {
		b.halt((*live.Stream).Park)
		sum := b.recordings.finish()
		b.service.log.Info("broadcast waits for the next start", "stream", b.id, "channel", b.channel,
			"segments", sum.Segments, "lost", sum.Lost, "left", sum.Left)
		close(b.done)
	}
	<-b.done
}
