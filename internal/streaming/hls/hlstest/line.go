package hlstest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// line follows one media playlist.
type line struct {
	*follower
	uri    string
	video  bool
	target time.Duration
	newest *Media // the follower's mu

	now     *Media    // the state that is known
	asked   time.Time // when it was asked for
	text    []byte    // of the last whole playlist
	changed time.Time
	segment time.Time // when the last complete segment came
	rounds  int
	history history        // the follower's mu
	asking  sync.WaitGroup // requests beside the playlist's

	// Of the loader alone while it runs.
	content Content
	inits   map[string][]byte
	loads   chan load
}

// load is a state of the playlist whose media is to be loaded.
type load struct {
	m    *Media
	hint chan fetched // the answer to the hint that the state before had; nil: none
}

// probeRound is the reload beside which the line asks for what must be refused.
const probeRound = 8

// queued is how many states may wait for their media to be loaded.
const queued = 256

func (l *line) follow(ctx context.Context) error {
	a, err := l.get(ctx, ForPlaylist, l.uri)
	if err != nil {
		return err
	}
	if a.Status != http.StatusOK {
		l.note(l.uri, nil, CheckAnswer(a.Answer))
		return fmt.Errorf("%s is answered with %d", l.uri, a.Status)
	}
	m, err := ParseMedia(a.body)
	if err != nil {
		l.note(l.uri, a.body, err)
		return fmt.Errorf("%s: %w", l.uri, err)
	}
	l.target, l.changed, l.segment = m.TargetDuration, a.came, a.came
	l.accept(a, m, a.body)
	return l.reloads(ctx, m)
}

// reloads reloads until the end, with the loader beside it.
func (l *line) reloads(ctx context.Context, m *Media) error {
	l.loads = make(chan load, queued)
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		l.load(ctx)
	}()
	asks, stop := context.WithCancel(ctx)
	defer func() {
		stop()
		l.asking.Wait()
		close(l.loads)
		<-loaded
	}()
	l.push(m, nil)
	for !l.now.Ended && !l.over() && ctx.Err() == nil {
		if err := l.round(asks); err != nil {
			return err
		}
	}
	if l.now.Ended && !l.vod && ctx.Err() == nil {
		l.probeEnded(ctx)
	}
	return nil
}

// accept checks a whole playlist that came, and keeps it as the state.
func (l *line) accept(a fetched, m *Media, text []byte) {
	a.Live, a.TargetDuration = !l.vod, m.TargetDuration
	l.count(&l.report.Playlists)
	l.note(l.uri, nil, CheckAnswer(a.Answer))
	if l.vod {
		l.note(l.uri, text, m.checkVOD().err())
	} else {
		l.note(l.uri, text, m.check().err())
	}
	l.compare(l, m, text)
	l.now, l.asked, l.text = m, a.asked, text
}

// push hands a state to the loader. When it is far behind, that is a fault of
// the machine or of the server, and following would say nothing any more.
func (l *line) push(m *Media, hint chan fetched) {
	l.loads <- load{m: m, hint: hint}
}

// round reloads once. In turn it asks for the whole playlist, and for it and
// its delta update together.
func (l *line) round(ctx context.Context) error {
	l.rounds++
	if !l.now.CanBlockReload {
		return l.poll(ctx)
	}
	msn, part := l.now.Next()
	hint := l.askForHint(ctx)
	var delta chan result
	if l.now.SkipUntil > 0 && l.rounds%2 == 0 {
		delta = l.ask(ctx, l.reloadURL(msn, part, true))
	}
	full := <-l.ask(ctx, l.reloadURL(msn, part, false))
	if full.err != nil {
		return full.err
	}
	m, err := l.blocked(full, msn, part)
	if err != nil {
		return err
	}
	if delta != nil {
		l.checkDelta(<-delta, m, msn, part)
	}
	l.push(m, hint)
	if l.rounds == probeRound {
		l.asking.Go(func() { l.probe(ctx, m) })
	}
	return nil
}

// result is an answer, or why there is none.
type result struct {
	fetched
	err error
}

func (l *line) ask(ctx context.Context, url string) chan result {
	out := make(chan result, 1)
	l.asking.Go(func() {
		a, err := l.get(ctx, ForBlocking, url)
		out <- result{a, err}
	})
	return out
}

