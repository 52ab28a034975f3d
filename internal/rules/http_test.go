package rules_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/gateway"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/rules"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

func toLog(name string) rules.RuleInput {
	return rules.RuleInput{Name: name, Enabled: true, Pattern: allStreams, Target: rules.RuleTarget{Type: "log"}}
}

func TestForAdminsAlone(t *testing.T) {
	r := newRig(t, quick(sqlite(t)))
	rule := r.webhook("a", "https://example.com/", 0)
	at := "/api/rules/" + rule.ID
	developer := r.api.As(identity.Principal{ID: "dev", Roles: identity.Roles{identity.Developer, identity.Broadcaster, identity.Viewer}})
	for _, c := range []struct {
		method, path string
		body         any
	}{
		{"GET", "/api/rules", nil}, {"POST", "/api/rules", toLog("b")},
		{"POST", "/api/rules/test", rules.PatternTest{Pattern: allStreams, Event: "{}"}},
		{"GET", "/api/rules/targets", nil}, {"GET", at, nil}, {"PUT", at, toLog("a")}, {"DELETE", at, nil}, {"POST", at + "/secret", nil},
		{"GET", at + "/deliveries", nil}, {"GET", at + "/deliveries/msg_1", nil}, {"POST", at + "/deliveries/msg_1/redrive", nil},
		{"POST", at + "/dead-letters/redrive", nil}, {"DELETE", at + "/dead-letters", nil},
	} {
		r.api.Call(c.method, c.path, c.body).Want(401)
		developer.Call(c.method, c.path, c.body).Want(403)
	}
	r.admin.Get(at).Want(200)
}

func TestManagement(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, quick(db))
		in := rules.RuleInput{
			Name: " hook ", Description: "what for", Enabled: true, Pattern: "{\n \"source\": [\"a\"]}",
			Target: rules.RuleTarget{Type: "webhook", URL: "https://example.com/hook?x=1"}, MaxTries: 5,
		}
		var made, got rules.RuleView
		answer := r.admin.Post("/api/rules", in).Want(201)
		answer.JSON(&made)
		if cc := answer.Header.Get("Cache-Control"); !strings.HasPrefix(made.Secret, "whsec_") || !strings.Contains(cc, "no-store") {
			t.Errorf("%+v, %s", made, cc)
		}
		r.admin.Get("/api/rules/" + made.ID).Want(200).JSON(&got)
		if got.Secret != "" || got.Name != "hook" || got.Description != in.Description || !got.Enabled || got.Pattern != in.Pattern ||
			got.Target != in.Target || got.MaxTries != 5 {
			t.Errorf("%+v", got)
		}
		if p := r.admin.Post("/api/rules", toLog("hook")).Want(409).Problem(); !strings.Contains(p.Detail, "name") {
			t.Errorf("%+v", p)
		}

		// To the log, and back: the second secret is another one.
		var logged, again rules.RuleView
		r.admin.Call(http.MethodPut, "/api/rules/"+made.ID, toLog("logged")).Want(200).JSON(&logged)
		if logged.Secret != "" || logged.Target.Type != "log" || logged.Name != "logged" || logged.MaxTries != rules.DefaultTries || logged.Description != "" {
			t.Errorf("%+v", logged)
		}
		r.admin.Post("/api/rules/"+made.ID+"/secret", nil).Want(409)
		r.admin.Call(http.MethodPut, "/api/rules/"+made.ID, in).Want(200).JSON(&again)
		if again.Secret == "" || again.Secret == made.Secret {
			t.Errorf("%+v", again)
		}
		r.admin.Call(http.MethodPut, "/api/rules/"+made.ID, in).Want(200).JSON(&got)
		if got.Secret != "" {
			t.Error("a change made a new secret")
		}

		r.admin.Call(http.MethodDelete, "/api/rules/"+made.ID, nil).Want(204)
		for _, method := range []string{http.MethodGet, http.MethodDelete} {
			r.admin.Call(method, "/api/rules/"+made.ID, nil).Want(404)
		}
		r.admin.Call(http.MethodPut, "/api/rules/"+made.ID, toLog("x")).Want(404)
		r.admin.Post("/api/rules/"+made.ID+"/secret", nil).Want(404)
		r.admin.Post("/api/rules/"+made.ID+"/dead-letters/redrive", nil).Want(404)
		r.admin.Call(http.MethodDelete, "/api/rules/"+made.ID+"/dead-letters", nil).Want(404)
	})
}

