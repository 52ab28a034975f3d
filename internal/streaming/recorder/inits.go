package recorder

import (
	"context"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// Inits returns what the init segments of a rung say, in the order in which its
// segments need them; there is at least one. Errors: errs.NotFound.
func (r Recording) Inits(ctx context.Context, store blob.Store, rung string) ([]cmaf.Init, error) {
	at, err := r.find(rung)
	if err != nil {
		return nil, err
	}
	return r.Rungs[at].inits(ctx, store, r.Prefix)
}

func (rr RungRecording) inits(ctx context.Context, store blob.Store, prefix string) ([]cmaf.Init, error) {
	var all []cmaf.Init
	seen := map[string]bool{}
	for _, s := range rr.Segments {
		name := InitName(s.Epoch, s.Init)
		if seen[name] {
			continue
		}
		seen[name] = true
		init, err := readInit(ctx, store, join(prefix, rr.Name, name))
		if err != nil {
			return nil, err
		}
		all = append(all, init)
	}
	return all, nil
}
