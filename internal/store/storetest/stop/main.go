// Stop ends the PostgreSQL server that the tests share.
package main

import (
	"fmt"
	"os"

	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

func main() {
	if err := storetest.StopPostgres(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