func TestRulesThatAreRefused(t *testing.T) {
	cfg := quick(sqlite(t))
	cfg.Flows = []rules.Flow{again(nil)}
	r := newRig(t, cfg)
	hook := func(url string) rules.RuleInput {
		in := toLog("a")
		in.Target = rules.RuleTarget{Type: "webhook", URL: url}
		return in
	}
	named := func(name string) rules.RuleInput { in := toLog("a"); in.Name = name; return in }
	tries := func(n int) rules.RuleInput { in := toLog("a"); in.MaxTries = n; return in }
	target := func(t rules.RuleTarget) rules.RuleInput { in := toLog("a"); in.Target = t; return in }
	for name, c := range map[string]struct {
		in       rules.RuleInput
		location string
		says     string
	}{
		"no name":             {named("  "), "body.name", "needs a name"},
		"a long name":         {named(strings.Repeat("x", 101)), "body.name", ""},
		"too many tries":      {tries(21), "body.maxTries", ""},
		"an unknown target":   {target(rules.RuleTarget{Type: "mail"}), "body.target.type", ""},
		"the log with a URL":  {target(rules.RuleTarget{Type: "log", URL: "https://x.example"}), "body.target.url", "leave it out"},
		"an unknown plugin":   {target(rules.RuleTarget{Type: "plugin", Plugin: "nobody"}), "body.target.plugin", "it is one of: counter"},
		"a plugin's URL":      {target(rules.RuleTarget{Type: "plugin", Plugin: "counter", URL: "https://x.example"}), "body.target.url", "leave it out"},
		"no plugin":           {target(rules.RuleTarget{Type: "plugin"}), "body.target.plugin", "counter"},
		"an unknown flow":     {target(rules.RuleTarget{Type: "flow", Flow: "nothing"}), "body.target.flow", "it is one of: again"},
		"no tag":              {target(rules.RuleTarget{Type: "tag"}), "body.target.tag", "no event tag"},
		"a tag of two words":  {target(rules.RuleTarget{Type: "tag", Tag: "two words"}), "body.target.tag", "no event tag"},
		"a tag with a flow":   {target(rules.RuleTarget{Type: "tag", Tag: "x", Flow: "again"}), "body.target.flow", "leave it out"},
		"no URL":              {hook(""), "body.target.url", "needs a URL"},
		"another scheme":      {hook("ftp://example.com/"), "body.target.url", "https://"},
		"a file":              {hook("file:///etc/passwd"), "body.target.url", "https://"},
		"no host":             {hook("https://:80/"), "body.target.url", "host"},
		"no scheme":           {hook("example.com/hook"), "body.target.url", "https://"},
		"broken":              {hook("https://exa mple.com/"), "body.target.url", "no URL"},
		"a password":          {hook("https://a:b@example.com/"), "body.target.url", "signature"},
		"a fragment":          {hook("https://example.com/#x"), "body.target.url", "fragment"},
		"a private address":   {hook("https://192.168.0.1/"), "body.target.url", "not a public address"},
		"metadata of a cloud": {hook("http://169.254.169.254/latest"), "body.target.url", "not a public address"},
		"loopback of IPv6":    {hook("http://[::1]/"), "body.target.url", "not a public address"},
	} {
		t.Run(name, func(t *testing.T) {
			p := r.admin.Post("/api/rules", c.in).Want(400).Problem()
			if len(p.Errors) != 1 || p.Errors[0].Location != c.location || !strings.Contains(p.Errors[0].Message, c.says) {
				t.Errorf("%+v", p)
			}
		})
	}
}

