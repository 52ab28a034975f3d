package streaming

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/id"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/live"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/recorder"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/whip"
)

const (
	// A publisher that was heard in this time keeps its channel; after it
	// another one takes over at once.
	sendingFor = 2 * time.Second
	// A publisher's bitrate is that of this long.
	bitrateWindow = 5 * time.Second
	// A browser changes its resolution a few times an hour.
	maxInits = 1000
	// How long an ended stream's last segments may take to be stored.
	finishTimeout = 30 * time.Second
	endTimeout    = 30 * time.Second
)

// broadcast is one live stream with all that belongs to it. It takes the media
// of its publisher.
type broadcast struct {
	*live.Stream // nil while the broadcast is being made

	service   *Service
	id        string
	channel   string
	publisher whip.Publisher
	recorder  *recorder.Recorder
	startedAt time.Time

	mu        sync.Mutex
	heard     time.Time // when media came last
	windowed  time.Time // start of the bitrate window
	bytes     int64     // in it
	dropped   int       // packets since said
	said      time.Time // when the log heard of them
	stopTimer chan struct{}
	timer     sync.WaitGroup
	ending    sync.Once
	done      chan struct{}
}

// Authorize lets the owner of a channel publish on it: by its stream key, or
// signed in when there is no key.
func (s *Service) Authorize(ctx context.Context, channel, key string) error {
	if _, err := s.needs.Channels.Channel(ctx, channel); err != nil {
		return err
	}
	if key == "" {
		p, ok := identity.From(ctx)
		switch {
		case !ok:
			return errs.New(errs.Unauthenticated, "the stream key is missing: send it as Authorization: Bearer <stream key>")
		case p.ID != channel:
			return errs.New(errs.Forbidden, "this is somebody else's channel")
		}
		return nil
	}
	owner, _, err := s.needs.Channels.ChannelByKey(ctx, key)
	if errs.CodeOf(err) == errs.NotFound || err == nil && owner != channel {
		return errs.New(errs.Unauthenticated, "this is not the channel's stream key")
	}
	return err
}

// Begin makes a broadcast. Errors: errs.Conflict while another publisher is
// sending on the channel, errs.Unavailable when the node takes no more.
func (s *Service) Begin(ctx context.Context, channel string, audio bool, publisher whip.Publisher) (whip.Broadcast, error) {
	b := &broadcast{
		service: s, id: "st-" + id.New(), channel: channel, publisher: publisher,
		startedAt: time.Now(), stopTimer: make(chan struct{}), done: make(chan struct{}),
	}
	b.heard, b.windowed = b.startedAt, b.startedAt
	if err := s.reserve(ctx, b); err != nil {
		return nil, err
	}
	epoch, err := s.insertStream(ctx, b.id, channel)
	if err != nil {
		s.release(b)
		return nil, err
	}
	b.record(epoch)
	stream := live.New(b.config(epoch, audio), b.startedAt)
	s.mu.Lock()
	b.Stream = stream
	s.mu.Unlock()
	b.timer.Go(b.tick)
	s.log.Info("broadcast begins", "stream", b.id, "channel", channel, "epoch", epoch)
	return b, nil
}

// reserve makes b the channel's broadcast, after the one before has ended.
func (s *Service) reserve(ctx context.Context, b *broadcast) error {
	for {
		s.mu.Lock()
		old := s.live[b.channel]
		switch {
		case s.stopping:
			s.mu.Unlock()
			return errs.New(errs.Unavailable, "the server is stopping; try again in a moment")
		case old == nil && len(s.live) >= s.cfg.MaxStreams:
			s.mu.Unlock()
			return errs.Newf(errs.Unavailable, "this node has %d live streams, which is its limit", s.cfg.MaxStreams)
		case old == nil:
			s.live[b.channel] = b
			s.mu.Unlock()
			return nil
		}
		s.mu.Unlock()
		if old.sending(time.Now()) {
			return errs.New(errs.Conflict, "somebody is already broadcasting on this channel; end that broadcast first, or wait until it has sent nothing for 2 s")
		}
		old.publisher.Close("another publisher took over")
		select {
		case <-old.done:
		case <-ctx.Done():
			return errs.Wrap(ctx.Err(), errs.Unavailable, "the broadcast before has not ended yet; try again")
		}
	}
}

func (s *Service) release(b *broadcast) {
	s.mu.Lock()
	delete(s.live, b.channel)
	s.mu.Unlock()
	close(b.done)
}

// config is that of the broadcast's stream. A track of two channels takes mono
// and stereo packets of Opus alike.
func (b *broadcast) config(epoch int64, audio bool) live.Config {
	s := b.service
	cfg := live.Config{
		ID: b.id, Channel: b.channel, Epoch: epoch, PartTarget: s.cfg.PartTarget,
		RequestKeyFrame: b.publisher.RequestKeyFrame,
		OnInit:          b.storeInit,
		OnSegment:       b.store,
		OnPart:          func(int) { s.metrics.parts.Inc() },
		Log:             s.log,
	}
	if audio {
		cfg.Audio = &cmaf.AudioConfig{Codec: cmaf.Opus, SampleRate: cmaf.OpusTimescale, Channels: 2}
	}
	return cfg
}

