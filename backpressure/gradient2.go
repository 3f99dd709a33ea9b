package backpressure

import (
	"math"
	"time"
)

// Gradient2 compares latency with its own average over a long time: while it is at most half as long
// again, the limit grows, and it shrinks in proportion to what exceeds that. It is the default of
// Netflix's concurrency-limits. The average follows a server that stays slow, so a long overload
// becomes the norm; and growing takes seconds where the server can do much more than at first.
//
// The zero value is ready to use; see [Algorithm].
type Gradient2 struct {
	long float64 // seconds
	seen float64
}

// Step implements [Algorithm].
func (a *Gradient2) Step(w Window) float64 {
	const (
		windows   = 600 // that the average goes back
		tolerance = 1.5
		queue     = 4
		smoothing = 0.2
	)
	if !(w.Limit >= 1) || w.Samples == 0 || w.Mean <= 0 {
		return w.Limit
	}
	short := float64(w.Mean) / float64(time.Second)
	a.seen = min(a.seen+1, windows)
	a.long += (short - a.long) * max(1/a.seen, 2.0/(windows+1))
	if a.long > 2*short {
		a.long *= 0.95 // it is much better now: forget sooner
	}
	if !w.Limited {
		return w.Limit
	}
	gradient := math.Max(0.5, math.Min(1, tolerance*a.long/short))
	return max(1, w.Limit*(1-smoothing)+(w.Limit*gradient+queue)*smoothing)
}
