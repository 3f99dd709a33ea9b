package shard

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Meter measures the load of each slot as an exponentially decaying rate, in cost per second; what
// cost is, requests or bytes or seconds of work, is the caller's choice. Make one with [NewMeter].
//
// All methods are safe for concurrent use. Add is one atomic addition to a word that only callers
// of the same slot share; it does not allocate.
type Meter struct {
	recent []atomic.Uint64 // cost since the last Roll, with 20 fractional bits

	mu       sync.Mutex
	halfLife time.Duration
	rates    []float64
	weight   float64 // how much of a constant rate the decayed rates have seen; tends to 1
}

const costUnit = 1 << 20

// NewMeter makes a meter for a number of slots whose memory halves every halfLife.
// It panics if slots is negative or halfLife is not positive.
func NewMeter(slots int, halfLife time.Duration) *Meter {
	if slots < 0 || halfLife <= 0 {
		panic("shard: a meter needs a number of slots and a positive half-life")
	}
	return &Meter{recent: make([]atomic.Uint64, slots), halfLife: halfLife, rates: make([]float64, slots)}
}

// Add counts cost for a slot, to a millionth. Costs that are negative, not finite or above 2⁴³ do not
// count.
// It panics if the meter has no such slot.
func (t *Meter) Add(s Slot, cost float64) {
	if cost > 0 && cost < 1<<43 {
		t.recent[s].Add(uint64(cost*costUnit + 0.5))
	}
}

// Roll takes what was added since the last Roll, elapsed ago, into the rates and returns them,
// a slice of its own, by slot. Call it at intervals well below the half-life; time is the caller's,
// so that tests and simulations need no clock. An elapsed time that is not positive changes nothing.
func (t *Meter) Roll(elapsed time.Duration) []float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if elapsed > 0 {
		keep := math.Exp2(-float64(elapsed) / float64(t.halfLife))
		for i := range t.recent {
			rate := float64(t.recent[i].Swap(0)) / costUnit / elapsed.Seconds()
			t.rates[i] = t.rates[i]*keep + rate*(1-keep)
		}
		t.weight = t.weight*keep + (1 - keep)
	}
	// Dividing by the weight takes out the zeros that the rates started from.
	rates := make([]float64, len(t.rates))
	for i, r := range t.rates {
		if t.weight > 0 {
			rates[i] = r / t.weight
		}
	}
	return rates
}
