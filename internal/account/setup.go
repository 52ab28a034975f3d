package account

import (
	"context"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/account/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// SetupLink returns the one-time link that makes the first admin, needed while
// there is none. A new one ends those given before.
func (s *Service) SetupLink(ctx context.Context) (url string, needed bool, err error) {
	token, hash := newToken()
	now := store.Now()
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		q := sqlc.New(tx)
		exists, err := adminExists(ctx, q)
		needed = !exists
		if err != nil {
			return err
		}
		if err := q.DeleteLinksOfKind(ctx, setupLink); err != nil || exists {
			return err
		}
		return q.InsertLink(ctx, sqlc.InsertLinkParams{
			TokenHash: hash, Kind: setupLink, CreatedAt: now, ExpiresAt: now + s.cfg.LinkLife.Milliseconds(),
		})
	})
	if err != nil || !needed {
		return "", false, err
	}
	return s.link("/setup", token), true, nil
}

func adminExists(ctx context.Context, q *sqlc.Queries) (bool, error) {
	exists, err := q.RoleExists(ctx, string(identity.Admin))
	if err != nil {
		return false, fmt.Errorf("looking for an admin: %w", err)
	}
	return exists, nil
}

// SetUp makes the first admin, who is a broadcaster too, and signs it in. Who
// has the link runs the node, so the address counts as confirmed and may be that
// of an account, which then gets the roles and the password. Errors:
// errs.Invalid, errs.Conflict (there is an admin).
func (s *Service) SetUp(ctx context.Context, token, email, password string) (Login, error) {
	email, err := parseEmail(email)
	if err != nil {
		return Login{}, err
	}
	if err := checkPassword(password); err != nil {
		return Login{}, err
	}
	if err := setupPossible(ctx, sqlc.New(s.db.Read()), token); err != nil {
		return Login{}, err
	}
	passwordHash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return Login{}, err
	}
	var login Login
	err = s.insert(ctx, func(ctx context.Context, tx *store.Tx) error {
		q := sqlc.New(tx)
		if err := setupPossible(ctx, q, token); err != nil {
			return err
		}
		if err := q.DeleteLinksOfKind(ctx, setupLink); err != nil {
			return fmt.Errorf("ending the set-up link: %w", err)
		}
		p, err := firstAdmin(ctx, tx, email, passwordHash)
		if err != nil {
			return err
		}
		login, err = s.startSession(ctx, tx, p)
		return err
	})
	return login, err
}

func setupPossible(ctx context.Context, q *sqlc.Queries, token string) error {
	exists, err := adminExists(ctx, q)
	if err != nil {
		return err
	}
	if exists {
		return errs.New(errs.Conflict, "this node has an admin already: the set-up link has ended")
	}
	_, err = findLink(ctx, q, setupLink, token)
	return err
}

func firstAdmin(ctx context.Context, tx *store.Tx, email, passwordHash string) (identity.Principal, error) {
	q := sqlc.New(tx)
	roles := identity.Roles{identity.Admin, identity.Broadcaster}
	user, exists, err := findUser(ctx, q, email)
	if err != nil {
		return identity.Principal{}, err
	}
	if !exists {
		return insertUser(ctx, tx, newUser{email: email, passwordHash: passwordHash, roles: roles})
	}
	if err := q.SetPassword(ctx, sqlc.SetPasswordParams{PasswordHash: passwordHash, ID: user.ID}); err != nil {
		return identity.Principal{}, fmt.Errorf("setting a password: %w", err)
	}
	if err := q.DeleteSessionsOf(ctx, user.ID); err != nil {
		return identity.Principal{}, fmt.Errorf("ending sessions: %w", err)
	}
	if err := q.SetSuspended(ctx, sqlc.SetSuspendedParams{ID: user.ID}); err != nil {
		return identity.Principal{}, fmt.Errorf("letting a suspended user in: %w", err)
	}
	return addRoles(ctx, tx, identity.Principal{ID: user.ID, Email: user.Email, Username: user.Username}, roles)
}
