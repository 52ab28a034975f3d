package account

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

// postman is a mail server of the test's that fails the first times.
type postman struct {
	mu    sync.Mutex
	fails int
	texts []string
}

func (p *postman) Send(_ context.Context, to, subject, text string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fails > 0 {
		p.fails--
		return errors.New("451 greylisted, come again")
	}
	p.texts = append(p.texts, to+"|"+subject+"|"+text)
	return nil
}

func (p *postman) sent() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.texts
}

func (n *node) mailList(t *testing.T) []MailView {
	t.Helper()
	var list store.List[MailView]
	n.client.Get("/api/admin/mail").Want(200).JSON(&list)
	return list.Data
}

// signInAdmin makes the client's cookie an admin's.
func (n *node) signInAdmin(t *testing.T) {
	t.Helper()
	if _, err := n.AddUser(t.Context(), "root@home.lan", "pw12345678", identity.Roles{identity.Admin}); err != nil {
		t.Fatal(err)
	}
	n.client.Post("/api/auth/signin", body{"email": "root@home.lan", "password": "pw12345678"}).Want(200)
}

func run(t *testing.T, n *node) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); n.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}

func testMailIsRetried(t *testing.T, n *node) {
	db := n.db
	p := &postman{fails: 2}
	n = newNode(t, db, func(cfg *Config) { cfg.Mail, cfg.MailRetry = p, 20*time.Millisecond })
	n.signInAdmin(t)
	// Two nodes share the database: the mail comes once all the same.
	run(t, n)
	run(t, newNode(t, db, func(cfg *Config) { cfg.Mail, cfg.MailRetry = p, 20*time.Millisecond }))
	n.client.Browser().Post("/api/auth/signup", body{"email": "ann@example.com", "password": "pw12345678"}).Want(200)
	eventually(t, "the mail is sent", func() bool { return n.mailList(t)[0].Status == mailSent })
	m := n.mailList(t)[0]
	if m.Attempts != 3 || m.Link != "" || m.To != "ann@example.com" {
		t.Errorf("%+v", m)
	}
	sent := p.sent()
	if len(sent) != 1 || !strings.HasPrefix(sent[0], "ann@example.com|Confirm your e-mail address|") ||
		!strings.Contains(sent[0], "http://localhost:8080/confirm#token=") {
		t.Errorf("sent %q", sent)
	}
	if strings.Contains(n.log.String(), "#token=") {
		t.Error("with a mail server the link stands in the log")
	}
}

func TestMailIsGivenUpVisibly(t *testing.T) {
	n := newNode(t, storetest.Open(t, store.Config{Path: t.TempDir() + "/app.db"}), func(cfg *Config) {
		cfg.Mail, cfg.MailRetry = &postman{fails: 1000}, time.Millisecond
	})
	n.signInAdmin(t)
	run(t, n)
	n.client.Browser().Post("/api/auth/signup", body{"email": "ann@example.com", "password": "pw12345678"}).Want(200)
	eventually(t, "the mail is given up", func() bool { return n.mailList(t)[0].Status == mailFailed })
	m := n.mailList(t)[0]
	if m.Attempts != mailAttempts || !strings.Contains(m.Problem, "greylisted") || !strings.Contains(m.Link, "/confirm#token=") {
		t.Errorf("%+v", m)
	}
}

func testMailListIsForAdmins(t *testing.T, n *node) {
	n.client.Get("/api/admin/mail").Want(401)
	n.member(t, n.client, "ann@example.com")
	n.client.Get("/api/admin/mail").Want(403)
	n.signInAdmin(t)
	for i := range 3 {
		time.Sleep(2 * time.Millisecond) // the order is by time
		n.client.Browser().Post("/api/auth/signup", body{"email": fmt.Sprintf("u%d@example.com", i), "password": "pw12345678"}).Want(200)
	}
	var seen []string
	next := ""
	for range 5 {
		var list store.List[MailView]
		n.client.Get("/api/admin/mail?limit=3&offset=" + next).Want(200).JSON(&list)
		for _, m := range list.Data {
			if m.Status != mailShown || !strings.Contains(m.Link, "#token=") {
				t.Errorf("%+v", m)
			}
			seen = append(seen, m.To)
		}
		if next = list.NextPage; next == "" {
			break
		}
	}
	if strings.Join(seen, " ") != "u2@example.com u1@example.com u0@example.com ann@example.com" {
		t.Errorf("seen %v", seen)
	}
}

