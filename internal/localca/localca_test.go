package localca

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func open(t *testing.T, dir string) *Authority {
	t.Helper()
	a, err := OpenAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A device that trusts the authority accepts the node under each of the
// machine's names and addresses.
func TestDeviceAcceptsEveryAddress(t *testing.T) {
	a := open(t, filepath.Join(t.TempDir(), "tls"))
	listener, err := tls.Listen("tcp", "127.0.0.1:0", NewCertificates(a, quiet()).TLSConfig())
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: a, ReadHeaderTimeout: time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()

	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(a.PEM()) {
		t.Fatal("the authority's certificate cannot be imported")
	}
	found, err := localNames(a.cert.PermittedDNSDomains)
	if err != nil {
		t.Fatal(err)
	}
	hosts := append([]string{}, found.dns...)
	for _, ip := range found.ips {
		hosts = append(hosts, ip.String())
	}
	if len(hosts) < 2 {
		t.Fatalf("only %v were found", hosts)
	}
	for _, host := range hosts {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: host}}
		resp, err := (&http.Client{Transport: transport}).Get("https://" + listener.Addr().String() + CertificatePath)
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		transport.CloseIdleConnections()
		if !bytes.Equal(body, a.PEM()) || resp.Header.Get("Content-Type") != "application/x-x509-ca-cert" {
			t.Errorf("%s: got %s %q", host, resp.Header, body)
		}
	}
	if _, err := (&http.Client{}).Get("https://" + listener.Addr().String()); err == nil {
		t.Error("accepted without trusting the authority")
	}
}

func TestAuthorityIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	first, second := open(t, dir), open(t, dir)
	if !bytes.Equal(first.PEM(), second.PEM()) {
		t.Error("the second start made another authority")
	}
	for name, mode := range map[string]os.FileMode{"ca.key": 0o600, "ca.crt": 0o644} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v %v, want mode %o", name, info, err, mode)
		}
	}
	if !first.cert.IsCA || first.cert.NotAfter.Before(time.Now().AddDate(9, 0, 0)) {
		t.Errorf("the authority: CA %v, until %v", first.cert.IsCA, first.cert.NotAfter)
	}
}

func TestDamagedAuthorityIsNotReplaced(t *testing.T) {
	other := t.TempDir()
	open(t, other)
	otherKey, err := os.ReadFile(keyPath(other))
	if err != nil {
		t.Fatal(err)
	}
	damages := map[string]func(dir string) error{
		"key is gone":         func(dir string) error { return os.Remove(keyPath(dir)) },
		"key of another":      func(dir string) error { return os.WriteFile(keyPath(dir), otherKey, 0o600) },
		"key is no PEM":       func(dir string) error { return os.WriteFile(keyPath(dir), []byte("x"), 0o600) },
		"certificate is cut":  func(dir string) error { return os.Truncate(certPath(dir), 40) },
		"certificate is text": func(dir string) error { return os.WriteFile(certPath(dir), []byte("x"), 0o600) },
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			open(t, dir)
			if err := damage(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := OpenAuthority(dir); err == nil || !strings.Contains(err.Error(), dir) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAuthorityCannotSignForTheWorld(t *testing.T) {
	a := open(t, t.TempDir())
	cert, err := a.issue(names{dns: []string{"bank.example.com"}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	if _, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "bank.example.com"}); err == nil {
		t.Error("a certificate for bank.example.com was accepted")
	}
}

func TestRenewal(t *testing.T) {
	a := open(t, t.TempDir())
	c := NewCertificates(a, quiet())
	now := time.Now()
	here := names{dns: []string{"localhost"}, ips: []netip.Addr{netip.MustParseAddr("192.168.1.20")}}
	c.now = func() time.Time { return now }
	c.find = func([]string) (names, error) { return here, nil }
	get := func() *x509.Certificate {
		t.Helper()
		cert, err := c.Get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return cert.Leaf
	}

	first := get()
	if life := first.NotAfter.Sub(first.NotBefore); life > 397*24*time.Hour {
		t.Errorf("valid for %s", life)
	}
	now = now.Add(time.Minute)
	if get() != first {
		t.Error("renewed without need")
	}
	here.ips = []netip.Addr{netip.MustParseAddr("10.1.2.3")}
	if get() != first {
		t.Error("looked at the addresses again at once")
	}
	now = now.Add(lookAgain)
	second := get()
	if second == first || len(second.IPAddresses) != 1 || second.IPAddresses[0].String() != "10.1.2.3" {
		t.Errorf("after a move to another network: %v", second.IPAddresses)
	}
	now = second.NotAfter.Add(-renewBefore).Add(time.Hour)
	third := get()
	if third == second || !third.NotAfter.After(second.NotAfter) {
		t.Errorf("near its end: valid until %s, before %s", third.NotAfter, second.NotAfter)
	}
	// The machine cannot be asked: the certificate that is there stays.
	c.find = func([]string) (names, error) { return names{}, os.ErrPermission }
	now = now.Add(lookAgain)
	if get() != third {
		t.Error("the certificate went away with an error")
	}
}

func TestLeafEndsWithItsAuthority(t *testing.T) {
	a := open(t, t.TempDir())
	cert, err := a.issue(names{dns: []string{"localhost"}}, a.cert.NotAfter.AddDate(0, 0, -1))
	if err != nil {
		t.Fatal(err)
	}
	if cert.Leaf.NotAfter.After(a.cert.NotAfter) {
		t.Error("the certificate outlives its authority")
	}
}

func TestWelcome(t *testing.T) {
	var plain, drawn bytes.Buffer
	Welcome(&plain, "https://192.168.1.20:8443", false)
	Welcome(&drawn, "https://192.168.1.20:8443", true)
	for _, want := range []string{"https://192.168.1.20:8443/broadcast\n", "https://192.168.1.20:8443/ca.crt"} {
		if !strings.Contains(plain.String(), want) || !strings.Contains(drawn.String(), want) {
			t.Errorf("%q is missing in %s", want, plain.String())
		}
	}
	if strings.ContainsAny(plain.String(), "█▄▀") || !strings.ContainsAny(drawn.String(), "█▄▀") {
		t.Error("the QR code is drawn when it should not, or the other way round")
	}
}

func TestLANAddr(t *testing.T) {
	a := LANAddr()
	if !a.IsValid() {
		t.Skip("this machine has no address but the loopback")
	}
	if a.IsLoopback() || a.IsLinkLocalUnicast() {
		t.Errorf("%s is not for other devices", a)
	}
}
