package simulator_test

import (
	"math"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/simulator"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

// Whatever somebody sends, the answer is a problem document that says what is
// wrong with it, on every database.
func TestBadInput(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, quick(), 1)
		var run simulator.SimulationView
		r.admin.Post("/api/simulations", simulator.SimulationInput{Last: 1}).Want(201).JSON(&run)
		for _, b := range []struct {
			method, path, body string
			status             int
			says               string
		}{
			{"POST", "/api/simulations", "", 400, "body is required"},
			{"POST", "/api/simulations", "null", 400, "expected object"},
			{"POST", "/api/simulations", "{", 400, "body: this is no JSON"},
			{"POST", "/api/simulations", `{"last":-1}`, 400, "body.last: expected number >= 1"},
			{"POST", "/api/simulations", `{"last":1001}`, 400, "body.last: expected number <= 1000"},
			{"POST", "/api/simulations", `{"last":1.5}`, 400, "body.last: expected integer"},
			{"POST", "/api/simulations", `{"atOnce":"1"}`, 400, "body.atOnce: expected integer"},
			{"POST", "/api/simulations", `{"keep":"yes"}`, 400, "body.keep: expected boolean"},
			{"POST", "/api/simulations", `{"more":1}`, 400, "body.more: unexpected property"},
			{"POST", "/api/simulations", `{"last":1,"x":"` + strings.Repeat("x", 10<<20) + `"}`, 413, "at most 1048576 bytes"},
			{"POST", "/api/simulations", `{"last":1}`, 409, "wait for its end, or stop it"},
			{"GET", "/api/simulations?limit=-1", "", 400, "query.limit: expected number >= 1"},
			{"GET", "/api/simulations?offset=!", "", 400, "nextPage"},
			{"GET", "/api/simulations/none", "", 404, `there is no simulation "none"`},
			{"GET", "/api/simulations/%00", "", 400, "U+0000"},
			{"GET", "/api/simulations/none/videos", "", 404, `there is no simulation "none"`},
			{"GET", "/api/simulations/" + run.ID + "/videos?limit=0", "", 400, "query.limit: expected number >= 1"},
			{"GET", "/api/simulations/" + run.ID + "/videos?offset=" + store.Key{At: 1, ID: "\x00"}.String(), "", 400, "nextPage"},
			{"POST", "/api/simulations/none/stop", "", 404, `there is no simulation "none"`},
			{"DELETE", "/api/simulations/none", "", 404, `there is no simulation "none"`},
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
			r.admin.Get("/api/simulations/" + run.ID + "/videos?offset=" + store.Key{At: at, ID: "a"}.String()).Want(200)
			r.admin.Get("/api/simulations?offset=" + store.Key{At: at, ID: "a"}.String()).Want(200)
		}
	})
}
