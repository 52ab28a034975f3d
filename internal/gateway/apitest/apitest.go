// Package apitest calls a service's operations in tests, through a real gateway,
// and holds every answer against the API's description: a status, a content
// type or a body that api/openapi.yaml does not have fails the test. (It reads
// the description from the gateway; a test of the whole program holds that one
// equal to the committed file.)
package apitest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	"github.com/serverlessvideo/serverlessvideo/internal/gateway"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
)

// Client calls the operations of a gateway as a browser would: it keeps the
// cookies that it is given.
type Client struct {
	t         testing.TB
	handler   http.Handler
	check     validator.Validator
	principal *identity.Principal
	cookies   map[string]string
	header    http.Header
}

type principalKey struct{}

// New returns a client for a fresh gateway that mount registers services on.
// Nobody is signed in unless As is used; configure may set Authenticate to
// test with real sessions instead.
func New(t testing.TB, mount func(g *gateway.Gateway), configure ...func(*gateway.Config)) *Client {
	t.Helper()
	cfg := gateway.Config{
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Authenticate: func(ctx context.Context, _ *http.Request) (identity.Principal, bool, error) {
			p, ok := ctx.Value(principalKey{}).(identity.Principal)
			return p, ok, nil
		},
	}
	for _, f := range configure {
		f(&cfg)
	}
	g, err := gateway.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	mount(g)
	return &Client{t: t, handler: g.Handler(), check: newValidator(t, g), cookies: map[string]string{}, header: http.Header{}}
}

// validators are kept by the description that they hold answers against, which
// most tests of a process share: making one takes longer than most of them.
var validators struct {
	mu sync.Mutex // also held while one works
	by map[string]validator.Validator
}

func newValidator(t testing.TB, g *gateway.Gateway) validator.Validator {
	t.Helper()
	text, err := json.Marshal(g.API().OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	validators.mu.Lock()
	defer validators.mu.Unlock()
	if check := validators.by[string(text)]; check != nil {
		return check
	}
	document, err := libopenapi.NewDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	check, problems := validator.NewValidator(document)
	for _, err := range problems {
		t.Fatal(err)
	}
	if validators.by == nil {
		validators.by = map[string]validator.Validator{}
	}
	validators.by[string(text)] = check
	return check
}

// As returns a client that is signed in as p and has no cookies.
func (c *Client) As(p identity.Principal) *Client {
	d := *c
	d.principal, d.cookies = &p, map[string]string{}
	return &d
}

// Browser returns another client of the same gateway, without this one's cookies.
func (c *Client) Browser() *Client {
	d := *c
	d.cookies = map[string]string{}
	return &d
}

// With returns a client that sends one more header and shares the cookies.
func (c *Client) With(name, value string) *Client {
	d := *c
	d.header = maps.Clone(c.header)
	d.header.Set(name, value)
	return &d
}

// Get reads a path.
func (c *Client) Get(path string) *Answer {
	c.t.Helper()
	return c.Call(http.MethodGet, path, nil)
}

// Post sends a body to a path.
func (c *Client) Post(path string, body any) *Answer {
	c.t.Helper()
	return c.Call(http.MethodPost, path, body)
}

// Call makes a request. The body is sent as JSON, a string as it is, nil not at
// all.
func (c *Client) Call(method, path string, body any) *Answer {
	c.t.Helper()
	var r *http.Request
	switch b := body.(type) {
	case nil:
		r = httptest.NewRequest(method, path, nil)
	case string:
		r = httptest.NewRequest(method, path, strings.NewReader(b))
		r.Header.Set("Content-Type", "application/json")
	default:
		text, err := json.Marshal(b)
		if err != nil {
			c.t.Fatal(err)
		}
		r = httptest.NewRequest(method, path, bytes.NewReader(text))
		r.Header.Set("Content-Type", "application/json")
	}
	return c.Send(r)
}

// Send makes a request of any form.
func (c *Client) Send(r *http.Request) *Answer {
	c.t.Helper()
	for name, value := range c.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	for name, values := range c.header {
		r.Header[name] = values
	}
	if c.principal != nil {
		r = r.WithContext(context.WithValue(r.Context(), principalKey{}, *c.principal))
	}
	recorder := httptest.NewRecorder()
	c.handler.ServeHTTP(recorder, r)
	response := recorder.Result()
	for _, cookie := range response.Cookies() {
		if cookie.MaxAge < 0 {
			delete(c.cookies, cookie.Name)
		} else {
			c.cookies[cookie.Name] = cookie.Value
		}
	}
	answer := &Answer{t: c.t, Status: response.StatusCode, Header: response.Header, Body: recorder.Body.Bytes(),
		what: r.Method + " " + r.URL.Path}
	c.describe(r, response, answer)
	return answer
}

// describe fails the test when the API's description does not have the answer.
func (c *Client) describe(r *http.Request, response *http.Response, answer *Answer) {
	c.t.Helper()
	switch answer.Status {
	case http.StatusNotModified, http.StatusMethodNotAllowed:
		return // of the gateway, for every operation alike
	}
	response.Body = io.NopCloser(bytes.NewReader(answer.Body))
	validators.mu.Lock()
	ok, problems := c.check.ValidateHttpResponse(r, response)
	validators.mu.Unlock()
	if ok {
		return
	}
	for _, p := range problems {
		c.t.Errorf("%s: the answer is not as api/openapi.yaml has it: %s: %s", answer.what, p.Message, p.Reason)
		for _, s := range p.SchemaValidationErrors {
			c.t.Errorf("  at %s: %s", s.FieldPath, s.Reason)
		}
	}
	c.t.Errorf("  it was: %d %s %s", answer.Status, answer.Header.Get("Content-Type"), answer.Body)
}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte

	t    testing.TB
	what string
}

// Want ends the test when the status is another.
func (a *Answer) Want(status int) *Answer {
	a.t.Helper()
	if a.Status != status {
		a.t.Fatalf("%s: status %d, want %d: %s", a.what, a.Status, status, a.Body)
	}
	return a
}

// JSON reads the body into v.
func (a *Answer) JSON(v any) {
	a.t.Helper()
	if err := json.Unmarshal(a.Body, v); err != nil {
		a.t.Fatalf("%s: %v: %s", a.what, err, a.Body)
	}
}

// Problem reads the body as a problem document and ends the test when it is none.
func (a *Answer) Problem() gateway.Problem {
	a.t.Helper()
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		a.t.Fatalf("%s: content type %q is not a problem document's: %s", a.what, got, a.Body)
	}
	var p gateway.Problem
	a.JSON(&p)
	if p.Status != a.Status || p.Title == "" || p.Detail == "" || p.Code == "" {
		a.t.Fatalf("%s: incomplete problem document: %s", a.what, a.Body)
	}
	return p
}
