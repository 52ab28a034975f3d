package simulator_test

import (
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/simulator"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

func TestForAdminsAlone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, quick(), 1)
		id := r.start(simulator.Options{Last: 1})
		owner := r.api.As(identity.Principal{ID: "chan", Roles: identity.Roles{identity.Broadcaster, identity.Developer}})
		for _, c := range []struct{ method, path string }{
			{"GET", "/api/simulations"}, {"POST", "/api/simulations"}, {"GET", "/api/simulations/" + id},
			{"GET", "/api/simulations/" + id + "/videos"}, {"POST", "/api/simulations/" + id + "/stop"}, {"DELETE", "/api/simulations/" + id},
		} {
			var body any
			if c.path == "/api/simulations" && c.method == "POST" {
				body = simulator.SimulationInput{Last: 1}
			}
			r.api.Call(c.method, c.path, body).Want(401)
			owner.Call(c.method, c.path, body).Want(403)
		}
		r.admin.Get("/api/simulations/" + id).Want(200)
	})
}

func TestAPI(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, quick(), 12).run()
		for _, body := range []any{map[string]int{"last": 0}, map[string]int{"last": 1001}, map[string]int{"atOnce": 1001}, map[string]string{"last": "x"}} {
			r.admin.Post("/api/simulations", body).Want(400)
		}
		var run simulator.SimulationView
		r.admin.Post("/api/simulations", simulator.SimulationInput{Last: 12, AtOnce: 12}).Want(201).JSON(&run)
		if run.State != "running" || run.Total != 12 || run.StartedBy != "brave-fox" {
			t.Errorf("%+v", run)
		}
		r.admin.Post("/api/simulations", map[string]int{}).Want(409)
		r.waitSent(12)
		r.hear(life(run.ID+"-1", "valid", time.Now())...)

		// Its videos, page by page.
		var numbers []int
		for offset := ""; ; {
			var page store.List[simulator.SimulatedVideo]
			r.admin.Get("/api/simulations/" + run.ID + "/videos?limit=5&offset=" + offset).Want(200).JSON(&page)
			for _, v := range page.Data {
				numbers = append(numbers, v.Number)
			}
			if offset = page.NextPage; offset == "" {
				break
			}
		}
		for i, n := range numbers {
			if n != i+1 {
				t.Fatalf("the pages have %v", numbers)
			}
		}
		if len(numbers) != 12 {
			t.Errorf("the pages have %v", numbers)
		}
		r.admin.Post("/api/simulations/"+run.ID+"/stop", nil).Want(202).JSON(&run)
		if run.Ending != "stopped" {
			t.Errorf("%+v", run)
		}
		run = r.await(run.ID, "removed")
		r.admin.Post("/api/simulations/"+run.ID+"/stop", nil).Want(202) // nothing more to do

		var second simulator.SimulationView
		r.admin.Post("/api/simulations", map[string]int{}).Want(201).JSON(&second)
		if second.Asked != 1 || second.AtOnce != simulator.DefaultAtOnce || second.Keep {
			t.Errorf("the defaults are %+v", second)
		}
		var list store.List[simulator.SimulationView]
		r.admin.Get("/api/simulations?limit=1").Want(200).JSON(&list)
		if list.Count != 1 || list.Data[0].ID != second.ID || list.NextPage == "" {
			t.Errorf("%+v", list)
		}
		r.admin.Get("/api/simulations?limit=1&offset=" + list.NextPage).Want(200).JSON(&list)
		if list.Count != 1 || list.Data[0].ID != run.ID {
			t.Errorf("%+v", list)
		}
		r.admin.Call("DELETE", "/api/simulations/"+run.ID, nil).Want(202)
		r.admin.Get("/api/simulations/" + run.ID).Want(404)
		r.admin.Get("/api/simulations/" + run.ID + "/videos").Want(404)
		r.admin.Post("/api/simulations/"+run.ID+"/stop", nil).Want(404)
		r.admin.Get("/api/simulations?offset=x").Want(400)
	})
}
