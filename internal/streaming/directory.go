package streaming

import (
	"context"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/live"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/recorder"
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
	Channel   string
	StreamID  string
	StartedAt time.Time
	Viewers   int
}

// Live lists the streams that are live on this node.
func (s *Service) Live() []LiveInfo {
	s.mu.Lock()
	infos := make([]LiveInfo, 0, len(s.live))
	for channel, b := range s.live {
		if b.Stream != nil {
			infos = append(infos, LiveInfo{Channel: channel, StreamID: b.id, StartedAt: b.startedAt.UTC()})
		}
	}
	s.mu.Unlock()
	now := time.Now()
	for i := range infos {
		infos[i].Viewers = s.viewers.count(infos[i].StreamID, now)
	}
	return infos
}

// broadcastOf returns a channel's live broadcast, nil if it is not live.
func (s *Service) broadcastOf(channel string) *broadcast {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.live[channel]; b != nil && b.Stream != nil {
		return b
	}
	return nil
}

// stream returns a channel's stream that is live or ended a moment ago. With an
// empty id it is the live one, else the last one that ended.
func (s *Service) stream(channel, id string) (*live.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.live[channel]; b != nil && b.Stream != nil && (id == "" || b.id == id) {
		return b.Stream, nil
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

// sweep forgets ended streams, and ends rows that no broadcast belongs to: a
// database that could not be written when a broadcast ended.
func (s *Service) sweep() {
	t := time.NewTicker(min(sweepEvery, s.cfg.EndedFor))
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			s.forgetEnded(now)
			ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
			if err := s.recover(ctx); err != nil {
				s.log.Error("ending broadcasts that are over", "error", err)
			}
			cancel()
		case <-s.stop:
			return
		}
	}
}

func (s *Service) forgetEnded(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, e := range s.ended {
		if now.After(e.until) {
			delete(s.ended, id)
		}
	}
}

// recover ends this node's rows that say live and have no broadcast, from what
// is stored: the recording ends at its last segment.
func (s *Service) recover(ctx context.Context) error {
	rows, err := s.unfinished(ctx)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if s.isLive(row.Channel, row.ID) {
			continue
		}
		rec, err := recorder.List(ctx, s.needs.Objects, row.Prefix)
		if err != nil {
			return err
		}
		at := rec.EndMS()
		if at == 0 {
			at = row.StartedAt
		}
		e := ending{id: row.ID, channel: row.Channel, at: at, reason: "the server stopped in the middle", recording: rec.Summary()}
		if err := s.endStream(ctx, e); err != nil {
			return err
		}
		s.log.Info("broadcast ended after a restart", "stream", row.ID, "channel", row.Channel,
			"duration_ms", e.recording.DurationMS(), "segments", e.recording.Segments)
	}
	return nil
}

// isLive says whether a row has its broadcast, also one that is being made.
func (s *Service) isLive(channel, id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.live[channel]
	return b != nil && b.id == id
}
