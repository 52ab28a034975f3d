package streaming

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/id"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/ingest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/live"
)

// A publisher's bitrate is that of this long.
const bitrateWindow = 5 * time.Second

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

// ChannelByKey returns the channel of a stream key. Errors: errs.NotFound.
func (s *Service) ChannelByKey(ctx context.Context, key string) (string, error) {
	channel, _, err := s.needs.Channels.ChannelByKey(ctx, key)
	return channel, err
}

// Begin lets a publisher in: to its channel's broadcast that has lost its
// publisher, else to a new one.
func (s *Service) Begin(ctx context.Context, o ingest.Offer, p ingest.Publisher) (ingest.Session, error) {
	for {
		b, fresh, err := s.reserve(o.Channel)
		if err != nil {
			return nil, err
		}
		if fresh {
			return s.make(ctx, b, o, p)
		}
		if err := wait(ctx, b.made); err != nil {
			return nil, err
		}
		if b.stream == nil {
			continue // its making failed
		}
		session, err := b.join(o, p)
		if session != nil || err != nil {
			return session, err
		}
		if err := wait(ctx, b.done); err != nil {
			return nil, err
		}
	}
}

func wait(ctx context.Context, c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return errs.Wrap(ctx.Err(), errs.Unavailable, "the broadcast before has not ended yet; try again")
	}
}

// reserve returns the channel's broadcast, a fresh one where there is none.
func (s *Service) reserve(channel string) (b *broadcast, fresh bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch b := s.live[channel]; {
	case s.stopping:
		return nil, false, errs.New(errs.Unavailable, "the server is stopping; try again in a moment")
	case b != nil:
		return b, false, nil
	case len(s.live) >= s.cfg.MaxStreams:
		return nil, false, errs.Newf(errs.Unavailable, "this node has %d live streams, which is its limit", s.cfg.MaxStreams)
	}
	b = s.newBroadcast(idPrefix+id.New(), channel, time.Now())
	s.live[channel] = b
	return b, true, nil
}

func (s *Service) newBroadcast(id, channel string, startedAt time.Time) *broadcast {
	return &broadcast{
		service: s, id: id, channel: channel, startedAt: startedAt, heard: time.Now(),
		made: make(chan struct{}), done: make(chan struct{}), stopTimer: make(chan struct{}),
	}
}

// unmade gives the channel free again for which a broadcast was reserved that is not
// to be.
func (s *Service) unmade(b *broadcast) {
	s.mu.Lock()
	delete(s.live, b.channel)
	s.mu.Unlock()
	close(b.done)
}

// make makes the broadcast that was reserved, with its first publisher.
func (s *Service) make(ctx context.Context, b *broadcast, o ingest.Offer, p ingest.Publisher) (ingest.Session, error) {
	defer close(b.made)
	plan, err := s.plan(o)
	if err == nil {
		err = s.orderID(ctx, b)
	}
	if err == nil {
		b.epoch, err = s.insertStream(ctx, b.id, b.channel)
	}
	if err != nil {
		plan.release()
		s.unmade(b)
		return nil, err
	}
	s.start(b, plan)
	session := b.attach(o, p, plan.pick())
	b.timer.Go(b.run)
	s.log.Info("broadcast begins", "stream", b.id, "channel", b.channel, "epoch", b.epoch, "protocol", o.Protocol,
		"video", session.codec.String(), "plan", plan.String())
	return session, nil
}

// orderID gives a broadcast that is not known to anybody yet an id behind those of
// its channel's earlier ones, if the clock has gone back: who hears of streams in
// another order takes the greatest id for the newest.
func (s *Service) orderID(ctx context.Context, b *broadcast) error {
	newest, err := s.newestStream(ctx, b.channel)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.id <= newest {
		b.id = idPrefix + id.After(strings.TrimPrefix(newest, idPrefix))
	}
	return nil
}

// start makes the stream of a broadcast that has its epoch, and all that runs
// for it but its timer.
func (s *Service) start(b *broadcast, plan *plan) {
	b.video, b.audio = plan.video, plan.audio
	b.recordings = newRecordings(b)
	b.pictures = newPictures(b)
	b.stream = live.New(live.Config{
		ID: b.id, Channel: b.channel, PartTarget: s.cfg.PartTarget, Audio: b.audio,
		Rungs: plan.rungNames(), AAC: plan.aac(), Gone: plan.gone,
		OnInit: b.recordings.init, OnSegment: b.recordings.segment,
		OnPart:   func(string, int) { s.metrics.parts.Inc() },
		OnRender: s.metrics.rendered,
		Log:      s.log,
	})
	b.sidecars = newSidecars(b, plan)
	b.sidecars.start()
}

// join lets a publisher in to a broadcast that is running: nil when it is ending.
// The one before, which has fallen silent, is let go only when it is certain that
// the new one can be taken.
func (b *broadcast) join(o ingest.Offer, p ingest.Publisher) (ingest.Session, error) {
	b.joining.Lock()
	defer b.joining.Unlock()
	if b.sending(time.Now()) {
		return nil, errs.New(errs.Conflict, "somebody is already broadcasting on this channel; end that broadcast first, or wait until it has sent nothing for 2 s")
	}
	b.mu.Lock()
	over, old := b.over, b.session
	b.mu.Unlock()
	if over {
		return nil, nil
	}
	if b.service.cfg.ReconnectWindow == 0 {
		return nil, b.makeWay(o, old)
	}
	choice, err := b.sidecars.choose(o, old)
	if err != nil {
		return nil, err
	}
	session := b.attach(o, p, choice)
	if session == nil {
		return nil, nil
	}
	if old != nil {
		old.publisher.Close(tookOver)
	}
	b.service.log.Info("broadcast goes on", "stream", b.id, "channel", b.channel, "protocol", o.Protocol, "video", session.codec.String())
	return session, nil
}

