//go:build !linux

package clock

import (
	"errors"
	"fmt"
)

// Kernel returns the system clock with the error bound that the kernel keeps for it. It is
// for Linux; on this system its error matches [errors.ErrUnsupported].
func Kernel() (Bounded, error) {
	return nil, fmt.Errorf("clock: error bound of the kernel: %w", errors.ErrUnsupported)
}
