package video

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/video/sqlc"
)

// hit is a video that was found, with its place in the order of all.
type hit = sqlc.SearchPublicRow

// search answers with a page of what find finds. A page goes on after a video's
// number: numbers rise with the time at which videos were made and never change,
// so pages stay right while videos are added.
func (s *Service) search(ctx context.Context, in SearchQuery, find func(ctx context.Context, asked string, p store.Page) ([]hit, error)) (*list, error) {
	p, err := store.ParsePage(in.Offset, in.Limit)
	if err != nil {
		return nil, err
	}
	var hits []hit
	if asked := question(in.Q); asked != "" { // without any word there is nothing to find
		if hits, err = find(ctx, asked, p); err != nil {
			return nil, fmt.Errorf("searching videos: %w", err)
		}
	}
	return &list{Body: store.MakeList(p, hits,
		func(h hit) store.Key { return store.Key{At: h.Number, ID: h.Video.ID} },
		func(h hit) Video { return s.show(ctx, h.Video) })}, nil
}

func (s *Service) findPublic(ctx context.Context, asked string, p store.Page) ([]hit, error) {
	return sqlc.New(s.db.Read()).SearchPublic(ctx, sqlc.SearchPublicParams{Words: asked, Before: p.After.At, RowCount: rows(p)})
}

// findOf searches one channel's videos, whatever their status.
func (s *Service) findOf(channel string) func(context.Context, string, store.Page) ([]hit, error) {
	return func(ctx context.Context, asked string, p store.Page) ([]hit, error) {
		found, err := sqlc.New(s.db.Read()).SearchChannel(ctx, sqlc.SearchChannelParams{
			Words: asked + " " + channelWord(channel), Channel: channel, Before: p.After.At, RowCount: rows(p),
		})
		hits := make([]hit, len(found))
		for i, f := range found {
			hits[i] = hit(f)
		}
		return hits, err
	}
}

// numbers is how many numbers the videos of one millisecond share. One begins
// to look for a free number in the first half, where its id says: so it hardly
// ever meets another, least of all one that is being added at the same time.
// PostgreSQL refuses the later of those two, and the event is heard again.
const numbers = 1 << 20

func firstNumber(v sqlc.Video) int64 {
	h := fnv.New32a()
	h.Write([]byte(v.ID))
	return v.CreatedAt*numbers + int64(h.Sum32())%(numbers/2)
}

// index notes by which words the video is found; a deleted one is not.
func index(ctx context.Context, tx *store.Tx, v sqlc.Video) error {
	if err := noteWords(ctx, sqlc.New(tx), v); err != nil {
		return fmt.Errorf("noting the words of video %s: %w", v.ID, err)
	}
	return nil
}

func noteWords(ctx context.Context, q *sqlc.Queries, v sqlc.Video) error {
	if v.DeletedAt > 0 {
		return errors.Join(q.ForgetWords(ctx, v.ID), q.ForgetTranscriptWords(ctx, v.ID))
	}
	if !v.Recorded || event.Simulated(v.ID) { // whom nobody is to find
		return nil
	}
	found, err := withTranscript(ctx, q, v.ID, wordsOf(v))
	if err != nil {
		return err
	}
	noted, err := q.Words(ctx, v.ID)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return q.AddWords(ctx, sqlc.AddWordsParams{
			First: firstNumber(v), Last: (v.CreatedAt+1)*numbers - 1, VideoID: v.ID, Words: found,
		})
	case err != nil || noted == found:
		return err
	}
	return q.ChangeWords(ctx, sqlc.ChangeWordsParams{VideoID: v.ID, Words: found})
}

// indexBatch is how many videos indexMissing reads at a time.
const indexBatch = 500

// indexMissing notes the words of videos from before there was a search.
func (s *Service) indexMissing(ctx context.Context) error {
	for {
		ids, err := sqlc.New(s.db.Read()).WithoutWords(ctx, indexBatch)
		if err != nil {
			return fmt.Errorf("reading the videos that search does not find: %w", err)
		}
		err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			for _, id := range ids {
				v, err := sqlc.New(tx).LockVideo(ctx, id)
				if err != nil {
					return named(err, id)
				}
				if err := index(ctx, tx, v); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || len(ids) < indexBatch {
			return err
		}
	}
}
