package shard

// matching is deferred acceptance between slots and nodes for one replica rank.
type matching struct {
	p     *placement
	out   []uint16 // the owner of each slot at this rank, by position
	table []uint16 // all ranks
	rank  int
	room  spans    // by position, what each may hold at this rank
	taken []int32  // what it holds
	liked []uint64 // with one replica: a bit for each slot whose owner is the one it likes best
	poor  []pull   // see raise
}

// offer is a slot that a node holds, with the pair's number. Within one node, numbers order
// slots as scores do.
type offer struct {
	u    uint64
	slot uint32
}

func (o offer) worse(b offer) bool { return o.u < b.u || o.u == b.u && o.slot > b.slot }

// scope is what a slot may choose from at this rank.
type scope struct {
	m        *matching
	used     []int
	eligible []bool
	held     []uint16
}

func (m *matching) newScope() *scope {
	return &scope{
		m: m, used: make([]int, len(m.p.zones)), eligible: make([]bool, len(m.p.zones)),
		held: make([]uint16, 0, m.rank),
	}
}

// enter points the scope at a slot: the positions that hold it already, and the zones where its
// next replica may go. It returns nil zones for the first rank, where all are eligible.
func (c *scope) enter(slot uint32) ([]bool, []uint16) {
	m := c.m
	if m.rank == 0 {
		return nil, nil
	}
	clear(c.used)
	clear(c.eligible)
	c.held = c.held[:0]
	for r := range m.rank {
		pos := m.table[r*m.p.slots+int(slot)]
		c.held = append(c.held, pos)
		for z := m.p.leaves[pos]; z >= 0; z = m.p.zones[z].parent {
			c.used[z]++
		}
	}
	m.p.zones.eligible(0, c.used, c.eligible)
	return c.eligible, c.held
}

// run matches slots with nodes that take up to their room, writes the matches to out, sets taken
// and returns the slots that no node took.
//
// The result is the unique stable matching: it depends neither on the order of the slots nor on
// the order of the proposals, so slots first choose in parallel, and a refused slot goes straight
// to the best node that would take it, past those that are full of better ones.
func (m *matching) run() (rest []uint32) {
	p := m.p
	seats := make([]seat, len(p.nodes))
	var closed []seat // nil if every node has a seat
	for i := range seats {
		if seats[i] = anySeat(); m.room.at(i).high == 0 {
			seats[i] = noSeat()
			closed = seats
		}
	}
	first := make([]int32, p.slots)
	parallel(p.slots, p.slots*len(seats), func(from, to int) {
		c := m.newScope()
		for s := from; s < to; s++ {
			eligible, held := c.enter(uint32(s))
			first[s] = int32(p.best(uint32(s), eligible, held, closed))
		}
	})

	count := make([]int, len(seats))
	for _, pos := range first {
		if pos >= 0 {
			count[pos]++
		}
	}
	// Only full nodes need their slots in a heap, the worst on top.
	heaps := make([][]offer, len(seats))
	for i, n := range count {
		if n > 0 {
			heaps[i] = make([]offer, 0, max(n, min(int(m.room.at(i).high), n+n/8)))
		}
	}
	for s, pos := range first {
		if pos < 0 {
			rest = append(rest, uint32(s))
			continue
		}
		heaps[pos] = append(heaps[pos], offer{p.pair(uint32(s), int(pos)), uint32(s)})
	}
	var pending []uint32
	for i := range heaps {
		if room := int(m.room.at(i).high); room > 0 && len(heaps[i]) >= room {
			heapify(heaps[i])
			for len(heaps[i]) > room {
				pending = append(pending, heaps[i][0].slot)
				heaps[i] = pop(heaps[i])
			}
			seats[i] = seat{heaps[i][0].u, heaps[i][0].slot}
		}
	}
	c := m.newScope()
	for len(pending) > 0 {
		slot := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		eligible, held := c.enter(slot)
		pos := p.best(slot, eligible, held, seats)
		if pos < 0 {
			rest = append(rest, slot)
			continue
		}
		o := offer{p.pair(slot, pos), slot}
		if room := int(m.room.at(pos).high); len(heaps[pos]) < room {
			heaps[pos] = append(heaps[pos], o)
			if len(heaps[pos]) < room {
				continue
			}
			heapify(heaps[pos])
		} else {
			pending = append(pending, heaps[pos][0].slot)
			heaps[pos][0] = o
			sink(heaps[pos], 0)
		}
		seats[pos] = seat{heaps[pos][0].u, heaps[pos][0].slot}
	}
	for i, h := range heaps {
		m.taken[i] = int32(len(h))
		for _, o := range h {
			m.out[o.slot] = uint16(i)
		}
	}
	if p.replicas == 1 {
		m.liked = make([]uint64, (p.slots+63)/64)
		for s, pos := range first {
			if int(m.out[s]) == int(pos) {
				m.liked[s>>6] |= 1 << (s & 63)
			}
		}
	}
	return rest
}

func heapify(h []offer) {
	for i := len(h)/2 - 1; i >= 0; i-- {
		sink(h, i)
	}
}

func pop(h []offer) []offer {
	last := len(h) - 1
	h[0] = h[last]
	h = h[:last]
	sink(h, 0)
	return h
}

func sink(h []offer, i int) {
	for {
		c := 2*i + 1
		if c >= len(h) {
			return
		}
		if c+1 < len(h) && h[c+1].worse(h[c]) {
			c++
		}
		if !h[c].worse(h[i]) {
			return
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
}
