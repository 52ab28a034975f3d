package live

import (
	"bytes"
	"sort"
)

func newReader(data []byte) *bytes.Reader { return bytes.NewReader(data) }

func sortSteps[T any](steps []T, less func(i, j int) bool) { sort.SliceStable(steps, less) }
