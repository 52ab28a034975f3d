// Package localca gives a node in a local network HTTPS that phones accept: an
// authority of its own, made at the first start and kept in the data folder, and
// certificates for whatever addresses the machine has at the moment. Phones give
// camera and microphone to secure pages only.
package localca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	// leafLife is below the 398 days that browsers accept at most (CA/Browser
	// Forum baseline requirements 6.3.2; Apple holds private authorities to 825).
	leafLife = 397 * 24 * time.Hour
	// renewBefore is how long before its end a certificate is replaced.
	renewBefore = 30 * 24 * time.Hour
	// backdate lets devices accept a certificate although their clocks are behind.
	backdate = time.Hour
)

// Authority signs the node's certificates.
type Authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// OpenAuthority returns the authority kept in dir as ca.crt and ca.key (PEM, the
// key with mode 0600), making it at the first start. An authority that has
// expired is replaced; one that is damaged is an error, because replacing it
// would silently undo the trust of every device.
func OpenAuthority(dir string) (*Authority, error) {
	if _, err := os.Stat(certPath(dir)); errors.Is(err, fs.ErrNotExist) {
		return create(dir)
	}
	a, err := load(dir)
	if err != nil {
		return nil, fmt.Errorf("the local certificate authority in %s cannot be used; remove that folder to have a new one made: %w", dir, err)
	}
	if time.Now().After(a.cert.NotAfter.Add(-renewBefore)) {
		return create(dir)
	}
	return a, nil
}

// PEM is the authority's certificate as devices import it.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func certPath(dir string) string { return filepath.Join(dir, "ca.crt") }
func keyPath(dir string) string  { return filepath.Join(dir, "ca.key") }

func load(dir string) (*Authority, error) {
	keyDER, err := readPEM(keyPath(dir), "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	certDER, err := readPEM(certPath(dir), "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(keyDER)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(certDER)
	if err != nil {
		return nil, err
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok || !ec.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("ca.key is not the key of ca.crt")
	}
	return &Authority{cert: cert, key: ec}, nil
}

func create(dir string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "this machine"
	}
	now := time.Now()
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "ServerlessVideo on " + host + ", " + now.UTC().Format(time.DateOnly)},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(authorityLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		// A stolen key must not be good for the world's names (RFC 5280,
		// 4.2.1.10). Addresses stay free: a machine's change with its networks.
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         permittedNames(),
	}
	der, err := sign(template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	// The certificate comes last: as long as it is not there, nothing was made.
	if err := writePEM(keyPath(dir), "PRIVATE KEY", keyDER, 0o600); err != nil {
		return nil, err
	}
	if err := writePEM(certPath(dir), "CERTIFICATE", der, 0o644); err != nil {
		return nil, err
	}
	return &Authority{cert: cert, key: key}, nil
}

// sign gives the certificate a random serial number of 127 bits and signs it.
func sign(template, parent *x509.Certificate, pub crypto.PublicKey, signer crypto.Signer) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	return x509.CreateCertificate(rand.Reader, template, parent, pub, signer)
}

func readPEM(path, kind string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s holds no %s in PEM form", path, kind)
	}
	return block.Bytes, nil
}

// writePEM replaces the file in one step.
func writePEM(path, kind string, der []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	err = errors.Join(pem.Encode(f, &pem.Block{Type: kind, Bytes: der}), f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