func (b *broadcast) record(epoch int64) {
	s := b.service
	first := true
	b.recorder = recorder.New(recorder.Config{
		Store: s.needs.Objects, Prefix: recorder.Prefix(b.channel, b.id), Rung: live.Rung, Epoch: epoch,
		OnStored: func(recorder.Segment) {
			s.metrics.segments.Inc()
			if !first {
				return
			}
			first = false
			ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
			defer cancel()
			if err := s.markRecorded(ctx, b.id, b.channel); err != nil {
				// The end of the stream says it then.
				s.log.Error("noting that recording began", "stream", b.id, "error", err)
			}
		},
		OnError: func(error) { s.metrics.storeErrors.Inc() },
		OnLost:  func(recorder.Segment) { s.metrics.segmentsLost.Inc() },
		Log:     s.log,
	})
}

// storeInit hands an init segment to the recorder, and ends a broadcast that has far
// too many of them.
func (b *broadcast) storeInit(version int, data []byte) {
	b.recorder.Init(version, data)
	if version > maxInits {
		b.publisher.Close(fmt.Sprintf("the publisher changed its picture more than %d times", maxInits))
	}
}

// store hands a complete segment to the recorder.
func (b *broadcast) store(seg *live.Segment) { b.recorder.Segment(facts(seg), seg.Data()) }

// facts is what a segment's key in the object store is made of.
func facts(seg *live.Segment) recorder.Segment {
	return recorder.Segment{
		Epoch: seg.Epoch, MSN: seg.MSN, StartMS: seg.Start.UnixMilli(), Ticks: seg.Ticks,
		Init: seg.Init, Discontinuity: seg.Discontinuity,
	}
}

// tick gives the stream its time until it ends, and ends it when no media comes.
func (b *broadcast) tick() {
	t := time.NewTicker(live.TickEvery)
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			b.Tick(now)
			if b.silent(now) {
				b.publisher.Close(fmt.Sprintf("no media came for %s", b.service.cfg.NoMediaTimeout))
			}
		case <-b.stopTimer:
			return
		}
	}
}

func (b *broadcast) sending(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return now.Sub(b.heard) < sendingFor
}

func (b *broadcast) silent(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return now.Sub(b.heard) > b.service.cfg.NoMediaTimeout
}

// Received counts media, and ends a broadcast that brings too much of it.
func (b *broadcast) Received(bytes int, now time.Time) {
	s := b.service
	s.metrics.ingest.Add(float64(bytes))
	b.mu.Lock()
	b.heard = now
	b.bytes += int64(bytes)
	tooMuch := b.bytes*8 > s.cfg.MaxBitrate*int64(bitrateWindow/time.Second)
	if now.Sub(b.windowed) > bitrateWindow {
		b.windowed, b.bytes = now, 0
	}
	b.mu.Unlock()
	if tooMuch {
		b.publisher.Close(fmt.Sprintf("the publisher sent more than %d kbit/s", s.cfg.MaxBitrate/1000))
	}
}

// Dropped counts packets that never came or could not be used. The log hears of
// them once a second.
func (b *broadcast) Dropped(packets int) {
	s := b.service
	s.metrics.lost.Add(float64(packets))
	b.mu.Lock()
	b.dropped += packets
	dropped, now := b.dropped, time.Now()
	say := now.Sub(b.said) >= time.Second
	if say {
		b.said, b.dropped = now, 0
	}
	b.mu.Unlock()
	if say {
		s.log.Warn("packets of a publisher are missing", "stream", b.id, "packets", dropped)
	}
}

// End finalises the broadcast: its last segment, its recording, its row and its
// events. Its playlists stay for a while.
func (b *broadcast) End(reason string) {
	b.ending.Do(func() { b.finish(reason) })
	<-b.done
}

func (b *broadcast) finish(reason string) {
	s := b.service
	close(b.stopTimer)
	b.timer.Wait()
	b.Stream.End()
	ctx, cancel := context.WithTimeout(context.Background(), finishTimeout)
	sum := b.recorder.Finish(ctx)
	cancel()
	ctx, cancel = context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	err := s.endStream(ctx, ending{id: b.id, channel: b.channel, at: store.Now(), reason: reason, recording: sum})
	if err != nil {
		// The sweep tries again, from what is stored.
		s.log.Error("ending a broadcast", "stream", b.id, "error", err)
	}
	s.mu.Lock()
	delete(s.live, b.channel)
	s.ended[b.id] = &endedStream{stream: b.Stream, channel: b.channel, until: time.Now().Add(s.cfg.EndedFor)}
	s.mu.Unlock()
	s.viewers.forget(b.id)
	s.log.Info("broadcast ended", "stream", b.id, "channel", b.channel, "reason", reason,
		"duration_ms", sum.DurationMS(), "segments", sum.Segments, "lost", sum.Lost)
	close(b.done)
}
