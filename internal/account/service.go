// Package account is the auth service: users with their roles, sign-up and
// sign-in by e-mail address and password, sessions, the one-time link that
// makes the first admin, and the mails with links. There is no user before the
// address is confirmed. Tokens of sessions and links are kept as hashes only.
package account

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/account/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Config is what the service needs. DB, Logger, Secret and BaseURL are required.
type Config struct {
	DB     *store.DB
	Logger *slog.Logger
	// Secret is the node's secret, at least store.MinSecret bytes.
	Secret []byte
	// BaseURL is what links in mails begin with, without a slash at its end.
	BaseURL string
	// SecureCookies: requests come over HTTPS even when this node sees HTTP,
	// from a proxy. Requests over TLS are known without it.
	SecureCookies bool
	// SignUpClosed: accounts are made by AddUser and the set-up link alone.
	SignUpClosed bool
	// AllowedDomains are the domains whose confirmed addresses may broadcast;
	// "*" is every domain.
	AllowedDomains []string
	// Mail sends mails; nil means that there is no mail server, and links go to
	// the log and to the admin.
	Mail Sender

	SessionLife time.Duration // without a visit; 30 days when zero
	LinkLife    time.Duration // 24 hours when zero
	MailRetry   time.Duration // before the second attempt, doubled each time; 1 minute when zero
}

// Service is the auth service.
type Service struct {
	cfg     Config
	db      *store.DB
	log     *slog.Logger
	hasher  *hasher
	tries   *throttle // failed sign-ins of an address
	signUps *throttle // mails to an address
	mails   *outbox
}

// New returns the service. Run must run beside it.
func New(cfg Config) (*Service, error) {
	if cfg.DB == nil || cfg.Logger == nil || cfg.BaseURL == "" {
		return nil, errors.New("account: DB, Logger and BaseURL are needed")
	}
	sealer, err := store.NewSealer(cfg.Secret, "mails")
	if err != nil {
		return nil, fmt.Errorf("account: %w", err)
	}
	cfg.SessionLife = orDefault(cfg.SessionLife, 30*24*time.Hour)
	cfg.LinkLife = orDefault(cfg.LinkLife, 24*time.Hour)
	cfg.MailRetry = orDefault(cfg.MailRetry, time.Minute)
	domains := make([]string, 0, len(cfg.AllowedDomains))
	for _, d := range cfg.AllowedDomains {
		domains = append(domains, strings.ToLower(strings.TrimPrefix(strings.TrimSpace(d), "@")))
	}
	cfg.AllowedDomains = domains
	return &Service{
		cfg: cfg, db: cfg.DB, log: cfg.Logger,
		hasher:  newHasher(),
		tries:   newThrottle(10, 30*time.Second),
		signUps: newThrottle(5, 10*time.Minute),
		mails:   newOutbox(cfg, sealer),
	}, nil
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// pruneEvery is how often what has expired is deleted.
const pruneEvery = 10 * time.Minute

// Run sends mails and deletes what has expired, until ctx is done.
func (s *Service) Run(ctx context.Context) {
	prune := time.NewTicker(pruneEvery)
	defer prune.Stop()
	s.prune(ctx)
	for {
		next := s.mails.sendDue(ctx)
		timer := time.NewTimer(next)
		select {
		case <-timer.C:
		case <-s.mails.wake:
		case <-prune.C:
			s.prune(ctx)
		case <-ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

func (s *Service) prune(ctx context.Context) {
	now := store.Now()
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		q := sqlc.New(tx)
		_, sessions := q.DeleteExpiredSessions(ctx, now)
		_, links := q.DeleteExpiredLinks(ctx, now)
		_, mails := q.DeleteOldMails(ctx, now-mailsKept.Milliseconds())
		return errors.Join(sessions, links, mails)
	})
	if err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "expired sessions and links are not pruned", "err", err)
	}
}

// rolesFor is the rule of the contract: who confirms an address of an allowed
// domain may broadcast, everybody else watches.
func (s *Service) rolesFor(email string) identity.Roles {
	_, domain, _ := strings.Cut(email, "@")
	if slices.Contains(s.cfg.AllowedDomains, domain) || slices.Contains(s.cfg.AllowedDomains, "*") {
		return identity.Roles{identity.Broadcaster}
	}
	return identity.Roles{identity.Viewer}
}

// newToken returns 32 random bytes in base64url: a secret that is handed out
// once, and what is kept of it.
func newToken() (token, hash string) {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // crypto/rand never fails
	token = base64.RawURLEncoding.EncodeToString(b)
	return token, hashToken(token)
}

// hashToken needs no salt and no stretching: a token has 256 random bits.
func hashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
