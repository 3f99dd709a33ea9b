package shard

import (
	"cmp"
	"math/bits"
	"slices"
)

// past is what a map with one replica remembers of its matching, beside the table, so that the
// map of other nodes can be made from it. It is never changed once the map is made.
type past struct {
	logs   *logs
	first  []uint64 // a bit for each slot known to be with the node it likes best of all
	raised []raised // slots that the lower bounds moved away from where the matching had them
	tops   []top    // by node: the slots that nodes below their lower bounds like best
}

type raised struct {
	slot uint32
	from uint16 // node
}

type top struct {
	node uint16
	best []uint32
}

// top returns the slots that a node likes best, nil if they are not known.
func (k *past) top(node uint16) []uint32 {
	if k == nil {
		return nil
	}
	i, ok := slices.BinarySearchFunc(k.tops, node, func(t top, n uint16) int { return cmp.Compare(t.node, n) })
	if !ok {
		return nil
	}
	return k.tops[i].best
}

func (k *past) clear(s uint32) { k.first[s>>6] &^= 1 << (s & 63) }
func (k *past) set(s uint32)   { k.first[s>>6] |= 1 << (s & 63) }

// vary returns the map of other nodes, which are sorted and checked, or nil if it has to be built
// from nothing. It goes on from the stable matching of m.
//
// Scores are the same for both sides, so resolving blocking pairs in any order ends at the one
// stable matching. Three things happen, each only where it must. Where there is room that was not
// there before, in new nodes and in nodes that were full, the slots come that would rather be there;
// what they leave may be room of that kind again. Slots without a node, or refused because a bound
// has fallen, propose as they do in [matching.run]. And lower bounds are seen to anew.
func (m *Map) vary(nodes []Node) *Map {
	if m.past == nil || m.cfg.slotsFor(len(nodes)) != m.slots {
		return nil
	}
	p := newPlacement(nodes, m.cfg, m.past.logs)
	v := &variation{
		matching: matching{p: p, out: make([]uint16, m.slots), room: p.spans(1), taken: make([]int32, len(nodes))},
		past:     past{logs: p.logs, first: slices.Clone(m.past.first)},
		index:    make([]uint16, len(nodes)),
	}
	if p.logs == nil {
		v.past.logs = m.past.logs
	}
	added := v.adopt(m)
	v.evict()
	v.open(m, added)
	clear(v.limits) // some were of nodes that have room again
	for len(v.pending) > 0 {
		v.propose()
		v.evict()
	}
	v.raise(&v.past)
	if p.order != nil {
		for s, pos := range v.out {
			v.out[s] = p.order[pos]
		}
	}
	next := newMap(nodes, m.cfg, m.slots, v.out)
	next.past, next.held = &v.past, p.byNode(v.taken)
	return next
}

// variation is a matching on its way from one set of nodes to another.
type variation struct {
	matching
	past
	to      []uint16 // from old nodes to positions
	pending []uint32 // slots without a node
	limits  []uint64 // by position, the number of a full node's worst slot
	over    []int    // nodes with more than they have room for
	index   []uint16 // by position: of over, plus 1; and then of doors, plus 1
	doors   []*door
}

// door is a node with room for slots that would rather be there.
type door struct {
	pos  int
	bids []bid // of slots that preferred it when it was opened, best first
	next int
}

type bid struct {
	slot uint32
	door uint16
}

