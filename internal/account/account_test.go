package account

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway/apitest"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "0123456789abcdef0123456789abcdef"

// node is the service behind a gateway, and its log.
type node struct {
	*Service
	client *apitest.Client
	log    *logBuffer
	db     *store.DB
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newNode(t *testing.T, db *store.DB, configure ...func(*Config)) *node {
	t.Helper()
	n := &node{log: &logBuffer{}, db: db}
	cfg := Config{
		DB: db, Logger: slog.New(slog.NewJSONHandler(n.log, nil)), Secret: []byte(secret),
		BaseURL: "http://localhost:8080", AllowedDomains: []string{"example.com"},
	}
	for _, f := range configure {
		f(&cfg)
	}
	var err error
	if n.Service, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	n.hasher.memory, n.hasher.time = 64, 1 // quick; TestPasswordHashes has the real ones
	n.client = apitest.New(t, func(g *gateway.Gateway) { n.Register(g.API()) },
		func(cfg *gateway.Config) { cfg.Authenticate = n.Authenticate })
	return n
}

// TestOnBothDatabases runs the tests that the dialect could matter to. They share
// a database of each kind, emptied before each.
func TestOnBothDatabases(t *testing.T) {
	tests := []struct {
		name string
		test func(t *testing.T, n *node)
	}{
		{"sign up to sign out", testSignUpToSignOut},
		{"other domains are viewers", testOtherDomainsAreViewers},
		{"addresses are not given away", testAddressesAreNotGivenAway},
		{"sign up with the right password signs in", testSignUpWithTheRightPasswordSignsIn},
		{"newest link wins", testNewestLinkWins},
		{"usernames", testUsernames},
		{"sessions slide and expire", testSessionsSlideAndExpire},
		{"session writes are bounded", testSessionWritesAreBounded},
		{"setup", testSetup},
		{"setup ends with the first admin or the time", testSetupEndsWithTheFirstAdminOrTheTime},
		{"setup of an existing account", testSetupOfAnExistingAccount},
		{"add user", testAddUser},
		{"two confirm at once", testTwoConfirmAtOnce},
		{"mail is retried", testMailIsRetried},
		{"mail list is for admins", testMailListIsForAdmins},
		{"suspend", testSuspend},
		{"suspended during sign-in", testSuspendedDuringSignIn},
		{"delete user", testDeleteUser},
		{"manage oneself", testManageOneself},
		{"users are for admins", testUsersAreForAdmins},
		{"list users", testListUsers},
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				empty(t, db)
				tt.test(t, newNode(t, db))
			})
		}
	})
}

func empty(t *testing.T, db *store.DB) {
	t.Helper()
	err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for _, table := range []string{"users", "links", "mails", "outbox"} {
			if _, err := tx.ExecContext(ctx, "DELETE FROM "+table); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

type body map[string]any

// said returns the events that wait in the outbox, by draining it.
func (n *node) said(t *testing.T) []event.Envelope {
	t.Helper()
	var mu sync.Mutex
	var said []event.Envelope
	ctx, cancel := context.WithCancel(t.Context())
	relay := store.Relay{DB: n.db, Holder: "test", Logger: slog.New(slog.DiscardHandler),
		Publish: func(_ context.Context, e event.Envelope) error {
			mu.Lock()
			defer mu.Unlock()
			said = append(said, e)
			return nil
		}}
	done := make(chan struct{})
	go func() { defer close(done); relay.Run(ctx) }()
	eventually(t, "the outbox is empty", func() bool {
		pending, err := n.db.Pending(t.Context())
		return err == nil && pending == 0
	})
	cancel()
	<-done
	return said
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain waited until %s", what)
		}
	}
}

// lastLink returns the token of the newest link of a kind in the log.
func (n *node) lastLink(t *testing.T, page string) string {
	t.Helper()
	all := regexp.MustCompile(`http://localhost:8080`+page+`#token=([A-Za-z0-9_-]{43})"`).FindAllStringSubmatch(n.log.String(), -1)
	if len(all) == 0 {
		t.Fatalf("no link to %s in the log: %s", page, n.log)
	}
	return all[len(all)-1][1]
}

// member signs somebody up and confirms the address.
func (n *node) member(t *testing.T, c *apitest.Client, email string) SessionView {
	t.Helper()
	c.Post("/api/auth/signup", body{"email": email, "password": "pw12345678"}).Want(200)
	return view(c.Post("/api/auth/confirm", body{"token": n.lastLink(t, "/confirm")}).Want(200))
}

func view(a *apitest.Answer) SessionView {
	var v SessionView
	a.JSON(&v)
	return v
}

