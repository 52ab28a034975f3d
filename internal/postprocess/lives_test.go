package postprocess_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event/eventtest"
	"github.com/serverlessvideo/serverlessvideo/internal/postprocess"
)

// However the events of whole lives arrive, each recording is processed once.
func TestLivesInAnyOrder(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		n := open(t, p, postprocess.Config{}, func(postprocess.Remuxer) postprocess.Remuxer {
			return wrapped(func(context.Context, string, io.Writer, func(done, total int64)) (postprocess.Media, error) {
				return postprocess.Media{}, errs.New(errs.Invalid, "the recording holds no media")
			})
		})
		n.start(t)
		deleted := func(video string) { n.gone.Store(video, true) }
		eventtest.Deliveries(t, 12, false, eventtest.Catalogued(deleted, eventtest.To(t, n.service.Consumers())), func(lives []eventtest.Life) string {
			var all strings.Builder
			for _, l := range lives {
				if l.Name == "deleted" {
					n.wantNothing(t, l.Video)
					continue
				}
				waitFor(t, "the job of "+l.Video+" ends", func() bool { state, _ := n.job(t, l.Video); return state == "failed" })
				said := map[string]int{}
				for _, e := range n.said(t) {
					if strings.Contains(string(e.Detail), `"`+l.Video+`"`) {
						said[e.DetailType]++
					}
				}
				_, reason := n.job(t, l.Video)
				fmt.Fprintf(&all, "%s: %s, said %v\n", l.Name, reason, said)
			}
			return all.String()
		})
	})
}
