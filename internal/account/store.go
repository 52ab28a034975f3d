package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/account/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/id"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// newUser is a user to be inserted. Without a username it gets a friendly one.
type newUser struct {
	email, username, passwordHash string
	roles                         identity.Roles
}

func emailTaken(email string) error {
	return errs.Newf(errs.Conflict, "there is already an account with the address %s", email)
}

func usernameTaken(name string) error {
	return errs.Newf(errs.Conflict, "the user name %s is taken", name)
}

// findUser returns the user with an address; false when there is none.
func findUser(ctx context.Context, q *sqlc.Queries, email string) (sqlc.User, bool, error) {
	u, err := q.UserByEmail(ctx, email)
	if errors.Is(err, sql.ErrNoRows) {
		return u, false, nil
	}
	if err != nil {
		return u, false, fmt.Errorf("reading a user: %w", err)
	}
	return u, true, nil
}

// insertUser adds a user with its roles and says that it became a broadcaster,
// if it did. Errors: errs.Conflict.
func insertUser(ctx context.Context, tx *store.Tx, u newUser) (identity.Principal, error) {
	q := sqlc.New(tx)
	if _, exists, err := findUser(ctx, q, u.email); err != nil || exists {
		return identity.Principal{}, errors.Join(err, ifThen(exists, emailTaken(u.email)))
	}
	name, err := freeUsername(ctx, q, u.username)
	if err != nil {
		return identity.Principal{}, err
	}
	p := identity.Principal{ID: id.New(), Email: u.email, Username: name}
	err = q.InsertUser(ctx, sqlc.InsertUserParams{
		ID: p.ID, Email: u.email, Username: name, PasswordHash: u.passwordHash, CreatedAt: store.Now(),
	})
	if err != nil {
		return identity.Principal{}, fmt.Errorf("inserting a user: %w", err)
	}
	return addRoles(ctx, tx, p, u.roles)
}

func ifThen(condition bool, err error) error {
	if condition {
		return err
	}
	return nil
}

// freeUsername returns the name if nobody has it, or a free friendly one when
// none is given. Errors: errs.Conflict.
func freeUsername(ctx context.Context, q *sqlc.Queries, wanted string) (string, error) {
	const tries = 20
	for range tries {
		name := wanted
		if name == "" {
			name = friendlyName()
		}
		taken, err := q.UsernameTaken(ctx, name)
		if err != nil {
			return "", fmt.Errorf("looking for a user name: %w", err)
		}
		if !taken {
			return name, nil
		}
		if wanted != "" {
			return "", usernameTaken(wanted)
		}
	}
	// Only with hundreds of thousands of users: a name that cannot be taken.
	return friendlyName() + "-" + id.New()[20:], nil
}

// addRoles gives a user roles that it may have already, and returns it with all
// that it has then.
func addRoles(ctx context.Context, tx *store.Tx, p identity.Principal, roles identity.Roles) (identity.Principal, error) {
	q := sqlc.New(tx)
	for _, role := range roles {
		added, err := q.InsertRole(ctx, sqlc.InsertRoleParams{UserID: p.ID, Role: string(role)})
		if err != nil {
			return p, fmt.Errorf("adding the role %s: %w", role, err)
		}
		if added == 1 && role == identity.Broadcaster {
			if err := tx.Emit(ctx, becameBroadcaster(p)); err != nil {
				return p, err
			}
		}
	}
	names, err := q.RolesOf(ctx, p.ID)
	if err != nil {
		return p, fmt.Errorf("reading roles: %w", err)
	}
	p.Roles = nil
	for _, name := range names {
		p.Roles = append(p.Roles, identity.Role(name))
	}
	return p, nil
}

// insert runs fn in a transaction. A unique index that another transaction was
// faster at makes it an errs.Conflict.
func (s *Service) insert(ctx context.Context, fn func(ctx context.Context, tx *store.Tx) error) error {
	err := s.db.Tx(ctx, fn)
	if err != nil && s.db.IsUnique(err) {
		return errs.Wrap(err, errs.Conflict, "somebody took this address or user name at this moment; try again")
	}
	return err
}
