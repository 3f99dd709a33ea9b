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
// Where work takes unevenly long, the order of the answers tells more than latency does, and at once:
// see [Window.Overtaking]. If it shows a queue, and latency does not deny it, the limit is 1.25 times
// what it says the server does at once, and a probe pulls the limit to just that, which costs nothing.
// Where answers are put in order on purpose this misleads. If less than four tenths as much gets done as
// before, Little sees that within four windows, and goes by latency alone for the next 200; a smaller loss
// it does not see. Where answers overtake each other as
// if nothing stood in line, and still come later the more is let in, the server works on all at once,
// each with a share of it: then the limit follows the ratio of latencies.
//
// Where callers wait at the [Limiter], and their deadlines are short, a queue in the server makes them
// late. Once the estimate has settled, what waits there is kept to a tenth of the time that they can
// spare, but for the window after each probe, which learns. With a deadline of three times what the
// work takes, the limit is 1.2 times what the server does at once; from five times on it is the usual.
//
// As long as more is asked for than is allowed, and allowing more does not lengthen the queue, the
// limit doubles at the start, and later grows by up to four tenths a window. What is [Dropped] is taken
// for what had no room; where that is most of what was let in, the limit is halved.
//
// It is least exact where a server does one or two things at once, and where it works on everything
// at once: then it may allow too much for some seconds after the server has changed. A window has at
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

	spread  float64 // Window.Spread without a queue
	spreads float64 // how many windows that is of
	sure    bool    // served is what order shows
	trial   trial

	probing   bool
	tight     bool // deadlines keep the limit lower than it would be, so that it teaches little
	patience  int  // windows between two probes
	sinceLast int  // windows since the last one
}

// trial finds out whether the order of answers misleads: whether less gets done since it is believed.
type trial struct {
	left   int     // windows
	rate   float64 // throughput before
	served float64 // the estimate before
	sum    float64 // of throughput since
	pause  int     // windows until order is believed again
}

const (
	littleHeadroom = 1.4
	littlePull     = 0.6
	littleOften    = 5   // windows between probes while things change
	littleSeldom   = 23  // and while they do not
	littleQueue    = 0.1 // of the time that callers can spare

	littleSure  = 1.25 // headroom where order shows the queue
	littleTrial = 4    // windows
	littlePause = 200  // windows
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
	a.trial.pause = max(0, a.trial.pause-1)
	a.scatter(w, probe)
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
			a.started, a.served, a.patience, a.rate = true, k, littleOften, w.throughput()
			if a.sure {
				a.trial.begin(a.rate, n)
			}
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
	wasSure := a.sure
	n, k := inFlight(w), a.atOnce(w, latency)
	if k < 0.7*a.served && a.sinceLast > 0 {
		if a.sure {
			return a.probe(max(k, 0.5*a.served))
		}
		return a.pull() // a queue, or slower work? A probe tells
	}
	gain := 0.5
	switch {
	case a.sure: // as any other, whatever else may be
	case n < 0.9*w.Limit && k > 0.6*n:
		k = max(k, a.served) // there was not enough to do
	case tight: // little is queued, if anything: noise to either side must even out
		gain, k = 0.1, n*min(1.5, float64(a.base)/float64(latency))
	case k > 0.95*n && n > 0.9*w.Limit:
		gain = 0.8 // no queue at all: there must be room for more
	}
	if !a.sure && !tight && a.sinceLast == 0 && w.throughput() < 1.1*a.rate {
		k = min(k, a.served) // no more was done: it only waits
	}
	rate, served := a.rate, a.served
	a.rate = w.throughput()
	a.served += gain * trust(w) * (k - a.served)
	a.sinceLast++
	if a.sure {
		if !wasSure || a.trial.left == 0 && a.served < 0.7*a.trial.served {
			a.trial.begin(rate, served)
		}
		if a.trial.failed(a.rate) {
			a.sure, a.served = false, a.trial.served
			return a.cruise(w)
		}
	}
	if a.sinceLast >= a.patience {
		return a.pull()
	}
	return a.cruise(w)
}

func (t *trial) begin(rate, served float64) {
	t.left, t.rate, t.served, t.sum = littleTrial, rate, served, 0
}

// failed takes in a window's throughput, and says whether it turns out that order misled.
func (t *trial) failed(rate float64) bool {
	if t.left == 0 {
		return false
	}
	t.left--
	t.sum += rate
	if t.left > 0 {
		return false
	}
	if t.sum < 0.4*littleTrial*t.rate {
		t.pause = littlePause
		return true
	}
	return false
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
	if a.sure {
		return a.cruise(w)
	}
	return a.open()
}

// scatter learns how unevenly long work takes. A queue hides some of that.
func (a *Little) scatter(w Window, probe bool) {
	if !(w.Spread >= 0) { // nobody should say so
		return
	}
	if probe || !a.started && (a.spreads == 0 || w.Overtaking >= 0.7*inFlight(w)) {
		a.spreads++
		a.spread += max(1/(1+a.spreads), 0.6*trust(w)) * (min(w.Spread, 2) - a.spread)
	}
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
	share := n * float64(a.base) / float64(latency)              // if it works on all, each with a share of it
	front := n - w.throughput()*max(0, latency-a.base).Seconds() // if all but these stand in line
	k := max(front, share, 0.5*n, 1)

	wasSure := a.sure
	a.sure = false
	switch told := a.told(w); {
	case told == 0 || n < 0.9*w.Limit:
	case w.Overtaking >= 0.9*n:
		if !a.started {
			share *= littleHeadroom // chance must not end the start
		}
		if n >= 1.5 {
			k = max(min(share, n), 0.5*n, 1) // nothing stands in line
		}
	default:
		if by := max(front, share); wasSure || by < 0.95*n {
			a.sure = true
			k = max(w.Overtaking, min(by, w.Overtaking/told), 1)
		}
	}
	if w.Completed > 0 {
		k = max(1, min(k, n*(1-float64(w.Drops)/float64(w.Completed))))
	}
	return k
}

// told is how much of what the server does at once overtaking shows, at least: next to nothing where
// all work takes as long. It is 0 if that is too little, or unknown.
func (a *Little) told(w Window) float64 {
	if told := min(0.85*a.spread, 0.9); told > 0.6 && w.Overtaking > 0 && a.trial.pause == 0 {
		return told
	}
	return 0
}

// open is the limit that lets a queue form, and so shows it.
func (a *Little) open() float64 { return max(littleHeadroom*a.served, a.served+1) }

// cruise is the limit between two probes: no more than deadlines have time for.
func (a *Little) cruise(w Window) float64 {
	limit := a.open()
	if a.sure {
		limit = max(littleSure*a.served, a.served+0.5)
	}
	if w.Left > 0 && (a.sure || a.patience > littleOften) {
		work := a.served / w.throughput()
		most := a.served * (1 + littleQueue*max(0, w.Left.Seconds()/work-1))
		a.tight = math.Round(most) < math.Round(limit)
		limit = min(limit, most)
	}
	return limit
}

// pull begins a probe, under what the server does at once.
func (a *Little) pull() float64 {
	if a.sure {
		return a.probe(a.served)
	}
	return a.probe(littlePull * a.open())
}

func (a *Little) probe(limit float64) float64 {
	a.probing = true
	return max(1, limit)
}