// A bad pattern is refused with its place: in the problem document, for those
// who make rules, change them and try patterns.
func TestBadPatterns(t *testing.T) {
	r := newRig(t, quick(sqlite(t)))
	rule := r.webhook("a", "https://example.com/", 0)
	in := toLog("b")
	in.Pattern = "{\n  \"detail\": {\"count\": [{\"numeric\": [\">\", \"5\"]}]}\n}"
	want := gateway.Place{Location: "body.pattern", Message: `a number must stand after ">"`, Line: 2, Column: 42, Path: "detail.count[0].numeric[1]"}
	for _, a := range []struct{ method, path string }{{"POST", "/api/rules"}, {"PUT", "/api/rules/" + rule.ID}} {
		p := r.admin.Call(a.method, a.path, in).Want(400).Problem()
		if len(p.Errors) != 1 || p.Errors[0] != want || p.Code != "invalid" {
			t.Errorf("%s %s: %+v", a.method, a.path, p)
		}
	}
	p := r.admin.Post("/api/rules/test", rules.PatternTest{Pattern: in.Pattern, Event: "["}).Want(400).Problem()
	if len(p.Errors) != 2 || p.Errors[0] != want || p.Errors[1].Location != "body.event" {
		t.Errorf("%+v", p)
	}
}

func TestTestPattern(t *testing.T) {
	r := newRig(t, quick(sqlite(t)))
	for text, want := range map[string]bool{`{"source":["serverlessVideo.streaming"]}`: true, `{"source":["x"]}`: false} {
		var got rules.PatternResult
		r.admin.Post("/api/rules/test", rules.PatternTest{Pattern: text, Event: `{"source":"serverlessVideo.streaming"}`}).Want(200).JSON(&got)
		if got.Matches != want {
			t.Errorf("%s: %v", text, got.Matches)
		}
	}
}

func TestListsOfRulesAndDeliveries(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, quick(db))
		for i := range 7 {
			r.admin.Post("/api/rules", toLog(fmt.Sprint("rule ", i))).Want(201)
		}
		seen := map[string]bool{}
		first, pages := "", 0
		for path := "/api/rules?limit=3"; path != ""; pages++ {
			var page store.List[rules.RuleView]
			r.admin.Get(path).Want(200).JSON(&page)
			for _, v := range page.Data {
				seen[v.Name] = true
			}
			if first == "" {
				first = page.Data[0].ID
			}
			if path = ""; page.NextPage != "" {
				path = "/api/rules?limit=3&offset=" + page.NextPage
			}
		}
		if len(seen) != 7 || pages != 3 {
			t.Errorf("%d rules on %d pages", len(seen), pages)
		}
		for i := range 5 {
			r.hear(started(fmt.Sprint("st-", i)))
		}
		for _, state := range []string{"", "&state=pending"} {
			var one, two store.List[rules.DeliveryView]
			at := "/api/rules/" + first + "/deliveries?limit=3" + state
			r.admin.Get(at).Want(200).JSON(&one)
			r.admin.Get(at + "&offset=" + one.NextPage).Want(200).JSON(&two)
			if one.Count != 3 || two.Count != 2 || two.NextPage != "" || one.Data[2].ID <= two.Data[0].ID {
				t.Errorf("%+v, %+v", one, two)
			}
		}
		at := "/api/rules/" + first + "/deliveries"
		for _, query := range []string{"?state=lost", "?limit=0", "?limit=101", "?offset=!"} {
			r.admin.Get(at + query).Want(400)
		}
		r.admin.Get(at + "/none").Want(404)
		r.admin.Post(at+"/none/redrive", nil).Want(404)
	})
}
