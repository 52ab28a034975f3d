package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/admin"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
)

// maxPassword is the most that is read of a password, in bytes.
const maxPassword = 1024

type userCmd struct {
	Add userAddCmd `cmd:"" help:"Make a user whose address counts as confirmed."`
}

type userAddCmd struct {
	folderFlags   `embed:""`
	Email         string `name:"email" required:"" placeholder:"ADDRESS" help:"E-mail address to sign in with."`
	PasswordStdin bool   `name:"password-stdin" help:"Read the password from standard input. It is the only way, so that no password stands in a list of processes."`
	Role          []role `name:"role" required:"" placeholder:"ROLE" help:"viewer, broadcaster, developer or admin; may be repeated."`
}

// role is a role on the command line.
type role identity.Role

func (r *role) UnmarshalText(text []byte) error {
	parsed, err := identity.ParseRole(string(text))
	*r = role(parsed)
	return err
}

// Run makes the user and prints it, with the channel when it has one.
func (c *userAddCmd) Run(p *process) error {
	if !c.PasswordStdin {
		return usageError{errors.New("the password is read from standard input: add --password-stdin")}
	}
	password, err := readPassword(p.stdin)
	if err != nil {
		return err
	}
	user := admin.NewUser{Email: c.Email, Password: password}
	for _, r := range c.Role {
		if !user.Roles.Has(identity.Role(r)) {
			user.Roles = append(user.Roles, identity.Role(r))
		}
	}
	return c.with(p, func(ctx context.Context, ops admin.Operations) error {
		made, err := ops.AddUser(ctx, user)
		if err != nil {
			return err
		}
		if c.JSON {
			return writeJSON(p.stdout, made)
		}
		fmt.Fprintf(p.stdout, "made user %s (%s)\n", made.Email, made.ID)
		if made.Channel != nil {
			fmt.Fprintf(p.stdout, "channel    %s\nstream key %s\n", made.Channel.ID, made.Channel.StreamKey)
		}
		return nil
	})
}

// readPassword reads to the end of the input; one end of line does not count.
func readPassword(r io.Reader) (string, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxPassword+1))
	if err != nil {
		return "", fmt.Errorf("the password cannot be read: %w", err)
	}
	if len(data) > maxPassword {
		return "", usageError{fmt.Errorf("the password is longer than %d bytes", maxPassword)}
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if password == "" {
		return "", usageError{errors.New("there is no password on standard input")}
	}
	return password, nil
}