const tookOver = "another publisher took over"

// makeWay ends a broadcast for the next one, unless nothing could be made of that.
func (b *broadcast) makeWay(o ingest.Offer, old *session) error {
	plan, err := b.service.plan(o)
	if errs.CodeOf(err) == errs.Unsupported {
		return err
	}
	plan.release() // the next broadcast decides again, when this one has given back what it holds
	if old != nil {
		old.publisher.Close(tookOver)
	}
	b.end(tookOver)
	return nil
}

// attach makes p the broadcast's publisher; it returns nil when the broadcast has
// begun to end meanwhile. The session is whole before others see it.
func (b *broadcast) attach(o ingest.Offer, p ingest.Publisher, c choice) *session {
	now := time.Now()
	x := &session{broadcast: b, publisher: p, codec: c.video, offer: o, since: now, windowed: now}
	x.via = b.sidecars.into(c, x)
	x.live = b.stream.Attach(live.SessionConfig{
		Epoch: b.epoch, Audio: o.Audio, VideoVia: x.via.video, AudioVia: x.via.audio, RequestKeyFrame: p.RequestKeyFrame,
	}, now)
	b.mu.Lock()
	over := b.over
	if !over {
		b.session = x
	}
	b.mu.Unlock()
	if over {
		x.live.Detach(now)
		x.via.close()
		return nil
	}
	b.service.sayIngest(b, x)
	return x
}

// session is one publisher of a broadcast.
type session struct {
	broadcast *broadcast
	publisher ingest.Publisher
	offer     ingest.Offer
	codec     cmaf.VideoCodec
	live      *live.Session
	via       via
	since     time.Time // it was let in
	heard     time.Time // media came last; of the broadcast's mu

	mu       sync.Mutex
	windowed time.Time // start of the bitrate window
	bytes    int64     // in it
	bitrate  int64     // bits per second in the one before
	dropped  int       // packets since said
	lost     int64     // packets in all
	said     time.Time // when the log heard of them
	leaving  sync.Once
}

// Codec is the video codec that the publisher shall send.
func (x *session) Codec() cmaf.VideoCodec { return x.codec }

// Video takes an access unit.
func (x *session) Video(f frame.Video) { x.live.Video(f) }

// Audio takes a packet.
func (x *session) Audio(f frame.Audio) { x.live.Audio(f) }

// VideoReport takes a sender report of the video track.
func (x *session) VideoReport(r frame.Report) { x.live.VideoReport(r) }

// AudioReport takes a sender report of the audio track.
func (x *session) AudioReport(r frame.Report) { x.live.AudioReport(r) }

// Lost says that video is missing.
func (x *session) Lost(now time.Time) { x.live.Lost(now) }

// Received counts media, and ends a session that brings too much of it.
func (x *session) Received(bytes int, now time.Time) {
	b := x.broadcast
	s := b.service
	s.metrics.ingest.Add(float64(bytes))
	b.mu.Lock()
	if b.session == x {
		b.heard, b.media, x.heard = now, true, now
	}
	b.mu.Unlock()
	x.mu.Lock()
	x.bytes += int64(bytes)
	tooMuch := x.bytes*8 > s.cfg.MaxBitrate*int64(bitrateWindow/time.Second)
	if d := now.Sub(x.windowed); d > bitrateWindow {
		x.bitrate = x.bytes * 8 * int64(time.Second) / int64(d)
		x.windowed, x.bytes = now, 0
	}
	x.mu.Unlock()
	if tooMuch {
		x.publisher.Close(fmt.Sprintf("the publisher sent more than %d kbit/s", s.cfg.MaxBitrate/1000))
	}
}

// Dropped counts packets that never came or could not be used. The log hears of
// them once a second.
func (x *session) Dropped(packets int) {
	s := x.broadcast.service
	s.metrics.lost.Add(float64(packets))
	x.mu.Lock()
	x.dropped += packets
	x.lost += int64(packets)
	dropped, now := x.dropped, time.Now()
	say := now.Sub(x.said) >= time.Second
	if say {
		x.said, x.dropped = now, 0
	}
	x.mu.Unlock()
	if say {
		s.log.Warn("packets of a publisher are missing", "stream", x.broadcast.id, "packets", dropped)
	}
}

// Leave says that the publisher is gone. The broadcast ends when that is for
// good, else it waits for a while.
func (x *session) Leave(forGood bool, reason string) {
	x.leaving.Do(func() { x.leave(forGood, reason) })
	if forGood {
		x.endWaiting(reason)
	}
}

// endWaiting ends a broadcast that waits for this publisher.
func (x *session) endWaiting(reason string) {
	b := x.broadcast
	b.mu.Lock()
	waits := b.session == nil && b.last == x && !b.over
	b.mu.Unlock()
	if waits {
		b.end(reason)
		<-b.done
	}
}

func (x *session) leave(forGood bool, reason string) {
	b := x.broadcast
	x.via.flush()
	x.live.Detach(time.Now())
	x.via.close()
	b.mu.Lock()
	mine := b.session == x
	if mine {
		b.session, b.last = nil, x
	}
	over, media := b.over, b.media
	b.mu.Unlock()
	switch {
	case !mine || over:
		return
	case forGood || !media || b.service.cfg.ReconnectWindow == 0:
		b.end(reason)
		<-b.done
	default:
		b.service.log.Info("the publisher is away", "stream", b.id, "reason", reason, "window", b.service.cfg.ReconnectWindow.String())
	}
}
