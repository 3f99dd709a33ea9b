package backpressure

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// meter collects a window: a pure core, which is told the time.
type meter struct {
	epoch uint32        // number of the window
	began time.Duration // its begin
	count uint64        // releases by then, modulo countRange

	n      int // latencies
	sum    time.Duration
	min    time.Duration
	all    [meterFresh]time.Duration // of which the first so many are kept
	size   int
	ranks  [meterFresh]int // 1 + what was in flight at the begin - what was released until the end
	ranked int
	// What began in this window.
	fresh     [meterFresh]time.Duration
	freshSize int

	most    int     // in flight
	out     float64 // sum of what was in flight
	outs    int
	limited bool

	left  float64 // sum of the seconds that who had waited had left
	lefts int
}

const (
	meterFresh = 256
	meterLeast = 24 // samples that began in a window, before it may end
	meterTime  = 50 * time.Millisecond
	meterShort = 20 * time.Millisecond // if there are plenty of samples
)

// observe notes a sampled release: what it took, or that it was dropped, and how many permits were out.
func (m *meter) observe(latency time.Duration, epoch uint32, o Outcome, inFlight, rank int, ranked bool) {
	m.most = max(m.most, inFlight)
	m.out += float64(inFlight)
	m.outs++
	if epoch == m.epoch && o != Ignored && m.freshSize < meterFresh {
		m.fresh[m.freshSize] = latency
		if o == Dropped {
			m.fresh[m.freshSize] = math.MaxInt64 // it would have taken longer than it was given
		}
		m.freshSize++
	}
	if o != Done {
		return
	}
	m.n++
	m.sum += latency
	if m.n == 1 || latency < m.min {
		m.min = latency
	}
	if m.size < meterFresh {
		m.all[m.size] = latency
		m.size++
	}
	if ranked && m.ranked < meterFresh {
		m.ranks[m.ranked] = rank
		m.ranked++
	}
}

// due says whether the window may end.
func (m *meter) due(now time.Duration) bool {
	elapsed := now - m.began
	return m.freshSize >= meterLeast && elapsed >= meterTime || m.freshSize == meterFresh && elapsed >= meterShort
}

// close ends the window and begins the next.
func (m *meter) close(now time.Duration, count uint64, drops int, limit float64) Window {
	w := Window{
		Now: now, Elapsed: now - m.began, Samples: m.n, Min: m.min, MaxInFlight: m.most,
		Limited: m.limited, Dropped: drops > 0, Limit: limit,
		Completed: int((count - m.count) & (countRange - 1)), Drops: drops,
	}
	if m.n > 0 {
		w.Mean = m.sum / time.Duration(m.n)
		w.P90 = quantile(m.all[:m.size], 0.9)
	}
	if m.ranked >= meterLeast/2 {
		w.Overtaking = float64(max(1, quantile(m.ranks[:m.ranked], 0.95)))
	}
	if m.freshSize > 0 {
		w.Median = quantile(m.fresh[:m.freshSize], 0.5)
		w.Spread = spread(m.fresh[:m.freshSize])
	}
	if m.outs > 0 {
		w.InFlight = m.out / float64(m.outs)
	}
	if m.lefts > 0 {
		w.Left = time.Duration(m.left / float64(m.lefts) * float64(time.Second))
	}
	m.epoch++
	m.began, m.count = now, count
	m.n, m.sum, m.min, m.size, m.ranked, m.freshSize, m.most, m.limited = 0, 0, 0, 0, 0, 0, 0, false
	m.out, m.outs, m.left, m.lefts = 0, 0, 0, 0
	return w
}

// quantile sorts its argument.
func quantile[T cmp.Ordered](d []T, q float64) T {
	slices.Sort(d)
	return d[int(q*float64(len(d)-1))]
}

// spread is the standard deviation of the logarithm of d, as its quantiles have it. d is sorted.
func spread(d []time.Duration) float64 {
	dropped, _ := slices.BinarySearch(d, never)
	d = d[:dropped]
	if len(d) == 0 || d[0] <= 0 {
		return 0
	}
	return math.Log(float64(quantile(d, 0.9))/float64(quantile(d, 0.1))) / 2.563 // as for the normal distribution
}
