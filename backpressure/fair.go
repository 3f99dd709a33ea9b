package backpressure

import (
	"cmp"
	"slices"
	"time"
)

const (
	// maxFlows is how many tenants of a level have a line to themselves at a time. Those
	// beyond share so many lines, each tenant the shortest of its hand: a flood of made-up
	// tenants costs neither memory nor time without bound, nor those who were there before.
	maxFlows    = 256
	sharedFlows = 64
	handSize    = 4
)

// entry is one that waits in a line. It belongs to its caller, who sets the first three
// fields and may use it again once it is out.
type entry[T any] struct {
	value T
	terms
	at time.Duration // when it came

	flow       *flow[T] // nil while it is in no line
	prev, next *entry[T]
	why        Reason // it was dropped
}

// terms are what decides about an entry's turn.
type terms struct {
	level    int           // the higher, the earlier
	tenant   uint64        // a hash: who collides shares
	share    int64         // the tenant's weight, at least 1
	cost     int64         // at least 1
	deadline time.Duration // from when on it is too late; never for none
}

// flow is the line of one tenant, or of several that share it, in order of arrival.
type flow[T any] struct {
	tier        *tier[T]
	tenant      uint64 // whose it is
	slot        int    // of a shared one, counted from 1
	first, last *entry[T]
	size        int
	cost        int64         // of all in it
	share       int64         // its tenant's
	start       float64       // when its next one starts, in the tier's virtual time
	seq         uint64        // decides between equal starts: who came first
	index       int           // in the tier's heap
	since       time.Duration // when it was last empty
	codel       codel
}

// tier is all the flows of one level: start-time fair queueing (Goyal, Vin and Cheng,
// SIGCOMM 1996). To serve an entry moves its flow's start on by the entry's cost in
// proportion to its tenant's share; the least start is next. Whatever one tenant brings, of
// two that have something waiting all the time neither gets ahead of the other by more than
// one entry of each.
//
// A flow that ran empty stays until virtual time has reached its start: a tenant that comes
// back at once has not paid less for it.
type tier[T any] struct {
	level  int
	fair   bool
	size   int
	cost   int64
	shares int64   // of the flows that are not empty
	now    float64 // virtual: the start of the flow served last
	seq    uint64
	heap   []*flow[T]
	flows  map[uint64]*flow[T] // if fair, by tenant
	shared []*flow[T]          // nil where there is none
	free   []*flow[T]
}

// far is where virtual time is set back, so that adding to it never loses a cost.
const far = 1 << 40

// flowFor returns the flow of a tenant and makes it if there is none.
func (t *tier[T]) flowFor(tenant uint64) *flow[T] {
	if !t.fair {
		if len(t.heap) == 0 {
			t.open(0)
		}
		return t.heap[0]
	}
	if f := t.flows[tenant]; f != nil {
		return f
	}
	if len(t.flows) < maxFlows {
		f := t.open(tenant)
		t.flows[tenant] = f
		return f
	}
	if t.shared == nil {
		t.shared = make([]*flow[T], sharedFlows)
	}
	var hand [handSize]int
	deal(tenant, sharedFlows, hand[:])
	best := slices.MinFunc(hand[:], func(i, j int) int { return cmp.Compare(t.backlog(i), t.backlog(j)) })
	if t.shared[best] == nil {
		f := t.open(tenant)
		f.slot, t.shared[best] = best+1, f
	}
	return t.shared[best]
}

func (t *tier[T]) backlog(slot int) int64 {
	if f := t.shared[slot]; f != nil {
		return f.cost
	}
	return 0
}

func (t *tier[T]) open(tenant uint64) *flow[T] {
	var f *flow[T]
	if n := len(t.free); n > 0 {
		f, t.free = t.free[n-1], t.free[:n-1]
	} else {
		f = new(flow[T])
	}
	t.seq++
	*f = flow[T]{tier: t, tenant: tenant, start: t.now, seq: t.seq, index: len(t.heap)}
	t.heap = append(t.heap, f)
	t.fix(f.index)
	return f
}

func (t *tier[T]) add(f *flow[T], e *entry[T]) {
	if f.size == 0 {
		f.since, f.share = e.at, e.share
		t.shares += f.share
	}
	e.flow, e.prev, e.next = f, f.last, nil
	if f.last != nil {
		f.last.next = e
	} else {
		f.first = e
	}
	f.last = e
	f.size++
	f.cost += e.cost
	t.size++
	t.cost += e.cost
}

func (t *tier[T]) remove(e *entry[T]) {
	f := e.flow
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		f.first = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		f.last = e.prev
	}
	e.flow, e.prev, e.next = nil, nil, nil
	f.size--
	f.cost -= e.cost
	t.size--
	t.cost -= e.cost
	if f.size == 0 {
		t.shares -= f.share
	}
	if t.size == 0 && t.fair {
		t.rest()
	}
}

// rest ends a busy period: nobody waits, so nobody is owed anything.
func (t *tier[T]) rest() {
	t.now = 0
	t.free = append(t.free, t.heap...)
	t.heap = t.heap[:0]
	clear(t.flows)
	clear(t.shared)
}

// head returns the flow whose turn it is. There is one that is not empty.
func (t *tier[T]) head() *flow[T] {
	for {
		f := t.heap[0]
		if f.size > 0 || !t.fair {
			return f
		}
		// Empty, and virtual time has reached it.
		t.now = f.start
		if f.slot == 0 {
			delete(t.flows, f.tenant)
		} else {
			t.shared[f.slot-1] = nil
		}
		last := len(t.heap) - 1
		t.swap(0, last)
		t.heap = t.heap[:last]
		t.free = append(t.free, f)
		t.fix(0)
	}
}

// charge moves on the flow that e was just served from.
func (t *tier[T]) charge(f *flow[T], e *entry[T]) {
	if !t.fair || t.size == 0 {
		return
	}
	t.now = f.start
	f.start += float64(e.cost) / float64(e.share)
	t.fix(f.index)
	if t.now > far {
		for _, f := range t.heap {
			f.start -= t.now
		}
		t.now = 0
	}
}

// heaviest returns the flow that holds most in proportion to its share. There is one that
// is not empty.
func (t *tier[T]) heaviest() *flow[T] {
	return slices.MaxFunc(t.heap, func(a, b *flow[T]) int { return cmp.Compare(a.load(), b.load()) })
}

func (f *flow[T]) load() float64 {
	if f.size == 0 {
		return -1
	}
	return float64(f.cost) / float64(f.share)
}

// The heap has the least start on top.

func (t *tier[T]) less(i, j int) bool {
	a, b := t.heap[i], t.heap[j]
	return a.start < b.start || a.start == b.start && a.seq < b.seq
}

func (t *tier[T]) swap(i, j int) {
	t.heap[i], t.heap[j] = t.heap[j], t.heap[i]
	t.heap[i].index, t.heap[j].index = i, j
}

// fix restores the order after the start of the flow at i has changed.
func (t *tier[T]) fix(i int) {
	for i > 0 && t.less(i, (i-1)/2) {
		t.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(t.heap); child++ {
			if t.less(child, least) {
				least = child
			}
		}
		if least == i {
			return
		}
		t.swap(i, least)
		i = least
	}
}
