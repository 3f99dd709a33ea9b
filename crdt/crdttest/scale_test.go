package crdttest_test

import (
	"os"
	"strconv"
)

// scale multiplies the number of checks: CALM_CHECKS=10 go test …
func scale() int {
	n, err := strconv.Atoi(os.Getenv("CALM_CHECKS"))
	if err != nil {
		return 1
	}
	return max(n, 1)
}
