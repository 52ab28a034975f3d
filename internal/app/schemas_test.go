package app

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/event/schema"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway/apitest"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

func TestEventSchemas(t *testing.T) {
	registry := schema.New()
	c := apitest.New(t, func(g *gateway.Gateway) { schemaPages{registry}.Register(g.API()) })
	var list store.List[EventType]
	c.Get("/api/events/schemas").Want(http.StatusOK).JSON(&list)
	if list.Count != len(registry.Types()) || len(list.Data) != list.Count || list.Count < 15 {
		t.Errorf("%d of %d types are listed", list.Count, len(registry.Types()))
	}
	for _, e := range list.Data {
		var got struct {
			ID         string `json:"$id"`
			Properties map[string]json.RawMessage
		}
		c.Get(e.Schema).Want(http.StatusOK).JSON(&got)
		if got.ID != e.Schema || got.Properties["detail"] == nil {
			t.Errorf("%s: %+v", e.Schema, got)
		}
	}
	var problem struct{ Detail string }
	c.Get("/api/events/schemas/nothing").Want(http.StatusNotFound).JSON(&problem)
	if !strings.Contains(problem.Detail, "/api/events/schemas") {
		t.Errorf("the problem says %q", problem.Detail)
	}
}
