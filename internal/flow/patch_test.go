package flow_test

import (
	"context"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/flow"
)

// TestPatched: a flow that a build before the change began takes the new steps
// when it has not passed their place, and stays as it was when it has; and each
// takes the same path when it is interrupted once more.
func TestPatched(t *testing.T) {
	each(t, func(t *testing.T, cfg flow.Config) {
		var done calls
		step := func(c flow.Context, hangs, name string) error {
			_, err := flow.Step(c, name, func(ctx context.Context) (string, error) {
				if name == hangs {
					done.add(c.ID() + " in " + name)
					<-ctx.Done()
					return "", ctx.Err()
				}
				done.add(c.ID() + " " + name)
				return name, nil
			})
			return err
		}
		run := func(names []string, patched bool) func(hangs string) *flow.Engine {
			return func(hangs string) *flow.Engine {
				e := open(t, cfg)
				flow.Register(e, "changing", func(c flow.Context, stops string) (string, error) {
					if hangs == "" {
						stops = ""
					}
					var path []string
					for _, name := range names {
						if name == "new" && patched {
							fresh, err := flow.Patched(c, "new")
							if err != nil {
								return "", err
							}
							if !fresh {
								continue
							}
						}
						if err := step(c, stops, name); err != nil {
							return "", err
						}
						path = append(path, name)
					}
					return strings.Join(path, " "), nil
				})
				start(t, e)
				return e
			}
		}
		before := run([]string{"first", "middle", "last"}, false)
		after := run([]string{"first", "new", "middle", "last"}, true)

		e := before("as told")
		for id, stops := range map[string]string{"early": "first", "late": "last"} {
			if err := flow.Run(t.Context(), e, "changing", id, stops); err != nil {
				t.Fatal(err)
			}
			waitFor(t, id+" hangs", func() bool { return done.of(id+" in "+stops) == 1 })
		}
		shutdown(t, e)

		e = after("as told") // it hangs there again, after the patch has been asked
		waitFor(t, "both hang again", func() bool { return done.of("early in first") == 2 && done.of("late in last") == 2 })
		if err := flow.Run(t.Context(), e, "changing", "fresh", "last"); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the new one hangs", func() bool { return done.of("fresh in last") == 1 })
		shutdown(t, e)

		e = after("")
		for id, want := range map[string]string{"early": "first new middle last", "late": "first middle last", "fresh": "first new middle last"} {
			info := waitStatus(t, e, id, flow.Done)
			if got := decode[string](t, info.Output); got != want {
				t.Errorf("%s took the path %q, want %q", id, got, want)
			}
		}
		if done.of("fresh new") != 1 || done.of("late first") != 1 {
			t.Error("a finished step ran again")
		}
	})
}
