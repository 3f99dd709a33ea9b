package crdttest_test

import (
	"os"
	"runtime/debug"
	"testing"
)

// TestMain lets the heap grow: the tests make millions of little worlds and keep few, so that a fifth of
// the time would be spent on looking for garbage.
func TestMain(m *testing.M) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(800)
	}
	os.Exit(m.Run())
}
