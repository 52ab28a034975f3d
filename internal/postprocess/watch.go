package postprocess

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// errStalled is the cause of the context of work that a watchdog ended.
var errStalled = errors.New("no progress")

// watchdog ends work that makes no progress.
type watchdog struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	limit  time.Duration
	timer  *time.Timer
}

// watch returns a watchdog whose context ends with ctx, or when nobody has
// called alive for so long. Its owner calls stop.
func watch(ctx context.Context, limit time.Duration) *watchdog {
	w := &watchdog{limit: limit}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	w.timer = time.AfterFunc(limit, func() { w.cancel(errStalled) })
	return w
}

// alive says that there was progress. Work that has been ended stays so.
func (w *watchdog) alive() { w.timer.Reset(w.limit) }

func (w *watchdog) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// judge returns why the work ended: err, or that it was the watchdog.
func (w *watchdog) judge(err error, who string) error {
	if err == nil || !errors.Is(context.Cause(w.ctx), errStalled) {
		return err
	}
	message := fmt.Sprintf("%s made no progress for %v and was stopped", who, w.limit)
	return errs.Wrap(errors.Join(errStalled, err), errs.Unavailable, message)
}
