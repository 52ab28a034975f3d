package publisher

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
)

// What is said and not kept: reactions to a channel's broadcast, each the JSON of
// a reactionMessage, and how far the processing of its owner's videos is, each
// the JSON of a progressMessage.
const (
	reactions = "rt.reaction."   // rt.reaction.<channel>
	progress  = "rt.processing." // rt.processing.<channel>
)

func (s *Service) hear() error {
	stop, err := s.cfg.Bus.SubscribeEvents(s.onEvent)
	if err != nil {
		return err
	}
	s.stopHearing = append(s.stopHearing, stop)
	stop, err = s.cfg.Bus.SubscribeLive(reactions+"*", s.onReaction)
	if err != nil {
		return err
	}
	s.stopHearing = append(s.stopHearing, stop)
	stop, err = s.cfg.Bus.SubscribeLive(progress+"*", s.onProgress)
	if err != nil {
		return err
	}
	s.stopHearing = append(s.stopHearing, stop)
	return nil
}

func (s *Service) onEvent(e event.Envelope) {
	// The source belongs to it: a plugin chooses the ids of its own events.
	if !s.seen.first(e.Source + " " + e.ID) {
		return
	}
	if e.Simulated() {
		return // admins ask the API
	}
	s.signOutWhoIsGone(e)
	topic, detail, err := project(e)
	if err != nil {
		s.log.Warn("publisher: an event is not understood", "event", e.ID, "type", e.DetailType, "err", err)
		return
	}
	if v, ok := detail.(video); ok && topic == globalTopic && !s.public(v.ID) {
		topic = userTopic(v.ChannelName)
	}
	if topic == "" {
		return
	}
	body, err := json.Marshal(message{Type: e.DetailType, Detail: detail})
	if err != nil {
		s.log.Error("publisher: encoding", "event", e.ID, "err", err)
		return
	}
	s.push(topic, body)
}

// askWithin is how long the catalogue may take to say whether a video is public.
const askWithin = 5 * time.Second

// public asks how the video is now: whoever made it private a moment ago must
// not see it announced by an event from before. In doubt only its owner hears.
func (s *Service) public(id string) bool {
	ctx, cancel := context.WithTimeout(s.closing, askWithin)
	defer cancel()
	yes, err := s.cfg.Videos.Public(ctx, id)
	if err != nil && s.closing.Err() == nil {
		s.log.Warn("publisher: the catalogue does not say whether a video is public", "video", id, "err", err)
	}
	return err == nil && yes
}

// message is what pages get.
type message struct {
	Type   string `json:"type"`
	Detail any    `json:"detail"`
}

// signOutWhoIsGone takes the private topic at once: what waits for the next look at
// the sessions could say what is no business of theirs any more. Their pages come
// back as nobody's, and so learn of it.
func (s *Service) signOutWhoIsGone(e event.Envelope) {
	var d event.UserSuspended // UserDeleted has the same shape
	if e.Source != event.SourceAuth || (e.DetailType != d.EventType() && e.DetailType != event.UserDeleted{}.EventType()) {
		return
	}
	if err := e.Decode(&d); err != nil {
		s.log.Warn("publisher: an event is not understood", "event", e.ID, "err", err)
		return
	}
	for _, p := range s.pages.signedIn(d.Sub) {
		p.signOut()
		p.cut()
	}
}

// reactionMessage is a reaction as pages get it; x and y are shares of the
// picture's width and height.
type reactionMessage struct {
	Type   string `json:"type"` // StreamMetadataSent
	Detail struct {
		X      float64 `json:"x"`
		Y      float64 `json:"y"`
		Type   string  `json:"type"`
		UserID string  `json:"userId"`
	} `json:"detail"`
}

func (s *Service) onReaction(subject string, data []byte) {
	topic := channelTopic(strings.TrimPrefix(subject, reactions))
	var m reactionMessage
	if err := json.Unmarshal(data, &m); err != nil || m.Type != "StreamMetadataSent" || mayHear(topic, "") != nil {
		s.log.Warn("publisher: a reaction is not understood", "subject", subject, "err", err)
		return
	}
	// Encoded again, it has these fields and no others.
	body, err := json.Marshal(m)
	if err != nil {
		s.log.Error("publisher: encoding", "err", err)
		return
	}
	s.push(topic, body)
}

// progressMessage is how far the processing of a video is, for its owner.
type progressMessage struct {
	Type   string `json:"type"` // MP4ProcessingProgress
	Detail struct {
		ID          string `json:"id"`
		ChannelName string `json:"channel_name"`
		Step        string `json:"step"`
		Percent     int    `json:"percent"`
	} `json:"detail"`
}

func (s *Service) onProgress(subject string, data []byte) {
	owner := strings.TrimPrefix(subject, progress)
	topic := userTopic(owner)
	var m progressMessage
	if err := json.Unmarshal(data, &m); err != nil || m.Type != "MP4ProcessingProgress" || mayHear(topic, owner) != nil {
		s.log.Warn("publisher: progress is not understood", "subject", subject, "err", err)
		return
	}
	if event.Simulated(m.Detail.ID) {
		return
	}
	body, err := json.Marshal(m)
	if err != nil {
		s.log.Error("publisher: encoding", "err", err)
		return
	}
	s.push(topic, body)
}

// seen remembers the last events: one that is published twice is pushed once.
type seen struct {
	mu   sync.Mutex
	ids  map[string]struct{}
	ring [4096]string
	next int
}

func newSeen() *seen { return &seen{ids: map[string]struct{}{}} }

func (s *seen) first(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.ids[id]; ok {
		return false
	}
	delete(s.ids, s.ring[s.next])
	s.ring[s.next] = id
	s.ids[id] = struct{}{}
	s.next = (s.next + 1) % len(s.ring)
	return true
}
