package recorder

import (
	"context"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// Init returns what the first init segment of a rung says. Errors: errs.NotFound.
func (r Recording) Init(ctx context.Context, store blob.Store, rung string) (cmaf.Init, error) {
	at, err := r.find(rung)
	if err != nil {
		return cmaf.Init{}, err
	}
	first := r.Rungs[at].Segments[0]
	return readInit(ctx, store, join(r.Prefix, rung, InitName(first.Epoch, first.Init)))
}
