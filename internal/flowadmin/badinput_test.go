package flowadmin_test

import (
	"math"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Whatever somebody sends, the answer is a problem document that says what is
// wrong with it, on every database.
func TestBadInput(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.run(t, "bake-1")
		r.sold.Store(true)
		r.until(t, "bake-1", is(flow.Done))
		for _, b := range []struct {
			method, path, body string
			status             int
			says               string
		}{
			{"GET", "/api/flows?limit=-1", "", 400, "query.limit: expected number >= 1"},
			{"GET", "/api/flows?limit=101", "", 400, "query.limit: expected number <= 100"},
			{"GET", "/api/flows?limit=x", "", 400, "query.limit: expected a whole number"},
			{"GET", "/api/flows?offset=!", "", 400, "nextPage"},
			{"GET", "/api/flows?offset=" + store.Key{At: 1, ID: "a\x00"}.String(), "", 400, "nextPage"},
			{"GET", "/api/flows?offset=" + store.Key{At: 1, ID: "\xff"}.String(), "", 400, "nextPage"},
			{"GET", "/api/flows?status=asleep", "", 400, `"queued, running, done, failed, cancelled, abandoned"`},
			{"GET", "/api/flows?name=%00", "", 400, "query.name"},
			{"GET", "/api/flows?name=%FF", "", 400, "query.name"},
			{"GET", "/api/flows?name=" + strings.Repeat("x", 65), "", 400, "query.name: expected length <= 64"},
			{"GET", "/api/flows?q=%25", "", 400, "query.q"},
			{"GET", "/api/flows/none", "", 404, `there is no flow "none"`},
			{"GET", "/api/flows/%00", "", 400, "U+0000"},
			{"GET", "/api/flows/" + strings.Repeat("x", 257), "", 400, "path.id: expected length <= 256"},
			{"POST", "/api/flows/none/cancel", "", 404, `there is no flow "none"`},
			{"POST", "/api/flows/bake-1/cancel", "", 409, "done"},
			{"POST", "/api/flows/none/retry", "", 404, `there is no flow "none"`},
			{"POST", "/api/flows/bake-1/retry", "", 409, "there is nothing to retry"},
			{"POST", "/api/flows/bake-1/retry", "[", 400, "body: this is no JSON"},
			{"POST", "/api/flows/bake-1/retry", `{"from":1}`, 400, "body.from: expected string"},
			{"POST", "/api/flows/bake-1/retry", `{"from":"a\u0000"}`, 400, "U+0000"},
			{"POST", "/api/flows/bake-1/retry", `{"step":"bake"}`, 400, "body.step: unexpected property"},
			{"POST", "/api/flows/bake-1/retry", `{"from":"` + strings.Repeat("x", 10<<20) + `"}`, 413, "at most 1048576 bytes"},
		} {
			var body any
			if b.body != "" {
				body = b.body
			}
			p := r.admin.Call(b.method, b.path, body).Problem()
			if p.Status != b.status || !strings.Contains(p.Detail, b.says) {
				t.Errorf("%s %.60s %.60s: %d %q, want %d with %q", b.method, b.path, b.body, p.Status, p.Detail, b.status, b.says)
			}
		}
		for _, at := range []int64{math.MinInt64, -1, math.MaxInt64} {
			r.admin.Get("/api/flows?offset=" + store.Key{At: at, ID: "a"}.String()).Want(200)
		}
	})
}
