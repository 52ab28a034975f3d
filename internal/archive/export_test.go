package archive

import (
	"context"
	"math"

	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Find does what one request for a page does, and returns how many it found and
// where the next one goes on.
func (s *Service) Find(ctx context.Context, source, patternText string, limit int, before *store.Key) (int, *store.Key, error) {
	p, err := compile("query.pattern", patternText)
	if err != nil {
		return 0, nil, err
	}
	w := &search{s: s, filter: filter{source: source, pattern: p}, limit: limit, before: store.Key{At: math.MaxInt64}}
	if before != nil {
		w.before = *before
	}
	next, err := w.run(ctx)
	return len(w.found), next, err
}
