package backpressure

import (
	"errors"
	"fmt"
	"time"
)

// ErrOverload is what every [*Overload] matches with [errors.Is].
var ErrOverload = errors.New("backpressure: overloaded")

// ErrClosed is returned by what was closed. An [*Overload] whose Reason is [Closed] matches
// it, too.
var ErrClosed = errors.New("backpressure: closed")

// Reason says why work was refused or dropped.
type Reason uint8

// The reasons.
const (
	Full      Reason = iota + 1 // there is no room
	Shed                        // the delay is over its target, or something worth more needed the room
	Late                        // the deadline is over, or would be before the work could finish
	Throttled                   // held back by the caller's own throttle; nothing was sent
	Open                        // a breaker is open for this key
	Spent                       // the retry budget is used up
	Closed                      // the other side is gone; from this package that is ErrClosed by itself
)

var reasons = [...]string{"unknown", "full", "shed", "late", "throttled", "open", "spent", "closed"}

// String returns the reason in lower case.
func (r Reason) String() string {
	if int(r) >= len(reasons) {
		return fmt.Sprintf("reason(%d)", uint8(r))
	}
	return reasons[r]
}

// Overload is the error that every type of this package returns when it refuses work: why,
// for whom, and when to come back. It matches [ErrOverload]. A value may be shared by many
// callers and must not be changed.
type Overload struct {
	Reason     Reason
	Scope      string        // what refused: a limiter, a tenant, a breaker's key; may be empty
	RetryAfter time.Duration // how long to stay away; 0 if unknown
	Queued     int           // what was waiting then, in the unit of Limit
	Limit      int           // the bound that was met; 0 if there is none
}

// Error describes the overload in one line.
func (o *Overload) Error() string {
	s := "backpressure: " + o.Reason.String()
	if o.Scope != "" {
		s += " at " + o.Scope
	}
	if o.Limit > 0 {
		s += fmt.Sprintf(" (%d of %d)", o.Queued, o.Limit)
	}
	if o.RetryAfter > 0 {
		s += fmt.Sprintf(", retry after %v", o.RetryAfter)
	}
	return s
}

// Is makes every Overload match [ErrOverload], and one with reason [Closed] [ErrClosed].
func (o *Overload) Is(target error) bool {
	return target == ErrOverload || target == ErrClosed && o.Reason == Closed
}
