package account

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway/apitest"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// desk is an admin with a user to manage.
type desk struct {
	*node
	admin *apitest.Client
	ann   *apitest.Client // signed in
	id    string          // ann's
}

func newDesk(t *testing.T, n *node) *desk {
	t.Helper()
	n.signInAdmin(t)
	d := &desk{node: n, admin: n.client, ann: n.client.Browser()}
	d.id = n.member(t, d.ann, "ann@example.com").User.ID
	return d
}

func (d *desk) signIn(c *apitest.Client) *apitest.Answer {
	return c.Post("/api/auth/signin", body{"email": "ann@example.com", "password": "pw12345678"})
}

func (d *desk) mayBroadcast(t *testing.T, userID string) error {
	t.Helper()
	return d.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return d.MayBroadcast(ctx, tx, userID) })
}

func (d *desk) gone(t *testing.T, userID string) (gone bool) {
	t.Helper()
	err := d.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		gone, err = d.Gone(ctx, tx, userID)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return gone
}

func (d *desk) list(query string) store.List[UserView] {
	var list store.List[UserView]
	d.admin.Get("/api/admin/users" + query).Want(200).JSON(&list)
	return list
}

// heardOf returns the events about a user.
func (n *node) heardOf(t *testing.T, userID string) (types []string) {
	t.Helper()
	for _, e := range n.said(t) {
		var d struct{ Sub string }
		if err := json.Unmarshal(e.Detail, &d); err != nil {
			t.Fatal(err)
		}
		if d.Sub == userID {
			types = append(types, e.DetailType)
		}
	}
	return types
}

func testSuspend(t *testing.T, n *node) {
	d := newDesk(t, n)
	if err := d.mayBroadcast(t, d.id); err != nil {
		t.Errorf("before: %v", err)
	}
	n.said(t)
	path := "/api/admin/users/" + d.id
	var v UserView
	d.admin.Post(path+"/suspend", body{"reason": " showed a film "}).Want(200).JSON(&v)
	if v.Suspended == nil || v.Suspended.Reason != "showed a film" || time.Since(v.Suspended.At) > time.Minute || v.Email != "ann@example.com" {
		t.Errorf("the answer is %+v", v)
	}
	if types := n.heardOf(t, d.id); !slices.Equal(types, []string{"UserSuspended"}) {
		t.Errorf("said: %v", types)
	}
	if v := view(d.ann.Get("/api/auth/session").Want(200)); v.User.User != nil {
		t.Error("the session lives on")
	}
	const why = "this account is suspended: showed a film"
	if p := d.signIn(d.ann.Browser()).Want(403).Problem(); p.Detail != why {
		t.Errorf("signing in: %q", p.Detail)
	}
	d.ann.Browser().Post("/api/auth/signin", body{"email": "ann@example.com", "password": "wrong one"}).Want(401)
	d.ann.Browser().Post("/api/auth/signup", body{"email": "ann@example.com", "password": "pw12345678"}).Want(403)
	if err := d.mayBroadcast(t, d.id); errs.CodeOf(err) != errs.Forbidden || !strings.Contains(err.Error(), why) {
		t.Errorf("broadcasting: %v", err)
	}
	// Once more, it is the same suspension with another reason.
	var again UserView
	d.admin.Post(path+"/suspend", body{}).Want(200).JSON(&again)
	if again.Suspended == nil || again.Suspended.Reason != "" || !again.Suspended.At.Equal(v.Suspended.At) || len(n.said(t)) > 0 {
		t.Errorf("again: %+v", again)
	}
	d.admin.Post(path+"/restore", nil).Want(200).JSON(&again)
	d.admin.Post(path+"/restore", nil).Want(200)
	if err := d.mayBroadcast(t, d.id); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	d.signIn(d.ann.Browser()).Want(200)
}

// A sign-in that had read the account before it was suspended has no session that
// counts.
func testSuspendedDuringSignIn(t *testing.T, n *node) {
	d := newDesk(t, n)
	if _, err := n.Suspend(t.Context(), d.id, ""); err != nil {
		t.Fatal(err)
	}
	var login Login
	err := n.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		login, err = n.startSession(ctx, tx, identity.Principal{ID: d.id})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, signedIn, err := n.session(t.Context(), login.Token); signedIn || err != nil {
		t.Errorf("signed in: %v, %v", signedIn, err)
	}
}

