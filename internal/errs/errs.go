// Package errs holds the one error type that services return to their callers:
// a code that a transport maps to its own status, and a message for people.
// What went wrong underneath is wrapped; it goes to the log, never to a client.
package errs

import (
	"errors"
	"fmt"
)

// Code says what kind of failure an error is, independent of any transport.
type Code string

// The codes. The gateway maps each to one HTTP status.
const (
	Invalid         Code = "invalid"         // the request cannot be right, whoever asks
	NotFound        Code = "not_found"       // no such thing, or none that the caller may see
	Conflict        Code = "conflict"        // right in itself, but not in the present state
	Unauthenticated Code = "unauthenticated" // nobody is signed in, or the credential is wrong
	Forbidden       Code = "forbidden"       // signed in, but not allowed
	Unsupported     Code = "unsupported"     // understood, but this server cannot process it
	TooMany         Code = "too_many"        // over a limit; try again later
	Unavailable     Code = "unavailable"     // a part that is needed does not answer; try again
	Internal        Code = "internal"        // our fault
)

// Error is a coded error. Message is shown to people; Err is for the log.
// Places, if any, say where in a request it is wrong.
type Error struct {
	Code    Code
	Message string
	Err     error
	Places  []Place
}

// Place is one thing that is wrong with a request. Line and Column, from 1 and
// in bytes, say where in a text that Location names; Path names it there.
type Place struct {
	Location     string // such as body.pattern
	Message      string
	Line, Column int
	Path         string // such as detail.count[0].numeric
}

// New returns an error with a code and a message for people.
func New(code Code, message string) *Error {
	return &Error{Code: code, Message: message}
}

// Newf is New with a formatted message.
func Newf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// At returns an Invalid error that names the places of a request that are wrong,
// and says of the first what. It returns nil when there are none.
func At(places ...Place) error {
	if len(places) == 0 {
		return nil
	}
	return &Error{Code: Invalid, Message: places[0].Location + ": " + places[0].Message, Places: places}
}

// Wrap gives err a code and a message for people, keeping err for the log.
// It returns nil when err is nil.
func Wrap(err error, code Code, message string) error {
	if err == nil {
		return nil
	}
	return &Error{Code: code, Message: message, Err: err}
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// CodeOf returns the code of the outermost coded error in err's chain,
// Internal when there is none and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}

// MessageOf returns what may be shown to a client: the message of the outermost
// coded error, or a sentence that gives nothing away.
func MessageOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Message
	}
	return "something went wrong on the server"
}

// PlacesOf returns the places of the outermost coded error.
func PlacesOf(err error) []Place {
	var e *Error
	if errors.As(err, &e) {
		return e.Places
	}
	return nil
}
