package backpressure

import "time"

// thrift says how often a Put may give way to the Get that it has just served. It is a pure core,
// which is told the time.
//
// Giving way costs the Put what the Get takes to its next wait, or until another processor takes
// the Put over. That is less than a microsecond where it pays. So it may cost a share of the time,
// of which some can be saved up for a burst. Where it does not pay, because Gets work for long or
// all processors are busy, it is tried at fewer and fewer of the Puts. Time alone would not do: who
// puts into a thousand queues comes to each so rarely that there was always time enough.
type thrift struct {
	next  time.Time // when it may be done again
	apart int       // it is done at one Put in so many, or at each if that is 0
	wait  int       // how many Puts go by until then
}

const (
	cheap     = 16                     // how much time must pass for each unit of time it costs
	savings   = 4 * time.Millisecond   // time that can be saved up: for 250 µs
	paying    = 5 * time.Microsecond   // what costs more does not pay
	rarely    = 1024                   // it is done at one Put in so many at least
	restraint = 100 * time.Millisecond // so much time must pass at most
)

// may says whether a Put that has served a Get now gives way to it.
func (t *thrift) may(now time.Time) bool {
	if t.wait > 0 {
		t.wait--
		return false
	}
	return !now.Before(t.next)
}

// spent says that it was done at begin and what it cost.
func (t *thrift) spent(begin time.Time, cost time.Duration) {
	if cost <= paying {
		t.apart = 0
	} else {
		t.apart = min(max(4*t.apart, 1), rarely)
	}
	t.wait = max(t.apart-1, 0)
	if least := begin.Add(-savings); t.next.Before(least) {
		t.next = least
	}
	t.next = t.next.Add(min(cost, restraint/cheap) * cheap)
}