func (l *line) reloadURL(msn uint64, part int, skip bool) string {
	u, err := url.Parse(l.uri)
	if err != nil {
		return l.uri
	}
	q := u.Query()
	q.Set("_HLS_msn", strconv.FormatUint(msn, 10))
	if part >= 0 {
		q.Set("_HLS_part", strconv.Itoa(part))
	}
	if skip {
		q.Set("_HLS_skip", "YES")
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// blocked checks the whole playlist that a blocking reload brought.
func (l *line) blocked(a result, msn uint64, part int) (*Media, error) {
	if a.Status != http.StatusOK {
		l.note(l.uri, nil, CheckAnswer(a.Answer))
		return nil, fmt.Errorf("%s is answered with %d", a.URL, a.Status)
	}
	m, err := ParseMedia(a.body)
	if err != nil {
		l.note(l.uri, a.body, err)
		return nil, fmt.Errorf("%s: %w", a.URL, err)
	}
	l.note(l.uri, a.body, m.checkBlocked(msn, part).err())
	before, text := l.now, l.text
	found := checkReload(before, m)
	checkPace(&found, before, m, a.came.Sub(l.changed))
	l.checkSegmentPace(&found, before, m, a.came)
	l.note(l.uri, append(append(text[:len(text):len(text)], "\n-- then --\n"...), a.body...), found.err())
	l.changed = a.came
	l.checkReported(a.fetched, m)
	l.accept(a.fetched, m, a.body)
	return m, nil
}

// checkSegmentPace checks how long a segment took where parts come between.
func (l *line) checkSegmentPace(f *Findings, before, m *Media, came time.Time) {
	if m.PartTarget == 0 || m.Ended {
		return
	}
	if complete(m) == complete(before) {
		if limit := m.TargetDuration * 3 / 2; came.Sub(l.segment) > limit {
			f.add("update-segment", "no segment was completed for %v; one must be within %v", came.Sub(l.segment), limit)
			l.segment = came
		}
		return
	}
	l.segment = came
}

// complete is the number after that of the last complete segment.
func complete(m *Media) uint64 {
	if n := len(m.Segments); n > 0 && m.Segments[n-1].URI == "" {
		return m.NextMSN() - 1
	}
	return m.NextMSN()
}

// checkDelta checks a delta update against the whole playlist, if both are of
// one moment, and by itself.
func (l *line) checkDelta(a result, full *Media, msn uint64, part int) {
	if a.err != nil {
		return // the next round meets it again
	}
	a.Live, a.TargetDuration = true, l.target
	l.count(&l.report.Playlists)
	l.note(l.uri, nil, CheckAnswer(a.Answer))
	if a.Status != http.StatusOK {
		return
	}
	delta, err := ParseMedia(a.body)
	if err != nil {
		l.note(l.uri, a.body, err)
		return
	}
	l.note(l.uri, a.body, delta.checkBlocked(msn, part).err())
	if delta.Skipped == 0 {
		var f Findings
		if delta.last() == full.last() && !full.Ended && !delta.Ended {
			full.checkBoundary(&f, 0)
		}
		l.note(l.uri, a.body, f.err())
		return
	}
	l.note(l.uri, a.body, delta.check().err())
	if delta.last() == full.last() && delta.Ended == full.Ended {
		text := append(append(l.text[:len(l.text):len(l.text)], "\n-- its delta update --\n"...), a.body...)
		l.note(l.uri, text, checkDelta(full, delta).err())
	}
}

// poll reloads a playlist that cannot block.
func (l *line) poll(ctx context.Context) error {
	select {
	case <-time.After(l.target / 2):
	case <-ctx.Done():
		return nil
	}
	a, err := l.get(ctx, ForPlaylist, l.uri)
	if err != nil {
		return err
	}
	if a.Status != http.StatusOK {
		l.note(l.uri, nil, CheckAnswer(a.Answer))
		return fmt.Errorf("%s is answered with %d", l.uri, a.Status)
	}
	m, err := ParseMedia(a.body)
	if err != nil {
		l.note(l.uri, a.body, err)
		return fmt.Errorf("%s: %w", l.uri, err)
	}
	found := checkReload(l.now, m)
	if m.NextMSN() == l.now.NextMSN() && m.Ended == l.now.Ended {
		a.came = l.changed
	}
	checkPace(&found, l.now, m, time.Since(l.changed))
	l.changed = a.came
	l.note(l.uri, a.body, found.err())
	l.accept(a, m, a.body)
	l.push(m, nil)
	return nil
}
