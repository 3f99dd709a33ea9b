package backpressure

// AIMD raises the limit by one as long as it is met, and takes a tenth off when something was
// dropped: additive increase, multiplicative decrease (Chiu and Jain, "Analysis of the Increase and
// Decrease Algorithms for Congestion Avoidance in Computer Networks", 1989). It knows no latency, so
// it is for servers that refuse by themselves and where that is reported with [Dropped]. Where
// deadlines are missed for other reasons, by a heavy tail, it starves; and it grows slowly.
//
// The zero value is ready to use; see [Algorithm].
type AIMD struct {
	Backoff float64 // what is left of the limit when something was dropped; 0 means 0.9
}

// Step implements [Algorithm].
func (a *AIMD) Step(w Window) float64 {
	switch {
	case w.Dropped && a.Backoff > 0:
		return w.Limit * a.Backoff
	case w.Dropped:
		return w.Limit * 0.9
	case w.Limited:
		return w.Limit + 1
	}
	return w.Limit
}
