package shard

import (
	"errors"
	"fmt"
	"slices"
)

// ErrPlan means that a plan does not fit the map it was applied to.
var ErrPlan = errors.New("shard: the plan does not fit the map; make a new one from it")

// Apply returns the map with the moves of a plan made. A whole plan of [Map.Rebalance] or [Diff],
// applied to the map it was made from, gives the very map it leads to, and so does its last part if it is
// applied in parts, in any order. The parts before it, and plans of moves alone, give m with the moves
// made: nodes that join are added with their first move, nodes that leave stay in the map, owning less and
// less, and an owner that is not moved keeps its rank.
//
// Errors: the plan's own Err; [ErrPlan] if the map has not the slot, From does not own it, To
// owns it already or is not a node of either map, or a part changes the number of replicas.
func (m *Map) Apply(p Plan) (*Map, error) {
	switch {
	case p.Err != nil:
		return nil, p.Err
	case p.whole() && (p.old == m || p.old.Fingerprint() == m.Fingerprint()):
		return p.new, nil
	}
	nodes := slices.Clone(m.nodes)
	for _, mv := range p.Moves {
		if m.Node(mv.To) != nil {
			continue
		}
		if p.new == nil || p.new.Node(mv.To) == nil {
			return nil, fmt.Errorf("%w: node %q is unknown", ErrPlan, mv.To)
		}
		nodes = append(nodes, *p.new.Node(mv.To))
	}
	slices.SortFunc(nodes, byID)
	nodes = slices.Compact(nodes)
	if len(nodes) > MaxNodes {
		return nil, fmt.Errorf("%w: it makes too many nodes", ErrPlan)
	}

	cfg := m.cfg
	cfg.replicas = m.replicas // more nodes do not add replicas
	next := &Map{nodes: nodes}
	to := make([]uint16, len(m.nodes))
	for i := range m.nodes {
		n, _ := next.find(m.nodes[i].ID)
		to[i] = uint16(n)
	}
	owners := make([]uint16, len(m.owners))
	for i, o := range m.owners {
		owners[i] = to[o]
	}
	for _, mv := range p.Moves {
		if uint64(mv.Slot) >= uint64(m.slots) {
			return nil, fmt.Errorf("%w: slot %d of %d", ErrPlan, mv.Slot, m.slots)
		}
		from, ok := next.find(mv.From)
		into, _ := next.find(mv.To)
		at := -1
		for i := int(mv.Slot); i < len(owners); i += m.slots {
			switch int(owners[i]) {
			case from:
				at = i
			case into:
				return nil, fmt.Errorf("%w: %q owns slot %d already", ErrPlan, mv.To, mv.Slot)
			}
		}
		if !ok || at < 0 {
			return nil, fmt.Errorf("%w: %q does not own slot %d", ErrPlan, mv.From, mv.Slot)
		}
		owners[at] = uint16(into)
	}
	next = newMap(nodes, cfg, m.slots, owners)
	if p.new != nil && next.sameOwners(p.new) {
		return p.new, nil
	}
	return next, nil
}

// sameOwners reports whether each slot has the same owners in both maps, at whatever ranks.
func (m *Map) sameOwners(o *Map) bool {
	if m.slots != o.slots || m.replicas != o.replicas {
		return false
	}
	to := m.indexIn(o)
	for i, n := range m.owners {
		if !o.holds(i%m.slots, to[n]) {
			return false
		}
	}
	return true
}
