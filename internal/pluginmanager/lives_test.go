package pluginmanager_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/event/eventtest"
	"github.com/serverlessvideo/serverlessvideo/internal/pluginmanager"
)

// However the events of whole lives arrive, each video that is ready has one
// lifecycle, and answers under tokens that were never given count for nothing.
func TestLivesInAnyOrder(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.options.BuiltIns = []pluginmanager.BuiltIn{duration()}
		r.start()
		defer r.stop()
		deleted := func(video string) { r.deleted.Store(video, true) }
		eventtest.Deliveries(t, 12, false, eventtest.Catalogued(deleted, eventtest.To(t, r.svc.Consumers())), func(lives []eventtest.Life) string {
			var all strings.Builder
			for _, l := range lives {
				if l.Name == "deleted" {
					r.wantNothingOf(l.Video)
					continue
				}
				count := func(detailType string) (n int) {
					for _, e := range r.events(detailType) {
						if strings.Contains(string(e.Detail), `"`+l.Video+`"`) {
							n++
						}
					}
					return n
				}
				if l.Name != "failed" { // it never was ready
					r.wait("the lifecycle of "+l.Video+" ends", func() bool { return count("LifeCycleComplete") > 0 })
				}
				fmt.Fprintf(&all, "%s: started %d, asked %d, failed %d, ended %d\n", l.Name, count("LifeCycleStarted"),
					count("preValidate.duration_plugin"), count("Plugin failed"), count("LifeCycleComplete"))
			}
			return all.String()
		})
	})
}
