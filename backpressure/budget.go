package backpressure

import (
	"math"
	"sync"
	"time"
)

// Budget bounds how many retries a client may add to its first attempts, so that retries
// cannot keep a server down: at most ratio for each first attempt and perSecond on top, over
// the last ten seconds. Share one among all calls to the same server. Make one with
// [NewBudget]; a nil Budget allows everything. It is safe for concurrent use.
//
// Both are counted in ten slots of a second, so the window is the second under way and the
// nine before it. A retry belongs to the window that ends with it, and over the whole time
// retries add up to no more than ratio for each first attempt, and the reserve. A call costs a lock.
// (Finagle's RetryBudget has the same two knobs.)
type Budget struct {
	ratio, reserve float64

	mu    sync.Mutex
	start time.Time
	slots [10]slot
	stats BudgetStats
}

// slot counts one second.
type slot struct {
	second         int64
	firsts, extras float64
}

// NewBudget allows ratio retries for each first attempt and perSecond more a second. It
// panics if one of them is negative or not finite, which is a mistake in the program.
func NewBudget(ratio, perSecond float64) *Budget {
	for _, x := range []float64{ratio, perSecond} {
		if !(x >= 0) || math.IsInf(x, 0) {
			panic("backpressure: NewBudget: ratio and perSecond must be finite and not negative")
		}
	}
	return &Budget{ratio: ratio, reserve: 10 * perSecond, start: time.Now()}
}

// Attempt counts a first attempt, which is always allowed. [Retry] calls it, and Spend: call them only
// where you retry by hand.
func (b *Budget) Attempt() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.slot().firsts++
	b.stats.Attempts++
}

// Spend says whether a retry is allowed now, and counts it if so.
func (b *Budget) Spend() bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.slot()
	firsts, spent := 0.0, 0.0
	for _, s := range b.slots {
		if now.second-s.second < int64(len(b.slots)) {
			firsts += s.firsts
			spent += s.extras
		}
	}
	// Ten tenths are one, whatever rounding makes of them.
	if spent+1 > b.reserve+b.ratio*firsts+1e-9 {
		b.stats.Refused++
		return false
	}
	now.extras++
	b.stats.Retries++
	return true
}

// BudgetStats is what a [Budget] has counted so far.
type BudgetStats struct {
	Attempts uint64 // first attempts
	Retries  uint64 // retries that were allowed
	Refused  uint64 // retries that were not
}

// Stats returns what the budget has counted so far; of a nil Budget nothing is known.
func (b *Budget) Stats() BudgetStats {
	if b == nil {
		return BudgetStats{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stats
}

// slot returns the slot of the second under way. mu is held.
func (b *Budget) slot() *slot {
	second := int64(time.Since(b.start) / time.Second)
	s := &b.slots[second%int64(len(b.slots))]
	if s.second != second {
		*s = slot{second: second}
	}
	return s
}
