package backpressure

import (
	"math/rand/v2"
	"time"
)

// Admission is a [Limiter] whose clock the caller turns, and at which nobody blocks: the same code,
// for simulators. Package loadsim runs it. All its randomness is drawn from a seed, so the same calls
// give the same answers. Make one with [NewAdmission]; it is for one goroutine.
type Admission struct {
	l   *Limiter
	now time.Duration
}

// Request is what an [Admission] is asked for.
type Request struct {
	Tenant   string
	Priority int
	Cost     int64         // 0 means 1
	Deadline time.Duration // on the caller's clock; 0 means none
}

// NewAdmission makes an Admission for the options of [NewLimiter].
func NewAdmission(seed uint64, opts ...LimiterOption) *Admission {
	a := &Admission{l: NewLimiter(opts...)}
	a.l.clock = func() time.Duration { return a.now + 1 }
	a.l.room.hash = func(tenant string) uint64 { return hashString(0, tenant) }
	a.l.draw = rand.New(rand.NewPCG(seed, 0)).Float64
	return a
}

// Ask asks for a permit at time now, which must not be before that of any earlier call. answer is
// called once, now or during a later call, with the permit or an error, and must not use the
// Admission. The function that Ask returns gives up, at the time that it is given: answer is not
// called any more then. It does nothing once answer was called.
func (a *Admission) Ask(now time.Duration, r Request, answer func(Permit, error)) (giveUp func(now time.Duration)) {
	a.now = now
	q := request{tenant: r.Tenant, priority: r.Priority, cost: r.Cost}
	if r.Cost == 0 {
		q.cost = 1
	}
	if err := q.check(); err != nil {
		answer(Permit{}, err)
		return func(time.Duration) {}
	}
	if p, ok := a.l.take(q.cost, waitingBit); ok {
		answer(p, nil)
		return func(time.Duration) {}
	}
	if a.l.room.most == 0 {
		answer(Permit{}, a.l.refuse())
		return func(time.Duration) {}
	}
	deadline := never
	if r.Deadline != 0 {
		deadline = r.Deadline
	}
	g := &guest{answer: func(g *guest) { answer(g.permit, g.err) }}
	a.l.ask(g, q, deadline)
	return func(now time.Duration) {
		a.now = now
		a.l.giveUp(g, true)
	}
}

// Release releases a permit at time now.
func (a *Admission) Release(now time.Duration, p Permit, o Outcome) {
	a.now = now
	p.Release(o)
}

// Stats returns what the limiter does at time now and has done so far.
func (a *Admission) Stats() LimiterStats { return a.l.Stats() }
