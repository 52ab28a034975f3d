//go:build !race

package eventtest

// share is the part of the rounds that run: all of them (rounds_race.go).
const share = 1
