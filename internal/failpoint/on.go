//go:build failpoints

package failpoint

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// active is what FAILPOINTS says. It is the one thing that is global here: a
// place must not have to be told of it.
var active = sync.OnceValue(func() *Set {
	s, err := Parse(os.Getenv("FAILPOINTS"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return s
})

// Pass says that a place is passed at which nothing can fail.
func Pass(name string, of ...string) { _ = Fail(name, of...) }

// Fail says that a place is passed, and returns why it is to fail. of says what
// it is done of.
func Fail(name string, of ...string) error {
	var err error
	for _, a := range active().Hit(name, of...) {
		switch a.Kind {
		case Kill:
			fmt.Fprintf(os.Stderr, "failpoint %s kills the process\n", name)
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // it is about to end
		case Error:
			err = errors.New(a.Text)
		case Delay:
			d, _ := time.ParseDuration(a.Text) // Parse has looked at it
			time.Sleep(d)
		case Jump:
			d, _ := time.ParseDuration(a.Text)
			fmt.Fprintf(os.Stderr, "failpoint %s: the clock jumps by %s\n", name, d)
			jump(d)
		}
	}
	return err
}

// Int returns the number that FAILPOINTS gives, else the product's own.
func Int(name string, own int) int {
	for _, a := range active().Hit(name) {
		if a.Kind == Value {
			own, _ = strconv.Atoi(a.Text) // Parse has looked at it
		}
	}
	return own
}
