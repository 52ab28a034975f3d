package gateway

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strconv"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// Problem is the answer of every request that failed: a problem document of
// RFC 9457 with the members code, requestId and errors added.
type Problem struct {
	Type      string  `json:"type" doc:"always about:blank: the status says what kind of problem it is" example:"about:blank"`
	Title     string  `json:"title" doc:"the status in words" example:"Conflict"`
	Status    int     `json:"status" doc:"the HTTP status" example:"409"`
	Detail    string  `json:"detail" doc:"what is wrong, for people" example:"the channel is not live"`
	Code      string  `json:"code" doc:"what kind of problem it is, for programs" example:"conflict"`
	RequestID string  `json:"requestId,omitempty" doc:"names the request in the server's log"`
	Errors    []Place `json:"errors,omitempty" nullable:"false" doc:"the places of the request that are wrong"`
}

// Place is one thing that is wrong with a request.
type Place struct {
	Location string `json:"location,omitempty" doc:"where, such as body.email or query.limit"`
	Message  string `json:"message" doc:"what is wrong there"`
	Line     int    `json:"line,omitempty" doc:"the line of the text at the location, from 1"`
	Column   int    `json:"column,omitempty" doc:"the column in the line, in bytes from 1"`
	Path     string `json:"path,omitempty" doc:"the place in the text by its names, such as detail.count[0].numeric"`
}

// Error makes a Problem the error that huma expects.
func (p *Problem) Error() string { return p.Detail }

// GetStatus is the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType makes JSON a problem document.
func (p *Problem) ContentType(string) string { return problemType }

const problemType = "application/problem+json"

// statusOf is the one table from error codes to HTTP statuses.
func statusOf(code errs.Code) int {
	switch code {
	case errs.Invalid:
		return http.StatusBadRequest
	case errs.NotFound:
		return http.StatusNotFound
	case errs.Conflict:
		return http.StatusConflict
	case errs.Unauthenticated:
		return http.StatusUnauthorized
	case errs.Forbidden:
		return http.StatusForbidden
	case errs.Unsupported:
		return http.StatusUnprocessableEntity
	case errs.TooMany:
		return http.StatusTooManyRequests
	case errs.Unavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// codeOf names statuses that come from the transport and not from a service.
func codeOf(status int) string {
	switch status {
	case http.StatusBadRequest:
		return string(errs.Invalid)
	case http.StatusNotAcceptable:
		return "not_acceptable"
	case http.StatusRequestTimeout:
		return "timeout"
	case http.StatusRequestEntityTooLarge:
		return "too_large"
	case http.StatusUnsupportedMediaType:
		return "unsupported_media_type"
	}
	for _, code := range []errs.Code{errs.NotFound, errs.Conflict, errs.Unauthenticated, errs.Forbidden,
		errs.Unsupported, errs.TooMany, errs.Unavailable} {
		if statusOf(code) == status {
			return string(code)
		}
	}
	return string(errs.Internal)
}

// Fail answers a request with the problem document of err. What is wrapped in
// err goes to the log alone.
func Fail(w http.ResponseWriter, r *http.Request, err error) {
	noteError(r.Context(), err)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) && errs.CodeOf(err) == errs.Internal {
		writeProblem(w, r, http.StatusRequestEntityTooLarge, "too_large", "the request's body is too large")
		return
	}
	code := errs.CodeOf(err)
	writeProblem(w, r, statusOf(code), string(code), errs.MessageOf(err), placesOf(err)...)
}

func placesOf(err error) []Place {
	var places []Place
	for _, p := range errs.PlacesOf(err) {
		places = append(places, Place{Location: p.Location, Message: p.Message, Line: p.Line, Column: p.Column, Path: p.Path})
	}
	return places
}

func writeProblem(w http.ResponseWriter, r *http.Request, status int, code, detail string, places ...Place) {
	h := w.Header()
	// What the handler meant for its own answer does not belong to this one.
	for _, name := range []string{"Content-Length", "Content-Encoding", "Etag", "Last-Modified"} {
		h.Del(name)
	}
	h.Set("Content-Type", problemType)
	h.Set("Cache-Control", "no-store")
	if status == http.StatusUnauthorized && classOf(r.URL.Path) == bearer {
		h.Set("WWW-Authenticate", "Bearer") // RFC 6750 section 3
	}
	if status == http.StatusTooManyRequests && h.Get("Retry-After") == "" {
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(status)
	p := newProblem(status, code, detail, requestID(r.Context()), places)
	_ = json.NewEncoder(w).Encode(p) // the client is gone: nobody to tell
}

func newProblem(status int, code, detail, requestID string, places []Place) *Problem {
	return &Problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status,
		Detail: detail, Code: code, RequestID: requestID, Errors: places,
	}
}

// describeProblems says of every operation that it answers a problem document
// where it does not answer what it is for. huma adds two statuses of its own
// where an operation names some; a broken schema is 400 here, not 422.
func describeProblems(api *huma.OpenAPI, op *huma.Operation) {
	delete(op.Responses, strconv.Itoa(http.StatusUnprocessableEntity))
	delete(op.Responses, strconv.Itoa(http.StatusInternalServerError))
	op.Responses["default"] = &huma.Response{
		Description: "What went wrong",
		Content: map[string]*huma.MediaType{
			problemType: {Schema: api.Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")},
		},
	}
}

func notReady(err error) error {
	return errs.Wrap(err, errs.Unavailable, "not ready: "+errs.MessageOf(err))
}

// huma keeps how errors are made in variables of its own package. They are set
// once, here, to functions that hold no state, so any number of gateways agree.
var problemsOnce sync.Once

func useProblems() {
	problemsOnce.Do(func() {
		huma.NewError = func(status int, detail string, causes ...error) huma.StatusError {
			return humaProblem("", status, detail, causes)
		}
		huma.NewErrorWithContext = func(ctx huma.Context, status int, detail string, causes ...error) huma.StatusError {
			if status == http.StatusInternalServerError && len(causes) == 1 {
				// A handler returned an error that is not huma's own.
				err := causes[0]
				noteError(ctx.Context(), err)
				code := errs.CodeOf(err)
				return newProblem(statusOf(code), string(code), errs.MessageOf(err), requestID(ctx.Context()), placesOf(err))
			}
			return humaProblem(requestID(ctx.Context()), status, detail, causes)
		}
	})
}

// humaProblem is the problem of a request that huma itself refuses. A body or
// parameter that breaks the schema is 400 as everywhere else here: 422 means
// that the server cannot process what it understood.
func humaProblem(requestID string, status int, detail string, causes []error) *Problem {
	if status == http.StatusUnprocessableEntity {
		status = http.StatusBadRequest
	}
	var places []Place
	for _, cause := range causes {
		var detailer huma.ErrorDetailer
		switch {
		case cause == nil:
		case errors.As(cause, &detailer):
			// The value is not echoed: it may be a password.
			d := detailer.ErrorDetail()
			places = append(places, Place{Location: d.Location, Message: plain(d.Message)})
		default:
			places = append(places, Place{Message: plain(cause.Error())})
		}
	}
	if detail == "validation failed" && len(places) > 0 {
		detail = places[0].Message
		if places[0].Location != "" {
			detail = places[0].Location + ": " + detail
		}
	}
	return newProblem(status, codeOf(status), plain(detail), requestID, places)
}
