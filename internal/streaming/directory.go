package streaming

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/live"
)

// sweepEvery is how often ended streams are forgotten and orphaned rows ended.
const sweepEvery = 10 * time.Second

// endedStream is a stream whose playlists players may still ask for.
type endedStream struct {
	stream  *live.Stream
	channel string
	until   time.Time
}

// LiveInfo is a stream that is live now.
type LiveInfo struct {
	Channel      string
	StreamID     string
	StartedAt    time.Time
	Viewers      int
	Reconnecting bool // its publisher is away, or brings no media
	Picture      bool // there is a picture of it
	// OpenFor is how long the broadcast still waits for media: the whole reconnect
	// window while it comes, 0 when a lost publisher ends it.
	OpenFor time.Duration
}

// Live lists the streams that are live on this node.
func (s *Service) Live() []LiveInfo {
	all := s.broadcasts()
	infos := make([]LiveInfo, len(all))
	for i, b := range all {
		infos[i] = s.info(b)
	}
	return infos
}

// LiveNow returns a stream if it is live on this node.
func (s *Service) LiveNow(streamID string) (LiveInfo, bool) {
	for _, b := range s.broadcasts() {
		if b.id == streamID {
			return s.info(b), true
		}
	}
	return LiveInfo{}, false
}

func (s *Service) info(b *broadcast) LiveInfo {
	now := time.Now()
	return LiveInfo{
		Channel: b.channel, StreamID: b.id, StartedAt: b.startedAt.UTC(), Viewers: s.viewersOf(b.id, now),
		Reconnecting: b.reconnecting(), Picture: b.pictures.there(), OpenFor: b.openFor(now),
	}
}

// viewersOf counts who watches a stream, over all protocols.
func (s *Service) viewersOf(stream string, now time.Time) int {
	return s.viewers.count(stream, now) + s.whep.Sessions(stream)
}

// broadcasts returns those that are made and not over.
func (s *Service) broadcasts() []*broadcast {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*broadcast, 0, len(s.live))
	for _, b := range s.live {
		if b.isMade() {
			all = append(all, b)
		}
	}
	return all
}

// reserved returns all, also those that are being made.
func (s *Service) reserved() []*broadcast {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.live))
}

// isMade says whether the broadcast's stream is there.
func (b *broadcast) isMade() bool {
	select {
	case <-b.made:
		return b.stream != nil
	default:
		return false
	}
}

// broadcastOf returns a channel's live broadcast, nil if it is not live.
func (s *Service) broadcastOf(channel string) *broadcast {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.live[channel]; b != nil && b.isMade() {
		return b
	}
	return nil
}

// stream returns a channel's stream that is live or ended a moment ago. With an
// empty id it is the live one, else the last one that ended.
func (s *Service) stream(channel, id string) (*live.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.live[channel]; b != nil && b.isMade() && (id == "" || b.id == id) {
		return b.stream, nil
	}
	var last *live.Stream
	for endedID, e := range s.ended {
		if e.channel == channel && (id == endedID || id == "" && (last == nil || endedID > last.ID())) {
			last = e.stream
		}
	}
	switch {
	case last != nil:
		return last, nil
	case id != "":
		return nil, errs.Newf(errs.NotFound, "the stream %q is not live any more; a recording is at /vod/%s/master.m3u8", id, id)
	}
	return nil, errs.New(errs.NotFound, "the channel is not live")
}

// sweep forgets ended streams, ends rows that no broadcast belongs to (a database
// that could not be written when a broadcast ended), and recordings that are
// stored by now.
func (s *Service) sweep() {
	t := time.NewTicker(min(sweepEvery, s.cfg.EndedFor))
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			s.forgetEnded(now)
			ctx, cancel := context.WithTimeout(s.running, endTimeout)
			if err := s.recover(ctx, false); err != nil && s.running.Err() == nil {
				s.log.Error("ending broadcasts that are over", "error", err)
			}
			cancel()
		case <-s.running.Done():
			return
		}
	}
}

// isLive says whether a row has its broadcast, also one that is being made.
func (s *Service) isLive(channel, id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.live[channel]
	return b != nil && b.id == id
}