// adopt takes over the old matching, as it was before slots were raised, and returns the positions
// of nodes that are new.
func (v *variation) adopt(m *Map) (added []int) {
	p := v.p
	at := make([]uint16, 0) // from new nodes to positions
	if p.order != nil {
		at = make([]uint16, len(p.order))
		for pos, n := range p.order {
			at[n] = uint16(pos)
		}
	}
	v.to = make([]uint16, len(m.nodes))
	known, i := make([]top, 0, len(m.past.tops)), 0
	for j := range p.nodes {
		for ; i < len(m.nodes) && m.nodes[i].ID < p.nodes[j].ID; i++ {
			v.to[i] = nobody
		}
		pos := j
		if p.order != nil {
			pos = int(at[j])
		}
		if i < len(m.nodes) && m.nodes[i].ID == p.nodes[j].ID {
			v.to[i] = nobody
			if best := m.past.top(uint16(i)); best != nil {
				known = append(known, top{uint16(j), best})
			}
			if m.nodes[i].Weight == p.nodes[j].Weight {
				v.to[i] = uint16(pos)
				i++
				continue
			}
			i++
		}
		added = append(added, pos)
	}
	for ; i < len(m.nodes); i++ {
		v.to[i] = nobody
	}
	v.tops = known

	for s, o := range m.owners {
		v.out[s] = v.to[o]
	}
	for _, r := range m.past.raised {
		v.out[r.slot] = v.to[r.from]
	}
	for s, pos := range v.out {
		if pos == nobody {
			v.clear(uint32(s))
			v.pending = append(v.pending, uint32(s))
			continue
		}
		v.taken[pos]++
	}
	return added
}

// evict takes from every node what exceeds its room, its worst slots, and sets its limit.
func (v *variation) evict() {
	over, all := v.over[:0], 0
	for pos, n := range v.taken {
		if more := n - v.room.at(pos).high; more > 0 {
			over = append(over, pos)
			all += int(more) + 1
		}
	}
	v.over = over
	if len(over) == 0 {
		return
	}
	if v.limits == nil {
		v.limits = make([]uint64, len(v.taken))
	}
	// Of each the worst, and the one after them, in a heap with the best of them on top: numbers
	// turned around make it the heap that there is.
	worst, memory := make([][]offer, len(over)), make([]offer, all)
	which := v.index
	for i, pos := range over {
		n := v.taken[pos] - v.room.at(pos).high + 1
		worst[i], memory = memory[:0:n], memory[n:]
		which[pos] = uint16(i + 1)
	}
	for s, pos := range v.out {
		if int(pos) >= len(which) || which[pos] == 0 { // nobody is past the end
			continue
		}
		i := which[pos] - 1
		o := offer{^v.p.pair(uint32(s), int(pos)), ^uint32(s)}
		h := worst[i]
		switch {
		case len(h) < cap(h):
			if h = append(h, o); len(h) == cap(h) {
				heapify(h)
			}
			worst[i] = h
		case h[0].worse(o):
			h[0] = o
			sink(h, 0)
		}
	}
	for i, pos := range over {
		which[pos] = 0
		// The top is the worst that stays.
		v.limits[pos] = ^worst[i][0].u
		for _, o := range worst[i][1:] {
			s := ^o.slot
			v.out[s] = nobody
			v.clear(s)
			v.pending = append(v.pending, s)
			v.taken[pos]--
		}
	}
}

// open lets slots come that would rather be where there was no room before.
func (v *variation) open(m *Map, added []int) {
	for _, pos := range added {
		v.door(pos)
	}
	v.scan(v.doors, false)
	before := flatSpans(m.nodes, m.slots, m.cfg.slack)
	fresh := len(v.doors)
	for i, pos := range v.to {
		if pos == nobody {
			continue
		}
		if n := v.taken[pos]; n == before.at(i).high && n < v.room.at(int(pos)).high {
			v.door(int(pos))
		}
	}
	v.scan(v.doors[fresh:], true)
	for wave := slices.Clone(v.doors); len(wave) > 0; {
		opened := len(v.doors)
		for len(wave) > 0 {
			d := wave[len(wave)-1]
			wave = wave[:len(wave)-1]
			for d.next < len(d.bids) && v.taken[d.pos] < v.room.at(d.pos).high {
				s := d.bids[d.next].slot
				d.next++
				old := int(v.out[s])
				if !v.p.beats(d.pos, v.p.pair(s, d.pos), old, v.p.pair(s, old)) {
					continue // it has gone to one that is better still
				}
				if v.taken[old] == v.room.at(old).high { // others may have been refused there
					switch i := int(v.index[old]); {
					case i == 0:
						v.door(old)
					case i <= opened:
						wave = append(wave, v.doors[i-1])
					}
				}
				v.taken[old]--
				v.taken[d.pos]++
				v.out[s] = uint16(d.pos)
			}
		}
		v.scan(v.doors[opened:], true)
		wave = append(wave, v.doors[opened:]...)
	}
	// A slot that a new node has refused is not with the one it likes best.
	for _, d := range v.doors[:len(added)] {
		for _, b := range d.bids {
			if int(v.out[b.slot]) != d.pos {
				v.recheck(b.slot)
			}
		}
	}
	for _, d := range v.doors {
		v.index[d.pos] = 0
	}
}

