package history_test

import (
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/event/eventtest"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

// However the events of whole lives arrive, their stories are the same.
func TestLivesInAnyOrder(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		eventtest.Deliveries(t, 15, false, eventtest.To(t, f.Consumers()), func(lives []eventtest.Life) string {
			owner := f.client.As(identity.Principal{ID: lives[0].Channel, Roles: identity.Roles{identity.Broadcaster}})
			var all strings.Builder
			for _, l := range lives {
				all.WriteString(l.Name + "\n")
				var page store.List[line]
				owner.Get("/api/video/" + l.Video + "/history?limit=100").Want(200).JSON(&page)
				for _, line := range page.Data {
					all.WriteString("  " + line.CreatedAt + " " + line.String() + "\n")
				}
			}
			return all.String()
		})
	})
}
