package rules_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/event/eventtest"
	"github.com/serverlessvideo/serverlessvideo/internal/rules"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

// However often and in whatever order events arrive, each is one delivery of
// each rule that it matches.
func TestLivesInAnyOrder(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		catalogue := &videos{}
		cfg := quick(db)
		cfg.Videos = catalogue
		r := newRig(t, cfg)
		for name, pattern := range map[string]string{
			"states": `{"detail":{"event_name":["Stream End"]}}`,
			"videos": `{"source":["serverlessVideo.videoManager"],"detail":{"id":[{"prefix":"st-"}]}}`,
		} {
			r.admin.Post("/api/rules", rules.RuleInput{
				Name: name, Enabled: true, Pattern: pattern, Target: rules.RuleTarget{Type: "webhook", URL: "http://127.0.0.1:9/"},
			}).Want(201)
		}
		deleted := func(video string) { catalogue.deleted.Store(video, true) }
		eventtest.Deliveries(t, 30, false, eventtest.Catalogued(deleted, eventtest.To(t, r.Consumers())), func(lives []eventtest.Life) string {
			var ids []string
			for _, l := range lives {
				for _, e := range slices.Concat(l.Stages...) {
					ids = append(ids, e.ID)
				}
			}
			rows, err := db.Read().QueryContext(t.Context(), `SELECT event_id, rule_id, detail_type FROM rule_deliveries`)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = rows.Close() }()
			made := map[string]int{}
			for rows.Next() {
				var event, rule, detailType string
				if err := rows.Scan(&event, &rule, &detailType); err != nil {
					t.Fatal(err)
				}
				if slices.Contains(ids, event) {
					made[rule+" "+detailType]++
				}
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
			return fmt.Sprint(made)
		})
	})
}
