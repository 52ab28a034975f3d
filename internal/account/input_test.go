package account

import (
	"net/mail"
	"strings"
	"testing"
)

// FuzzParseEmail: what is accepted is one plain address that can stand in the
// header of a mail and is the same when it is read again.
func FuzzParseEmail(f *testing.F) {
	for _, seed := range []string{
		"ann@example.com", " ANN@Example.com ", "a+b@x.y", "Ann <a@b.c>", "a@b\r\nBcc: c@d.e", `"a b"@c.d`, "ä@ö.de", "a@[::1]", "@", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		email, err := parseEmail(text)
		if err != nil {
			return
		}
		if strings.ContainsAny(email, "\r\n\t ,<>\"") || strings.Count(email, "@") != 1 || len(email) > 2*maxEmail {
			t.Errorf("%q is accepted as %q", text, email)
		}
		if parsed, err := mail.ParseAddress(email); err != nil || parsed.Address != email {
			t.Errorf("%q is accepted as %q, which is no address: %v", text, email, err)
		}
		if again, err := parseEmail(email); err != nil || again != email {
			t.Errorf("%q becomes %q, then %q (%v)", text, email, again, err)
		}
	})
}

// FuzzParsePHC: a damaged hash in the table is an error, never a panic.
func FuzzParsePHC(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$argon2id$v=19$m=,t=,p=$$")
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := parsePHC(text); err == nil && (p.time == 0 || p.lanes == 0 || len(p.key) == 0) {
			t.Errorf("%q is taken for a hash", text)
		}
	})
}
