package main

import (
	"os"
	"runtime/debug"
)

// gcPercent is how much garbage there may be for all that is in use. Most of
// that is media, which the collector does not look into: collecting more often
// than by Go's 100 costs next to nothing (docs/performance.md).
const gcPercent = 25

// limitGarbage sets the collector for a server, unless GOGC does.
func limitGarbage() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
