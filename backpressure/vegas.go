package backpressure

import (
	"math"
	"time"
)

// Vegas compares latency with the least ever seen and keeps the queue that follows between two
// bounds (Brakmo and Peterson, "TCP Vegas", 1995), with bounds and steps that grow as the logarithm
// of the limit, as in Netflix's concurrency-limits. The least latency is forgotten now and then, for
// servers change. It takes the mean for the latency, and suits work of even length; of uneven work
// the least is so short that everything else looks like a queue, and the limit stays too low.
//
// The zero value is ready to use; see [Algorithm].
type Vegas struct {
	base time.Duration
	age  float64 // windows since the base was last forgotten
}

// Step implements [Algorithm].
func (a *Vegas) Step(w Window) float64 {
	if !(w.Limit >= 1) {
		return w.Limit
	}
	step := max(1, math.Log10(w.Limit))
	if w.Dropped {
		return max(1, w.Limit-step)
	}
	if w.Samples == 0 || w.Mean <= 0 {
		return w.Limit
	}
	a.age++
	if a.base == 0 || w.Mean < a.base || a.age > 30*w.Limit {
		a.base, a.age = w.Mean, 0
	}
	if !w.Limited {
		return w.Limit
	}
	queue := w.Limit * (1 - float64(a.base)/float64(w.Mean))
	switch {
	case queue <= step:
		return w.Limit + 6*step
	case queue < 3*step:
		return w.Limit + step
	case queue > 6*step:
		return max(1, w.Limit-step)
	}
	return w.Limit
}
