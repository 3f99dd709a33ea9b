// Package testenv tells tests what they run under: the race detector or not, and how thorough
// they are to be.
package testenv

import (
	"os"
	"strconv"
)

// Checks scales n by the environment variable CALM_CHECKS (a factor; 1 when unset), by
// which a nightly run does more of the same.
func Checks(n int) int {
	if f, err := strconv.ParseFloat(os.Getenv("CALM_CHECKS"), 64); err == nil && f > 0 {
		return max(1, int(f*float64(n)))
	}
	return n
}

// Thorough reports whether more was asked for than tells most in a few seconds.
func Thorough() bool { return Checks(100) > 100 }
