package archive

import (
	"context"
	"fmt"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/archive/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// mostLookedAt is how many events one request looks at to count matches.
const mostLookedAt = 10_000

// ReplayInput says what is replayed.
type ReplayInput struct {
	Rule    string    `json:"rule" minLength:"1" maxLength:"128" doc:"id of the rule that the events go to"`
	From    time.Time `json:"from" doc:"not before"`
	To      time.Time `json:"to,omitempty" doc:"before; now where it is absent or later"`
	Pattern string    `json:"pattern,omitempty" maxLength:"16384" doc:"only events that match this pattern, JSON as text, besides the rule's own"`
}

// MatchInput says what is counted.
type MatchInput struct {
	ReplayInput
	Offset string `json:"offset,omitempty" maxLength:"256" doc:"nextPage of the page before, unread"`
}

// Matches are the counts of a part of a range.
type Matches struct {
	NextPage string `json:"nextPage,omitempty" doc:"offset of the next part; absent: this was the last"`
	LookedAt int64  `json:"lookedAt"`
	Matched  int64  `json:"matched"`
}

type matchesOutput struct{ Body Matches }

func (s *Service) countMatches(ctx context.Context, in *struct{ Body MatchInput }) (*matchesOutput, error) {
	if _, err := admin(ctx); err != nil {
		return nil, err
	}
	from, to, err := rangeOf(in.Body.From, in.Body.To, time.Now())
	if err != nil {
		return nil, err
	}
	if _, err := compile("body.pattern", in.Body.Pattern); err != nil {
		return nil, err
	}
	rule, err := s.cfg.Rules.Rule(ctx, in.Body.Rule)
	if err != nil {
		return nil, err
	}
	match, err := matcher(rule.Pattern, in.Body.Pattern)
	if err != nil {
		return nil, err
	}
	page, err := store.ParsePageOldestFirst(in.Body.Offset, 1)
	if err != nil {
		return nil, err
	}
	p := placeAt(from, to)
	if in.Body.Offset != "" {
		p.at, p.id = max(from, page.After.At), page.After.ID
	}
	out, err := s.count(ctx, p, match)
	if err != nil {
		return nil, err
	}
	return &matchesOutput{out}, nil
}

func (s *Service) count(ctx context.Context, p place, match func([]byte) (bool, error)) (Matches, error) {
	var out Matches
	for bytes := 0; ; {
		rows, err := s.newer(ctx, &p)
		if err != nil {
			return out, err
		}
		for _, row := range rows {
			matches, err := match([]byte(row.Body))
			if err != nil {
				return out, fmt.Errorf("event %s of the archive: %w", row.ID, err)
			}
			if matches {
				out.Matched++
			}
			out.LookedAt++
			bytes += len(row.Body)
		}
		if len(rows) < readBatch {
			return out, nil
		}
		if out.LookedAt >= mostLookedAt || bytes >= mostBytes {
			out.NextPage = store.Key{At: p.at, ID: p.id}.String()
			return out, nil
		}
	}
}

type replayOutput struct{ Body ReplayView }

func (s *Service) createReplay(ctx context.Context, in *struct{ Body ReplayInput }) (*replayOutput, error) {
	who, err := admin(ctx)
	if err != nil {
		return nil, err
	}
	r, err := s.begin(ctx, who.ID, in.Body)
	if err != nil {
		return nil, err
	}
	return &replayOutput{viewReplay(r)}, nil
}

type replayList struct{ Body store.List[ReplayView] }

func (s *Service) listReplays(ctx context.Context, in *struct {
	Offset string `query:"offset" maxLength:"256" doc:"nextPage of the page before, unread"`
	Limit  int    `query:"limit" default:"10" minimum:"1" maximum:"100" doc:"rows on a page"`
}) (*replayList, error) {
	if _, err := admin(ctx); err != nil {
		return nil, err
	}
	p, err := store.ParsePage(in.Offset, in.Limit)
	if err != nil {
		return nil, err
	}
	rows, err := s.queries().ListReplays(ctx, sqlc.ListReplaysParams{At: p.After.At, LastID: p.After.ID, RowCount: int32(p.Limit) + 1})
	if err != nil {
		return nil, fmt.Errorf("reading the replays: %w", err)
	}
	key := func(r sqlc.ArchiveReplay) store.Key { return store.Key{At: r.CreatedAt, ID: r.ID} }
	return &replayList{store.MakeList(p, rows, key, viewReplay)}, nil
}

// ReplayPath names a replay.
type ReplayPath struct {
	ID string `path:"id" maxLength:"128"`
}

func (s *Service) getReplay(ctx context.Context, in *ReplayPath) (*replayOutput, error) {
	if _, err := admin(ctx); err != nil {
		return nil, err
	}
	r, err := s.replayOf(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &replayOutput{viewReplay(r)}, nil
}

func (s *Service) cancelReplay(ctx context.Context, in *ReplayPath) (*replayOutput, error) {
	if _, err := admin(ctx); err != nil {
		return nil, err
	}
	r, err := s.cancel(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &replayOutput{viewReplay(r)}, nil
}
