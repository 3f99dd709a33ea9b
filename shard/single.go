package shard

import "math/bits"

// single finishes a rebalance with one replica, where any node may have any slot. Then the fewest
// moves are known beforehand: everyone keeps what fits its bounds, and the rest goes to whoever
// needs it most. It costs a look at each slot, and a logarithm of the nodes for each move.
func (r *rebalance) single(m *Map) (*Map, Plan) {
	over, missing := 0, 0
	for i, n := range r.held {
		over += max(n-r.high[i], 0)
		missing += max(r.low[i]-n, 0)
	}
	touched := make([]uint64, (len(r.table)+63)/64) // a bit for each slot
	given := 0
	q := newNeeds(r)
	give := func(s int) {
		touched[s>>6] |= 1 << (s & 63)
		given++
		to := q.take()
		if r.held[to] < r.low[to] {
			missing--
		}
		r.put(s, to)
		q.sink(0)
	}
	if r.vacant > 0 {
		for s, n := range r.table {
			if n == nobody {
				give(s)
			}
		}
	}
	if over > 0 {
		q.refill()
		for s, n := range r.table {
			if r.held[n] > r.high[n] {
				give(s)
				if over--; over == 0 {
					break
				}
			}
		}
	}
	// Whoever is below its bound takes, first from nodes above their fair share, then from any that
	// stay at their lower bound.
	for _, floor := range [][]int{r.fair, r.low} {
		q.refill()
		for s, n := range r.table {
			if missing == 0 {
				break
			}
			if r.held[n] > floor[n] {
				give(s)
			}
		}
	}

	next := newMap(r.nodes, r.cfg, m.slots, r.table)
	next.held = make([]int32, len(r.held))
	for i, n := range r.held {
		next.held[i] = int32(n)
	}
	plan := Plan{old: m, new: next, Lower: r.least()}
	plan.Moves = make([]Move, 0, given)
	for w, left := range touched {
		for ; left != 0; left &= left - 1 {
			s := w<<6 | bits.TrailingZeros64(left)
			// None comes back to where it was: what gave has all that it needs.
			plan.Moves = append(plan.Moves, Move{Slot: Slot(s), From: m.nodes[m.owners[s]].ID, To: r.nodes[r.table[s]].ID})
		}
	}
	plan.all = len(plan.Moves)
	return next, plan
}

// needs is a heap of nodes, the neediest on top; of equals the first. Only the needs of those on top
// change while it is used: they take, others may only give.
type needs struct {
	r     *rebalance
	nodes []uint16
}

func newNeeds(r *rebalance) *needs {
	q := &needs{r: r, nodes: make([]uint16, len(r.nodes))}
	for i := range q.nodes {
		q.nodes[i] = uint16(i)
	}
	q.refill()
	return q
}

func (q *needs) refill() {
	for i := len(q.nodes)/2 - 1; i >= 0; i-- {
		q.sink(i)
	}
}

func (q *needs) take() int { return int(q.nodes[0]) }

func (q *needs) sink(i int) {
	for {
		c := 2*i + 1
		if c >= len(q.nodes) {
			return
		}
		if c+1 < len(q.nodes) && q.before(c+1, c) {
			c++
		}
		if !q.before(c, i) {
			return
		}
		q.nodes[i], q.nodes[c] = q.nodes[c], q.nodes[i]
		i = c
	}
}

func (q *needs) before(i, j int) bool {
	a, b := int(q.nodes[i]), int(q.nodes[j])
	x, y := q.r.need(a), q.r.need(b)
	return x > y || x == y && a < b
}
