package archive_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/rules"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

// Whatever somebody sends to the archive and the rules, the answer is a problem
// document that says what is wrong with it, on every database.
func TestBadInput(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db)
		var rule rules.RuleView
		r.admin.Post("/api/rules", rules.RuleInput{Name: "to the log", Enabled: true, Pattern: `{"source":["a"]}`, Target: rules.RuleTarget{Type: "log"}}).Want(201).JSON(&rule)
		type bad struct {
			method, path, body string
			status             int
			says               string
		}
		var all []bad
		for _, list := range []string{"/api/archive/events", "/api/archive/replays", "/api/rules", "/api/rules/" + rule.ID + "/deliveries"} {
			for query, says := range map[string]string{
				"limit=-1": "query.limit: expected number >= 1", "limit=101": "query.limit: expected number <= 100",
				"limit=x": "query.limit: expected a whole number", "limit=1.5": "query.limit: expected a whole number",
				"limit=%zz": "the query cannot be read", "offset=" + strings.Repeat("a", 257): "query.offset: expected length <= 256",
				"offset=!": "nextPage", "offset=" + cursor("1.\x00"): "nextPage", "offset=" + cursor("1.\xff"): "nextPage", "offset=" + cursor("x.y"): "nextPage",
			} {
				all = append(all, bad{"GET", list + "?" + query, "", 400, says})
			}
		}
		for _, id := range []string{"none", "..%2F..", "%27%3B%20drop"} {
			for _, path := range []string{"GET /api/archive/events/ID", "GET /api/archive/replays/ID", "POST /api/archive/replays/ID/cancel", "GET /api/rules/ID", "DELETE /api/rules/ID",
				"GET /api/rules/ID/deliveries", "GET /api/rules/" + rule.ID + "/deliveries/ID", "POST /api/rules/" + rule.ID + "/deliveries/ID/redrive", "DELETE /api/rules/ID/dead-letters"} {
				method, path, _ := strings.Cut(path, " ")
				all = append(all, bad{method, strings.ReplaceAll(path, "ID", id), "", 404, ""},
					bad{method, strings.ReplaceAll(path, "ID", "%00"), "", 400, "U+0000"}, bad{method, strings.ReplaceAll(path, "ID", "%FF"), "", 400, "UTF-8"})
			}
		}
		for _, name := range []string{"source", "type", "about", "pattern"} {
			all = append(all, bad{"GET", "/api/archive/events?" + name + "=%00", "", 400, "query." + name}, bad{"GET", "/api/archive/events?" + name + "=" + strings.Repeat("x", 20_000), "", 400, "query." + name})
		}
		all = append(all,
			bad{"GET", "/api/archive/events?from=yesterday", "", 400, "query.from: expected a time as RFC 3339 has it, such as"},
			bad{"GET", "/api/rules/deliveries", "", 400, "query.event"},
			bad{"GET", "/api/rules/deliveries?event=%00", "", 400, "query.event"},
			bad{"GET", "/api/rules/" + rule.ID + "/deliveries?state=x", "", 400, `"pending, delivered, dead"`},
		)
		replay := `{"rule":"` + rule.ID + `","from":"2026-01-01T00:00:00Z"`
		for _, path := range []string{"/api/archive/count", "/api/archive/replays"} {
			all = append(all,
				bad{"POST", path, "", 400, "body"}, bad{"POST", path, "{", 400, "no JSON"}, bad{"POST", path, "[]", 400, "expected object"},
				bad{"POST", path, `{"rule":7,"from":"2026-01-01T00:00:00Z"}`, 400, "body.rule: expected string"},
				bad{"POST", path, `{"rule":"none","from":"2026-01-01T00:00:00Z"}`, 404, "none"},
				bad{"POST", path, `{"rule":"a\u0000","from":"2026-01-01T00:00:00Z"}`, 400, "U+0000"},
				bad{"POST", path, `{"rule":"` + rule.ID + `","from":"yesterday"}`, 400, "body.from"},
				bad{"POST", path, `{"rule":"` + rule.ID + `","from":"9998-01-01T00:00:00Z"}`, 400, "from (9998"},
				bad{"POST", path, replay + `,"pattern":"{"}`, 400, "line 1, column 2"},
				bad{"POST", path, replay + `,"more":1}`, 400, "body.more"},
				bad{"POST", path, `{"rule":"` + strings.Repeat("x", 10<<20) + `"}`, 413, "at most 1048576 bytes"},
			)
		}
		all = append(all,
			bad{"POST", "/api/archive/count", replay + `,"offset":"!"}`, 400, "nextPage"},
			bad{"POST", "/api/rules", `{"name":"a\u0000","enabled":true,"pattern":"{\"source\":[\"a\"]}","target":{"type":"log"}}`, 400, "U+0000"},
			bad{"POST", "/api/rules", `{"name":"a","enabled":"yes","pattern":"{\"source\":[\"a\"]}","target":{"type":"log"}}`, 400, "body.enabled: expected boolean"},
			bad{"POST", "/api/rules/test", `{"pattern":"{\"a\":[1]}","event":"x"}`, 400, "body.event"},
		)
		for _, b := range all {
			var body any
			if b.body != "" {
				body = b.body
			}
			p := r.admin.Call(b.method, b.path, body).Problem()
			if p.Status != b.status || !strings.Contains(p.Detail, b.says) {
				t.Errorf("%s %.60s %.60s: %d %q, want %d with %q", b.method, b.path, b.body, p.Status, p.Detail, b.status, b.says)
			}
		}
	})
}

func cursor(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func TestBadInputOfTheLiveView(t *testing.T) {
	r := newLiveRig(t)
	r.roles.Store(&identity.Roles{identity.Admin})
	for query, says := range map[string]string{
		"source=" + strings.Repeat("x", 257):                 "query.source: expected length \\u003c= 256",
		"type=" + strings.Repeat("x", 257):                   "query.type: expected length \\u003c= 256",
		"about=" + strings.Repeat("x", 129):                  "query.about: expected length \\u003c= 128",
		"pattern=" + strings.Repeat("x", 20_000):             "query.pattern",
		"pattern=" + url.QueryEscape(`{"a":[{"no":"way"}]}`): "query.pattern: line 1, column",
		"pattern=%zz": "the query cannot be read",
		"about=%00":   "query.about",
		"source=%ff":  "query.source",
	} {
		response, err := r.http.Client().Get(r.http.URL + "/events/live?" + query)
		if err != nil {
			t.Fatal(err)
		}
		text := make([]byte, 1000)
		n, _ := response.Body.Read(text)
		_ = response.Body.Close()
		if response.StatusCode != http.StatusBadRequest || response.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(string(text[:n]), says) {
			t.Errorf("%.40s: %d %s", query, response.StatusCode, text[:n])
		}
	}
}
