package backpressure

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Limiter bounds how much work runs at once, and finds the bound itself: it starts small, doubles
// until latency shows a queue, and follows the server from then on; [Fixed] sets the bound by hand.
// What exceeds it is refused at once with an [*Overload], or waits if [Waiting] allows it. Make one
// with [NewLimiter]. It is safe for concurrent use, and has no goroutine of its own.
//
// Those who wait are served by priority, fairly by tenant, and in the order in which they came as
// long as that serves them in time. Where more wait than can be served within their deadlines, the
// newest is served first: first come, first served would spend everything on callers who are about
// to give up. Only that survives ten times the load that the server can do.
//
// While nobody waits, Acquire and Release are a few atomic operations, and so is a refusal; they
// allocate nothing. Latency is measured on all permits as long as they are some thousand a second,
// and on one in sixteen, at least, beyond.
//
// Everything is accounted for when permits are released: a Limiter that nobody uses does nothing.
type Limiter struct {
	// word is the gate: releases modulo countRange, a bit that says that somebody waits, the limit,
	// and what is in flight, so that each step of the fast path is one atomic operation.
	word atomic.Uint64
	mask atomic.Uint64 // a permit is sampled if the count of releases has none of it
	_    [48]byte

	scope string
	fixed bool
	least float64
	most  float64
	began time.Time
	clock func() time.Duration // nil: the time since began
	draw  func() float64       // from [0, 1)
	hooks Hooks

	slots  sync.Pool // of *holder
	guests sync.Pool // of *guest

	epoch   atomic.Uint32
	limited atomic.Bool
	stale   atomic.Bool // the refusals say what was a while ago
	drops   atomic.Int64
	extra   atomic.Int64 // in flight beyond one a permit
	refused [3]refusals  // by reason

	mu        sync.Mutex
	algorithm Algorithm
	room      room
	meter     meter
	last      Window
	done      uint64 // releases until the window began
	late      uint64 // of those who waited: given up at their deadline
	delay     time.Duration

	away      float64 // refused, and not expected back yet
	refusing  float64 // refusals for each permit released, lately
	awaySeen  uint64
	refreshed time.Duration
}

// The layout of the word.
const (
	unitBits   = 20
	unitMask   = 1<<unitBits - 1 // in flight
	limitShift = unitBits
	waitingBit = 1 << (2 * unitBits)
	countShift = 2*unitBits + 1
	countRange = 1 << (64 - countShift)
	maxLimit   = unitMask

	sparsest = 16 // at least one permit in so many is sampled
)

func inFlightOf(w uint64) uint64 { return w & unitMask }
func limitOf(w uint64) uint64    { return w >> limitShift & unitMask }
func countOf(w uint64) uint64    { return w >> countShift }

// LimiterOption changes one thing about a [Limiter].
type LimiterOption func(*limiterConfig)

type limiterConfig struct {
	fixed     int
	min, max  int
	start     int
	waiting   int
	scope     string
	algorithm Algorithm
	hooks     Hooks
	err       error
}

func (c *limiterConfig) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("backpressure: NewLimiter: "+format, args...)
	}
}

// Fixed sets the limit by hand, to n for good.
func Fixed(n int) LimiterOption {
	return func(c *limiterConfig) {
		if n < 1 || n > maxLimit {
			c.fail("a fixed limit of %d is not between 1 and %d", n, maxLimit)
		}
		c.fixed = n
	}
}

// Between bounds the limit that is found. Without it, it is between 1 and 65 536.
func Between(min, max int) LimiterOption {
	return func(c *limiterConfig) {
		if min < 1 || max < min || max > maxLimit {
			c.fail("a limit between %d and %d is not between 1 and %d", min, max, maxLimit)
		}
		c.min, c.max = min, max
	}
}

// Starting sets the limit to begin with, which is 4 without it. It is brought within [Between], and matters
// for a second or two; with [Fixed] it does not.
func Starting(n int) LimiterOption {
	return func(c *limiterConfig) {
		if n < 1 || n > maxLimit {
			c.fail("a first limit of %d is not between 1 and %d", n, maxLimit)
		}
		c.start = n
	}
}

