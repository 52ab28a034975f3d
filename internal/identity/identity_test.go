package identity_test

import (
	"context"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
)

func TestRequire(t *testing.T) {
	nobody := context.Background()
	viewer := identity.With(nobody, identity.Principal{ID: "u1", Roles: identity.Roles{identity.Viewer}})
	admin := identity.With(nobody, identity.Principal{ID: "u2", Roles: identity.Roles{identity.Broadcaster, identity.Admin}})
	tests := []struct {
		name  string
		ctx   context.Context
		roles []identity.Role
		code  errs.Code
	}{
		{"nobody", nobody, nil, errs.Unauthenticated},
		{"nobody, role asked", nobody, []identity.Role{identity.Admin}, errs.Unauthenticated},
		{"anybody will do", viewer, nil, ""},
		{"lacks the role", viewer, []identity.Role{identity.Admin}, errs.Forbidden},
		{"has the role among others", admin, []identity.Role{identity.Admin}, ""},
		{"one of two", admin, []identity.Role{identity.Developer, identity.Admin}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := identity.Require(tt.ctx, tt.roles...)
			if got := errs.CodeOf(err); got != tt.code {
				t.Errorf("code %q, want %q", got, tt.code)
			}
		})
	}
}

func TestParseRole(t *testing.T) {
	if r, err := identity.ParseRole("admin"); err != nil || r != identity.Admin {
		t.Errorf("admin: %v, %v", r, err)
	}
	if _, err := identity.ParseRole("root"); errs.CodeOf(err) != errs.Invalid {
		t.Errorf("root: %v, want an invalid error", err)
	}
}
