package account

import (
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

func testSetup(t *testing.T, n *node) {
	link := func() string {
		url, needed, err := n.SetupLink(t.Context())
		if err != nil || !needed {
			t.Fatal(needed, err)
		}
		token, ok := strings.CutPrefix(url, "http://localhost:8080/setup#token=")
		if !ok {
			t.Fatal(url)
		}
		return token
	}
	stale, fresh := link(), link()
	c := n.client.Browser()
	in := body{"token": stale, "email": "root@home.lan", "password": "pw12345678"}
	c.Post("/api/auth/setup", in).Want(400)
	in["token"] = fresh
	v := view(c.Post("/api/auth/setup", in).Want(200))
	if v.Setup || strings.Join(v.User.Roles, " ") != "admin broadcaster" {
		t.Fatalf("%+v", v)
	}
	if said := n.said(t); len(said) != 1 || said[0].DetailType != "BroadcastUserCreated" {
		t.Errorf("said %v", said)
	}
	in["email"] = "second@home.lan"
	c.Post("/api/auth/setup", in).Want(409)
	if url, needed, err := n.SetupLink(t.Context()); url != "" || needed || err != nil {
		t.Error(url, needed, err)
	}
}

func testSetupEndsWithTheFirstAdminOrTheTime(t *testing.T, n *node) {
	url, _, err := n.SetupLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, token, _ := strings.Cut(url, "#token=")
	in := body{"token": token, "email": "root@home.lan", "password": "pw12345678"}
	n.exec(t, "UPDATE links SET expires_at = $1", store.Now()-1)
	n.client.Post("/api/auth/setup", in).Want(400)
	if url, _, err = n.SetupLink(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := n.AddUser(t.Context(), "boss@home.lan", "pw12345678", identity.Roles{identity.Admin}); err != nil {
		t.Fatal(err)
	}
	_, in["token"], _ = strings.Cut(url, "#token=")
	n.client.Post("/api/auth/setup", in).Want(409)
}

// The operator may have signed up before: set-up raises that account.
func testSetupOfAnExistingAccount(t *testing.T, n *node) {
	old := n.client.Browser()
	before := n.member(t, old, "me@home.lan")
	if _, err := n.Suspend(t.Context(), before.User.ID, "by an admin of before"); err != nil {
		t.Fatal(err)
	}
	url, _, err := n.SetupLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, token, _ := strings.Cut(url, "#token=")
	c := n.client.Browser()
	after := view(c.Post("/api/auth/setup", body{"token": token, "email": "me@home.lan", "password": "another-password"}).Want(200))
	if after.User.ID != before.User.ID || strings.Join(after.User.Roles, " ") != "admin broadcaster viewer" {
		t.Errorf("%+v", after.User)
	}
	if view(old.Get("/api/auth/session")).User.User != nil {
		t.Error("the session under the old password lives on")
	}
	c.Post("/api/auth/signin", body{"email": "me@home.lan", "password": "another-password"}).Want(200)
}
