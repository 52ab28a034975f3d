package flow_test

import (
	"context"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
)

// Erase ends what runs and leaves nothing of a flow, whatever became of it.
func TestErase(t *testing.T) {
	each(t, func(t *testing.T, cfg flow.Config) {
		ctx := context.Background()
		e := open(t, cfg)
		began, over := make(chan struct{}), make(chan error, 1)
		flow.Register(e, "waits", func(c flow.Context, _ int) (int, error) {
			_, err := flow.Step(c, "wait", func(ctx context.Context) (int, error) {
				close(began)
				<-ctx.Done()
				return 0, ctx.Err()
			}, flow.Retries{Max: flow.Forever})
			over <- err
			return 0, err
		})
		flow.Register(e, "quick", func(c flow.Context, n int) (int, error) {
			return flow.Step(c, "add", func(context.Context) (int, error) { return n + 1, nil })
		})
		start(t, e)
		if err := flow.Run(ctx, e, "waits", "running", 0); err != nil {
			t.Fatal(err)
		}
		<-began
		if err := flow.Run(ctx, e, "quick", "done", 1); err != nil {
			t.Fatal(err)
		}
		waitStatus(t, e, "done", flow.Done)
		for _, id := range []string{"running", "done"} {
			if found, err := e.Erase(ctx, id); err != nil || !found {
				t.Errorf("erasing %s: %v, %v", id, found, err)
			}
			if _, err := e.Status(ctx, id); errs.CodeOf(err) != errs.NotFound {
				t.Errorf("%s is still there: %v", id, err)
			}
			if found, err := e.Erase(ctx, id); err != nil || found {
				t.Errorf("erasing %s again: %v, %v", id, found, err)
			}
		}
		if err := <-over; err == nil {
			t.Error("the step of a flow that is erased ended well")
		}
		// Under its id another one can run.
		if err := flow.Run(ctx, e, "quick", "running", 1); err != nil {
			t.Fatal(err)
		}
		waitStatus(t, e, "running", flow.Done)
	})
}
