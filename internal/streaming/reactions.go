package streaming

import (
	"encoding/json"
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/id3"
)

// reactionSubject begins the subject of a channel's reactions on the bus. They
// are said once and not kept; here they become timed metadata of the stream.
const reactionSubject = "rt.reaction."

// reaction puts a viewer's reaction on the stream of its channel, if that is
// live on this node.
func (s *Service) reaction(subject string, data []byte) {
	b := s.broadcastOf(strings.TrimPrefix(subject, reactionSubject))
	if b == nil {
		return
	}
	var m struct {
		Detail id3.Reaction `json:"detail"`
	}
	if err := json.Unmarshal(data, &m); err == nil {
		b.stream.React(m.Detail)
	}
}
