package whep

import "time"

// Reason is why a session is over. A viewer reads it at the session's URL: 410
// with the member "reason".
type Reason string

// The reasons.
const (
	ReasonLeft        Reason = "left"        // the viewer ended it
	ReasonLost        Reason = "lost"        // the connection broke, or never came up
	ReasonEnded       Reason = "ended"       // the stream ended
	ReasonTooSlow     Reason = "too-slow"    // the viewer's network carries no rung: use HLS
	ReasonUnsupported Reason = "unsupported" // the stream changed to what cannot be sent: use HLS
	ReasonStopped     Reason = "stopped"     // the server is stopping
)

// detail is the reason for people.
func (r Reason) detail() string {
	switch r {
	case ReasonLeft:
		return "the viewer ended this session"
	case ReasonLost:
		return "the connection to the viewer was lost"
	case ReasonEnded:
		return "the stream has ended"
	case ReasonTooSlow:
		return "too slow, use HLS: the network between here and the viewer carries less than the lowest quality needs"
	case ReasonUnsupported:
		return "the stream changed to what WebRTC does not carry, use HLS"
	case ReasonStopped:
		return "the server is stopping"
	}
	return "this session is over"
}

// maxGraves is how many sessions are remembered that are over.
const maxGraves = 4096

// graveyard remembers sessions that are over for a minute, so that their
// viewers can learn why.
type graveyard struct {
	graves []grave // oldest first
}

type grave struct {
	channel, id string
	reason      Reason
	at          time.Time
}

const graveTime = time.Minute

func (g *graveyard) bury(s *session, now time.Time) {
	old := 0
	for old < len(g.graves) && (now.Sub(g.graves[old].at) > graveTime || len(g.graves)-old >= maxGraves) {
		old++
	}
	g.graves = append(g.graves[old:], grave{channel: s.channel, id: s.id, reason: s.reason, at: now})
}

func (g *graveyard) find(channel, id string) (Reason, bool) {
	for i := len(g.graves) - 1; i >= 0; i-- {
		if v := &g.graves[i]; v.id == id && v.channel == channel {
			return v.reason, true
		}
	}
	return "", false
}
