package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/account/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Kinds of links.
const (
	confirmLink = "confirm"
	setupLink   = "setup"
)

// SignUp is somebody who wants an account.
type SignUp struct {
	Email, Password string
	Username        string // "" asks for a friendly one
}

// SignUp sends a confirmation link to the address. Whether there is an account
// with it already only its owner learns, by mail; with that account's right
// password it is a sign-in, and signedIn is true. Errors: errs.Invalid,
// errs.Forbidden (closed), errs.Conflict (user name), errs.TooMany.
func (s *Service) SignUp(ctx context.Context, in SignUp) (login Login, signedIn bool, err error) {
	if s.cfg.SignUpClosed {
		return login, false, errs.New(errs.Forbidden, "accounts here are made by an administrator; ask for one")
	}
	email, username, err := in.parse()
	if err != nil {
		return login, false, err
	}
	now := time.Now()
	if wait := s.signUps.wait(email, now); wait > 0 {
		return login, false, tooMany("too many sign-ups with this address", wait)
	}
	s.signUps.count(email, now)
	q := sqlc.New(s.db.Read())
	if username != "" {
		if _, err := freeUsername(ctx, q, username); err != nil {
			return login, false, err
		}
	}
	user, exists, err := findUser(ctx, q, email)
	if err != nil {
		return login, false, err
	}
	if exists {
		return s.signUpAgain(ctx, user, in.Password)
	}
	return login, false, s.startSignUp(ctx, email, username, in.Password)
}

func (in SignUp) parse() (email, username string, err error) {
	if email, err = parseEmail(in.Email); err != nil {
		return "", "", err
	}
	if err = checkPassword(in.Password); err != nil {
		return "", "", err
	}
	if in.Username != "" {
		username, err = parseUsername(in.Username)
	}
	return email, username, err
}

// signUpAgain is a sign-up with the address of an account: outwardly the same,
// with the same work, as one with a new address.
func (s *Service) signUpAgain(ctx context.Context, user sqlc.User, password string) (Login, bool, error) {
	login, err := s.SignIn(ctx, user.Email, password)
	if err == nil {
		return login, true, nil
	}
	if errs.CodeOf(err) != errs.Unauthenticated {
		return Login{}, false, err
	}
	m := mailText{
		to: user.Email, subject: "You have an account already",
		text: "Somebody, perhaps you, signed up at %s with this address. You have an account with it: " +
			"sign in instead, with the link below.\n\nIf it was not you, nothing needs to be done.",
		link: s.cfg.BaseURL + "/signin",
	}
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return s.mails.add(ctx, tx, m) })
	if err == nil {
		s.mails.announce(ctx, m)
	}
	return Login{}, false, err
}

// startSignUp keeps a sign-up behind a link. An earlier one of the same address
// ends: only the newest link works.
func (s *Service) startSignUp(ctx context.Context, email, username, password string) error {
	passwordHash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	token, hash := newToken()
	now := store.Now()
	m := mailText{
		to: email, subject: "Confirm your e-mail address",
		text: "Welcome! To finish your sign-up at %s, open the link below. It works once, within " + spoken(s.cfg.LinkLife) +
			".\n\nIf you did not sign up, ignore this mail: without the link there is no account.",
		link: s.link("/confirm", token),
	}
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		q := sqlc.New(tx)
		if err := q.DeleteLinksOf(ctx, sqlc.DeleteLinksOfParams{Kind: confirmLink, Email: email}); err != nil {
			return fmt.Errorf("ending earlier links: %w", err)
		}
		err := q.InsertLink(ctx, sqlc.InsertLinkParams{
			TokenHash: hash, Kind: confirmLink, Email: email, Username: username, PasswordHash: passwordHash,
			CreatedAt: now, ExpiresAt: now + s.cfg.LinkLife.Milliseconds(),
		})
		if err != nil {
			return fmt.Errorf("inserting a link: %w", err)
		}
		return s.mails.add(ctx, tx, m)
	})
	if err == nil {
		s.mails.announce(ctx, m)
	}
	return err
}

// link is a URL of a page with a token behind the #, which browsers neither
// send to servers nor pass on to other sites.
func (s *Service) link(path, token string) string {
	return s.cfg.BaseURL + path + "#token=" + url.QueryEscape(token)
}

func spoken(d time.Duration) string {
	if d >= time.Hour {
		return fmt.Sprintf("%d hours", int(d.Hours()))
	}
	return d.String()
}

// Confirm makes the user of a confirmation link and signs it in. Errors:
// errs.Invalid (no such link, or no more), errs.Conflict.
func (s *Service) Confirm(ctx context.Context, token string) (Login, error) {
	var login Login
	err := s.insert(ctx, func(ctx context.Context, tx *store.Tx) error {
		link, err := takeLink(ctx, tx, confirmLink, token)
		if err != nil {
			return err
		}
		user := newUser{
			email: link.Email, username: link.Username, passwordHash: link.PasswordHash,
			roles: s.rolesFor(link.Email),
		}
		if user.username != "" {
			// Somebody may have taken the name since. That must not cost the account.
			taken, err := sqlc.New(tx).UsernameTaken(ctx, user.username)
			if err != nil {
				return err
			}
			if taken {
				user.username = ""
			}
		}
		p, err := insertUser(ctx, tx, user)
		if err != nil {
			return err
		}
		login, err = s.startSession(ctx, tx, p)
		return err
	})
	return login, err
}

// takeLink uses up a link. Errors: errs.Invalid.
func takeLink(ctx context.Context, tx *store.Tx, kind, token string) (sqlc.Link, error) {
	q := sqlc.New(tx)
	link, err := findLink(ctx, q, kind, token)
	if err != nil {
		return link, err
	}
	if err := q.DeleteLinksOf(ctx, sqlc.DeleteLinksOfParams{Kind: kind, Email: link.Email}); err != nil {
		return link, fmt.Errorf("ending a link: %w", err)
	}
	return link, nil
}

func findLink(ctx context.Context, q *sqlc.Queries, kind, token string) (sqlc.Link, error) {
	link, err := q.Link(ctx, sqlc.LinkParams{TokenHash: hashToken(token), Kind: kind, ExpiresAt: store.Now()})
	if errors.Is(err, sql.ErrNoRows) {
		return link, errs.New(errs.Invalid, "this link does not work: it was used already, is too old, or is not complete")
	}
	if err != nil {
		return link, fmt.Errorf("reading a link: %w", err)
	}
	return link, nil
}

// AddUser makes a user whose address counts as confirmed. Errors: errs.Invalid,
// errs.Conflict (the address has an account).
func (s *Service) AddUser(ctx context.Context, email, password string, roles identity.Roles) (identity.Principal, error) {
	email, err := parseEmail(email)
	if err != nil {
		return identity.Principal{}, err
	}
	if err := checkPassword(password); err != nil {
		return identity.Principal{}, err
	}
	if len(roles) == 0 {
		return identity.Principal{}, errs.New(errs.Invalid, "a user needs at least one role: viewer, broadcaster, developer, admin")
	}
	for _, role := range roles {
		if _, err := identity.ParseRole(string(role)); err != nil {
			return identity.Principal{}, err
		}
	}
	passwordHash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return identity.Principal{}, err
	}
	var p identity.Principal
	err = s.insert(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		p, err = insertUser(ctx, tx, newUser{email: email, passwordHash: passwordHash, roles: roles})
		return err
	})
	return p, err
}
