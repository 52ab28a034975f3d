package history

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/history/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// The history can be made anew of the archive. What the archive says is read into
// a table of its own first (staged), then put in place video by video, each in one
// transaction (replace.go). So pages never see half of a story; a rebuild that is
// killed leaves every video as it was or as it is now, and the next one begins
// anew; and news that comes meanwhile is kept as always.

// Archive holds the events of the past.
type Archive interface {
	// Each calls fn with the archived events whose time lies in [from, to), of the
	// given sources or of all when there are none, until fn returns an error.
	// Tokens in them are masked.
	Each(ctx context.Context, from, to time.Time, sources []string, fn func(event.Envelope) error) error
}

// Rebuild says what is made anew.
type Rebuild struct {
	From  time.Time // events from then on; zero: all that the archive has
	Video string    // of this one alone; empty: of all
}

// Progress is how far a rebuild is.
type Progress struct {
	Events int       // read of the archive
	At     time.Time // of the event that was read last
	Videos int       // put in place
}

// Rebuilt is what a rebuild came to.
type Rebuilt struct {
	Events int       // read of the archive
	Videos int       // whose story was made anew
	Oldest time.Time // event of them; facts from before are as they were
	Newest time.Time
}

// stageBatch is how many events are staged in one transaction.
const stageBatch = 500

// Rebuild makes the history anew of what the archive has. Facts from before its
// oldest event stay, and so do those of videos that it knows nothing of.
// progress, which may be nil, is told now and then. Errors: errs.Conflict while
// another rebuild runs; errs.NotFound when the archive has nothing to tell.
func (s *Service) Rebuild(ctx context.Context, archive Archive, what Rebuild, progress func(Progress)) (Rebuilt, error) {
	if !s.rebuilding.TryLock() {
		return Rebuilt{}, errs.New(errs.Conflict, "the history is being rebuilt already; wait until that is done")
	}
	defer s.rebuilding.Unlock()
	if progress == nil {
		progress = func(Progress) {}
	}
	// What a rebuild left that was killed.
	if err := s.clearStaged(ctx); err != nil {
		return Rebuilt{}, err
	}
	st := &stager{s: s, video: what.Video, progress: progress}
	if err := archive.Each(ctx, what.From, time.Now(), nil, func(e event.Envelope) error { return st.add(ctx, e) }); err != nil {
		return Rebuilt{}, fmt.Errorf("reading the archive: %w", err)
	}
	if err := st.flush(ctx); err != nil {
		return Rebuilt{}, err
	}
	if st.read == 0 {
		return Rebuilt{}, errs.New(errs.NotFound, "the archive has no event that the history could be made of")
	}
	out := Rebuilt{Events: st.read, Oldest: st.oldest, Newest: st.newest}
	err := s.eachStaged(ctx, func(video string) error {
		did, err := s.replace(ctx, video, st.oldest, st.newest)
		if did {
			out.Videos++
		}
		progress(Progress{Events: st.read, At: st.newest, Videos: out.Videos})
		return err
	})
	if err == nil && what.Video != "" && out.Videos == 0 {
		err = errs.Newf(errs.NotFound, "the archive knows nothing of a video %q that could be told", what.Video)
	}
	return out, err
}

func (s *Service) clearStaged(ctx context.Context) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := sqlc.New(tx).ClearStaged(ctx); err != nil {
			return fmt.Errorf("clearing what an earlier rebuild left: %w", err)
		}
		return nil
	})
}

// eachStaged calls fn with every video that there is something staged of. fn takes
// it away.
func (s *Service) eachStaged(ctx context.Context, fn func(video string) error) error {
	const batch = 500
	after := ""
	for {
		videos, err := sqlc.New(s.db.Read()).StagedVideos(ctx, sqlc.StagedVideosParams{After: after, RowCount: batch})
		if err != nil {
			return fmt.Errorf("reading what is staged: %w", err)
		}
		for _, v := range videos {
			after = v
			if err := fn(v); err != nil {
				return err
			}
		}
		if len(videos) < batch {
			return nil
		}
	}
}

// stager reads events into the table of staged facts.
type stager struct {
	s        *Service
	video    string // empty: of all
	progress func(Progress)

	batch          []stagedFact
	read           int
	oldest, newest time.Time
}

type stagedFact struct {
	video, channel string
	fact
}

const (
	// stagedDeletion is the name of what says that the video was deleted.
	stagedDeletion = ""
	// stagedAnswer begins the name of a plugin's answer, of which the archive does
	// not say to which hook.
	stagedAnswer = "answer."
)

func (st *stager) add(ctx context.Context, e event.Envelope) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, ok := st.factOf(e)
	if !ok || st.video != "" && f.video != st.video {
		return nil
	}
	st.read++
	if st.oldest.IsZero() || e.Time.Before(st.oldest) {
		st.oldest = e.Time
	}
	if e.Time.After(st.newest) {
		st.newest = e.Time
	}
	if st.batch = append(st.batch, f); len(st.batch) < stageBatch {
		return nil
	}
	return st.flush(ctx)
}

// factOf makes a fact of an archived event, if the history hears such events and
// understands this one.
func (st *stager) factOf(e event.Envelope) (stagedFact, bool) {
	if !slices.ContainsFunc(st.s.Consumers(), func(c event.Consumer) bool {
		return slices.ContainsFunc(c.Filters, func(f event.Filter) bool { return f.Match(e) })
	}) {
		return stagedFact{}, false
	}
	if plugin := event.PluginOf(e.Source); plugin != "" {
		return archivedAnswer(e, plugin)
	}
	r := reader{e: e}
	if hook, plugin, ok := invocation(e); ok {
		r.invoked(hook, plugin)
	} else {
		r.read()
	}
	switch {
	case r.err != nil:
		return stagedFact{}, false
	case r.deleted:
		return stagedFact{r.video, r.channel, fact{Name: stagedDeletion, At: e.Time.UnixMilli()}}, true
	}
	return stagedFact{r.video, r.channel, r.fact}, r.fact.Name != ""
}

// archivedAnswer reads a plugin's answer. Its token is masked, so it is known by
// who sent it, which the bus has checked, and by the video that it names: it counts
// if that plugin was asked about that video.
func archivedAnswer(e event.Envelope, plugin string) (stagedFact, bool) {
	var d event.PluginComplete
	if e.Decode(&d) != nil || !isID(d.ID) || !isID(plugin) {
		return stagedFact{}, false
	}
	a := detail{Plugin: plugin}
	a.Valid, a.Reason = verdictOf(d.Message)
	return stagedFact{d.ID, "", fact{Name: stagedAnswer + plugin, At: max(1, e.Time.UnixMilli()), detail: a}}, true
}

func (st *stager) flush(ctx context.Context) error {
	err := st.s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		q := sqlc.New(tx)
		for _, f := range st.batch {
			text, err := json.Marshal(f.detail)
			if err != nil {
				return fmt.Errorf("encoding %s of video %s: %w", f.Name, f.video, err)
			}
			err = q.Stage(ctx, sqlc.StageParams{
				VideoID: f.video, Name: f.Name, Channel: f.channel, HappenedAt: f.At, Weight: f.Weight, Detail: string(text),
			})
			if err != nil {
				return fmt.Errorf("staging %s of video %s: %w", f.Name, f.video, err)
			}
		}
		return nil
	})
	st.batch = st.batch[:0]
	st.progress(Progress{Events: st.read, At: st.newest})
	return err
}
