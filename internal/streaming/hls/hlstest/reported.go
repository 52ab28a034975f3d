package hlstest

import "time"

// history is what is known of a media playlist from itself and from others. The
// follower's mu guards it.
type history struct {
	seen   []sighting // its own states, the newest last
	claims []claim    // what others reported, not yet compared
}

type sighting struct {
	came time.Time
	at   place
}

type claim struct {
	by   string
	came time.Time
	at   place
}

// remembered is how many states of a playlist are kept for comparison.
const remembered = 64

// saw notes a state of the playlist itself and returns what is wrong with the
// reports of others: they told more than was there when asked later.
func (h *history) saw(asked, came time.Time, at place, uri string) (f Findings) {
	h.seen = append(h.seen, sighting{came, at})
	if len(h.seen) > remembered {
		h.seen = h.seen[1:]
	}
	kept := h.claims[:0]
	for _, c := range h.claims {
		switch {
		case !asked.After(c.came):
			kept = append(kept, c)
		case at.before(c.at):
			f.add("report-current", "%s reported %s of %s, which later was at %s", c.by, c.at, uri, at)
		}
	}
	h.claims = kept
	return f
}

// told notes a report of another playlist and returns what is wrong with it: it
// is behind what was seen when the playlist that has it was not yet made.
func (h *history) told(by string, notYet, came time.Time, at place, uri string) (f Findings) {
	for _, s := range h.seen {
		if s.came.Before(notYet) && at.before(s.at) {
			f.add("report-current", "%s reports %s of %s, which was at %s before that", by, at, uri, s.at)
			break
		}
	}
	if len(h.claims) < remembered {
		h.claims = append(h.claims, claim{by: by, came: came, at: at})
	}
	return f
}

// checkReported compares the reports in a new state of this playlist, and those
// of others on it. A report is as up to date as the playlist that has it (the
// draft, 4.4.5.4), and that one was made after the state before was asked for.
func (l *line) checkReported(a fetched, m *Media) {
	var found Findings
	l.follower.mu.Lock()
	found = append(found, l.history.saw(a.asked, a.came, m.last(), l.uri)...)
	for _, r := range m.Reports {
		uri := resolve(l.uri, r.URI)
		for _, o := range l.lines {
			if o.uri == uri && o != l {
				found = append(found, o.history.told(l.uri, l.asked, a.came, position(r.LastMSN, r.LastPart), uri)...)
			}
		}
	}
	l.follower.mu.Unlock()
	l.note(l.uri, a.body, found.err())
}
