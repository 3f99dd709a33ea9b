package shard

import (
	"math"
	"sync/atomic"
)

// Loads counts the requests that each node of a map has in flight, for [Map.Pick].
// Make one with [NewLoads]. It is safe for concurrent use and takes no locks.
type Loads struct {
	m      *Map
	counts []*atomic.Int64          // by node
	byID   map[string]*atomic.Int64 // the same, and those of nodes that left with requests in flight
	share  []float64                // of each node's weight
	total  *atomic.Int64
}

// NewLoads returns loads of zero for the nodes of m.
func NewLoads(m *Map) *Loads {
	return (&Loads{total: new(atomic.Int64)}).For(m)
}

// For returns loads for the next map that go on counting what is in flight: a request picked by one
// may be done by the other. Requests to nodes that have left count in the total until they are done.
func (l *Loads) For(next *Map) *Loads {
	n := &Loads{m: next, total: l.total, byID: map[string]*atomic.Int64{}}
	for id, c := range l.byID {
		if c.Load() != 0 || next.Node(id) != nil {
			n.byID[id] = c
		}
	}
	sum := 0.0
	for i, w := range relative(next.nodes) {
		c := n.byID[next.nodes[i].ID]
		if c == nil {
			c = new(atomic.Int64)
			n.byID[next.nodes[i].ID] = c
		}
		n.counts = append(n.counts, c)
		n.share = append(n.share, float64(w))
		sum += float64(w)
	}
	for i := range n.share {
		n.share[i] /= sum
	}
	return n
}

// Load returns how many requests a node has in flight, 0 for a node that is not there.
func (l *Loads) Load(id string) int64 {
	if c := l.byID[id]; c != nil {
		return c.Load()
	}
	return 0
}

// Done ends a request that [Map.Pick] gave to a node. Call it once for each.
func (l *Loads) Done(n *Node) {
	if c := l.byID[n.ID]; c != nil {
		c.Add(-1)
	}
	l.total.Add(-1)
}

// Pick returns a node for a request, counts it there, and lets no node have more than 1+eps times
// its fair share of what is in flight, rounded up: consistent hashing with bounded loads (Mirrokni,
// Thorup and Zadimoghaddam 2018). It prefers the owners of the key, in their order, and then the
// others in an order that depends on the key alone, so that the spill of a hot key stays put.
// The caller must call [Loads.Done] with the node. eps below 0 or NaN counts as 0; an infinite one
// is no bound.
//
// The bound holds for each pick, also under concurrent use: a request is counted by the same atomic
// operation that checks the bound, against a total that includes it.
// It panics if inflight was not made for this map; see [Loads.For].
func (m *Map) Pick(key string, inflight *Loads, eps float64) *Node {
	if inflight.m != m {
		panic("shard: Pick with the loads of another map; use Loads.For")
	}
	if !(eps > 0) {
		eps = 0
	}
	total := float64(inflight.total.Add(1)) * (1 + eps)
	h := hash(key, m.seed)
	slot := int(Slot(h>>(m.shift&63)) & m.last)
	for i := slot; i < len(m.owners); i += m.slots {
		if n := int(m.owners[i]); inflight.take(n, total) {
			return &m.nodes[n]
		}
	}
	for range 2 * len(m.nodes) {
		h = mix(h, k3)
		if n := int(m.first[h>>(m.shift&63)]); inflight.take(n, total) {
			return &m.nodes[n]
		}
	}
	// The odds of coming here are small; some node has room, as the bounds add up to the total.
	start := int(h % uint64(len(m.nodes)))
	for {
		for i := range m.nodes {
			if n := (start + i) % len(m.nodes); inflight.take(n, total) {
				return &m.nodes[n]
			}
		}
		// Others took what was free; their total is higher than ours was, and so are the bounds.
		total = float64(inflight.total.Load()) * (1 + eps)
	}
}

// take counts a request at node n if it stays within the bound for a total.
func (l *Loads) take(n int, total float64) bool {
	bound := int64(math.Ceil(min(total*l.share[n]-1e-9, 1<<62)))
	for {
		v := l.counts[n].Load()
		if v >= max(bound, 1) {
			return false
		}
		if l.counts[n].CompareAndSwap(v, v+1) {
			return true
		}
	}
}
