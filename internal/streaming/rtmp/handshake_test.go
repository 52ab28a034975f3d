package rtmp

import (
	"bytes"
	"crypto/hmac"
	"io"
	"strings"
	"testing"
)

// pipe is what a client sends and what it hears.
type pipe struct {
	io.Reader
	bytes.Buffer
}

func (p *pipe) Read(b []byte) (int, error)  { return p.Reader.Read(b) }
func (p *pipe) Write(b []byte) (int, error) { return p.Buffer.Write(b) }

// hello returns C0 and C1, with a digest if at is not 0, and a C2.
func hello(at scheme) []byte {
	c := make([]byte, 1+2*handshakeSize)
	c[0] = protocolVersion
	c1 := c[1 : 1+handshakeSize]
	for i := range c1[8:] {
		c1[8+i] = byte(i * 37)
	}
	if at != 0 {
		copy(c1[4:8], []byte{9, 0, 124, 2})
		p := at.place(c1)
		copy(c1[p:], mac([]byte(clientWords), c1[:p], c1[p+digestSize:]))
	}
	return c
}

func TestPlainHandshake(t *testing.T) {
	c := hello(0)
	p := &pipe{Reader: bytes.NewReader(c)}
	if err := handshake(p); err != nil {
		t.Fatal(err)
	}
	s := p.Bytes()
	if len(s) != 1+2*handshakeSize || s[0] != 3 {
		t.Fatalf("the answer has %d bytes", len(s))
	}
	if !bytes.Equal(s[1:9], make([]byte, 8)) {
		t.Errorf("S1 begins with %x", s[1:9])
	}
	if !bytes.Equal(s[1+handshakeSize:], c[1:1+handshakeSize]) {
		t.Error("S2 does not repeat C1")
	}
}

func TestDigestHandshake(t *testing.T) {
	for _, at := range []scheme{digestFirst, keyFirst} {
		c := hello(at)
		p := &pipe{Reader: bytes.NewReader(c)}
		if err := handshake(p); err != nil {
			t.Fatal(err)
		}
		s := p.Bytes()
		s1, s2 := s[1:1+handshakeSize], s[1+handshakeSize:]
		place := at.place(s1)
		if !hmac.Equal(s1[place:place+digestSize], mac([]byte(serverWords), s1[:place], s1[place+digestSize:])) {
			t.Errorf("scheme %d: the digest of S1 is wrong", at)
		}
		digest, ok := at.find(c[1 : 1+handshakeSize])
		if !ok {
			t.Fatal("the test's own digest is wrong")
		}
		key := mac([]byte(serverWords+keyTail), digest)
		if !hmac.Equal(s2[handshakeSize-digestSize:], mac(key, s2[:handshakeSize-digestSize])) {
			t.Errorf("scheme %d: S2 is not signed", at)
		}
	}
}

func TestHandshakeRefuses(t *testing.T) {
	for _, tt := range []struct{ name, wire, want string }{
		{"nothing", "", "EOF"},
		{"HTTP", "GET / HTTP/1.1\r\n", "it begins with 0x47"},
		{"an encrypted one", "\x06" + strings.Repeat("x", 3072), "it begins with 0x6"},
		{"C1 cut", "\x03abc", "unexpected EOF"},
		{"C2 cut", "\x03" + strings.Repeat("x", 2000), "unexpected EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := handshake(&pipe{Reader: strings.NewReader(tt.wire)})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}
