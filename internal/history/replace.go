package history

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/history/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// edge is by how much events may come into the archive, or leave it, out of the
// order of their times. So near to its oldest and newest event a fact that the
// archive does not have may still be right.
const edge = 2 * time.Minute

// replace puts what is staged of a video in the place of its facts of that time;
// false when nothing can be told of it.
func (s *Service) replace(ctx context.Context, video string, oldest, newest time.Time) (did bool, err error) {
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		did = false
		q := sqlc.New(tx)
		rows, err := q.Staged(ctx, video)
		if err != nil {
			return fmt.Errorf("reading what is staged of video %s: %w", video, err)
		}
		staged, channel, deleted, err := stagedFacts(rows)
		if err != nil {
			return err
		}
		if deleted {
			return forget(ctx, tx, video, channel)
		}
		if did, err = s.replaceFacts(ctx, tx, video, channel, staged, oldest, newest); err != nil {
			return err
		}
		return q.ForgetStaged(ctx, video)
	})
	return did && err == nil, err
}

// stagedFacts returns the facts by name, whose they are, and whether the video was
// deleted.
func stagedFacts(rows []sqlc.HistoryStaged) (facts map[string]fact, channel string, deleted bool, err error) {
	facts = map[string]fact{}
	for _, r := range rows {
		if r.Channel != "" {
			channel = r.Channel
		}
		if r.Name == stagedDeletion {
			deleted = true
			continue
		}
		f := fact{Name: r.Name, At: r.HappenedAt, Weight: r.Weight}
		if err := json.Unmarshal([]byte(r.Detail), &f.detail); err != nil {
			return nil, "", false, fmt.Errorf("reading %s of video %s: %w", r.Name, r.VideoID, err)
		}
		facts[f.Name] = f
	}
	return facts, channel, deleted, nil
}

func (s *Service) replaceFacts(ctx context.Context, tx *store.Tx, video, channel string, staged map[string]fact, oldest, newest time.Time) (did bool, err error) {
	if channel == "" {
		return false, nil // a plugin's answers alone: anybody could name a video
	}
	q := sqlc.New(tx)
	v, err := q.ClaimVideo(ctx, sqlc.ClaimVideoParams{ID: video, Channel: channel})
	if err != nil {
		return false, fmt.Errorf("the history of video %s: %w", video, err)
	}
	if v.DeletedAt > 0 {
		return false, nil
	}
	before, err := q.Facts(ctx, video)
	if err != nil {
		return false, fmt.Errorf("reading the history of video %s: %w", video, err)
	}
	if err := placeAnswers(ctx, q, video, staged); err != nil {
		return false, err
	}
	since, until := oldest.Add(edge).UnixMilli(), newest.Add(-edge).UnixMilli()
	for _, f := range before {
		if stays(f, staged, since, until) {
			continue
		}
		if err := q.ForgetFact(ctx, sqlc.ForgetFactParams{VideoID: video, Name: f.Name}); err != nil {
			return false, fmt.Errorf("forgetting %s of video %s: %w", f.Name, video, err)
		}
	}
	facts := make([]fact, 0, len(staged))
	for _, f := range staged {
		facts = append(facts, f)
	}
	_, err = keep(ctx, tx, video, channel, facts...)
	return true, err
}

// stays says whether a fact from before the rebuild may be right all the same: it
// is from a time that the archive does not hold, or may not hold yet. One that the
// archive tells too does not: the archive's is put in its place.
func stays(f sqlc.HistoryFact, staged map[string]fact, since, until int64) bool {
	outside := f.HappenedAt < since || f.HappenedAt >= until
	told, both := staged[f.Name]
	switch {
	case both && f.Weight > told.Weight, both && f.HappenedAt < told.At:
		// It says more than the archive does: of an event that has left it, or that
		// it has still to get.
		return outside
	case both:
		return false
	case strings.HasPrefix(f.Name, answered+"."):
		// The archive says of an answer neither the token nor always the video, so
		// only what it was an answer to can speak against it.
		_, invited := staged[asked+strings.TrimPrefix(f.Name, answered)]
		return outside || invited
	}
	return outside
}

// placeAnswers makes facts of the plugins' answers: of those whose token is still
// known, and else of those that the archive has, to the hook at which the plugin
// was asked.
func placeAnswers(ctx context.Context, q *sqlc.Queries, video string, staged map[string]fact) error {
	tasks, err := q.AnswersOf(ctx, video)
	if err != nil {
		return fmt.Errorf("reading the answers to video %s: %w", video, err)
	}
	for name, f := range staged {
		plugin, ok := strings.CutPrefix(name, stagedAnswer)
		if !ok {
			continue
		}
		delete(staged, name)
		for _, hook := range hooks() {
			if _, invited := staged[pluginFact(asked, hook, plugin)]; !invited {
				continue
			}
			a := fact{Name: pluginFact(answered, hook, plugin), At: f.At, detail: detail{Hook: hook, Plugin: plugin}}
			if validates(hook) {
				a.Valid, a.Reason = f.Valid, f.Reason
			}
			staged[a.Name] = a
		}
	}
	for _, t := range tasks {
		for _, a := range answersOf(t) {
			staged[a.Name] = a
		}
	}
	return nil
}
