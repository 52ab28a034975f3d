package hlstest

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// askForHint asks for the part that is hinted at; the answer comes when the part
// does. A Status of 0 says that there was none.
func (l *line) askForHint(ctx context.Context) chan fetched {
	if l.now.Hint == "" {
		return nil
	}
	out := make(chan fetched, 1)
	uri := resolve(l.uri, l.now.Hint)
	l.asking.Go(func() {
		a, err := l.get(ctx, ForHint, uri)
		if err != nil {
			a = fetched{}
		}
		out <- a
	})
	return out
}

// question is a request that must be refused.
type question struct {
	asked Asked
	url   string
}

// probe asks for what must be refused when the playlist is at now.
func (l *line) probe(ctx context.Context, now *Media) {
	far := now.NextMSN()
	questions := []question{{ForUnknown, resolve(l.uri, "nothing-has-this-name.mp4")}}
	if now.CanBlockReload {
		if now.PartTarget > 0 {
			questions = append(questions, question{ForFarPart, l.reloadURL(far, 1000, false)})
		}
		questions = append(questions,
			question{ForPartAlone, l.with("_HLS_part", "0")}, question{ForFarMSN, l.reloadURL(far+10, -1, false)})
	}
	for _, q := range questions {
		a, ok := l.asks(ctx, q)
		if !ok {
			return
		}
		if a.Status != http.StatusBadRequest && q.asked == ForFarPart && l.reached(ctx, far) {
			continue // it was far when it was asked for, and is not any more
		}
		l.note(l.uri, nil, CheckAnswer(a))
	}
}

// asks asks for what should be refused at once. If it is held instead, the
// status of the answer is 0. It is not ok when the line is over.
func (l *line) asks(ctx context.Context, q question) (Answer, bool) {
	short, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	a, err := l.get(short, q.asked, q.url)
	if err != nil {
		a.Answer = Answer{Asked: q.asked, URL: q.url, Header: http.Header{"Access-Control-Allow-Origin": {"*"}}}
	}
	return a.Answer, ctx.Err() == nil
}

// reached says whether the playlist has a complete segment by now.
func (l *line) reached(ctx context.Context, msn uint64) bool {
	a, err := l.get(ctx, ForPlaylist, l.uri)
	if err != nil {
		return true // nothing can be said
	}
	m, err := ParseMedia(a.body)
	return err != nil || m.Ended || complete(m) > msn
}

// with returns the playlist's URL with a query parameter.
func (l *line) with(name, value string) string {
	u, err := url.Parse(l.uri)
	if err != nil {
		return l.uri
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

// probeEnded checks that directives are ignored in an ended playlist.
func (l *line) probeEnded(ctx context.Context) {
	a, err := l.get(ctx, ForBlocking, l.reloadURL(l.now.NextMSN()+50, 0, true))
	if err != nil {
		return
	}
	l.note(l.uri, a.body, CheckEnded(a.Answer, a.body))
}

// CheckEnded checks the answer to a reload with directives after the end.
func CheckEnded(a Answer, playlist []byte) error {
	var f Findings
	m, err := ParseMedia(playlist)
	if a.Status != http.StatusOK || err != nil || m.Skipped > 0 || !m.Ended {
		f.add("http-ended", "%s is answered with %d and no whole, ended playlist (%v)", a.URL, a.Status, err)
	}
	return f.err()
}
