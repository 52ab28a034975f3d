package rtmp

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
)

const (
	protocolVersion = 3
	handshakeSize   = 1536 // of C1, C2, S1 and S2
	digestSize      = sha256.Size
	// Where a digest can be: its offset is the sum of four bytes, modulo
	// digestRange, after them.
	digestRange = 728
)

// The keys of the digest handshake. They are known to all who speak RTMP: they
// prove nothing, but encoders that send a digest expect one.
const (
	keyTail     = "\xf0\xee\xc2\x4a\x80\x68\xbe\xe8\x2e\x00\xd0\xd1\x02\x9e\x7e\x57\x6e\xec\x5d\x2d\x29\x80\x6f\xab\x93\xb8\xe6\x36\xcf\xeb\x31\xae"
	clientWords = "Genuine Adobe Flash Player 001"
	serverWords = "Genuine Adobe Flash Media Server 001"
)

// scheme is where in C1 and S1 the four bytes are that give the digest's place.
type scheme int

const (
	digestFirst scheme = 8
	keyFirst    scheme = 772
)

// handshake takes C0, C1 and C2 and answers them: with a digest if C1 has a
// right one, else as the specification wants it ("Adobe's Real Time Messaging
// Protocol", 5.2). What C2 says is not checked: encoders exist that get it wrong.
func handshake(rw io.ReadWriter) error {
	c := make([]byte, 1+handshakeSize)
	if _, err := io.ReadFull(rw, c[:1]); err != nil {
		return err
	}
	if c[0] != protocolVersion {
		return fmt.Errorf("no RTMP: it begins with %#x, not with the version 3", c[0])
	}
	if _, err := io.ReadFull(rw, c[1:]); err != nil {
		return err
	}
	if _, err := rw.Write(answer(c[1:])); err != nil {
		return err
	}
	_, err := io.ReadFull(rw, c[1:])
	return err
}

// answer returns S0, S1 and S2 for a C1.
func answer(c1 []byte) []byte {
	s := make([]byte, 1+2*handshakeSize)
	s[0] = protocolVersion
	s1, s2 := s[1:1+handshakeSize], s[1+handshakeSize:]
	_, _ = rand.Read(s1[8:]) // never fails
	for _, at := range [...]scheme{digestFirst, keyFirst} {
		digest, ok := at.find(c1)
		if !ok {
			continue
		}
		copy(s1[4:8], []byte{5, 0, 1, 1}) // a version that had digests
		at.sign(s1)
		_, _ = rand.Read(s2)
		key := mac([]byte(serverWords+keyTail), digest)
		copy(s2[handshakeSize-digestSize:], mac(key, s2[:handshakeSize-digestSize]))
		return s
	}
	copy(s2, c1)
	return s
}

// place returns where the digest of a C1 or S1 begins.
func (at scheme) place(b []byte) int {
	sum := 0
	for _, v := range b[at : at+4] {
		sum += int(v)
	}
	return int(at) + 4 + sum%digestRange
}

// find returns the digest of a C1, false if it is not right.
func (at scheme) find(c1 []byte) ([]byte, bool) {
	p := at.place(c1)
	digest := c1[p : p+digestSize]
	return digest, hmac.Equal(digest, mac([]byte(clientWords), c1[:p], c1[p+digestSize:]))
}

// sign puts the digest into an S1.
func (at scheme) sign(s1 []byte) {
	p := at.place(s1)
	copy(s1[p:], mac([]byte(serverWords), s1[:p], s1[p+digestSize:]))
}

// mac is HMAC-SHA256.
func mac(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}
