package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/account/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Managed is a user as an admin sees it.
type Managed struct {
	Principal    identity.Principal
	CreatedAt    int64  // ms
	SuspendedAt  int64  // ms; 0: may sign in
	SuspendedWhy string // as the admin wrote it; "" for no reason
}

// Users returns a page of users, the newest first, and up to one more. search is
// part of the address or the user name, "" for all.
func (s *Service) Users(ctx context.Context, p store.Page, search string, suspended bool) ([]Managed, error) {
	from := int64(0)
	if suspended {
		from = 1
	}
	rows, err := sqlc.New(s.db.Read()).ListUsers(ctx, sqlc.ListUsersParams{
		Words: "%" + likeEscaper.Replace(strings.ToLower(strings.TrimSpace(search))) + "%", SuspendedFrom: from,
		At: p.After.At, LastID: p.After.ID, RowCount: int32(p.Limit + 1),
	})
	if err != nil {
		return nil, fmt.Errorf("reading users: %w", err)
	}
	var users []Managed
	for _, row := range rows {
		if n := len(users); n == 0 || users[n-1].Principal.ID != row.ID {
			users = append(users, Managed{
				Principal: identity.Principal{ID: row.ID, Email: row.Email, Username: row.Username},
				CreatedAt: row.CreatedAt, SuspendedAt: row.SuspendedAt, SuspendedWhy: row.SuspendedWhy,
			})
		}
		last := &users[len(users)-1].Principal
		last.Roles = append(last.Roles, identity.Role(row.Role))
	}
	return users, nil
}

// likeEscaper makes a text stand for itself in a LIKE pattern.
var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// Suspend keeps a user from signing in and broadcasting until Restore. Their
// sessions end at once, on every node, and so does their broadcast (UserSuspended).
// why is shown to them when they sign in. For somebody who is suspended already
// only the reason changes. Errors: errs.NotFound, errs.Conflict (oneself).
func (s *Service) Suspend(ctx context.Context, userID, why string) (Managed, error) {
	return s.manage(ctx, userID, func(ctx context.Context, tx *store.Tx, u *sqlc.User) error {
		if err := mayManage(ctx, tx, userID, "suspend"); err != nil {
			return err
		}
		u.SuspendedWhy = strings.TrimSpace(why)
		if u.SuspendedAt > 0 {
			return nil
		}
		u.SuspendedAt = store.Now()
		if err := sqlc.New(tx).DeleteSessionsOf(ctx, userID); err != nil {
			return fmt.Errorf("ending sessions: %w", err)
		}
		return tx.Emit(ctx, wasSuspended(userID))
	})
}

// Restore lets a suspended user sign in again. For anybody else it does nothing.
// Errors: errs.NotFound.
func (s *Service) Restore(ctx context.Context, userID string) (Managed, error) {
	return s.manage(ctx, userID, func(_ context.Context, _ *store.Tx, u *sqlc.User) error {
		u.SuspendedAt, u.SuspendedWhy = 0, ""
		return nil
	})
}

// manage changes whether a user is suspended.
func (s *Service) manage(ctx context.Context, userID string, change func(context.Context, *store.Tx, *sqlc.User) error) (Managed, error) {
	var m Managed
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		u, err := lockUser(ctx, tx, userID)
		if err != nil {
			return err
		}
		if err := change(ctx, tx, &u); err != nil {
			return err
		}
		err = sqlc.New(tx).SetSuspended(ctx, sqlc.SetSuspendedParams{SuspendedAt: u.SuspendedAt, SuspendedWhy: u.SuspendedWhy, ID: u.ID})
		if err != nil {
			return fmt.Errorf("saving a user: %w", err)
		}
		p, err := addRoles(ctx, tx, identity.Principal{ID: u.ID, Email: u.Email, Username: u.Username}, nil)
		m = Managed{Principal: p, CreatedAt: u.CreatedAt, SuspendedAt: u.SuspendedAt, SuspendedWhy: u.SuspendedWhy}
		return err
	})
	return m, err
}

