package backpressure

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Outcome says what became of the work that a [Permit] was for.
type Outcome uint8

// The outcomes.
const (
	Done    Outcome = iota // it was done; the time it took tells about the server
	Ignored                // it says nothing about the server: a bad request, say
	Dropped                // it failed for want of capacity further down, or came too late
)

var outcomes = [...]string{"done", "ignored", "dropped"}

// String returns the outcome in lower case.
func (o Outcome) String() string {
	if int(o) >= len(outcomes) {
		return fmt.Sprintf("outcome(%d)", uint8(o))
	}
	return outcomes[o]
}

// Permit is the right to do one piece of work now. Get one from a [Limiter], and release it when
// the work is over, whatever became of it. It is a small value: acquiring one allocates nothing.
// Releasing a permit twice, or a copy of it, has no effect; nor has releasing the zero Permit. It
// may be released by another goroutine than the one that acquired it.
type Permit struct {
	slot *holder
	gen  uint64
}

// holder is a permit in use. The generation tells a permit from the later ones of the same holder.
type holder struct {
	gen   atomic.Uint64
	l     *Limiter
	cost  uint64
	start time.Duration // 0 if it is no sample
	epoch uint32        // the window in which it began
	taken uint64        // the Limiter's word, then
}

// Release gives the permit back.
func (p Permit) Release(o Outcome) {
	if p.slot == nil || !p.slot.gen.CompareAndSwap(p.gen, p.gen+1) {
		return
	}
	p.slot.l.release(p.slot, o)
}
