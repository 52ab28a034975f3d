package account

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/serverlessvideo/serverlessvideo/internal/account/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Register adds the operations of the service.
func (s *Service) Register(api huma.API) {
	op := func(id, method, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{"auth"}}
	}
	huma.Register(api, op("sign-up", http.MethodPost, "/api/auth/signup", "Ask for an account"), s.signUp)
	huma.Register(api, op("confirm", http.MethodPost, "/api/auth/confirm", "Confirm the e-mail address and sign in"), s.confirm)
	huma.Register(api, op("sign-in", http.MethodPost, "/api/auth/signin", "Sign in"), s.signIn)
	huma.Register(api, op("sign-out", http.MethodPost, "/api/auth/signout", "Sign out"), s.signOut)
	huma.Register(api, op("session", http.MethodGet, "/api/auth/session", "Who is signed in, and who may sign up"), s.showSession)
	huma.Register(api, op("set-up", http.MethodPost, "/api/auth/setup", "Make the first admin with the set-up link"), s.setUp)
	admin := func(id, method, path, summary, description string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: "/api/admin" + path, Summary: summary, Description: description, Tags: []string{"admin"},
		}
	}
	huma.Register(api, admin("list-mails", http.MethodGet, "/mail", "Mails and their links, for admins", ""), s.listMails)
	huma.Register(api, admin("list-users", http.MethodGet, "/users", "Users, the newest first", ""), s.listUsers)
	huma.Register(api, admin("suspend-user", http.MethodPost, "/users/{id}/suspend", "Keep a user from signing in and broadcasting",
		"Their sessions and their broadcast end at once. What they have published stays. Doing it again changes the reason."), s.suspendUser)
	huma.Register(api, admin("restore-user", http.MethodPost, "/users/{id}/restore", "Let a suspended user in again", ""), s.restoreUser)
	huma.Register(api, admin("delete-user", http.MethodDelete, "/users/{id}", "Delete a user's account, with channel and videos",
		"This cannot be undone. The videos are gone within seconds, their files soon after. The address may sign up again."), s.deleteUser)
}

// User is a user as it sees itself.
type User struct {
	ID       string   `json:"id"`
	Email    string   `json:"email"`
	Username string   `json:"username"`
	Roles    []string `json:"roles" nullable:"false" enum:"viewer,broadcaster,developer,admin"`
}

func userOf(p identity.Principal) *User {
	u := &User{ID: p.ID, Email: p.Email, Username: p.Username, Roles: []string{}}
	for _, r := range p.Roles {
		u.Roles = append(u.Roles, string(r))
	}
	return u
}

// SessionView says who is signed in and what a page needs to know before.
type SessionView struct {
	User   optionalUser `json:"user"`
	SignUp struct {
		Open    bool     `json:"open" doc:"whether anyone may make an account"`
		Domains []string `json:"domains" nullable:"false" doc:"e-mail domains whose users may broadcast; * is every domain"`
	} `json:"signUp"`
	Setup bool `json:"setup" doc:"whether the node waits for its first admin"`
}

// optionalUser is a user or null. (huma's own nullable is for scalars only.)
type optionalUser struct{ *User }

func (o optionalUser) MarshalJSON() ([]byte, error) { return json.Marshal(o.User) }

// Schema is for huma.
func (optionalUser) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{AnyOf: []*huma.Schema{r.Schema(reflect.TypeFor[User](), true, "User"), {Type: "null"}}}
}

// browser is what an operation needs to know about how it is called.
type browser struct {
	tls     bool
	cookies []*http.Cookie
}

// Resolve is called by huma before the operation.
func (b *browser) Resolve(ctx huma.Context) []error {
	b.tls = ctx.TLS() != nil
	b.cookies = huma.ReadCookies(ctx)
	return nil
}

// token is the session's of the request, "" when there is none.
func (b *browser) token(s *Service) string {
	for _, c := range b.cookies {
		if c.Name == s.cookieName(b.tls) {
			return c.Value
		}
	}
	return ""
}

// SignInInput is what signs somebody in.
type SignInInput struct {
	Email    string `json:"email" maxLength:"254" example:"ann@example.com"`
	Password string `json:"password" maxLength:"1000"`
}

// SignUpInput asks for an account.
type SignUpInput struct {
	Email    string `json:"email" maxLength:"254" example:"ann@example.com"`
	Password string `json:"password" maxLength:"1000" doc:"8 to 200 characters"`
	Username string `json:"username,omitempty" maxLength:"100" doc:"3 to 30 characters of a-z, 0-9, - and _; a friendly one is made when there is none"`
}

// ConfirmInput is what a confirmation link holds.
type ConfirmInput struct {
	Token string `json:"token" maxLength:"100"`
}

// SetUpInput makes the first admin.
type SetUpInput struct {
	Token    string `json:"token" maxLength:"100"`
	Email    string `json:"email" maxLength:"254" example:"ann@example.com"`
	Password string `json:"password" maxLength:"1000" doc:"8 to 200 characters"`
}

type sessionOutput struct {
	SetCookie []http.Cookie `header:"Set-Cookie"`
	Body      SessionView
}

// SignUpAnswer says what comes next.
type SignUpAnswer struct {
	Status  string `json:"status" enum:"confirm,signed-in" doc:"confirm: a link was sent; signed-in: the account existed and the password was right"`
	Message string `json:"message" doc:"for people"`
}

type signUpOutput struct {
	SetCookie []http.Cookie `header:"Set-Cookie"`
	Body      SignUpAnswer
}

