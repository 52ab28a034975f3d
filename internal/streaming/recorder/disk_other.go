//go:build !(linux || darwin || freebsd)

package recorder

import "errors"

// diskSpace is not known here: the budget alone limits what is spilled.
func diskSpace(string) (free, total int64, err error) {
	return 0, 0, errors.ErrUnsupported
}
