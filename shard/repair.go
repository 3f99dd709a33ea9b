package shard

import "slices"

// repair places the slots that two matchings left over, which happens only with replicas: every
// eligible node of such a slot is at its upper bound, while nodes with room hold the slot already
// or share a zone with a node that does. It looks for the shortest chain of moves that ends at a
// node with room (an augmenting path, Berge 1957), and only if there is none exceeds the bound
// of the slot's best node: spread over zones comes before balance.
func (m *matching) repair(slots []uint32) {
	if len(slots) == 0 {
		return
	}
	slices.Sort(slots) // how the slots were left over must not matter
	left := make([]bool, m.p.slots)
	for _, s := range slots {
		left[s] = true
	}
	c := m.newScope()
	for _, s := range slots {
		left[s] = false
		if !m.augment(c, s, left) {
			eligible, held := c.enter(s)
			pos := m.p.best(s, eligible, held, nil)
			m.out[s] = uint16(pos)
			m.taken[pos]++
		}
	}
}

// augment searches breadth first over nodes: from a slot to the nodes eligible for it, from a
// full node to the slots it holds at this rank.
func (m *matching) augment(c *scope, slot uint32, left []bool) bool {
	p := m.p
	via := make([]int32, len(p.nodes)) // the slot through which a node was reached, or -1
	from := make([]int32, len(p.nodes))
	for i := range via {
		via[i] = -1
	}
	var queue []int
	reach := func(s uint32, at int32) int {
		eligible, held := c.enter(s)
		for pos := range p.nodes {
			if via[pos] >= 0 || eligible != nil && !eligible[p.leaves[pos]] || slices.Contains(held, uint16(pos)) {
				continue
			}
			via[pos], from[pos] = int32(s), at
			if m.taken[pos] < m.room.at(pos).high {
				return pos
			}
			queue = append(queue, pos)
		}
		return -1
	}
	end := reach(slot, -1)
	for len(queue) > 0 && end < 0 {
		pos := queue[0]
		queue = queue[1:]
		for s, o := range m.out {
			if int(o) == pos && !left[s] && uint32(s) != slot {
				if end = reach(uint32(s), int32(pos)); end >= 0 {
					break
				}
			}
		}
	}
	if end < 0 {
		return false
	}
	m.taken[end]++
	for pos := int32(end); pos >= 0; pos = from[pos] {
		m.out[via[pos]] = uint16(pos)
	}
	return true
}
