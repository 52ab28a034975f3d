package publisher

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/sse"
)

// streams are the pages on server-sent events, by topic.
type streams struct {
	mu      sync.RWMutex
	byTopic map[string]map[*stream]struct{}
}

type stream struct {
	page   *page
	topics []string
	queue  chan []byte // frames that the page has not read yet
}

func newStreams() *streams { return &streams{byTopic: map[string]map[*stream]struct{}{}} }

func (ss *streams) add(s *stream) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for _, topic := range s.topics {
		if ss.byTopic[topic] == nil {
			ss.byTopic[topic] = map[*stream]struct{}{}
		}
		ss.byTopic[topic][s] = struct{}{}
	}
}

func (ss *streams) remove(s *stream) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for _, topic := range s.topics {
		delete(ss.byTopic[topic], s)
		if len(ss.byTopic[topic]) == 0 {
			delete(ss.byTopic, topic)
		}
	}
}

// push queues a message for the pages that hear the topic. One whose queue is
// full is cut: it comes back and asks for the present state.
func (ss *streams) push(topic string, message []byte) {
	frame := fmt.Appendf(nil, "event: %s\ndata: %s\n\n", topic, message)
	ss.mu.RLock()
	defer ss.mu.RUnlock()
	for s := range ss.byTopic[topic] {
		if s.page.mayHear(topic) != nil {
			continue
		}
		select {
		case s.queue <- frame:
		default:
			s.page.cut()
		}
	}
}

// serveEvents is GET /events?topics=a,b: the messages of the topics as
// server-sent events (WHATWG HTML, section 9.2), the topic as the event's name.
func (s *Service) serveEvents(w http.ResponseWriter, r *http.Request) {
	topics, err := s.topicsOf(r)
	if err == nil {
		err = s.checkOrigin(r)
	}
	if err != nil {
		s.cfg.Fail(w, r, err)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	out := sse.New(ctx, w, s.cfg.WriteDeadline)
	defer out.Finish()
	p, err := s.pages.admit(r, func() { cancel(); out.Interrupt() })
	if err != nil {
		s.cfg.Fail(w, r, err)
		return
	}
	defer s.pages.leave(p)
	for _, topic := range topics {
		if err := p.mayHear(topic); err != nil {
			s.cfg.Fail(w, r, err)
			return
		}
	}
	st := &stream{page: p, topics: topics, queue: make(chan []byte, s.cfg.MaxQueue)}
	s.streams.add(st)
	defer s.streams.remove(st)
	out.Begin(r)
	s.stream(ctx, out, st)
}

func (s *Service) topicsOf(r *http.Request) ([]string, error) {
	var topics []string
	for _, list := range r.URL.Query()["topics"] {
		for topic := range strings.SplitSeq(list, ",") {
			if topic = strings.TrimSpace(topic); topic != "" && !slices.Contains(topics, topic) {
				topics = append(topics, topic)
			}
		}
	}
	switch {
	case len(topics) == 0:
		return nil, errs.Newf(errs.Invalid, "say which topics: /events?topics=%s,…", globalTopic)
	case len(topics) > s.cfg.MaxTopics:
		return nil, errs.Newf(errs.Invalid, "%d topics are too many: at most %d", len(topics), s.cfg.MaxTopics)
	}
	return topics, nil
}

// stream writes what is queued until the page goes or is cut.
func (s *Service) stream(ctx context.Context, out *sse.Writer, st *stream) {
	if out.Write([]byte("retry: 3000\n: listening\n\n")) != nil {
		return
	}
	heartbeat := time.NewTicker(s.cfg.Heartbeat)
	defer heartbeat.Stop()
	for {
		var err error
		select {
		case frame := <-st.queue:
			err = out.Write(more(frame, st.queue))
		case <-heartbeat.C:
			err = out.Write([]byte(": still here\n\n"))
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// more adds what else is queued to a frame: one write for all.
func more(frame []byte, queue chan []byte) []byte {
	if len(queue) == 0 {
		return frame
	}
	all := bytes.Clone(frame)
	for range len(queue) {
		all = append(all, <-queue...)
	}
	return all
}
