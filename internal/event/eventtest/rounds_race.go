//go:build race

package eventtest

// share is the part of the rounds that run: with the race detector each takes many
// times as long, and no order is new to it after a few. `make lives` runs them all.
const share = 4