// Using chooses how the limit is found: by [Little] without it. The algorithm belongs to this
// Limiter from then on.
func Using(a Algorithm) LimiterOption {
	return func(c *limiterConfig) {
		if a == nil {
			c.fail("a nil algorithm")
		}
		c.algorithm = a
	}
}

// Waiting lets up to n callers wait for a permit. Without it nobody waits. To wait is to be a
// blocked goroutine, and much cheaper than to be refused and come back: n may be as large as there
// is memory for, ten times what arrives within a deadline, say.
func Waiting(n int) LimiterOption {
	return func(c *limiterConfig) {
		if n < 0 {
			c.fail("%d callers cannot wait", n)
		}
		c.waiting = n
	}
}

// Named names the limiter, in its refusals and metrics.
func Named(scope string) LimiterOption {
	return func(c *limiterConfig) { c.scope = scope }
}

// Hooks are told what a [Limiter] does, as it does it, by the goroutine that brought it about. They
// must be quick, and must not use the Limiter. A nil hook is not called.
type Hooks struct {
	Limit   func(from, to int) // the limit changed
	Refused func(o *Overload)  // somebody was refused
}

// Observe sets the hooks.
func Observe(h Hooks) LimiterOption {
	return func(c *limiterConfig) { c.hooks = h }
}

// NewLimiter makes a limiter. It panics if an option makes no sense, or two contradict each other:
// that is a mistake in the program.
func NewLimiter(opts ...LimiterOption) *Limiter {
	c := limiterConfig{start: 4}
	for _, o := range opts {
		if o == nil {
			panic("backpressure: NewLimiter: nil option")
		}
		o(&c)
	}
	if c.fixed > 0 && (c.algorithm != nil || c.max > 0) {
		c.fail("Fixed excludes Using and Between")
	}
	if c.err != nil {
		panic(c.err)
	}
	if c.max == 0 {
		c.min, c.max = 1, 1<<16
	}
	if c.fixed > 0 {
		c.min, c.max, c.start = c.fixed, c.fixed, c.fixed
	} else if c.algorithm == nil {
		c.algorithm = &Little{}
	}
	l := &Limiter{
		scope: c.scope, fixed: c.fixed > 0, least: float64(c.min), most: float64(c.max),
		began: time.Now(), draw: rand.Float64, hooks: c.hooks,
		algorithm: c.algorithm,
	}
	l.slots.New = func() any { return &holder{l: l} }
	l.guests.New = func() any { return &guest{signal: make(chan struct{}, 1)} }
	l.room.init(c.waiting, l.turnAway)
	l.word.Store(uint64(min(max(c.start, c.min), c.max)) << limitShift)
	l.stale.Store(true)
	return l
}

func (l *Limiter) now() time.Duration {
	if l.clock != nil {
		return l.clock()
	}
	return time.Since(l.began) + 1 // never 0
}

// TryAcquire returns a permit if there is one now and nobody waits for it.
func (l *Limiter) TryAcquire() (Permit, bool) {
	if p, ok := l.take(1, waitingBit); ok {
		return p, true
	}
	_ = l.refuse()
	return Permit{}, false
}

// Acquire returns a permit. If there is none, it waits for one where [Waiting] allows it, and
// returns an [*Overload] otherwise: with reason [Full], or [Shed] if it waited and had to make room
// for others, or [Late] if it waited and ctx's deadline would pass before the work could be done.
// It returns ctx.Err() if ctx is done, at once or while it waits. Tenant, priority and cost are taken
// from ctx: see [WithTenant], [WithPriority] and [WithCost]. With an error nothing is held.
func (l *Limiter) Acquire(ctx context.Context) (Permit, error) {
	if err := ctx.Err(); err != nil {
		return Permit{}, err
	}
	q := requestOf(ctx)
	if err := q.check(); err != nil {
		return Permit{}, err
	}
	if p, ok := l.take(q.cost, waitingBit); ok {
		return p, nil
	}
	if l.room.most == 0 {
		return Permit{}, l.refuse()
	}
	return l.wait(ctx, q)
}