// UnmarshalJSON lets tests read what pages read.
func (o *optionalUser) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &o.User) }

func testSignUpToSignOut(t *testing.T, n *node) {
	c := n.client.Browser()
	if v := view(c.Get("/api/auth/session").Want(200)); v.User.User != nil || !v.SignUp.Open || !v.Setup || len(v.SignUp.Domains) != 1 {
		t.Fatalf("before: %+v", v)
	}
	var asked SignUpAnswer
	c.Post("/api/auth/signup", body{"email": "Ann@Example.com", "password": "pw12345678", "username": "Ann_1"}).Want(200).JSON(&asked)
	if asked.Status != "confirm" {
		t.Fatalf("sign-up: %+v", asked)
	}
	c.Post("/api/auth/signin", body{"email": "ann@example.com", "password": "pw12345678"}).Want(401)

	v := view(c.Post("/api/auth/confirm", body{"token": n.lastLink(t, "/confirm")}).Want(200))
	if u := v.User.User; u == nil || u.Email != "ann@example.com" || u.Username != "ann_1" || len(u.Roles) != 1 || u.Roles[0] != "broadcaster" {
		t.Fatalf("confirmed: %+v", v.User)
	}
	c.Post("/api/auth/confirm", body{"token": n.lastLink(t, "/confirm")}).Want(400)
	said := n.said(t)
	var created event.BroadcastUserCreated
	if len(said) != 1 || said[0].Decode(&created) != nil || created.Sub != v.User.ID || created.Email != "ann@example.com" || created.Username != "ann_1" {
		t.Fatalf("said: %+v", said)
	}

	if again := view(c.Get("/api/auth/session").Want(200)); again.User.User == nil || again.User.ID != v.User.ID {
		t.Fatalf("signed in: %+v", again)
	}
	c.Post("/api/auth/signout", nil).Want(204)
	if after := view(c.Get("/api/auth/session").Want(200)); after.User.User != nil {
		t.Fatalf("signed out: %+v", after)
	}
	c.Post("/api/auth/signin", body{"email": " ANN@example.com ", "password": "pw12345678"}).Want(200)
}

func testOtherDomainsAreViewers(t *testing.T, n *node) {
	v := n.member(t, n.client.Browser(), "bob@example.com.evil.org")
	if len(v.User.Roles) != 1 || v.User.Roles[0] != "viewer" {
		t.Errorf("roles %v", v.User.Roles)
	}
	if len(v.User.Username) < minUsername {
		t.Errorf("username %q", v.User.Username)
	}
	if said := n.said(t); len(said) != 0 {
		t.Errorf("said %v", said)
	}
}

func TestEveryDomain(t *testing.T) {
	n := newNode(t, storetest.Open(t, store.Config{Path: t.TempDir() + "/app.db"}), func(cfg *Config) { cfg.AllowedDomains = []string{"*"} })
	if v := n.member(t, n.client.Browser(), "bob@anywhere.org"); v.User.Roles[0] != "broadcaster" {
		t.Errorf("roles %v", v.User.Roles)
	}
}

// A stranger learns neither from the answer nor from the work behind it whether
// an address has an account.
func testAddressesAreNotGivenAway(t *testing.T, n *node) {
	if _, err := n.AddUser(t.Context(), "known@example.com", "pw12345678", identity.Roles{identity.Viewer}); err != nil {
		t.Fatal(err)
	}
	ask := func(path, email string) (answer string, computed int64) {
		before := n.hasher.computed.Load()
		a := n.client.Browser().Post(path, body{"email": email, "password": "wrong-password"})
		var p map[string]any
		a.JSON(&p)
		delete(p, "requestId")
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if len(a.Header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s %s sets a cookie", path, email)
		}
		return statusAnd(a.Status, text), n.hasher.computed.Load() - before
	}
	for _, path := range []string{"/api/auth/signin", "/api/auth/signup"} {
		known, knownWork := ask(path, "known@example.com")
		unknown, unknownWork := ask(path, "unknown@example.com")
		if known != unknown || knownWork != unknownWork || knownWork != 1 {
			t.Errorf("%s: known %s after %d hashes, unknown %s after %d", path, known, knownWork, unknown, unknownWork)
		}
	}
	if !strings.Contains(n.log.String(), "You have an account already") {
		t.Error("the owner is not told of the sign-up")
	}
}

func statusAnd(status int, text []byte) string { return http.StatusText(status) + " " + string(text) }

func testSignUpWithTheRightPasswordSignsIn(t *testing.T, n *node) {
	n.member(t, n.client.Browser(), "ann@example.com")
	c := n.client.Browser()
	var a SignUpAnswer
	c.Post("/api/auth/signup", body{"email": "ann@example.com", "password": "pw12345678"}).Want(200).JSON(&a)
	if a.Status != "signed-in" || view(c.Get("/api/auth/session")).User.User == nil {
		t.Errorf("%+v", a)
	}
}

