package backpressure

import (
	"hash/maphash"
	"time"
)

// room is where callers wait for a Limiter: a pure core, which is told the time. It is a [line] with
// priorities as levels and fair by tenant, that knows how fast it moves.
//
// First come, first served is best as long as everybody is served in time, and it keeps a reserve of
// work for a lull. Where more wait than can be served in time it is the worst: all of them come late.
// So from then on the newest is served first, who has the best chance. Those whose work would most
// probably not be done in time are not let in at all. Where callers have no deadline, a line that has
// not been empty for a tenth of a second is taken for one that will not be.
type room struct {
	line[*guest]
	most int // may wait
	hash func(tenant string) uint64

	pace float64       // permits a second
	need time.Duration // what the work takes, in nine of ten cases
}

// guest waits for a permit.
type guest struct {
	entry[*guest]
	cost    int64
	waiting bool

	answer func(*guest) // tells it that permit or err is set; nil: signal does
	signal chan struct{}
	permit Permit
	err    error
}

const roomAfter = 100 * time.Millisecond

func (r *room) init(most int, drop func(*guest, Reason)) {
	r.most = most
	seed := maphash.MakeSeed() // nobody can make tenants collide on purpose
	r.hash = func(tenant string) uint64 { return maphash.String(seed, tenant) }
	r.fair, r.after = true, roomAfter
	r.line.drop = func(e *entry[*guest], why Reason) {
		e.value.waiting = false
		drop(e.value, why)
	}
}

// add lets g wait, or says that there is no room. Others may have to go for it.
func (r *room) add(g *guest, q request, deadline, now time.Duration) bool {
	g.value, g.cost = g, q.cost
	g.terms = terms{level: q.priority, tenant: r.hash(q.tenant), share: 1, cost: 1, deadline: deadline}
	g.at = now
	if r.size >= r.most && !r.makeRoom(&g.entry, int64(r.most), now, true, true) {
		return false
	}
	r.line.add(&g.entry)
	g.waiting = true
	return true
}

// next is whom to serve next, who stays until served or removed. It drops those who would be late.
func (r *room) next(now time.Duration) *guest {
	for _, t := range r.tiers {
		for t.size > 0 {
			f := t.head()
			r.expire(f, now)
			if f.size == 0 {
				continue
			}
			if e := r.choose(t, f, now); e.deadline-now >= r.need/5 {
				return e.value
			}
			r.discard(f.last, Late) // and whoever came before it has less time left
		}
	}
	return nil
}

// choose returns the oldest of f that has time enough, or the newest.
func (r *room) choose(t *tier[*guest], f *flow[*guest], now time.Duration) *entry[*guest] {
	if !r.hopeless(t, f, now) {
		for e := f.first; e != nil; e = e.next {
			if e.deadline-now >= 2*r.need {
				return e
			}
		}
	}
	return f.last
}

// hopeless says whether serving f in order would make its last one late.
func (r *room) hopeless(t *tier[*guest], f *flow[*guest], now time.Duration) bool {
	if f.last.deadline == never {
		return newestFirst(r.after, now, f.since)
	}
	mine := r.pace * float64(f.share) / float64(t.shares)
	return float64(f.last.deadline-now-r.need) < float64(f.size)/mine*float64(time.Second)
}

// serve takes out g, who is next, and charges its tenant.
func (r *room) serve(g *guest) {
	t, f := g.flow.tier, g.flow
	r.remove(g)
	e := entry[*guest]{terms: terms{share: 1, cost: g.cost}}
	t.charge(f, &e)
}

func (r *room) remove(g *guest) {
	r.line.remove(&g.entry)
	g.waiting = false
}