func (l *Limiter) wait(ctx context.Context, q request) (Permit, error) {
	g := l.guests.Get().(*guest)
	deadline := never
	if d, ok := ctx.Deadline(); ok {
		deadline = l.now() + time.Until(d)
	}
	l.ask(g, q, deadline)
	select {
	case <-g.signal:
	case <-ctx.Done():
		if !l.giveUp(g, errors.Is(ctx.Err(), context.DeadlineExceeded)) {
			<-g.signal // it was answered at the last moment
			g.permit.Release(Ignored)
		}
		g.permit, g.err = Permit{}, ctx.Err()
	}
	p, err := g.permit, g.err
	g.permit, g.err = Permit{}, nil
	l.guests.Put(g)
	return p, err
}

// ask lets g wait. It is answered now or later.
func (l *Limiter) ask(g *guest, q request, deadline time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.meter.limited = true
	if !l.room.add(g, q, deadline, now) {
		g.err = l.refuseLocked(Full, now)
		l.answer(g)
		return
	}
	l.word.Or(waitingBit) // from here on every release comes to serve
	l.serve(now)
}

func (l *Limiter) answer(g *guest) {
	if g.answer != nil {
		g.answer(g)
		return
	}
	g.signal <- struct{}{}
}

// turnAway answers one that the room drops. mu is held.
func (l *Limiter) turnAway(g *guest, why Reason) {
	if why == Full {
		why = Shed
	}
	g.err = l.refuseLocked(why, l.now())
	l.answer(g)
}

// giveUp takes g out if it has not been answered.
func (l *Limiter) giveUp(g *guest, late bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !g.waiting {
		return false
	}
	if late {
		l.late++
	}
	l.room.remove(g)
	l.serve(l.now()) // it may have stood in the way of one that needs less
	return true
}

// serve gives permits to those who wait, as far as the limit goes. mu is held.
func (l *Limiter) serve(now time.Duration) {
	for {
		g := l.room.next(now)
		if g == nil {
			l.word.And(^uint64(waitingBit))
			return
		}
		p, ok := l.take(g.cost, 0)
		if !ok {
			return
		}
		l.delay += (now - g.at - l.delay) / 16
		if g.deadline != never {
			l.meter.left += (g.deadline - now).Seconds()
			l.meter.lefts++
		}
		l.room.serve(g)
		g.permit = p
		l.answer(g)
	}
}

// take takes a permit if the limit allows it and none of the bits of barred is set.
func (l *Limiter) take(cost int64, barred uint64) (Permit, bool) {
	for {
		w := l.word.Load()
		limit := limitOf(w)
		n := min(uint64(cost), limit)
		if w&barred != 0 || inFlightOf(w)+n > limit {
			return Permit{}, false
		}
		if l.word.CompareAndSwap(w, w+n) {
			s := l.slots.Get().(*holder)
			s.cost, s.start = n, 0
			if n != 1 {
				l.extra.Add(int64(n) - 1)
			}
			if countOf(w)&l.mask.Load() == 0 {
				s.start, s.epoch, s.taken = l.now(), l.epoch.Load(), w+n
			}
			return Permit{s, s.gen.Load()}, true
		}
	}
}

func (l *Limiter) release(s *holder, o Outcome) {
	n, start, epoch, taken := s.cost, s.start, s.epoch, s.taken
	l.slots.Put(s)
	if n != 1 {
		l.extra.Add(1 - int64(n))
	}
	if o == Dropped {
		l.drops.Add(1)
	}
	w := l.word.Add(1<<countShift - n)
	if start == 0 && w&waitingBit == 0 {
		return
	}
	now, from, to := l.now(), 0, 0
	l.mu.Lock()
	if start != 0 {
		rank := int(inFlightOf(taken)) + 1 - int((countOf(w)-countOf(taken))&(countRange-1))
		l.meter.observe(now-start, epoch, o, int(inFlightOf(w)+n), rank, l.extra.Load() == 0)
		from, to = l.turn(now)
		if now-l.refreshed >= refusalAge {
			l.stale.Store(true)
		}
	}
	if l.word.Load()&waitingBit != 0 {
		l.serve(now)
	}
	l.mu.Unlock()
	if from != to && l.hooks.Limit != nil {
		l.hooks.Limit(from, to)
	}
}

