package backpressure

import "time"

// Algorithm decides how much work may run at once. Step is told what happened in a window of
// time and returns the limit for the next one. It is a step function: no clock, no lock, no
// goroutine, so that it can be simulated, fuzzed and compared; the same windows in the same
// order give the same limits.
//
// An Algorithm has a memory and belongs to one [Limiter], which calls Step under its lock. What
// Step returns is rounded and brought into the Limiter's bounds; NaN, which no arithmetic should
// give, leaves the limit as it is. [Little] is the default; [Gradient2], [Vegas] and [AIMD] are the
// classics. Simulate one with package loadsim.
type Algorithm interface {
	Step(w Window) (limit float64)
}

// Window is what a [Limiter] saw since the last step. A latency sample is the time from a permit
// to its release as [Done]. Under heavy load only some of the permits are sampled.
type Window struct {
	Now, Elapsed   time.Duration // since the Limiter was made; since the last step
	Samples        int           // how many latencies were measured
	Mean, Min, P90 time.Duration // of them
	MaxInFlight    int           // the most that was seen to run at once
	Limited        bool          // the limit was met: somebody had to wait, or was refused
	Dropped        bool          // somebody released a permit as [Dropped]
	Limit          float64       // the limit in force

	InFlight  float64       // the mean of what ran at once
	Median    time.Duration // latency of what began and ended in the window; a dropped one counts as the longest
	Completed int           // permits released, whatever the outcome
	Drops     int           // those released as [Dropped]
	Left      time.Duration // mean time that who had waited for a permit then had to the deadline; 0 if none had one

	// Overtaking is how many of the requests the server works on at once, as far as the order of its
	// answers shows: 1 + those in flight when a request began - those answered until it was, itself
	// included. A server that does k things at once, and begins them as they come, answers none before
	// all but k-1 of those that came earlier are, so this is never more than k; and it comes close to k
	// where work takes unevenly long, while it is 1 where all takes as long. It is the 95th percentile,
	// or 0 if it is not known, as where permits are of different cost.
	Overtaking float64
	Spread     float64 // how unevenly long it took what Median is of: the standard deviation of the logarithm
}

// throughput is how many permits were released a second.
func (w Window) throughput() float64 {
	n := w.Completed
	if n == 0 {
		n = w.Samples
	}
	return float64(max(0, n)) / w.Elapsed.Seconds()
}
