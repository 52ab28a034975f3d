package id_test

import (
	"regexp"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/id"
)

func TestShape(t *testing.T) {
	shape := regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	for _, s := range []string{id.New(), id.Event(), id.Derived("a", "b"), id.NewSequence().Next()} {
		if !shape.MatchString(s) {
			t.Errorf("%q has a character outside [A-Za-z0-9_-]", s)
		}
	}
	if len(id.New()) != 26 {
		t.Errorf("New has %d characters, want 26", len(id.New()))
	}
}

func TestDerived(t *testing.T) {
	if first, second := id.Derived("a", "b"), id.Derived("a", "b"); first != second {
		t.Error("the same parts give two ids")
	}
	if id.Derived("a", "b") == id.Derived("ab") || id.Derived("a", "b") == id.Derived("b", "a") {
		t.Error("different parts give one id")
	}
}

func TestSequenceIncreases(t *testing.T) {
	s := id.NewSequence()
	last := ""
	for range 10000 {
		next := s.Next()
		if next <= last {
			t.Fatalf("%q after %q", next, last)
		}
		last = next
	}
}

func TestAfter(t *testing.T) {
	future := "7" + id.New()[1:] // of a clock that was far ahead
	next := id.After(future)
	if next <= future || len(next) != 26 || id.After(next) <= next {
		t.Errorf("%s comes after %s", next, future)
	}
	if now, next := id.New(), id.After(""); next[:8] != now[:8] {
		t.Errorf("after nothing comes %s, and now is %s", next, now)
	}
}
