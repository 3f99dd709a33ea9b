package shard

import (
	"cmp"
	"slices"
)

// raise fills every node to its lower bound with slots of nodes above theirs: of all the moves
// that help, always the one of highest score, so that the outcome is as unique as the matching.
// It stops early only where zones leave no such move. Into kept, unless nil, goes what it did;
// what kept says already of nodes' favorite slots is made use of.
func (m *matching) raise(kept *past) {
	count, missing := 0, 0
	for pos, n := range m.taken {
		if low := m.room.at(pos).low; n < low {
			count++
			missing += int(low - n)
		}
	}
	m.poor = slices.Grow(m.poor[:0], count)
	for pos, n := range m.taken {
		if low := m.room.at(pos).low; n < low {
			m.poor = append(m.poor, pull{m: m, pos: pos, want: 4*int(low-n) + 24, best: kept.top(m.p.node(pos))})
		}
	}
	poor := m.poor
	if kept != nil {
		kept.tops = nil
	}
	if len(poor) == 0 {
		return
	}
	var bare []*pull
	for i := range poor {
		if poor[i].best == nil {
			bare = append(bare, &poor[i])
		}
	}
	parallel(len(bare), len(bare)*m.p.slots, func(from, to int) { m.list(bare[from:to]) })
	if kept != nil {
		kept.raised = make([]raised, 0, missing)
	}
	for {
		var best *pull
		for i := range poor {
			if q := &poor[i]; m.taken[q.pos] < m.room.at(q.pos).low && q.head() &&
				(best == nil || m.p.beats(q.pos, q.u, best.pos, best.u)) {
				best = q
			}
		}
		if best == nil {
			break
		}
		s := best.best[best.next]
		if kept != nil {
			kept.raised = append(kept.raised, raised{s, m.p.node(int(m.out[s]))})
		}
		m.taken[m.out[s]]--
		m.taken[best.pos]++
		m.out[s] = uint16(best.pos)
	}
	if kept != nil {
		kept.tops = make([]top, len(poor))
		for i, q := range poor {
			kept.tops[i] = top{m.p.node(q.pos), q.best}
		}
		slices.SortFunc(kept.tops, func(a, b top) int { return cmp.Compare(a.node, b.node) })
	}
}

// pull lists the slots that a node below its lower bound would like best, a part at a time.
type pull struct {
	m    *matching
	pos  int
	want int      // how many to list
	best []uint32 // that many, best first; fewer if there are no more
	next int      // the first in best that may still come
	at   int      // the one that u is of, plus 1
	u    uint64
}

// head goes on to the next slot that may come and reports whether there is one. A donor at its
// lower bound stays there, and so do slots that have moved to a poor node, so what is passed by
// never comes back.
func (q *pull) head() bool {
	for {
		for ; q.next < len(q.best); q.next++ {
			s := q.best[q.next]
			if o := int(q.m.out[s]); q.m.taken[o] > q.m.room.at(o).low {
				if q.at != q.next+1 {
					q.at, q.u = q.next+1, q.m.p.pair(s, q.pos)
				}
				return true
			}
		}
		if len(q.best) >= q.m.p.slots || q.want > len(q.best) && q.want > q.m.p.slots {
			return false
		}
		q.want = 4 * max(q.want, len(q.best))
		q.m.list([]*pull{q})
	}
}

// list fills in the best slots of each pull. They are a function of the slots and the node alone,
// save for the zones that later ranks must keep to.
func (m *matching) list(pulls []*pull) {
	const block = 256
	var as, bs [block]uint64
	c := m.newScope()
	tops := make([][]offer, len(pulls)) // heaps, the worst on top, once they are full
	for i, q := range pulls {
		tops[i] = make([]offer, 0, min(q.want, m.p.slots))
	}
	floors := make([]uint64, len(pulls)) // what an offer must reach
	for from := 0; from < m.p.slots; from += block {
		n := min(block, m.p.slots-from)
		for i := range n {
			as[i], bs[i] = m.p.slotHash(uint32(from + i))
		}
		for k, q := range pulls {
			h := m.p.hash[q.pos]
			for i := 0; i < block; i += 4 {
				u0, u1 := (as[i]^h)*bs[i], (as[i+1]^h)*bs[i+1]
				u2, u3 := (as[i+2]^h)*bs[i+2], (as[i+3]^h)*bs[i+3]
				if max(u0, u1, u2, u3) < floors[k] { // nearly always
					continue
				}
				for j, u := range [4]uint64{u0, u1, u2, u3} {
					if u >= floors[k] && i+j < n {
						tops[k], floors[k] = m.offer(c, q, tops[k], offer{u, uint32(from + i + j)})
					}
				}
			}
		}
	}
	for k, q := range pulls {
		slices.SortFunc(tops[k], func(a, b offer) int {
			return cmp.Or(cmp.Compare(b.u, a.u), cmp.Compare(a.slot, b.slot))
		})
		q.best = make([]uint32, len(tops[k]))
		for i, o := range tops[k] {
			q.best[i] = o.slot
		}
		if len(q.best) < q.want { // there are no more
			q.want = m.p.slots + 1
		}
	}
}

// offer puts a slot among the best so far, a heap with the worst on top once it is full, and returns
// what the next must reach.
func (m *matching) offer(c *scope, q *pull, top []offer, o offer) ([]offer, uint64) {
	full := len(top) == cap(top)
	eligible, held := c.enter(o.slot)
	switch {
	case full && !top[0].worse(o):
	case eligible != nil && (!eligible[m.p.leaves[q.pos]] || slices.Contains(held, uint16(q.pos))):
	case full:
		top[0] = o
		sink(top, 0)
	default:
		if top = append(top, o); len(top) == cap(top) {
			heapify(top)
		}
	}
	if len(top) < cap(top) {
		return top, 0
	}
	return top, top[0].u
}
