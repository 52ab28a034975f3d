package history

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// entry is one line of the story. A step has an icon and a title, a metric a
// label and a value.
type entry struct {
	at   int64 // ms
	rank int   // its place in the story among what happened in the same ms
	key  string

	icon, title, subtitle string
	parent                string
	description           string
	// told is what others say to it, plugins and programs: for the owner.
	told string

	label, value string
}

func (e entry) metric() bool { return e.label != "" }

// place is where the entry stands in the list.
func (e entry) place() store.Key {
	return store.Key{At: e.at, ID: fmt.Sprintf("%03d.%s", e.rank, e.key)}
}

// The places of the steps of the story. Each hook has its own and the next for
// its plugins.
const (
	rankStreamStart = iota
	rankRecordingStart
	rankRecordingLost
	rankStreamEnd
	rankRecordingEnd
	rankProcessingStart
	rankProcessingRetry
	rankProcessingComplete
	rankProcessingFailed
	rankRecordingReady
	rankLifecycleStart

	rankHooks        = 20
	placesOfHook     = 2
	rankLifecycleEnd = 40
	rankStatus       = 41
	rankMetrics      = 50
)

// story makes entries of facts.
type story struct {
	facts   map[string]fact
	entries []entry
}

// tell returns the story of a video, oldest first. The same facts make the same
// story.
func tell(facts map[string]fact) []entry {
	s := &story{facts: facts}
	s.broadcast()
	s.processing()
	s.lifecycle()
	s.statuses()
	s.metrics()
	slices.SortFunc(s.entries, func(a, b entry) int { return a.place().Compare(b.place()) })
	return s.entries
}

func (s *story) add(e entry) { s.entries = append(s.entries, e) }

// step adds a step that one fact tells, if it is known.
func (s *story) step(name string, rank int, make func(f fact) entry) {
	f, ok := s.facts[name]
	if !ok {
		return
	}
	e := make(f)
	e.at, e.rank, e.key = f.At, rank, name
	s.add(e)
}

// since says how much later a fact is than another one; "" when either is not
// known.
func (s *story) since(later fact, name string) string {
	earlier, ok := s.facts[name]
	if !ok || later.Name == "" {
		return ""
	}
	return span(later.At - earlier.At)
}

func (s *story) broadcast() {
	s.step(streamStart, rankStreamStart, func(fact) entry {
		return entry{icon: "live", title: "Went live"}
	})
	s.step(recordingStart, rankRecordingStart, func(fact) entry {
		return entry{icon: "video", title: "Recording started"}
	})
	s.step(recordingLost, rankRecordingLost, func(fact) entry {
		return entry{
			icon: "alert", title: "A part of the recording was lost", subtitle: "There is a gap in the video",
			told: "The server's storage did not take it in time.",
		}
	})
	s.step(streamEnd, rankStreamEnd, func(f fact) entry {
		e := entry{icon: "stop", title: "Broadcast ended"}
		if took := s.since(f, streamStart); took != "" {
			e.subtitle = "After " + took
		}
		return e
	})
	s.step(recordingEnd, rankRecordingEnd, func(f fact) entry {
		return entry{icon: "database", title: "Recording saved", subtitle: span(f.DurationMs) + " of video"}
	})
}

func (s *story) processing() {
	s.step(processingStart, rankProcessingStart, func(fact) entry {
		return entry{icon: "gear", title: "Making the MP4"}
	})
	s.step(processingRetry, rankProcessingRetry, func(f fact) entry {
		return entry{icon: "gear", title: "Trying again", subtitle: fmt.Sprintf("Attempt %d", f.Attempt)}
	})
	s.step(processingComplete, rankProcessingComplete, func(f fact) entry {
		e := entry{icon: "film", title: "MP4 ready", told: strings.Join(f.Notes, " ")}
		picture := ""
		if f.Width > 0 && f.Height > 0 {
			picture = fmt.Sprintf("%d × %d", f.Width, f.Height)
		}
		e.subtitle = joined(picture, span(f.DurationMs), bytes(f.Size))
		began := processingStart
		if _, again := s.facts[processingRetry]; again {
			began = processingRetry
		}
		if took := s.since(f, began); took != "" {
			e.description = "Made in " + took
			if f.Compute == "worker" {
				e.description += " on a worker"
			}
			e.description += "."
		}
		return e
	})
	s.step(processingFailed, rankProcessingFailed, func(f fact) entry {
		return entry{icon: "alert", title: "The MP4 failed", told: f.Reason}
	})
	s.step(recordingReady, rankRecordingReady, func(fact) entry {
		return entry{icon: "play", title: "Ready for the plugins", subtitle: "They look at it before it is listed"}
	})
}

func (s *story) statuses() {
	for _, status := range []string{event.StatusValid, event.StatusInvalid, event.StatusFailed} {
		s.step(statusPrefix+status, rankStatus, func(f fact) entry {
			switch status {
			case event.StatusValid:
				return entry{icon: "check-circle", title: "Published", subtitle: "Everybody can see it"}
			case event.StatusInvalid:
				return entry{icon: "x-circle", title: "Not published", subtitle: by("Refused", f.Plugin), told: f.Reason}
			default:
				return entry{icon: "alert", title: "Not published", subtitle: by("Failed", f.Plugin), told: f.Reason}
			}
		})
	}
}

func by(what, plugin string) string {
	if plugin == "" {
		return what
	}
	return what + " by " + plugin
}

func (s *story) metrics() {
	measure := func(at int64, key, label, value string) {
		s.add(entry{at: at, rank: rankMetrics, key: key, label: label, value: value})
	}
	if f, ok := s.facts[viewers]; ok {
		measure(f.At, "peak-viewers", "Most viewers at once", strconv.FormatInt(f.Viewers, 10))
	}
	recorded, hasRecording := s.facts[recordingEnd]
	processed, hasMP4 := s.facts[processingComplete]
	switch {
	case hasMP4:
		measure(processed.At, "duration", "Duration", span(processed.DurationMs))
		measure(processed.At, "size", "Size", bytes(processed.Size))
	case hasRecording:
		measure(recorded.At, "duration", "Duration", span(recorded.DurationMs))
	}
	if hasRecording && hasMP4 {
		measure(processed.At, "until-mp4", "From the end to the MP4", s.since(processed, recordingEnd))
	}
	if published, ok := s.facts[statusPrefix+event.StatusValid]; ok && hasRecording {
		measure(published.At, "until-published", "From the end to published", s.since(published, recordingEnd))
	}
	if plugins := s.plugins(); len(plugins) > 0 {
		last := slices.MaxFunc(plugins, func(a, b run) int { return cmp.Compare(a.start(), b.start()) })
		measure(last.start(), "plugins", "Plugins", strconv.Itoa(len(plugins)))
	}
}
