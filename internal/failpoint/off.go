//go:build !failpoints

package failpoint

// Pass says that a place is passed at which nothing can fail.
func Pass(string, ...string) {}

// Fail says that a place is passed, and returns why it is to fail. of says what
// it is done of.
func Fail(string, ...string) error { return nil }

// Int returns the product's own number.
func Int(_ string, own int) int { return own }
