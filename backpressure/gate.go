package backpressure

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Gate lets a share of the keys through, for slow roll-outs. Which keys that are follows from a hash
// of the gate's name and the key: the same in every process, and monotone, so that a key which is in
// at a tenth is in at a fifth. Two gates of different names choose independently.
//
// Make one with [NewGate]; it is shut at first. It is safe for concurrent use, and has no goroutine
// of its own. [Gate.On] is some nanoseconds and allocates nothing.
type Gate struct {
	seed  uint64
	began time.Time
	state atomic.Pointer[opening]
	dark  chan struct{} // holds one for each dark run

	mu       sync.Mutex // held by who asks whether all is well
	ran      atomic.Uint64
	skipped  atomic.Uint64
	panicked atomic.Uint64
}

// opening is how far a gate is open. It is not changed.
type opening struct {
	share float64
	bound uint64 // of the hashes that are in
	ramp  *ramp
	step  int // of the ramp, that is done
}

// ramp leads from one share to another.
type ramp struct {
	from, to float64
	at, over time.Duration
	healthy  func() bool
}

const (
	rampSteps = 100
	darkRuns  = 16
)

// NewGate makes a gate that is shut.
func NewGate(name string) *Gate {
	g := &Gate{seed: hashString(0, name), began: time.Now(), dark: make(chan struct{}, darkRuns)}
	g.state.Store(&opening{})
	return g
}

// Set opens the gate for a share of all keys, from 0 to 1, and ends a ramp. What is not between is
// taken for the nearest, and NaN for 0.
func (g *Gate) Set(share float64) { g.state.Store(opened(share)) }

func opened(share float64) *opening {
	if !(share > 0) {
		return &opening{}
	}
	share = min(share, 1)
	return &opening{share: share, bound: boundOf(share)}
}

func boundOf(share float64) uint64 {
	if share >= 1 {
		return math.MaxUint64
	}
	return uint64(share * (1 << 63) * 2)
}

// Share returns how far the gate is open now.
func (g *Gate) Share() float64 { return g.now().share }

// On says whether key is in.
func (g *Gate) On(key string) bool {
	s := g.state.Load()
	if s.ramp != nil {
		s = g.now()
	}
	return s.bound == math.MaxUint64 || hashString(g.seed, key) < s.bound
}

// Ramp opens the gate from where it is to the share to, in even steps over a time, or closes it. It
// returns at once: how far the gate is open follows from the time at which it is asked. Before each
// step, a hundredth of the way, the first who asks (by On, Dark, Share, Stats or Ramp) calls healthy;
// others do not wait for it. If it says no, or panics, the gate goes back at once to where it was before
// the ramp, and the ramp is over. A nil healthy always says yes. Set and another Ramp end a ramp. Without
// time, Ramp is Set. What to is not between 0 and 1 is taken as by Set.
func (g *Gate) Ramp(to float64, over time.Duration, healthy func() bool) {
	if over <= 0 {
		g.Set(to)
		return
	}
	from := g.Share()
	s := opened(from)
	s.ramp = &ramp{from: from, to: opened(to).share, at: time.Since(g.began), over: over, healthy: healthy}
	g.state.Store(s)
}

// now moves a ramp on if it is time, and returns how far the gate is open.
func (g *Gate) now() *opening {
	s := g.state.Load()
	r := s.ramp
	if r == nil {
		return s
	}
	step := int(min(rampSteps, rampSteps*(float64(time.Since(g.began)-r.at)/float64(r.over))))
	if step <= s.step || !g.mu.TryLock() {
		return s
	}
	defer g.mu.Unlock()
	if g.state.Load() != s {
		return g.state.Load()
	}
	g.move(s, step)
	return g.state.Load()
}

// move does a step of the ramp that s is on, if all is well. mu is held.
func (g *Gate) move(s *opening, step int) {
	r := s.ramp
	next := opened(r.from)                             // if all is not well, or healthy panics
	defer func() { g.state.CompareAndSwap(s, next) }() // unless it was set meanwhile
	if r.healthy != nil && !r.healthy() {
		return
	}
	if step < rampSteps {
		next = opened(r.from + (r.to-r.from)*float64(step)/rampSteps)
		next.ramp, next.step = r, step
	} else {
		next = opened(r.to) // what was added up may be off by a rounding
	}
}

// Dark runs fn beside the real path, in a goroutine of its own, if key is in: to see how new code does
// before anybody depends on it. What it does to the program is bounded: at most 16 run at a time, the
// others are skipped, and a panic is counted and goes no further. fn gets ctx as it is, so it ends with
// the request unless ctx is made to outlive it ([context.WithoutCancel]).
func (g *Gate) Dark(key string, ctx context.Context, fn func(context.Context)) {
	if !g.On(key) {
		return
	}
	select {
	case g.dark <- struct{}{}:
	default:
		g.skipped.Add(1)
		return
	}
	g.ran.Add(1)
	go func() {
		defer func() {
			if recover() != nil {
				g.panicked.Add(1)
			}
			<-g.dark
		}()
		fn(ctx)
	}()
}

// GateStats is what a [Gate] does now and has done so far.
type GateStats struct {
	Share    float64 // of all keys that are in
	Dark     uint64  // dark runs that were begun
	Skipped  uint64  // dark runs that were not, for too many were under way
	Panicked uint64  // dark runs that panicked
}

// Stats returns what the gate does now and has done so far.
func (g *Gate) Stats() GateStats {
	return GateStats{Share: g.Share(), Dark: g.ran.Load(), Skipped: g.skipped.Load(), Panicked: g.panicked.Load()}
}
