package shard

import (
	"cmp"
	"math/bits"
	"slices"
	"sync/atomic"
)

// past is what a map with one replica remembers of its matching, beside the table, so that the
// map of other nodes can be made from it. It is never changed once the map is made.
type past struct {
	logs   *logs
	first  []uint64 // a bit for each slot known to be with the node it likes best of all
	raised []raised // slots that the lower bounds moved away from where the matching had them
	tops   []top    // by node: the slots that nodes below their lower bounds like best

	// What it takes to get from one map to another, one for all that come from each other: maps are
	// immutable, but the way to the next is the same work again. Whoever finds none makes one.
	scratch *atomic.Pointer[variation]
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
	v := m.past.scratch.Swap(nil)
	if v == nil {
		v = new(variation)
	}
	v.start(m, nodes)
	v.adopt(m)
	v.evict()
	v.open(m)
	clear(v.limits) // some were of nodes that have room again
	for len(v.pending) > 0 {
		v.propose()
		v.evict()
	}
	v.raise(v.past)
	if v.p.order != nil {
		for s, pos := range v.out {
			v.out[s] = v.p.order[pos]
		}
	}
	next := newMap(nodes, m.cfg, m.slots, v.out)
	next.past, next.held = v.past, v.p.byNode(v.taken)
	v.finish()
	return next
}

// variation is a matching on its way from one set of nodes to another. It is used again: its slices
// keep their memory, save for those that are part of a map.
type variation struct {
	matching
	*past
	place   placement
	added   []int    // positions of nodes that are new
	to      []uint16 // from old nodes to positions
	at      []uint16 // from new nodes to positions
	pending []uint32 // slots without a node
	limits  []uint64 // by position, the number of a full node's worst slot
	over    []int    // nodes with more than they have room for
	worst   [][]offer
	offers  []offer  // that worst is made of
	index   []uint16 // by position: of over, plus 1; and then of doors, plus 1
	doors   []door
	bids    []bid // that doors have
	wave    []int // of doors
	known   []top
}

// door is a node with room for slots that would rather be there.
type door struct {
	bids []bid // of slots that preferred it when it was opened, best first
	pos  int32
	next int32
}

// start prepares for the way from m to other nodes.
func (v *variation) start(m *Map, nodes []Node) {
	v.place.init(nodes, m.cfg, m.past.logs)
	v.p, v.room = &v.place, v.place.spans(1)
	v.out, v.taken = make([]uint16, m.slots), make([]int32, len(nodes))
	v.past = &past{logs: v.place.logs, first: slices.Clone(m.past.first), scratch: m.past.scratch}
	if v.past.logs == nil {
		v.past.logs = m.past.logs
	}
	v.index, v.limits = resize(v.index, len(nodes)), resize(v.limits, len(nodes))
	clear(v.index)
	v.added, v.pending = v.added[:0], v.pending[:0]
	v.doors, v.bids, v.wave = v.doors[:0], v.bids[:0], v.wave[:0]
}

// finish lets go of all that is part of a map, and leaves the rest to the next of them.
func (v *variation) finish() {
	scratch := v.scratch
	clear(v.poor[:cap(v.poor)])
	clear(v.known[:cap(v.known)])
	v.place.nodes, v.place.logs = nil, nil
	v.past, v.out, v.room, v.taken = nil, nil, nil, nil
	scratch.Store(v)
}

// resize returns n elements, of any content, in the memory of s if that will do.
func resize[T any](s []T, n int) []T { return slices.Grow(s[:0], n)[:n] }

type bid struct {
	slot uint32
	door uint16
}