func testDeleteUser(t *testing.T, n *node) {
	d := newDesk(t, n)
	n.said(t)
	path := "/api/admin/users/" + d.id
	if d.gone(t, d.id) {
		t.Error("it is gone before it is deleted")
	}
	d.admin.Call("DELETE", path, nil).Want(204)
	d.admin.Call("DELETE", path, nil).Want(404)
	d.admin.Post(path+"/suspend", body{}).Want(404)
	d.admin.Post(path+"/restore", nil).Want(404)
	if types := n.heardOf(t, d.id); !slices.Equal(types, []string{"UserDeleted"}) {
		t.Errorf("said: %v", types)
	}
	if v := view(d.ann.Get("/api/auth/session").Want(200)); v.User.User != nil {
		t.Error("the session lives on")
	}
	d.signIn(d.ann.Browser()).Want(401)
	if err := d.mayBroadcast(t, d.id); errs.CodeOf(err) != errs.Forbidden {
		t.Errorf("broadcasting: %v", err)
	}
	if !d.gone(t, d.id) {
		t.Error("it is not gone")
	}
	for _, table := range []string{"users WHERE id", "user_roles WHERE user_id", "sessions WHERE user_id"} {
		var rows int
		if err := n.db.Read().QueryRowContext(t.Context(), "SELECT count(*) FROM "+table+" = $1", d.id).Scan(&rows); err != nil || rows != 0 {
			t.Errorf("%s: %d rows, %v", table, rows, err)
		}
	}
	for _, m := range n.mailList(t) {
		if m.To == "ann@example.com" {
			t.Error("a mail to the address is left")
		}
	}
	// The address is free, for somebody else.
	if v := n.member(t, d.ann.Browser(), "ann@example.com"); v.User.ID == d.id {
		t.Error("the same id again")
	}
}

func testManageOneself(t *testing.T, n *node) {
	d := newDesk(t, n)
	me := view(d.admin.Get("/api/auth/session").Want(200)).User.ID
	path := "/api/admin/users/" + me
	if p := d.admin.Post(path+"/suspend", body{}).Want(409).Problem(); !strings.Contains(p.Detail, "your own account") {
		t.Errorf("suspending: %q", p.Detail)
	}
	d.admin.Call("DELETE", path, nil).Want(409)
	d.admin.Get("/api/auth/session").Want(200)
	if list := d.list("?suspended=true"); list.Count != 0 {
		t.Errorf("suspended: %+v", list.Data)
	}
}

func testUsersAreForAdmins(t *testing.T, n *node) {
	d := newDesk(t, n)
	path := "/api/admin/users/" + d.id
	for who, client := range map[int]*apitest.Client{401: d.ann.Browser(), 403: d.ann} {
		client.Get("/api/admin/users").Want(who)
		client.Post(path+"/suspend", body{}).Want(who)
		client.Post(path+"/restore", nil).Want(who)
		client.Call("DELETE", path, nil).Want(who)
	}
	if len(d.list("?q=ann@").Data) != 1 {
		t.Error("the account is gone")
	}
}

func testListUsers(t *testing.T, n *node) {
	d := newDesk(t, n)
	for i := range 5 {
		time.Sleep(2 * time.Millisecond) // the order is by time
		if _, err := n.AddUser(t.Context(), fmt.Sprintf("u%d_x@example.com", i), "pw12345678", identity.Roles{identity.Developer, identity.Viewer}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.Suspend(t.Context(), d.id, "why"); err != nil {
		t.Fatal(err)
	}
	var seen []string
	for next := ""; ; {
		list := d.list("?limit=2&offset=" + next)
		for _, u := range list.Data {
			seen = append(seen, strings.TrimSuffix(u.Email, "@example.com")+":"+strings.Join(u.Roles, "+"))
		}
		if next = list.NextPage; next == "" || len(seen) > 20 {
			break
		}
	}
	want := "u4_x:developer+viewer u3_x:developer+viewer u2_x:developer+viewer u1_x:developer+viewer u0_x:developer+viewer ann:broadcaster "
	if got := strings.Join(seen, " "); !strings.HasPrefix(got, want) || len(seen) != 7 {
		t.Errorf("seen %q", got)
	}
	for query, want := range map[string]int{
		"?q=U3_X": 1, "?q=_x@": 5, "?q=%25": 0, "?q=%5C": 0, "?q=example.com": 6, "?q=" + d.list("?q=ann@").Data[0].Username: 1,
		"?suspended=true": 1, "?suspended=true&q=u3": 0,
	} {
		if list := d.list(query); list.Count != want {
			t.Errorf("%s: %d users, want %d", query, list.Count, want)
		}
	}
}
