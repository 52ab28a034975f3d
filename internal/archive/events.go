package archive

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/archive/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Consumers returns what the archive hears: everything, and nothing when nothing
// is kept. It says nothing.
func (s *Service) Consumers() []event.Consumer {
	if s.cfg.Keep == 0 {
		return nil
	}
	return []event.Consumer{{Name: "archive", Filters: []event.Filter{{}}, Handle: s.handle}}
}

// handle keeps an event. The row's key is its receipt: a second one changes
// nothing.
func (s *Service) handle(ctx context.Context, e event.Envelope) error {
	row, err := rowOf(e, store.Now())
	if err != nil {
		return err
	}
	return s.writer.add(ctx, row)
}

// rowSize is what a row and its places in the indexes take beside its body, in
// bytes, about.
const rowSize = 400

func rowOf(e event.Envelope, now int64) (sqlc.AddEventParams, error) {
	e = e.Masked()
	body, err := json.Marshal(e)
	if err != nil {
		return sqlc.AddEventParams{}, fmt.Errorf("encoding %s %s: %w", e.DetailType, e.ID, err)
	}
	// A plugin says what time it likes. What would be in the future, where it is
	// neither found nor ever old, happened now.
	at := e.Time.UnixMilli()
	if at <= 0 || at > now {
		at = now
	}
	return sqlc.AddEventParams{
		ID: e.ID, At: at, Source: e.Source, DetailType: e.DetailType, About: e.About(), Size: int64(len(body)) + rowSize, Body: string(body),
	}, nil
}
