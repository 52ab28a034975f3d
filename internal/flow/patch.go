package flow

import (
	"context"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
)

// Patched says whether this flow takes the steps that the named change of its
// function brought. It stands right before the first new step:
//
//	fresh, err := flow.Patched(c, "storyboard")
//
// True for flows that come here without a record of what follows, also those that
// an earlier build began; it is recorded, so they take the same path whenever they run
// again. False for flows that had already gone on when the change came: they
// end as they began. The name stays for as long as one of them may be
// unfinished. Errors are those of a run that is over (ErrInterrupted).
func Patched(c Context, name string) (bool, error) {
	x := c.execution
	if x.ended != nil {
		return false, x.ended
	}
	if x.ctx.Err() != nil {
		return false, x.interrupt(context.Cause(x.ctx))
	}
	fresh, err := dbos.Patch(x.dbos, name)
	if err != nil {
		return false, x.interrupt(err)
	}
	return fresh, nil
}