// door opens a node.
func (v *variation) door(pos int) {
	v.doors = append(v.doors, &door{pos: pos})
	v.index[pos] = uint16(len(v.doors))
}

// recheck sees whether a slot is where it likes best.
func (v *variation) recheck(s uint32) {
	if int(v.out[s]) == v.p.best(s, nil, nil, nil) {
		v.set(s)
	} else {
		v.clear(s)
	}
}

// scan lists for each door the slots that prefer it to where they are: of all, or only of those
// that are not known to be where they like it best.
func (v *variation) scan(doors []*door, unsure bool) {
	if len(doors) == 0 {
		return
	}
	p, bids := v.p, make([]bid, 0, 128)
	for w, known := range v.first {
		if !unsure {
			known = 0
		}
		for left := ^known; left != 0; left &= left - 1 {
			s := uint32(w<<6 | bits.TrailingZeros64(left))
			if int(s) >= len(v.out) {
				break
			}
			at := v.out[s]
			if at == nobody {
				continue
			}
			a, b := p.slotHash(s)
			u := (a ^ p.hash[at]) * b
			for i, d := range doors {
				if x := (a ^ p.hash[d.pos]) * b; (p.logs != nil || x >= u) && p.beats(d.pos, x, int(at), u) {
					bids = append(bids, bid{s, uint16(i)})
				}
			}
		}
	}
	slices.SortFunc(bids, func(a, b bid) int {
		if a.door != b.door {
			return cmp.Compare(a.door, b.door)
		}
		pos := doors[a.door].pos
		return cmp.Or(cmp.Compare(p.pair(b.slot, pos), p.pair(a.slot, pos)), cmp.Compare(a.slot, b.slot))
	})
	for i, d := range doors {
		n := 0
		for n < len(bids) && int(bids[n].door) == i {
			n++
		}
		d.bids, bids = bids[:n], bids[n:]
	}
}

// wins reports whether a slot whose number ties with the worst of a node's comes before that one.
func (v *variation) wins(slot uint32, pos int) bool {
	for s, at := range v.out {
		if int(at) == pos && uint32(s) > slot && v.p.pair(uint32(s), pos) == v.limits[pos] {
			return true
		}
	}
	return v.taken[pos] < v.room.at(pos).high
}

// propose places every slot without a node with the best that may take it. Nodes may get more than
// they have room for.
func (v *variation) propose() {
	p := v.p
	if v.limits == nil {
		v.limits = make([]uint64, len(v.taken))
	}
	for _, s := range v.pending {
		a, b := p.slotHash(s)
		best, bestU := -1, uint64(0)
		for i := range p.groups {
			g := &p.groups[i]
			pos, u := -1, uint64(0)
			for j, h := range p.hash[g.from:g.to] {
				if x := (a ^ h) * b; (x > u || pos < 0) && (x > v.limits[g.from+j] || x == v.limits[g.from+j] && v.wins(s, g.from+j)) {
					pos, u = g.from+j, x
				}
			}
			if pos >= 0 && (best < 0 || p.beats(pos, u, best, bestU)) {
				best, bestU = pos, u
			}
		}
		v.out[s] = uint16(best)
		v.taken[best]++
		v.recheck(s)
	}
	v.pending = v.pending[:0]
}