// adopt takes over the old matching, as it was before slots were raised.
func (v *variation) adopt(m *Map) {
	p := v.p
	if p.order != nil {
		v.at = resize(v.at, len(p.order))
		for pos, n := range p.order {
			v.at[n] = uint16(pos)
		}
	}
	v.to = resize(v.to, len(m.nodes))
	v.known = v.known[:0]
	i := 0
	for j := range p.nodes {
		for ; i < len(m.nodes) && m.nodes[i].ID < p.nodes[j].ID; i++ {
			v.to[i] = nobody
		}
		pos := j
		if p.order != nil {
			pos = int(v.at[j])
		}
		if i < len(m.nodes) && m.nodes[i].ID == p.nodes[j].ID {
			v.to[i] = nobody
			if best := m.past.top(uint16(i)); best != nil {
				v.known = append(v.known, top{uint16(j), best})
			}
			if m.nodes[i].Weight == p.nodes[j].Weight {
				v.to[i] = uint16(pos)
				i++
				continue
			}
			i++
		}
		v.added = append(v.added, pos)
	}
	for ; i < len(m.nodes); i++ {
		v.to[i] = nobody
	}
	v.tops = v.known

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
	// Of each the worst, and the one after them, in a heap with the best of them on top: numbers
	// turned around make it the heap that there is.
	v.worst, v.offers = resize(v.worst, len(over)), resize(v.offers, all)
	worst, memory, which := v.worst, v.offers, v.index
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
func (v *variation) open(m *Map) {
	for _, pos := range v.added {
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
	for waiting := 0; waiting < len(v.doors); {
		opened := len(v.doors)
		for ; waiting < opened; waiting++ {
			v.wave = append(v.wave, waiting)
		}
		for len(v.wave) > 0 {
			i := v.wave[len(v.wave)-1]
			v.wave = v.wave[:len(v.wave)-1]
			v.admit(i, opened)
		}
		v.scan(v.doors[opened:], true)
	}
	// A slot that a new node has refused is not with the one it likes best.
	for _, d := range v.doors[:len(v.added)] {
		for _, b := range d.bids {
			if int(v.out[b.slot]) != int(d.pos) {
				v.recheck(b.slot)
			}
		}
	}
	for _, d := range v.doors {
		v.index[d.pos] = 0
	}
}

// admit lets slots in at a door, one of those that have been opened and scanned, while there is room.
// Where they leave room that was not there before, a door is opened, or seen to again.
func (v *variation) admit(door, opened int) {
	d := v.doors[door]
	pos := int(d.pos)
	for int(d.next) < len(d.bids) && v.taken[pos] < v.room.at(pos).high {
		s := d.bids[d.next].slot
		d.next++
		old := int(v.out[s])
		if !v.p.beats(pos, v.p.pair(s, pos), old, v.p.pair(s, old)) {
			continue // it has gone to one that is better still
		}
		if v.taken[old] == v.room.at(old).high { // others may have been refused there
			switch i := int(v.index[old]); {
			case i == 0:
				v.door(old)
			case i <= opened:
				v.wave = append(v.wave, i-1)
			}
		}
		v.taken[old]--
		v.taken[pos]++
		v.out[s] = uint16(pos)
	}
	v.doors[door].next = d.next
}

// door opens a node.
func (v *variation) door(pos int) {
	v.doors = append(v.doors, door{pos: int32(pos)})
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
func (v *variation) scan(doors []door, unsure bool) {
	if len(doors) == 0 {
		return
	}
	p, bids, before := v.p, v.bids, len(v.bids)
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
				if x := (a ^ p.hash[d.pos]) * b; (p.logs != nil || x >= u) && p.beats(int(d.pos), x, int(at), u) {
					bids = append(bids, bid{s, uint16(i)})
				}
			}
		}
	}
	v.bids, bids = bids, bids[before:]
	slices.SortFunc(bids, func(a, b bid) int {
		if a.door != b.door {
			return cmp.Compare(a.door, b.door)
		}
		pos := int(doors[a.door].pos)
		return cmp.Or(cmp.Compare(p.pair(b.slot, pos), p.pair(a.slot, pos)), cmp.Compare(a.slot, b.slot))
	})
	for i := range doors {
		n := 0
		for n < len(bids) && int(bids[n].door) == i {
			n++
		}
		doors[i].bids, bids = bids[:n], bids[n:]
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
