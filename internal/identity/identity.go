// Package identity says who makes a request: the Principal in the context.
package identity

import (
	"context"
	"slices"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// Role is what somebody may do. Roles are a set; none includes another.
type Role string

// The roles of the contract, section 7.
const (
	Viewer      Role = "viewer"
	Broadcaster Role = "broadcaster"
	Developer   Role = "developer"
	Admin       Role = "admin"
)

// ParseRole returns the role of that name, or an error that lists the names.
func ParseRole(s string) (Role, error) {
	switch r := Role(s); r {
	case Viewer, Broadcaster, Developer, Admin:
		return r, nil
	}
	return "", errs.Newf(errs.Invalid, "there is no role %q: it is one of viewer, broadcaster, developer, admin", s)
}

// Roles is a set of roles.
type Roles []Role

// Has says whether r is in the set.
func (rs Roles) Has(r Role) bool { return slices.Contains(rs, r) }

// Principal is a signed-in user. Its ID is the user's sub, which is also the
// id of the user's channel.
type Principal struct {
	ID       string
	Email    string
	Username string
	Roles    Roles
}

type key struct{}

// With returns ctx carrying p.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, key{}, p)
}

// From returns the signed-in user; false means that nobody is signed in.
func From(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(key{}).(Principal)
	return p, ok
}

// Require returns the signed-in user if it has one of the roles; with no roles
// given any signed-in user will do. Errors: errs.Unauthenticated, errs.Forbidden.
func Require(ctx context.Context, anyOf ...Role) (Principal, error) {
	p, ok := From(ctx)
	if !ok {
		return Principal{}, errs.New(errs.Unauthenticated, "sign in first")
	}
	if len(anyOf) == 0 {
		return p, nil
	}
	for _, r := range anyOf {
		if p.Roles.Has(r) {
			return p, nil
		}
	}
	return Principal{}, errs.Newf(errs.Forbidden, "this needs the role %s", anyOf[0])
}
