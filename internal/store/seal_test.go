package store

import (
	"bytes"
	"testing"
)

func sealer(t *testing.T, secret, purpose string) *Sealer {
	t.Helper()
	s, err := NewSealer([]byte(secret), purpose)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealer(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	s := sealer(t, secret, "stream keys")
	sealed := s.Seal("sk_secret", "channel-1")
	if bytes.Contains(sealed, []byte("sk_secret")) {
		t.Fatal("the text stands in what is sealed")
	}
	if bytes.Equal(sealed, s.Seal("sk_secret", "channel-1")) {
		t.Fatal("sealing twice gives the same bytes")
	}
	damaged := bytes.Clone(sealed)
	damaged[len(damaged)-1] ^= 1
	tests := []struct {
		name   string
		by     *Sealer
		sealed []byte
		owner  string
		opens  bool
	}{
		{"as sealed", s, sealed, "channel-1", true},
		{"after a restart", sealer(t, secret, "stream keys"), sealed, "channel-1", true},
		{"other owner", s, sealed, "channel-2", false},
		{"other purpose", sealer(t, secret, "mails"), sealed, "channel-1", false},
		{"other secret", sealer(t, "x"+secret, "stream keys"), sealed, "channel-1", false},
		{"damaged", s, damaged, "channel-1", false},
		{"empty", s, nil, "channel-1", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text, err := tt.by.Open(tt.sealed, tt.owner)
			if tt.opens != (err == nil) || tt.opens && text != "sk_secret" {
				t.Errorf("%q, %v", text, err)
			}
		})
	}
	if _, err := NewSealer([]byte("short"), "x"); err == nil {
		t.Error("a short secret is accepted")
	}
}
