package app

import (
	"context"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/admin"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/history"
)

// RebuildHistory makes the timelines of videos anew of the archived events.
func (o *operator) RebuildHistory(ctx context.Context, r admin.RebuildRequest, progress func(string)) (admin.RebuildReport, error) {
	if o.cfg.Archive.Keep == 0 {
		return admin.RebuildReport{}, errs.New(errs.Unsupported,
			"this node keeps no events (archive.keep is 0), so there is nothing that the history could be made of")
	}
	told := history.New(o.db, nil, o.log)
	if o.node != nil {
		told = o.node.services.history // one rebuild at a time
	}
	done, err := told.Rebuild(ctx, o.archive, history.Rebuild{From: r.From, Video: r.Video}, func(p history.Progress) {
		if progress == nil {
			return
		}
		if p.Videos > 0 {
			progress(fmt.Sprintf("%d timelines in place", p.Videos))
			return
		}
		progress(fmt.Sprintf("%d events read, up to %s", p.Events, p.At.Format("2006-01-02 15:04:05")))
	})
	return admin.RebuildReport{Events: done.Events, Videos: done.Videos, Oldest: done.Oldest, Newest: done.Newest}, err
}
