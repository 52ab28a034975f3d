package account

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

func TestSessionCookie(t *testing.T) {
	tests := []struct {
		name, url string
		configure func(*Config)
		cookie    string
		secure    bool
	}{
		{"HTTP", "http://localhost/api/auth/signin", func(*Config) {}, plainCookie, false},
		{"HTTPS", "https://localhost/api/auth/signin", func(*Config) {}, secureCookie, true},
		{"proxy speaks HTTPS", "http://localhost/api/auth/signin", func(cfg *Config) { cfg.SecureCookies = true }, secureCookie, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, storetest.Open(t, store.Config{Path: t.TempDir() + "/app.db"}), tt.configure)
			if _, err := n.AddUser(t.Context(), "ann@example.com", "pw12345678", identity.Roles{identity.Viewer}); err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest(http.MethodPost, tt.url, strings.NewReader(`{"email":"ann@example.com","password":"pw12345678"}`))
			r.Header.Set("Content-Type", "application/json")
			a := n.client.Browser().Send(r).Want(200)
			c, err := http.ParseSetCookie(a.Header.Get("Set-Cookie"))
			if err != nil {
				t.Fatal(err)
			}
			if c.Name != tt.cookie || c.Secure != tt.secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 30*24*3600 {
				t.Errorf("cookie %+v", c)
			}
			if c.Name == secureCookie && tt.url[:5] == "https" {
				// The name of the other transport must not count: anybody near could plant it.
				planted := httptest.NewRequest(http.MethodGet, "https://localhost/api/auth/session", nil)
				planted.AddCookie(&http.Cookie{Name: plainCookie, Value: c.Value})
				if v := view(n.client.Browser().Send(planted).Want(200)); v.User.User != nil {
					t.Error("the plain cookie counts over HTTPS")
				}
			}
		})
	}
}

func testSessionsSlideAndExpire(t *testing.T, n *node) {
	c := n.client.Browser()
	n.member(t, c, "ann@example.com")
	// It was last used a day ago and would end in an hour.
	n.exec(t, "UPDATE sessions SET seen_at = $1, expires_at = $2", store.Now()-24*3600_000, store.Now()+3600_000)
	if view(c.Get("/api/auth/session").Want(200)).User.User == nil {
		t.Fatal("the session ended early")
	}
	var expires int64
	if err := n.db.Read().QueryRowContext(t.Context(), "SELECT expires_at FROM sessions").Scan(&expires); err != nil {
		t.Fatal(err)
	}
	if left := time.Until(store.Time(expires)); left < 30*24*time.Hour-time.Minute {
		t.Errorf("a session in use ends in %v", left)
	}
	n.exec(t, "UPDATE sessions SET expires_at = $1", store.Now()-1)
	a := c.Get("/api/auth/session").Want(200)
	if view(a).User.User != nil {
		t.Fatal("an expired session is valid")
	}
	if got := a.Header.Get("Set-Cookie"); !strings.Contains(got, "Max-Age=0") {
		t.Errorf("the browser keeps the dead cookie: %q", got)
	}
	n.prune(t.Context())
	var left int
	if err := n.db.Read().QueryRowContext(t.Context(), "SELECT count(*) FROM sessions").Scan(&left); err != nil || left != 0 {
		t.Errorf("%d sessions are left, %v", left, err)
	}
}

func (n *node) exec(t *testing.T, statement string, args ...any) {
	t.Helper()
	err := n.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, statement, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func testSessionWritesAreBounded(t *testing.T, n *node) {
	c := n.client.Browser()
	n.member(t, c, "ann@example.com")
	seen := func() (at int64) {
		if err := n.db.Read().QueryRowContext(t.Context(), "SELECT seen_at FROM sessions").Scan(&at); err != nil {
			t.Fatal(err)
		}
		return at
	}
	before := seen()
	time.Sleep(5 * time.Millisecond)
	c.Get("/api/auth/session").Want(200)
	if seen() != before {
		t.Error("a fresh session is written at each request")
	}
}
