//go:build race

package crdttest_test

// race says that the detector makes everything ten times slower: it needs no full enumeration, as
// all of this package runs in one goroutine at a time.
const race = true