// turn ends the window if it is time, and returns the limits before and after. mu is held.
func (l *Limiter) turn(now time.Duration) (from, to int) {
	w := l.word.Load()
	released := (countOf(w) - l.meter.count) & (countRange - 1)
	if !l.meter.due(now) {
		if released > countRange/2 { // before it wraps around
			l.done += released
			l.meter.began, l.meter.count = now, countOf(w)
		}
		return 0, 0
	}
	l.done += released
	drops := int(l.drops.Swap(0))
	l.meter.limited = l.limited.Swap(false) || l.meter.limited || l.room.size > 0
	l.last = l.meter.close(now, countOf(w), drops, float64(limitOf(w)))
	l.epoch.Store(l.meter.epoch)
	l.room.pace, l.room.need = l.last.throughput(), l.last.P90
	every := uint64(1)
	for every < sparsest && every*meterFresh < released/2 {
		every *= 2
	}
	l.mask.Store(every - 1)
	if l.fixed {
		return 0, 0
	}
	return l.set(l.algorithm.Step(l.last))
}

// set changes the limit.
func (l *Limiter) set(limit float64) (from, to int) {
	if math.IsNaN(limit) {
		return 0, 0
	}
	next := uint64(min(max(math.Round(limit), l.least), l.most))
	for {
		w := l.word.Load()
		if l.word.CompareAndSwap(w, w&^(unitMask<<limitShift)|next<<limitShift) {
			return int(limitOf(w)), int(next)
		}
	}
}

// Do runs fn with a permit, or returns the error of [Limiter.Acquire]. It releases the permit when fn
// returns, panics or calls [runtime.Goexit]: as [Done] if fn returns nil, as [Dropped] if it does
// not return, or the error matches [ErrOverload] or [context.DeadlineExceeded], and as [Ignored]
// after other errors, which often come sooner than the work would have taken.
func (l *Limiter) Do(ctx context.Context, fn func(context.Context) error) error {
	p, err := l.Acquire(ctx)
	if err != nil {
		return err
	}
	outcome := Dropped
	defer func() { p.Release(outcome) }()
	err = fn(ctx)
	outcome = outcomeOf(err)
	return err
}

func outcomeOf(err error) Outcome {
	switch {
	case err == nil:
		return Done
	case errors.Is(err, ErrOverload), errors.Is(err, context.DeadlineExceeded):
		return Dropped
	}
	return Ignored
}

// LimiterStats is what a [Limiter] does now and has done so far.
type LimiterStats struct {
	Limit, InFlight, Waiting int

	Admitted uint64 // permits given
	Rejected uint64 // refused at once
	Shed     uint64 // waited, and had to make room for others
	Late     uint64 // waited, and the deadline came, or would have before the work was done

	RTT        time.Duration // the mean latency in the last window
	Baseline   time.Duration // the median without a queue in the server, if the algorithm is Little
	QueueDelay time.Duration // how long those waited who got a permit lately
}

// Stats returns what the limiter does now and has done so far.
func (l *Limiter) Stats() LimiterStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.word.Load()
	s := LimiterStats{
		Limit: int(limitOf(w)), InFlight: int(inFlightOf(w)), Waiting: l.room.size,
		Admitted: l.done + (countOf(w)-l.meter.count)&(countRange-1) + inFlightOf(w) - uint64(l.extra.Load()),
		Rejected: l.refused[0].n.Load(), Shed: l.refused[1].n.Load(), Late: l.late + l.refused[2].n.Load(),
		RTT: l.last.Mean, QueueDelay: l.delay,
	}
	if a, ok := l.algorithm.(*Little); ok {
		s.Baseline = a.base
	}
	return s
}
