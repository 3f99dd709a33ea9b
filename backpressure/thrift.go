package backpressure

import "time"

// thrift says how often a Put may give way to the Get that it has just served. It is a pure core,
// which is told the time.
//
// Giving way costs the Put what the Get takes to its next wait, or until another processor takes
// the Put over. That is less than a microsecond where it pays. So it may cost a share of the time,
// of which some can be saved up for a burst. Where it does not pay, because Gets work for long or
// all processors are busy, it is tried less and less often.
type thrift struct {
	next  time.Time     // when it may be done again
	price time.Duration // how much time must pass for each unit of time it costs
}

const (
	cheap     = 16                     // price of what pays: a sixteenth of the time
	costly    = 1024                   // the highest price
	savings   = time.Millisecond       // time that can be saved up: 62 µs at the lowest price
	paying    = 5 * time.Microsecond   // what costs more does not pay
	restraint = 100 * time.Millisecond // at most until the next try
)

func (t *thrift) may(now time.Time) bool { return !now.Before(t.next) }

// spent says that it was done at begin and what it cost.
func (t *thrift) spent(begin time.Time, cost time.Duration) {
	if cost <= paying {
		t.price = cheap
	} else {
		t.price = min(max(2*t.price, cheap), costly)
	}
	if least := begin.Add(-savings); t.next.Before(least) {
		t.next = least
	}
	t.next = t.next.Add(min(cost*t.price, restraint))
}
