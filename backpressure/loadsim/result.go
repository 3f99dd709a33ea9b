package loadsim

import (
	"slices"
	"time"
)

// Result is what happened in a phase.
type Result struct {
	Start, End time.Duration

	Requests int // first attempts
	Offered  int // with retries
	Good     int // done within the deadline
	Wasted   int // done too late
	Refused  int // answered with an Overload
	GaveUp   int // left at their deadline, while they waited

	// Goodput is what was Good, as a multiple of what the slots that work in this phase can do. That
	// is counted in the work that was drawn, not in the mean that was meant: with a heavy tail the two
	// differ for minutes. It counts answers, so what alone takes longer than its deadline is missing
	// from it, whatever the limiter does: 1 % of lognormal work with a sigma of 1.5 and a deadline of
	// ten times the mean, 3 % with one of five. To see what is possible run the same seed with
	// [backpressure.Fixed] and the number of slots.
	Goodput float64
	Busy    float64       // how much of the time the slots worked, refusals too
	P50     time.Duration // from arrival to the end, of what was Good
	P99     time.Duration
	Limit   int // at the end of the phase

	Tenants []TenantResult // in the order of the Scenario's
	Seconds []Second       // each second of the phase

	latencies []time.Duration // of what was Good
	work      time.Duration   // of the slots
	drawn     time.Duration   // by the requests that were begun
	begun     int
}

// TenantResult is what happened to a tenant in a phase.
type TenantResult struct {
	ID             string
	Requests, Good int
}

// Second is what happened in a second of a phase.
type Second struct{ Requests, Offered, Good int }

// finish computes what follows from the counts. slots work, each slow times as slowly.
func (r *Result) finish(slots int, mean time.Duration) {
	if r.begun > 0 {
		mean = r.drawn / time.Duration(r.begun)
	}
	if all := (r.End - r.Start).Seconds() * float64(slots); all > 0 && mean > 0 {
		r.Goodput = float64(r.Good) * mean.Seconds() / all
		r.Busy = r.work.Seconds() / all
	}
	slices.Sort(r.latencies)
	if n := len(r.latencies); n > 0 {
		r.P50, r.P99 = r.latencies[n/2], r.latencies[n*99/100]
	}
	r.latencies = nil
}

func (r *Result) second(now time.Duration) *Second {
	return &r.Seconds[min(int((now-r.Start)/time.Second), len(r.Seconds)-1)]
}
