package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/argon2"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// Parameters of argon2id (RFC 9106), OWASP's recommendation: 19 MiB, two
// passes, one lane. About 34 ms of one core for each password.
const (
	argonMemory = 19 * 1024 // KiB
	argonTime   = 2
	argonLanes  = 1
	argonSalt   = 16 // bytes
	argonKey    = 32 // bytes
)

const (
	hashesAtOnce = 2  // bounds memory to 2 x 19 MiB
	hashesQueued = 50 // beyond, sign-ins are refused: under 1 s of waiting each
)

// hasher makes and checks password hashes, a bounded number at a time.
type hasher struct {
	memory, time uint32 // of new hashes

	slots  chan struct{}
	queued atomic.Int64
	// computed counts the argon2 computations: tests hold it the same for
	// addresses that exist and that do not.
	computed atomic.Int64
}

func newHasher() *hasher {
	return &hasher{memory: argonMemory, time: argonTime, slots: make(chan struct{}, hashesAtOnce)}
}

// hash returns the hash of a password in the PHC string format.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt) // crypto/rand never fails
	key, err := h.key(ctx, password, salt, h.time, h.memory, argonLanes, argonKey)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.time, argonLanes,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key)), nil
}

// verify says whether password is the one of encoded. With encoded "", nobody's
// password, it does the same work and says no.
func (h *hasher) verify(ctx context.Context, password, encoded string) (bool, error) {
	if encoded == "" {
		_, err := h.key(ctx, password, make([]byte, argonSalt), h.time, h.memory, argonLanes, argonKey)
		return false, err
	}
	p, err := parsePHC(encoded)
	if err != nil {
		return false, err
	}
	key, err := h.key(ctx, password, p.salt, p.time, p.memory, p.lanes, uint32(len(p.key)))
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(key, p.key) == 1, nil
}

func (h *hasher) key(ctx context.Context, password string, salt []byte, time, memory uint32, lanes uint8, length uint32) ([]byte, error) {
	if h.queued.Add(1) > hashesQueued {
		h.queued.Add(-1)
		return nil, errs.New(errs.Unavailable, "too many people sign in at this moment; try again in a few seconds")
	}
	defer h.queued.Add(-1)
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-h.slots }()
	h.computed.Add(1)
	return argon2.IDKey([]byte(password), salt, time, memory, lanes, length), nil
}

type phc struct {
	memory, time uint32
	lanes        uint8
	salt, key    []byte
}

// parsePHC reads what hash wrote, perhaps with other parameters.
func parsePHC(encoded string) (phc, error) {
	var p phc
	parts := strings.Split(encoded, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, fmt.Errorf("a password hash that is not argon2id version %d", argon2.Version)
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.lanes); err != nil {
		return p, fmt.Errorf("the parameters of a password hash: %w", err)
	}
	var err error
	if p.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil {
		return p, fmt.Errorf("the salt of a password hash: %w", err)
	}
	if p.key, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil {
		return p, fmt.Errorf("a password hash: %w", err)
	}
	if p.memory == 0 || p.time == 0 || p.lanes == 0 || len(p.salt) < 8 || len(p.key) < 16 {
		return p, fmt.Errorf("a password hash with parameters out of range")
	}
	return p, nil
}
