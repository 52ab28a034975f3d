package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
)

// MinSecret is the least length of a node's secret in bytes.
const MinSecret = 32

// Sealer encrypts what a table must keep but nobody may read from a copy of the
// database: AES-256-GCM (NIST SP 800-38D) under a key that HKDF (RFC 5869)
// derives from the node's secret, another one for each purpose.
type Sealer struct{ aead cipher.AEAD }

// NewSealer returns a Sealer for one purpose, such as "stream keys".
func NewSealer(secret []byte, purpose string) (*Sealer, error) {
	if len(secret) < MinSecret {
		return nil, fmt.Errorf("the secret has %d bytes, it needs at least %d", len(secret), MinSecret)
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "serverlessvideo "+purpose, 32)
	if err != nil {
		return nil, fmt.Errorf("deriving the key for %s: %w", purpose, err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &Sealer{aead}, nil
}

// Seal encrypts text for the row that owner names: moved to another row it
// cannot be opened.
func (s *Sealer) Seal(text, owner string) []byte {
	return s.aead.Seal(nil, nil, []byte(text), []byte(owner))
}

// Open returns the text that was sealed for owner.
func (s *Sealer) Open(sealed []byte, owner string) (string, error) {
	text, err := s.aead.Open(nil, nil, sealed, []byte(owner))
	if err != nil {
		return "", errors.New("sealed with another secret, or damaged")
	}
	return string(text), nil
}