func (s *Service) signUp(ctx context.Context, in *struct {
	browser
	Body SignUpInput
}) (*signUpOutput, error) {
	login, signedIn, err := s.SignUp(ctx, SignUp{in.Body.Email, in.Body.Password, in.Body.Username})
	if err != nil {
		return nil, err
	}
	out := &signUpOutput{Body: SignUpAnswer{Status: "confirm", Message: "Open the link that was sent to you to finish your sign-up."}}
	if signedIn {
		out.SetCookie = []http.Cookie{s.cookie(in.tls, login.Token)}
		out.Body = SignUpAnswer{Status: "signed-in", Message: "You have an account already and are signed in."}
	}
	return out, nil
}

func (s *Service) confirm(ctx context.Context, in *struct {
	browser
	Body ConfirmInput
}) (*sessionOutput, error) {
	login, err := s.Confirm(ctx, in.Body.Token)
	return s.loggedIn(ctx, &in.browser, login, err)
}

func (s *Service) signIn(ctx context.Context, in *struct {
	browser
	Body SignInInput
}) (*sessionOutput, error) {
	login, err := s.SignIn(ctx, in.Body.Email, in.Body.Password)
	return s.loggedIn(ctx, &in.browser, login, err)
}

func (s *Service) setUp(ctx context.Context, in *struct {
	browser
	Body SetUpInput
}) (*sessionOutput, error) {
	login, err := s.SetUp(ctx, in.Body.Token, in.Body.Email, in.Body.Password)
	return s.loggedIn(ctx, &in.browser, login, err)
}

// loggedIn answers with the new session; the browser's earlier one ends.
func (s *Service) loggedIn(ctx context.Context, b *browser, login Login, err error) (*sessionOutput, error) {
	if err != nil {
		return nil, err
	}
	if err := s.SignOut(ctx, b.token(s)); err != nil {
		return nil, err
	}
	view, err := s.view(ctx, login.Principal, true)
	if err != nil {
		return nil, err
	}
	return &sessionOutput{SetCookie: []http.Cookie{s.cookie(b.tls, login.Token)}, Body: view}, nil
}

func (s *Service) signOut(ctx context.Context, in *struct{ browser }) (*struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
}, error) {
	if err := s.SignOut(ctx, in.token(s)); err != nil {
		return nil, err
	}
	return &struct {
		SetCookie http.Cookie `header:"Set-Cookie"`
	}{s.cookie(in.tls, "")}, nil
}

// showSession also sends the cookie again, so that it lives as long as the
// session that slides, and removes one whose session has ended.
func (s *Service) showSession(ctx context.Context, in *struct{ browser }) (*sessionOutput, error) {
	p, signedIn := identity.From(ctx)
	view, err := s.view(ctx, p, signedIn)
	if err != nil {
		return nil, err
	}
	out := &sessionOutput{Body: view}
	if token := in.token(s); token != "" {
		if !signedIn {
			token = ""
		}
		out.SetCookie = []http.Cookie{s.cookie(in.tls, token)}
	}
	return out, nil
}

func (s *Service) view(ctx context.Context, p identity.Principal, signedIn bool) (SessionView, error) {
	var v SessionView
	if signedIn {
		v.User.User = userOf(p)
	}
	v.SignUp.Open = !s.cfg.SignUpClosed
	v.SignUp.Domains = s.cfg.AllowedDomains
	exists, err := adminExists(ctx, sqlc.New(s.db.Read()))
	v.Setup = !exists
	return v, err
}

// MailView is a mail as an admin sees it.
type MailView struct {
	ID        string    `json:"id"`
	To        string    `json:"to"`
	Subject   string    `json:"subject"`
	Status    string    `json:"status" enum:"queued,sent,failed,shown" doc:"shown: there is no mail server, pass the link on yourself"`
	Link      string    `json:"link,omitempty" doc:"absent once the mail was sent"`
	Attempts  int64     `json:"attempts"`
	Problem   string    `json:"problem,omitempty" doc:"why the last attempt failed"`
	CreatedAt time.Time `json:"createdAt"`
}

func (s *Service) listMails(ctx context.Context, in *struct {
	Offset string `query:"offset" maxLength:"200" doc:"nextPage of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"10"`
}) (*struct{ Body store.List[MailView] }, error) {
	if _, err := identity.Require(ctx, identity.Admin); err != nil {
		return nil, err
	}
	page, err := store.ParsePage(in.Offset, in.Limit)
	if err != nil {
		return nil, err
	}
	rows, err := sqlc.New(s.db.Read()).ListMails(ctx, sqlc.ListMailsParams{
		CreatedAt: page.After.At, ID: page.After.ID, Limit: int32(page.Limit + 1),
	})
	if err != nil {
		return nil, err
	}
	key := func(m sqlc.Mail) store.Key { return store.Key{At: m.CreatedAt, ID: m.ID} }
	return &struct{ Body store.List[MailView] }{store.MakeList(page, rows, key, s.mailView)}, nil
}

func (s *Service) mailView(m sqlc.Mail) MailView {
	v := MailView{
		ID: m.ID, To: m.Recipient, Subject: m.Subject, Status: m.Status, Attempts: m.Attempts,
		Problem: m.Problem, CreatedAt: store.Time(m.CreatedAt),
	}
	if m.Status == mailSent {
		return v
	}
	link, _, err := s.mails.open(m.ID, m.Sealed)
	if err != nil {
		v.Problem = err.Error() // the node's secret was changed
		return v
	}
	v.Link = link
	return v
}