// The newest link is the one that works: who signs up with somebody else's
// address cannot set the password of its owner's later sign-up.
func testNewestLinkWins(t *testing.T, n *node) {
	c := n.client.Browser()
	c.Post("/api/auth/signup", body{"email": "ann@example.com", "password": "attackers-password"}).Want(200)
	first := n.lastLink(t, "/confirm")
	c.Post("/api/auth/signup", body{"email": "ann@example.com", "password": "owners-password"}).Want(200)
	second := n.lastLink(t, "/confirm")
	c.Post("/api/auth/confirm", body{"token": first}).Want(400)
	c.Post("/api/auth/confirm", body{"token": second}).Want(200)
	c.Post("/api/auth/signin", body{"email": "ann@example.com", "password": "attackers-password"}).Want(401)
	c.Post("/api/auth/signin", body{"email": "ann@example.com", "password": "owners-password"}).Want(200)
}

func testUsernames(t *testing.T, n *node) {
	sign := func(email, name string) *apitest.Answer {
		return n.client.Browser().Post("/api/auth/signup", body{"email": email, "password": "pw12345678", "username": name})
	}
	sign("a@example.com", "taken").Want(200)
	first := n.lastLink(t, "/confirm")
	sign("b@example.com", "TAKEN").Want(200) // nobody has it yet
	second := n.lastLink(t, "/confirm")
	n.client.Browser().Post("/api/auth/confirm", body{"token": first}).Want(200)
	v := view(n.client.Browser().Post("/api/auth/confirm", body{"token": second}).Want(200))
	if v.User.Username == "taken" || v.User.Username == "" {
		t.Errorf("the second has the username %q", v.User.Username)
	}
	if p := sign("c@example.com", "taken").Want(409).Problem(); !strings.Contains(p.Detail, "taken") {
		t.Error(p.Detail)
	}
}

