package account

import (
	"context"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// UserView is a user as an admin sees it.
type UserView struct {
	User
	CreatedAt time.Time   `json:"createdAt"`
	Suspended *Suspension `json:"suspended,omitempty" doc:"absent for who may sign in"`
}

// Suspension says since when somebody may not sign in, and why.
type Suspension struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"`
}

func viewOf(m Managed) UserView {
	v := UserView{User: *userOf(m.Principal), CreatedAt: store.Time(m.CreatedAt)}
	if m.SuspendedAt > 0 {
		v.Suspended = &Suspension{At: store.Time(m.SuspendedAt), Reason: m.SuspendedWhy}
	}
	return v
}

type userOutput struct{ Body UserView }

func (s *Service) listUsers(ctx context.Context, in *struct {
	Search    string `query:"q" maxLength:"100" doc:"part of the e-mail address or the user name"`
	Suspended bool   `query:"suspended" doc:"true: only users who are suspended"`
	Offset    string `query:"offset" maxLength:"200" doc:"nextPage of the page before"`
	Limit     int    `query:"limit" minimum:"1" maximum:"100" default:"10"`
}) (*struct{ Body store.List[UserView] }, error) {
	if _, err := identity.Require(ctx, identity.Admin); err != nil {
		return nil, err
	}
	page, err := store.ParsePage(in.Offset, in.Limit)
	if err != nil {
		return nil, err
	}
	users, err := s.Users(ctx, page, in.Search, in.Suspended)
	if err != nil {
		return nil, err
	}
	key := func(m Managed) store.Key { return store.Key{At: m.CreatedAt, ID: m.Principal.ID} }
	return &struct{ Body store.List[UserView] }{store.MakeList(page, users, key, viewOf)}, nil
}

// SuspensionInput says why somebody is suspended.
type SuspensionInput struct {
	Reason string `json:"reason,omitempty" maxLength:"500" doc:"is shown to them when they sign in"`
}

func (s *Service) suspendUser(ctx context.Context, in *struct {
	ID   string `path:"id" maxLength:"64"`
	Body SuspensionInput
}) (*userOutput, error) {
	by, err := identity.Require(ctx, identity.Admin)
	if err != nil {
		return nil, err
	}
	m, err := s.Suspend(ctx, in.ID, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	s.log.InfoContext(ctx, "a user is suspended", "user", in.ID, "by", by.ID, "reason", m.SuspendedWhy)
	return &userOutput{viewOf(m)}, nil
}

func (s *Service) restoreUser(ctx context.Context, in *struct {
	ID string `path:"id" maxLength:"64"`
}) (*userOutput, error) {
	by, err := identity.Require(ctx, identity.Admin)
	if err != nil {
		return nil, err
	}
	m, err := s.Restore(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	s.log.InfoContext(ctx, "a user is let in again", "user", in.ID, "by", by.ID)
	return &userOutput{viewOf(m)}, nil
}

func (s *Service) deleteUser(ctx context.Context, in *struct {
	ID string `path:"id" maxLength:"64"`
}) (*struct{}, error) {
	by, err := identity.Require(ctx, identity.Admin)
	if err != nil {
		return nil, err
	}
	if err := s.Delete(ctx, in.ID); err != nil {
		return nil, err
	}
	s.log.InfoContext(ctx, "a user is deleted", "user", in.ID, "by", by.ID)
	return nil, nil
}
