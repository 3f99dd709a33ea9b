package shard

import (
	"cmp"
	"math"
	"slices"
)

// naive places by the definition: all pairs by falling score, each accepted if the slot is still
// without an owner and the node below its upper bound; then, as long as there is one, the best
// pair that moves a slot from a node above its lower bound to a node below its own.
// It knows nothing of proposals, heaps, groups or fast paths, and computes its logarithms anew.
func naive(p *placement, lower, upper []int) []int {
	type edge struct {
		score int64
		u     uint64
		node  int
		slot  int
	}
	t := newLogs()
	var edges []edge
	for s := range p.slots {
		for i := range p.nodes {
			u, n := p.pair(uint32(s), i), int(p.node(i))
			edges = append(edges, edge{t.gumbel(u) + t.ofWeight(p.nodes[n].Weight), u, n, s})
		}
	}
	slices.SortFunc(edges, func(a, b edge) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(b.u, a.u), a.node-b.node, a.slot-b.slot)
	})
	owner, taken := slices.Repeat([]int{-1}, p.slots), make([]int, len(p.nodes))
	for _, e := range edges {
		if owner[e.slot] < 0 && taken[e.node] < upper[e.node] {
			owner[e.slot] = e.node
			taken[e.node]++
		}
	}
	for again := true; again; {
		again = false
		for _, e := range edges {
			if o := owner[e.slot]; taken[e.node] < lower[e.node] && taken[o] > lower[o] {
				owner[e.slot] = e.node
				taken[e.node]++
				taken[o]--
				again = true
				break
			}
		}
	}
	return owner
}

// sharesOf are the shares of nodes with one replica.
func sharesOf(nodes []Node, slots int) []uint64 {
	weights := relative(nodes)
	tree, leaves := newZones(nodes, weights)
	return tree.shares(weights, leaves, slots, 1)
}

// floatShare is a node's fair share by plain floating point.
func floatShare(nodes []Node, i, slots int) float64 {
	sum := 0.0
	for _, n := range nodes {
		sum += n.weight()
	}
	return nodes[i].weight() / sum * float64(slots)
}

// within reports whether n slots are within slack of a share.
func within(n int, share, slack float64) bool {
	const dust = 1e-3 // shares have 20 fractional bits
	return float64(n) <= max(math.Ceil(share-dust), share*(1+slack)+dust) && float64(n) >= math.Floor(share*(1-2*slack)-dust)
}
