package account

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/serverlessvideo/serverlessvideo/internal/account/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Login is a session that began: who, and the secret for its cookie.
type Login struct {
	Principal identity.Principal
	Token     string
}

// SignIn begins a session. Errors: errs.Unauthenticated, the same and after the
// same work whether the address or the password is wrong; errs.TooMany after
// ten failures, then one more every 30 s; errs.Forbidden (suspended).
func (s *Service) SignIn(ctx context.Context, email, password string) (Login, error) {
	refused := errs.New(errs.Unauthenticated, "the e-mail address or the password is wrong")
	email, err := parseEmail(email)
	if err != nil {
		return Login{}, err
	}
	if wait := s.tries.wait(email, time.Now()); wait > 0 {
		return Login{}, tooMany("too many failed sign-ins with this address", wait)
	}
	user, exists, err := findUser(ctx, sqlc.New(s.db.Read()), email)
	if err != nil {
		return Login{}, err
	}
	hash := ""
	if exists {
		hash = user.PasswordHash
	}
	right, err := s.hasher.verify(ctx, limited(password), hash)
	if err != nil {
		return Login{}, err
	}
	if !right {
		s.tries.count(email, time.Now())
		return Login{}, refused
	}
	if user.SuspendedAt > 0 { // only who has the password learns of it
		return Login{}, suspended(user)
	}
	var login Login
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		// Who is being suspended or deleted just now gets no session that outlives it.
		if err := tx.Share(ctx, usersName); err != nil {
			return err
		}
		now, exists, err := findUser(ctx, sqlc.New(tx), email)
		switch {
		case err != nil:
			return err
		case !exists || now.ID != user.ID: // deleted while the password was looked at
			return refused
		case now.SuspendedAt > 0:
			return suspended(now)
		}
		p, err := addRoles(ctx, tx, identity.Principal{ID: user.ID, Email: user.Email, Username: user.Username}, nil)
		if err != nil {
			return err
		}
		login, err = s.startSession(ctx, tx, p)
		return err
	})
	return login, err
}

// limited cuts what is longer than any password: it is wrong, and need not be
// hashed whole.
func limited(password string) string {
	const most = 4*maxPassword + 1 // bytes
	return password[:min(len(password), most)]
}

// tooMany is an error that says when to come again.
func tooMany(what string, wait time.Duration) error {
	seconds := strconv.Itoa(int(math.Ceil(wait.Seconds())))
	return huma.ErrorWithHeaders(errs.New(errs.TooMany, what+"; try again in "+seconds+" s"),
		http.Header{"Retry-After": {seconds}})
}

func (s *Service) startSession(ctx context.Context, tx *store.Tx, p identity.Principal) (Login, error) {
	token, hash := newToken()
	now := store.Now()
	err := sqlc.New(tx).InsertSession(ctx, sqlc.InsertSessionParams{
		TokenHash: hash, UserID: p.ID, CreatedAt: now, SeenAt: now, ExpiresAt: now + s.cfg.SessionLife.Milliseconds(),
	})
	if err != nil {
		return Login{}, fmt.Errorf("inserting a session: %w", err)
	}
	return Login{Principal: p, Token: token}, nil
}

// SignOut ends a session, everywhere at once. One that does not exist is no
// error.
func (s *Service) SignOut(ctx context.Context, token string) error {
	if token == "" {
		return nil
	}
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return sqlc.New(tx).DeleteSession(ctx, hashToken(token))
	})
}

// Authenticate returns the user whose session cookie a request carries; false
// when it carries none that is valid. The session is read each time, so that
// what ends a session ends it at once on every node.
func (s *Service) Authenticate(ctx context.Context, r *http.Request) (identity.Principal, bool, error) {
	cookie, err := r.Cookie(s.cookieName(r.TLS != nil))
	if err != nil || cookie.Value == "" {
		return identity.Principal{}, false, nil // there is no such cookie: the only error
	}
	return s.session(ctx, cookie.Value)
}

func (s *Service) session(ctx context.Context, token string) (identity.Principal, bool, error) {
	now := store.Now()
	hash := hashToken(token)
	rows, err := sqlc.New(s.db.Read()).SessionUser(ctx, sqlc.SessionUserParams{TokenHash: hash, ExpiresAt: now})
	if err != nil {
		return identity.Principal{}, false, fmt.Errorf("reading a session: %w", err)
	}
	if len(rows) == 0 {
		return identity.Principal{}, false, nil
	}
	p := identity.Principal{ID: rows[0].ID, Email: rows[0].Email, Username: rows[0].Username}
	for _, row := range rows {
		p.Roles = append(p.Roles, identity.Role(row.Role))
	}
	s.slide(ctx, hash, rows[0].SeenAt, now)
	return p, true, nil
}

// slideShare bounds how often a session is written: at most once in this part
// of its life, however often it is used.
const slideShare = 240 // 30 days: every 3 hours

// slide lets a session that is used live on. A failure costs nothing now and is
// made good by the next request.
func (s *Service) slide(ctx context.Context, hash string, seen, now int64) {
	life := s.cfg.SessionLife.Milliseconds()
	if now-seen < life/slideShare {
		return
	}
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return sqlc.New(tx).TouchSession(ctx, sqlc.TouchSessionParams{SeenAt: now, ExpiresAt: now + life, TokenHash: hash})
	})
	if err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "a session is not extended", "err", err)
	}
}

// Names of the session cookie. Browsers accept a __Host- cookie only over HTTPS
// and from the host itself, so nobody beside it can plant one.
const (
	secureCookie = "__Host-sv_session"
	plainCookie  = "sv_session"
)

func (s *Service) cookieName(tls bool) string {
	if tls || s.cfg.SecureCookies {
		return secureCookie
	}
	return plainCookie
}

// cookie holds a session's token; an empty token removes it from the browser.
func (s *Service) cookie(tls bool, token string) http.Cookie {
	c := http.Cookie{
		Name: s.cookieName(tls), Value: token, Path: "/", MaxAge: int(s.cfg.SessionLife.Seconds()),
		HttpOnly: true, Secure: tls || s.cfg.SecureCookies, SameSite: http.SameSiteLaxMode,
	}
	if token == "" {
		c.MaxAge = -1
	}
	return c
}