func TestBadInput(t *testing.T) {
	n := newNode(t, storetest.Open(t, store.Config{Path: t.TempDir() + "/app.db"}))
	good := func(change body) body {
		b := body{"email": "ann@example.com", "password": "pw12345678"}
		for k, v := range change {
			b[k] = v
		}
		return b
	}
	tests := []struct {
		name string
		path string
		body any
		says string
	}{
		{"no address", "/api/auth/signup", good(body{"email": "ann"}), "e-mail address"},
		{"named address", "/api/auth/signup", good(body{"email": "Ann <ann@example.com>"}), "e-mail address"},
		{"two addresses", "/api/auth/signup", good(body{"email": "ann@example.com,bob@example.com"}), "e-mail address"},
		{"line break", "/api/auth/signup", good(body{"email": "ann@example.com\r\nBcc: x@example.com"}), "e-mail address"},
		{"quoted", "/api/auth/signup", good(body{"email": `"a b"@example.com`}), "e-mail address"},
		{"long address", "/api/auth/signup", good(body{"email": strings.Repeat("a", 250) + "@example.com"}), "body.email"},
		{"short password", "/api/auth/signup", good(body{"password": "1234567"}), "at least 8"},
		{"long password", "/api/auth/signup", good(body{"password": strings.Repeat("ä", 201)}), "at most 200"},
		{"short username", "/api/auth/signup", good(body{"username": "ab"}), "3 to 30"},
		{"odd username", "/api/auth/signup", good(body{"username": "ann/.."}), "3 to 30"},
		{"role in the body", "/api/auth/signup", good(body{"roles": []string{"admin"}}), "body.roles"},
		{"no token", "/api/auth/confirm", body{"token": ""}, "does not work"},
		{"wrong token", "/api/auth/confirm", body{"token": strings.Repeat("x", 43)}, "does not work"},
		{"wrong set-up token", "/api/auth/setup", good(body{"token": "x"}), "does not work"},
		{"not JSON", "/api/auth/signin", `{"email`, "unexpected end"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if p := n.client.Post(tt.path, tt.body).Want(400).Problem(); !strings.Contains(p.Detail, tt.says) {
				t.Errorf("%q does not say %q", p.Detail, tt.says)
			}
		})
	}
	t.Run("wrong content type", func(t *testing.T) {
		r := httptest.NewRequest(http.MethodPost, "/api/auth/signin", strings.NewReader("email=a"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		n.client.Send(r).Want(415)
	})
	t.Run("oversized", func(t *testing.T) {
		n.client.Post("/api/auth/signin", `{"email":"`+strings.Repeat("x", 2<<20)+`"}`).Want(413)
	})
	t.Run("another site", func(t *testing.T) {
		n.client.With("Sec-Fetch-Site", "cross-site").Post("/api/auth/signin", good(nil)).Want(403)
	})
}

func TestBruteForce(t *testing.T) {
	n := newNode(t, storetest.Open(t, store.Config{Path: t.TempDir() + "/app.db"}))
	n.member(t, n.client.Browser(), "ann@example.com")
	for range 10 {
		n.client.Post("/api/auth/signin", body{"email": "ann@example.com", "password": "guess-guess"}).Want(401)
	}
	a := n.client.Post("/api/auth/signin", body{"email": "ann@example.com", "password": "pw12345678"}).Want(429)
	if a.Problem(); a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	n.client.Post("/api/auth/signin", body{"email": "bob@example.com", "password": "guess-guess"}).Want(401)
	for range 5 {
		n.client.Post("/api/auth/signup", body{"email": "victim@example.com", "password": "pw12345678"}).Want(200)
	}
	n.client.Post("/api/auth/signup", body{"email": "victim@example.com", "password": "pw12345678"}).Want(429)
}

func testAddUser(t *testing.T, n *node) {
	both := identity.Roles{identity.Broadcaster, identity.Developer, identity.Broadcaster}
	p, err := n.AddUser(t.Context(), "Ann@Home.lan", "pw12345678", both)
	if err != nil || p.Email != "ann@home.lan" || len(p.Roles) != 2 || p.Username == "" {
		t.Fatal(p, err)
	}
	for _, tt := range []struct {
		email, password string
		roles           identity.Roles
		code            errs.Code
	}{
		{"ann@home.lan", "pw12345678", both, errs.Conflict},
		{"bob@home.lan", "short", both, errs.Invalid},
		{"bob", "pw12345678", both, errs.Invalid},
		{"bob@home.lan", "pw12345678", nil, errs.Invalid},
		{"bob@home.lan", "pw12345678", identity.Roles{"king"}, errs.Invalid},
	} {
		if _, err := n.AddUser(t.Context(), tt.email, tt.password, tt.roles); errs.CodeOf(err) != tt.code {
			t.Errorf("%+v: %v", tt, err)
		}
	}
	if said := n.said(t); len(said) != 1 {
		t.Errorf("said %v", said)
	}
	n.client.Post("/api/auth/signin", body{"email": "ann@home.lan", "password": "pw12345678"}).Want(200)
}

func testTwoConfirmAtOnce(t *testing.T, n *node) {
	n.client.Post("/api/auth/signup", body{"email": "ann@example.com", "password": "pw12345678"}).Want(200)
	token := n.lastLink(t, "/confirm")
	results := make(chan error, 4)
	for range cap(results) {
		go func() { _, err := n.Confirm(context.Background(), token); results <- err }()
	}
	won := 0
	for range cap(results) {
		switch err := <-results; errs.CodeOf(err) {
		case "":
			won++
		case errs.Invalid, errs.Conflict:
		default:
			t.Error(err)
		}
	}
	if said := n.said(t); won != 1 || len(said) != 1 {
		t.Errorf("%d confirmed, said %d times", won, len(said))
	}
}

func TestSignUpClosed(t *testing.T) {
	n := newNode(t, storetest.Open(t, store.Config{Path: t.TempDir() + "/app.db"}), func(cfg *Config) { cfg.SignUpClosed = true })
	n.client.Post("/api/auth/signup", body{"email": "ann@example.com", "password": "pw12345678"}).Want(403)
	if view(n.client.Get("/api/auth/session")).SignUp.Open {
		t.Error("the session says that sign-up is open")
	}
}

func TestTokensAreStoredAsHashes(t *testing.T) {
	n := newNode(t, storetest.Open(t, store.Config{Path: t.TempDir() + "/app.db"}))
	n.client.Post("/api/auth/signup", body{"email": "ann@example.com", "password": "pw12345678"}).Want(200)
	token := n.lastLink(t, "/confirm")
	login, err := n.Confirm(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	for _, column := range []string{"links.token_hash", "sessions.token_hash", "mails.sealed", "users.password_hash"} {
		table, name, _ := strings.Cut(column, ".")
		for _, secret := range []string{token, login.Token, "pw12345678"} {
			var found int
			query := "SELECT count(*) FROM " + table + " WHERE instr(" + name + ", $1) > 0"
			if err := n.db.Read().QueryRowContext(t.Context(), query, secret).Scan(&found); err != nil || found > 0 {
				t.Errorf("%s holds a secret in the clear (%v)", column, err)
			}
		}
	}
}
