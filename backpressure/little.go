package backpressure

import (
	"math"
	"time"
)

// Little finds the limit by Little's law (Little, "A Proof for the Queuing Formula L = λW", Operations
// Research 9, 1961), without being told anything. What runs at once is throughput times latency; so
// what waits in the server's own queue is throughput times the latency that is more than it need be,
// and the rest is what the server can really do at once. The limit is 1.4 times that, so that the
// server never runs dry, and what it queues costs little.
//
// How long a request need take is measured, not guessed: one window in six the limit is pulled to
// 0.6, under what the server can do, and the median latency is taken there. While nothing changes
// the probes become rarer, down to one window in 24; where latency seems to change, the next
// window is one. Medians are compared because a heavy tail hardly moves them: of service times
// with a lognormal σ of 1.5 a mean needs a hundred times the samples.
//
// Where callers wait at the [Limiter], and their deadlines are short, a queue in the server makes them
// late. Once the estimate has settled, what waits there is kept to a tenth of the time that they can
// spare, but for the window after each probe, which learns. With a deadline of three times what the
// work takes, the limit is 1.2 times what the server does at once; from five times on it is the usual.
//
// As long as more is asked for than is allowed, and allowing more does not lengthen the queue, the
// limit doubles at the start, and later grows by up to four tenths a window. Where most of what was
// let in is [Dropped], the limit is halved.
//
// It is least exact where a server does one or two things at once and how long they take is uneven:
// then it may allow one or two too many, for some seconds after the server has changed. A window has at
// least two dozen requests, so where they take seconds, all of this takes minutes.
//
// The zero value is ready to use; see [Algorithm].
type Little struct {
	started bool          // the doubling start is over
	doubt   bool          // the start has seen a queue once
	seen    float64       // latencies that base is of, at the start
	served  float64       // estimate of what the server does at once
	before  float64       // the same, at the last probe
	base    time.Duration // median latency without a queue
	rate    float64       // throughput in the last window that was no probe

	probing   bool
	tight     bool // deadlines keep the limit lower than it would be, so that it teaches little
	patience  int  // windows between two probes
	sinceLast int  // windows since the last one
}

const (
	littleHeadroom = 1.4
	littlePull     = 0.6
	littleOften    = 5   // windows between probes while things change
	littleSeldom   = 23  // and while they do not
	littleQueue    = 0.1 // of the time that callers can spare
)

// Step implements [Algorithm].
func (a *Little) Step(w Window) float64 {
	if w.Samples <= 0 && w.Drops <= 0 || w.Elapsed <= 0 || !(w.Limit >= 1) {
		return w.Limit
	}
	next := a.step(w)
	if math.IsNaN(next) || math.IsInf(next, 0) { // after windows that cannot be
		*a = Little{}
		return w.Limit
	}
	return next
}

func (a *Little) step(w Window) float64 {
	latency := w.Median
	if latency <= 0 {
		latency = w.Mean
	}
	probe, tight := a.probing, a.tight
	a.probing, a.tight = false, false
	switch {
	case latency == never || latency <= 0:
		return a.flood(w)
	case probe:
		return a.probed(w, latency)
	case !w.Limited:
		return w.Limit // nothing is learned about a limit that nobody meets
	case !a.started:
		return a.start(w, latency)
	}
	return a.normal(w, latency, tight)
}

// flood halves the limit: most of what was let in was dropped.
func (a *Little) flood(w Window) float64 {
	a.started, a.patience = true, littleOften+1 // settled enough to be tight
	a.served = max(1, min(a.served, w.Limit)/2)
	a.sinceLast++
	if w.Left > 0 && a.base > 0 && a.sinceLast < a.patience {
		return a.cruise(w)
	}
	return a.pull()
}

// start doubles the limit until latency shows a queue.
func (a *Little) start(w Window, latency time.Duration) float64 {
	if a.base == 0 {
		a.base = latency
	}
	n := inFlight(w)
	if k := a.atOnce(w, latency); k < 0.7*n {
		if a.doubt {
			a.started, a.served, a.patience = true, k, littleOften
			return a.pull()
		}
		a.doubt = true // once may be chance
		return w.Limit
	}
	a.doubt = false
	samples := float64(max(1, w.Samples))
	a.seen += samples
	a.base += time.Duration(float64(latency-a.base) * samples / a.seen)
	if n < 0.8*w.Limit {
		return w.Limit
	}
	a.served = n
	return 2 * w.Limit
}

func (a *Little) normal(w Window, latency time.Duration, tight bool) float64 {
	k := a.atOnce(w, latency)
	if k < 0.7*a.served && a.sinceLast > 0 {
		return a.pull() // a queue, or slower work? A probe tells
	}
	gain := 0.5
	if n := inFlight(w); k > 0.95*n && n > 0.9*w.Limit {
		gain = 0.8 // no queue at all: there must be room for more
	}
	if tight { // little is queued, if anything: noise to either side must even out
		gain, k = 0.1, inFlight(w)*min(1.5, float64(a.base)/float64(latency))
	} else if a.sinceLast == 0 && w.throughput() < 1.1*a.rate {
		k = min(k, a.served) // no more was done: it only waits
	}
	a.rate = w.throughput()
	a.served += gain * trust(w) * (k - a.served)
	a.sinceLast++
	if a.sinceLast >= a.patience {
		return a.pull()
	}
	return a.cruise(w)
}

// probed takes the latency without a queue.
func (a *Little) probed(w Window, latency time.Duration) float64 {
	a.sinceLast = 0
	if a.base == 0 {
		a.base = latency
	}
	change := float64(latency-a.base) * trust(w)
	a.base += time.Duration(change)
	if math.Abs(change) < 0.2*float64(a.base) && math.Abs(a.served-a.before) < 0.25*a.served {
		a.patience = min(a.patience+littleOften, littleSeldom)
	} else {
		a.patience = littleOften
	}
	a.before = a.served
	return a.open()
}

// trust is how much a median of so many counts, beside what was known before.
func trust(w Window) float64 {
	n := float64(max(0, w.Samples)) + float64(max(0, w.Drops))
	return n / (n + 32)
}

func inFlight(w Window) float64 {
	if w.InFlight > 0 {
		return min(w.InFlight, w.Limit)
	}
	return w.Limit
}

// atOnce is how many requests the server works on, out of those that it has.
func (a *Little) atOnce(w Window, latency time.Duration) float64 {
	n := inFlight(w)
	queued := w.throughput() * max(0, latency-a.base).Seconds()
	return max(n-queued, n*float64(a.base)/float64(latency), 0.5*n, 1)
}

// open is the limit that lets a queue form, and so shows it.
func (a *Little) open() float64 { return max(littleHeadroom*a.served, a.served+1) }

// cruise is the limit between two probes: no more than deadlines have time for.
func (a *Little) cruise(w Window) float64 {
	open := a.open()
	if w.Left <= 0 || a.patience <= littleOften {
		return open
	}
	work := a.served / w.throughput()
	limit := a.served * (1 + littleQueue*max(0, w.Left.Seconds()/work-1))
	a.tight = math.Round(limit) < math.Round(open)
	return min(limit, open)
}

// pull begins a probe.
func (a *Little) pull() float64 {
	a.probing = true
	return max(1, littlePull*a.open())
}
