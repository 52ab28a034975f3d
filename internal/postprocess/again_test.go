package postprocess_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/postprocess"
)

// TestAgainByRule: a rule begins attempts at what has failed, once for a delivery,
// and not for ever.
func TestAgainByRule(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		n := open(t, p, postprocess.Config{}, func(postprocess.Remuxer) postprocess.Remuxer {
			return wrapped(func(context.Context, string, io.Writer, func(done, total int64)) (postprocess.Media, error) {
				return postprocess.Media{}, errors.New("the object store is away")
			})
		})
		n.start(t)
		stream := streamID()
		if err := n.service.AgainByRule(t.Context(), "msg_0", stream); errs.CodeOf(err) != errs.NotFound {
			t.Errorf("before there is a job: %v", err)
		}
		n.mustHear(t, ended(stream))
		n.await(t, stream, flow.Done)
		for _, attempt := range []string{"2", "3", "4", "5"} {
			for range 2 { // the delivery is made again
				if err := n.service.AgainByRule(t.Context(), "msg_"+attempt, stream); err != nil {
					t.Fatal(err)
				}
			}
			n.await(t, stream+"."+attempt, flow.Done)
		}
		err := n.service.AgainByRule(t.Context(), "msg_6", stream)
		if errs.CodeOf(err) != errs.Conflict || !strings.Contains(err.Error(), "5 times") {
			t.Errorf("the sixth attempt: %v", err)
		}
		if row := processing(t, n.api(t).As(owner()).Call("GET", "/api/video/"+stream+"/processing", nil), 200); row.Attempt != 5 || row.State != "failed" {
			t.Errorf("%+v", row)
		}
		well := streamID()
		record(t, n.objects, "recordings/chan/"+well)
		n.mustHear(t, ended(well))
		if err := n.service.AgainByRule(t.Context(), "msg_7", well); errs.CodeOf(err) != errs.Conflict {
			t.Errorf("what has not failed: %v", err)
		}
	})
}
