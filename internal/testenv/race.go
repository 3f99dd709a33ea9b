//go:build race

package testenv

// Race says that the race detector is on: everything takes ten times as long, and allocations
// are not what they are without it.
const Race = true