// TestSMTP speaks with a mail server of a few lines.
func TestSMTP(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	go func() { got <- serveOneMail(listener) }()
	defer func() { _ = listener.Close() }()
	s := SMTP{Host: "127.0.0.1", Port: listener.Addr().(*net.TCPAddr).Port, From: "ServerlessVideo <video@example.com>", Plaintext: true}
	if err := s.Send(t.Context(), "ann@example.com", "Hello", "a link"); err != nil {
		t.Fatal(err)
	}
	mail := <-got
	for _, want := range []string{"MAIL FROM:<video@example.com>", "RCPT TO:<ann@example.com>", "Subject: Hello", "a link"} {
		if !strings.Contains(mail, want) {
			t.Errorf("lacks %q: %s", want, mail)
		}
	}
	s.Plaintext = false
	go func() { got <- serveOneMail(listener) }()
	if err := s.Send(t.Context(), "ann@example.com", "Hello", "a link"); err == nil {
		t.Error("a mail goes out without TLS")
	}
	<-got
}

func serveOneMail(listener net.Listener) string {
	c, err := listener.Accept()
	if err != nil {
		return err.Error()
	}
	defer func() { _ = c.Close() }()
	var all strings.Builder
	say := func(line string) { _, _ = c.Write([]byte(line + "\r\n")) }
	say("220 test")
	data := false
	for in := bufio.NewScanner(c); in.Scan(); {
		line := in.Text()
		all.WriteString(line + "\n")
		switch {
		case data && line == ".":
			data = false
			say("250 taken")
		case data:
		case strings.HasPrefix(line, "DATA"):
			data = true
			say("354 go on")
		case strings.HasPrefix(line, "QUIT"):
			say("221 bye")
			return all.String()
		default:
			say("250 ok")
		}
	}
	return all.String()
}

func TestPasswordHashes(t *testing.T) {
	h := newHasher()
	hash, err := h.hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Error(hash)
	}
	for password, right := range map[string]bool{"correct horse": true, "correct horse ": false, "": false} {
		if ok, err := h.verify(t.Context(), password, hash); err != nil || ok != right {
			t.Errorf("%q: %v, %v", password, ok, err)
		}
	}
	if ok, err := h.verify(t.Context(), "", ""); ok || err != nil {
		t.Error("nobody's password is right", err)
	}
	for _, bad := range []string{"plain", "$argon2i$v=19$m=1,t=1,p=1$AAAAAAAAAAAAAAAA$AAAA", "$argon2id$v=19$m=0,t=0,p=0$AAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAA", hash + "$"} {
		if ok, err := h.verify(t.Context(), "x", bad); ok || err == nil {
			t.Errorf("%q is taken for a hash", bad)
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	h.slots <- struct{}{}
	h.slots <- struct{}{}
	if _, err := h.hash(cancelled, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for ever: %v", err)
	}
}

func TestThrottleForgets(t *testing.T) {
	th := newThrottle(2, time.Minute)
	now := time.Now()
	for i := range maxThrottled * 2 {
		th.count(fmt.Sprint(i), now)
	}
	if len(th.byID) > maxThrottled {
		t.Errorf("%d are kept", len(th.byID))
	}
	th.count("a", now)
	th.count("a", now)
	if wait := th.wait("a", now); wait <= 0 || wait > time.Minute {
		t.Errorf("wait %v", wait)
	}
	if wait := th.wait("a", now.Add(time.Minute)); wait != 0 {
		t.Errorf("a minute later: wait %v", wait)
	}
}

func TestFriendlyNames(t *testing.T) {
	for range 1000 {
		if name := friendlyName(); len(name) > maxUsername {
			t.Errorf("%q is too long", name)
		} else if parsed, err := parseUsername(name); err != nil || parsed != name {
			t.Errorf("%q: %v", name, err)
		}
	}
}