// Delete removes a user's account with all that it had here. Others hear of it
// (UserDeleted), and with it go the channel and the videos. The address may sign up
// again, as somebody else. Errors: errs.NotFound, errs.Conflict (oneself).
func (s *Service) Delete(ctx context.Context, userID string) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		u, err := lockUser(ctx, tx, userID)
		if err != nil {
			return err
		}
		if err := mayManage(ctx, tx, userID, "delete"); err != nil {
			return err
		}
		q := sqlc.New(tx)
		for _, remove := range []func() error{
			func() error { return q.DeleteSessionsOf(ctx, u.ID) },
			func() error { return q.DeleteRolesOf(ctx, u.ID) },
			func() error {
				return q.DeleteLinksOf(ctx, sqlc.DeleteLinksOfParams{Kind: confirmLink, Email: u.Email})
			},
			func() error { return q.DeleteMailsTo(ctx, u.Email) },
			func() error { return q.DeleteUser(ctx, u.ID) },
		} {
			if err := remove(); err != nil {
				return fmt.Errorf("deleting a user: %w", err)
			}
		}
		return tx.Emit(ctx, wasDeleted(userID))
	})
}

// usersName is by which transactions about whether somebody may sign in wait for
// each other.
const usersName = "account-users"

// lockUser returns a user, who stays as it is until the transaction ends. One is
// changed after the other, so that two admins cannot shut each other out.
func lockUser(ctx context.Context, tx *store.Tx, userID string) (sqlc.User, error) {
	if err := tx.Alone(ctx, usersName); err != nil {
		return sqlc.User{}, err
	}
	u, err := sqlc.New(tx).LockUser(ctx, userID)
	if errors.Is(err, sql.ErrNoRows) {
		return u, errs.Newf(errs.NotFound, "there is no user %q", userID)
	}
	if err != nil {
		return u, fmt.Errorf("reading a user: %w", err)
	}
	return u, nil
}

// mayManage refuses what an admin must not do to themselves, nor after another one
// has done it to them at the same moment: so there always is one who can undo it.
func mayManage(ctx context.Context, tx *store.Tx, userID, what string) error {
	p, signedIn := identity.From(ctx)
	switch {
	case !signedIn: // the operator
		return nil
	case p.ID == userID:
		return errs.New(errs.Conflict, "you cannot "+what+" your own account; another administrator can")
	}
	u, err := sqlc.New(tx).UserByID(ctx, p.ID)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return errs.New(errs.Unauthenticated, "your account is deleted")
	case err != nil:
		return fmt.Errorf("reading who asks: %w", err)
	case u.SuspendedAt > 0:
		return suspended(u)
	}
	return nil
}

// MayBroadcast refuses the owner of a channel who is suspended or gone, in the
// caller's transaction. Errors: errs.Forbidden.
func (s *Service) MayBroadcast(ctx context.Context, tx *store.Tx, userID string) error {
	u, err := sqlc.New(tx).UserByID(ctx, userID)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return errs.New(errs.Forbidden, "the account that this channel belonged to is deleted")
	case err != nil:
		return fmt.Errorf("reading the owner of a channel: %w", err)
	case u.SuspendedAt > 0:
		return suspended(u)
	}
	return nil
}

// Gone says whether an account is deleted, and is right about it until the caller's
// transaction ends.
func (s *Service) Gone(ctx context.Context, tx *store.Tx, userID string) (bool, error) {
	if err := tx.Share(ctx, usersName); err != nil {
		return false, err
	}
	_, err := sqlc.New(tx).UserByID(ctx, userID)
	if errors.Is(err, sql.ErrNoRows) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for user %s: %w", userID, err)
	}
	return false, nil
}

// suspended tells somebody why they are not let in.
func suspended(u sqlc.User) error {
	message := "this account is suspended"
	if u.SuspendedWhy != "" {
		message += ": " + u.SuspendedWhy
	}
	return errs.New(errs.Forbidden, message)
}
