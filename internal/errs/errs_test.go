package errs_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

func TestCodeAndMessage(t *testing.T) {
	cause := errors.New("disk on fire")
	tests := []struct {
		name    string
		err     error
		code    errs.Code
		message string
	}{
		{"plain error is internal and tells nothing", cause, errs.Internal, "something went wrong on the server"},
		{"coded", errs.New(errs.NotFound, "no such video"), errs.NotFound, "no such video"},
		{"formatted", errs.Newf(errs.Invalid, "limit %d is over 100", 200), errs.Invalid, "limit 200 is over 100"},
		{"wrapped by fmt", fmt.Errorf("reading: %w", errs.New(errs.Conflict, "busy")), errs.Conflict, "busy"},
		{"cause is kept out of the message", errs.Wrap(cause, errs.Unavailable, "the store does not answer"), errs.Unavailable, "the store does not answer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := errs.CodeOf(tt.err); got != tt.code {
				t.Errorf("code %q, want %q", got, tt.code)
			}
			if got := errs.MessageOf(tt.err); got != tt.message {
				t.Errorf("message %q, want %q", got, tt.message)
			}
		})
	}
}

func TestWrapKeepsTheChain(t *testing.T) {
	cause := errors.New("disk on fire")
	if !errors.Is(errs.Wrap(cause, errs.Internal, "x"), cause) {
		t.Error("the cause is lost")
	}
	if errs.Wrap(nil, errs.Internal, "x") != nil {
		t.Error("Wrap(nil) is not nil")
	}
	if errs.CodeOf(nil) != "" {
		t.Error("CodeOf(nil) is not empty")
	}
}

func TestAt(t *testing.T) {
	if err := errs.At(); err != nil {
		t.Errorf("no place: %v", err)
	}
	places := []errs.Place{{Location: "body.name", Message: "it is taken"}, {Location: "body.url", Message: "it is empty", Line: 2, Column: 3}}
	err := errs.At(places...)
	if errs.CodeOf(err) != errs.Invalid || errs.MessageOf(err) != "body.name: it is taken" || !slices.Equal(errs.PlacesOf(err), places) {
		t.Errorf("%v, %+v", err, errs.PlacesOf(err))
	}
}
