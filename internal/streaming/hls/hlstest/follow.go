package hlstest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// FollowOptions say how to follow.
type FollowOptions struct {
	For    time.Duration // how long; 0: until the stream has ended
	VOD    bool          // it is a recording
	Client *http.Client  // nil: one for this alone
	Except []string      // ids of rules that do not apply
}

// Follow plays what a multivariant playlist names as a low-latency player does,
// on all media playlists at once: blocking reloads, delta updates beside whole
// playlists, hinted parts, then parts and segments. It checks everything that
// comes. It returns when the time is up, when the stream has ended, or when ctx
// is done; what it found is in the report. The error says why it could not
// follow.
func Follow(ctx context.Context, masterURL string, o FollowOptions) (FollowReport, error) {
	client := o.Client
	if client == nil {
		transport := &http.Transport{
			DisableCompression: true, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute,
		}
		defer transport.CloseIdleConnections()
		client = &http.Client{Transport: transport}
	}
	f := &follower{
		fetcher: fetcher{client: client}, journal: &journal{except: o.Except},
		masterURL: masterURL, vod: o.VOD, began: time.Now(),
	}
	if o.For > 0 {
		f.until = f.began.Add(o.For)
	}
	err := f.run(ctx)
	return f.journal.done(f.began), err
}

// follower follows all media playlists of a multivariant playlist.
type follower struct {
	fetcher
	*journal
	masterURL string
	vod       bool
	began     time.Time
	until     time.Time // zero: until the end

	master      *Multivariant
	independent bool // it promises independent segments
	lines       []*line

	mu  sync.Mutex // of set, and in lines of newest and history
	set []rendition
}

func (f *follower) run(ctx context.Context) error {
	if err := f.loadMaster(ctx, true); err != nil {
		return err
	}
	for _, uri := range f.mediaURIs() {
		l := &line{follower: f, uri: uri, video: f.master.isVideo(f.masterURL, uri), inits: map[string][]byte{}}
		f.lines = append(f.lines, l)
	}
	if len(f.lines) == 0 {
		return fmt.Errorf("%s names no media playlist", f.masterURL)
	}
	errs := make([]error, len(f.lines))
	var wg sync.WaitGroup
	for i, l := range f.lines {
		wg.Go(func() { errs[i] = l.follow(ctx) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	// The attributes are compared with what was measured meanwhile. After the end
	// the playlist may be gone; then it is the one that players have.
	_ = f.loadMaster(ctx, false)
	f.checkAttributes()
	return nil
}

// loadMaster loads the multivariant playlist, the first time to check it.
func (f *follower) loadMaster(ctx context.Context, first bool) error {
	a, err := f.get(ctx, ForPlaylist, f.masterURL)
	if err != nil {
		return err
	}
	if a.Status != http.StatusOK {
		if first {
			f.note(f.masterURL, nil, CheckAnswer(a.Answer))
		}
		return fmt.Errorf("%s is answered with %d", f.masterURL, a.Status)
	}
	m, err := ParseMultivariant(a.body)
	if first || err != nil {
		f.count(&f.report.Playlists)
		f.note(f.masterURL, nil, CheckAnswer(a.Answer))
		f.note(f.masterURL, a.body, err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f.masterURL, err)
	}
	f.master = m
	if first {
		f.independent = m.IndependentSegments
		f.note(f.masterURL, a.body, m.check().err())
		f.note(f.masterURL, a.body, m.checkLadder().err())
	}
	return nil
}

// mediaURIs lists the media playlists, each once.
func (f *follower) mediaURIs() []string {
	var uris []string
	seen := map[string]bool{"": true}
	add := func(ref string) {
		if ref == "" {
			return
		}
		if uri := resolve(f.masterURL, ref); !seen[uri] {
			seen[uri] = true
			uris = append(uris, uri)
		}
	}
	for i := range f.master.Variants {
		add(f.master.Variants[i].URI)
	}
	for i := range f.master.Renditions {
		add(f.master.Renditions[i].URI)
	}
	return uris
}

// checkAttributes compares the multivariant playlist with the media.
func (f *follower) checkAttributes() {
	content := map[string]*line{}
	for _, l := range f.lines {
		content[l.uri] = l
	}
	for _, v := range f.master.Variants {
		group := map[string]*Content{}
		for _, r := range f.master.Renditions {
			if l := content[resolve(f.masterURL, r.URI)]; l != nil && r.GroupID == v.Audio && r.URI != "" {
				group[r.Name] = &l.content
			}
		}
		if l := content[resolve(f.masterURL, v.URI)]; l != nil {
			f.note(f.masterURL, nil, l.content.CheckVariant(v, l.target, group))
		}
	}
	for _, r := range f.master.Renditions {
		if l := content[resolve(f.masterURL, r.URI)]; l != nil && r.URI != "" {
			f.note(f.masterURL, nil, l.content.CheckRendition(r))
		}
	}
}

// over says whether the time is up.
func (f *follower) over() bool { return !f.until.IsZero() && time.Now().After(f.until) }

// compare notes the newest state of a media playlist and compares it with the
// others' newest states.
func (f *follower) compare(l *line, m *Media, text []byte) {
	var found Findings
	f.mu.Lock()
	l.newest = m
	f.set = f.set[:0]
	for _, o := range f.lines {
		if o.newest != nil {
			f.set = append(f.set, rendition{uri: o.uri, video: o.video, m: o.newest})
		}
	}
	all := len(f.set) == len(f.lines)
	if all {
		checkSet(&found, f.master, f.set)
		checkReports(&found, rendition{uri: l.uri, video: l.video, m: m}, f.set)
	}
	f.mu.Unlock()
	f.note(l.uri, text, found.err())
}
