package localca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"net"
	"sync"
	"time"
)

// lookAgain is how often, at most, the machine's addresses are read anew.
const lookAgain = 10 * time.Second

// Certificates hands out the certificate of the node. It is made anew when the
// machine's addresses change or its end comes near; the key lives in memory only.
type Certificates struct {
	authority *Authority
	logger    *slog.Logger
	find      func(permitted []string) (names, error)
	now       func() time.Time

	mu     sync.Mutex
	looked time.Time
	names  names
	cert   *tls.Certificate
}

// NewCertificates returns the certificates that authority signs for this machine.
func NewCertificates(authority *Authority, logger *slog.Logger) *Certificates {
	return &Certificates{authority: authority, logger: logger, find: localNames, now: time.Now}
}

// TLSConfig is for a server that speaks HTTP/2 and HTTP/1.1.
func (c *Certificates) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: c.Get,
		NextProtos:     []string{"h2", "http/1.1"},
	}
}

// Get returns the certificate for a handshake (tls.Config.GetCertificate). The
// same one serves every name, because browsers that connect to an address send none.
func (c *Certificates) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if c.cert != nil && now.Before(c.looked.Add(lookAgain)) {
		return c.cert, nil
	}
	found, err := c.find(c.authority.cert.PermittedDNSDomains)
	if err == nil && (c.cert == nil || !found.equal(c.names) || now.After(c.cert.Leaf.NotAfter.Add(-renewBefore))) {
		var cert *tls.Certificate
		if cert, err = c.authority.issue(found, now); err == nil {
			c.cert, c.names = cert, found
			c.logger.Info("made a certificate for this machine", "names", found.dns, "addresses", found.ips, "until", cert.Leaf.NotAfter)
		}
	}
	if err != nil {
		if c.cert == nil {
			return nil, err
		}
		c.logger.Error("cannot renew the certificate of this machine; the old one stays", "error", err)
	}
	c.looked = now
	return c.cert, nil
}

// issue makes a certificate with a new key.
func (a *Authority) issue(n names, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	until := now.Add(leafLife - backdate)
	if until.After(a.cert.NotAfter) {
		until = a.cert.NotAfter
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "ServerlessVideo"},
		NotBefore:   now.Add(-backdate),
		NotAfter:    until,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    n.dns,
	}
	for _, ip := range n.ips {
		template.IPAddresses = append(template.IPAddresses, net.IP(ip.AsSlice()))
	}
	der, err := sign(template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key, Leaf: leaf}, nil
}
