package clock

import (
	"errors"
	"fmt"
	"time"
)

// ErrDrift is what every [*DriftError] matches.
var ErrDrift = errors.New("clock: too far ahead of the physical clock")

// DriftError says that a timestamp was refused because it is too far ahead of the physical
// clock. Either the sender's clock is fast or the local one is slow; [Skew] tells which.
type DriftError struct {
	Remote Timestamp     // what was refused
	Local  Timestamp     // the physical clock when it was
	Max    time.Duration // how far ahead it may be
}

// Ahead returns how far ahead of the local physical clock the timestamp is.
func (e *DriftError) Ahead() time.Duration { return e.Remote.Sub(e.Local) }

// Error names the measured offset and the limit.
func (e *DriftError) Error() string {
	return fmt.Sprintf("clock: timestamp %v is %v ahead of the physical clock; the limit is %v", e.Remote, e.Ahead(), e.Max)
}

// Is reports whether target is [ErrDrift].
func (e *DriftError) Is(target error) bool { return target == ErrDrift }
