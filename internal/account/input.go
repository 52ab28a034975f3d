package account

import (
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// Lengths of what people type.
const (
	maxEmail     = 254 // bytes, RFC 5321
	minPassword  = 8   // characters
	maxPassword  = 200 // characters
	minUsername  = 3
	maxUsername  = 30
	usernameRule = "a user name has 3 to 30 characters of a-z, 0-9, - and _, and begins with a letter"
)

// parseEmail returns the address as it is kept, in lower case. Errors:
// errs.Invalid.
func parseEmail(text string) (string, error) {
	text = strings.TrimSpace(text)
	bad := errs.Newf(errs.Invalid, "%q is not an e-mail address like ann@example.com", shortened(text))
	if len(text) > maxEmail || strings.ContainsAny(text, "\"<>()[],;: \\") || !utf8.ValidString(text) {
		return "", bad
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return "", bad
	}
	parsed, err := mail.ParseAddress(text)
	if err != nil || parsed.Address != text || parsed.Name != "" {
		return "", bad
	}
	return strings.ToLower(text), nil
}

func shortened(text string) string {
	const most = 60
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most]) + "…"
}

// checkPassword asks for length alone: rules about kinds of characters make
// passwords worse (NIST SP 800-63B). Errors: errs.Invalid.
func checkPassword(password string) error {
	n := utf8.RuneCountInString(password)
	switch {
	case !utf8.ValidString(password):
		return errs.New(errs.Invalid, "the password is not UTF-8 text")
	case n < minPassword:
		return errs.Newf(errs.Invalid, "the password has %d characters; it needs at least %d", n, minPassword)
	case n > maxPassword:
		return errs.Newf(errs.Invalid, "the password has %d characters; it may have at most %d", n, maxPassword)
	}
	return nil
}

// parseUsername returns a user name as it is kept, in lower case. Errors:
// errs.Invalid.
func parseUsername(text string) (string, error) {
	name := strings.ToLower(strings.TrimSpace(text))
	if len(name) < minUsername || len(name) > maxUsername || name[0] < 'a' || name[0] > 'z' {
		return "", errs.New(errs.Invalid, usernameRule)
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return "", errs.New(errs.Invalid, usernameRule)
		}
	}
	return name, nil
}
