package crdttest_test

import (
	"os"
	"runtime/debug"
	"strconv"
	"testing"
)

// scale multiplies the number of checks: CALM_CHECKS=10 go test …
func scale() int {
	n, err := strconv.Atoi(os.Getenv("CALM_CHECKS"))
	if err != nil {
		return 1
	}
	return max(n, 1)
}

// TestMain lets the heap grow: the tests make millions of little worlds and keep few, so that a fifth of
// the time would be spent on looking for garbage.
func TestMain(m *testing.M) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(800)
	}
	os.Exit(m.Run())
}
