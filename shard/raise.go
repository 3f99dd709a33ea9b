package shard

import (
	"cmp"
	"slices"
)

// raise fills every node to its lower bound with slots of nodes above theirs: of all the moves
// that help, always the one of highest score, so that the outcome is as unique as the matching.
// It stops early only where zones leave no such move.
func (m *matching) raise(lower, taken []int) {
	var poor []*pull
	for pos, n := range taken {
		if n < lower[pos] {
			q := &pull{m: m, pos: pos, want: 4*(lower[pos]-n) + 16}
			for _, g := range m.p.groups {
				if g.from <= pos && pos < g.to {
					q.weight = g.weight
				}
			}
			poor = append(poor, q)
		}
	}
	if len(poor) == 0 {
		return
	}
	gives := func(s uint32) bool { return taken[m.out[s]] > lower[m.out[s]] }
	parallel(len(poor), len(poor)*m.p.slots, func(from, to int) {
		for _, q := range poor[from:to] {
			q.refill(gives)
		}
	})
	for {
		var best *pull
		for _, q := range poor {
			if taken[q.pos] < lower[q.pos] && q.head(gives) && (best == nil || q.beats(best)) {
				best = q
			}
		}
		if best == nil {
			return
		}
		s := best.list[0].slot
		taken[m.out[s]]--
		taken[best.pos]++
		m.out[s] = uint16(best.pos)
	}
}

// pull lists the slots that a node below its lower bound would like best, a part at a time.
type pull struct {
	m      *matching
	pos    int
	weight int64
	want   int     // how many to list the next time
	list   []offer // best first
	score  int64   // of the head
	dry    bool    // there are no more than those in list
}

// head drops candidates that have become impossible from the front and reports whether one is left.
// A donor at its lower bound stays there, and so do slots that have moved to a poor node, so what
// is dropped never comes back.
func (q *pull) head(gives func(uint32) bool) bool {
	for {
		for len(q.list) > 0 && !gives(q.list[0].slot) {
			q.list = q.list[1:]
		}
		if len(q.list) > 0 {
			if l := q.m.p.logs; l != nil {
				q.score = l.gumbel(q.list[0].u) + q.weight
			}
			return true
		}
		if q.dry {
			return false
		}
		q.refill(gives)
	}
}

func (q *pull) beats(o *pull) bool {
	a, b := q.list[0], o.list[0]
	return cmp.Or(cmp.Compare(q.score, o.score), cmp.Compare(a.u, b.u), o.pos-q.pos) > 0
}

// refill lists the best candidates there are.
func (q *pull) refill(gives func(uint32) bool) {
	c := q.m.newScope()
	top := make([]offer, 0, q.want) // a heap, the worst on top, once it is full
	for i := range q.m.p.slots {
		s := uint32(i)
		if !gives(s) {
			continue
		}
		o := offer{q.m.p.pair(s, q.pos), s}
		if len(top) == q.want && !top[0].worse(o) {
			continue
		}
		if eligible, held := c.enter(s); eligible != nil &&
			(!eligible[q.m.p.leaves[q.pos]] || slices.Contains(held, uint16(q.pos))) {
			continue
		}
		if len(top) == q.want {
			top[0] = o
			sink(top, 0)
		} else if top = append(top, o); len(top) == q.want {
			heapify(top)
		}
	}
	slices.SortFunc(top, func(a, b offer) int {
		return cmp.Or(cmp.Compare(b.u, a.u), cmp.Compare(a.slot, b.slot))
	})
	q.list, q.dry, q.want = top, len(top) < q.want, 2*q.want
}
