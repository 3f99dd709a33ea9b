package shard

import (
	"math"
	"math/bits"
	"slices"
	"strings"
)

// zone is one failure domain in the tree of zones. Nodes hang on leaves only.
type zone struct {
	parent   int
	children []int
	leaf     int // number among the leaves, -1 inside the tree
	nodes    int // in the whole subtree
	weight   uint64
}

// zones is the tree; zones[0] is the root, which holds everything.
type zones []zone

// newZones builds the tree and returns for each node the index of its leaf.
// Nodes directly in a zone that has zones below it share a leaf of their own there.
func newZones(nodes []Node, weights []uint64) (zones, []int) {
	t := zones{{parent: -1, leaf: -1}}
	index := map[string]int{}
	add := func(path string, parent int) int {
		z, ok := index[path]
		if !ok {
			z = len(t)
			index[path] = z
			t = append(t, zone{parent: parent, leaf: -1})
			t[parent].children = append(t[parent].children, z)
		}
		return z
	}
	// Sorting the paths makes the numbering a function of the set.
	paths := make([]string, len(nodes))
	for i, n := range nodes {
		paths[i] = n.Zone
	}
	slices.Sort(paths)
	for _, path := range slices.Compact(paths) {
		at := 0
		for end := 0; end <= len(path); end++ {
			if end == len(path) || path[end] == '/' {
				at = add("z"+path[:end], at)
			}
		}
		leaf := add("n"+path, at)
		t[leaf].leaf = leaf
	}
	leaves := make([]int, len(nodes))
	for i, n := range nodes {
		leaves[i] = index["n"+n.Zone]
		for z := leaves[i]; z >= 0; z = t[z].parent {
			t[z].nodes++
			t[z].weight += weights[i]
		}
	}
	return t, leaves
}

// topZone is the first level of a zone.
func topZone(zone string) string {
	top, _, _ := strings.Cut(zone, "/")
	return top
}

// topZones counts the zones on the first level.
func topZones(nodes []Node) int {
	seen := map[string]bool{}
	for _, n := range nodes {
		seen[topZone(n.Zone)] = true
	}
	return len(seen)
}

// relative returns the weights of nodes as integers. 46 bits for the heaviest leave room to add
// up the weights of all.
func relative(nodes []Node) []uint64 {
	heaviest := 0.0
	for i := range nodes {
		heaviest = max(heaviest, nodes[i].Weight)
	}
	_, exp := math.Frexp(heaviest)
	weights := make([]uint64, len(nodes))
	for i := range nodes {
		if i > 0 && nodes[i].Weight == nodes[i-1].Weight {
			weights[i] = weights[i-1]
			continue
		}
		weights[i] = max(uint64(math.Ldexp(nodes[i].Weight, 46-exp)), 1)
	}
	return weights
}

// shares returns for each node its fair share of all slot replicas, in units of 2^-grain slots.
func (m *Map) shares() []uint64 {
	weights := relative(m.nodes)
	tree, leaves := newZones(m.nodes, weights)
	return tree.shares(weights, leaves, m.slots, m.replicas)
}

// eligible marks in ok, indexed by zone, the leaves where the next replica of a slot may go:
// level by level the zones that hold the fewest of its replicas so far, of those with a node left.
// used counts its replicas by zone.
func (t zones) eligible(z int, used []int, ok []bool) {
	if t[z].leaf >= 0 {
		ok[z] = true
		return
	}
	least := math.MaxInt
	for _, c := range t[z].children {
		if used[c] < t[c].nodes {
			least = min(least, used[c])
		}
	}
	for _, c := range t[z].children {
		if used[c] == least && used[c] < t[c].nodes {
			t.eligible(c, used, ok)
		}
	}
}

// grain is the number of fractional bits of a share.
const grain = 20

// shares returns for each node how many slots it should hold, in units of 2^-grain slots, when
// every slot has k replicas: in proportion to the weights, as far as the zones' spread allows.
func (t zones) shares(weights []uint64, leaves []int, slots, k int) []uint64 {
	out := make([]uint64, len(weights))
	full := uint64(slots) << grain // a replica of every slot
	if k == 1 {                    // zones do not matter yet, and the shares are exact
		for i, w := range weights {
			out[i] = proportion(full, w, t[0].weight)
		}
		return out
	}
	members := make([][]int, len(t))
	for i, l := range leaves {
		members[l] = append(members[l], i)
	}
	var down func(z int, amount uint64, low, high int)
	// A slot has between low and high replicas in zone z; over all slots they come to amount.
	down = func(z int, amount uint64, low, high int) {
		if t[z].leaf >= 0 {
			parts := make([]part, len(members[z]))
			for i, n := range members[z] {
				parts[i] = part{weight: weights[n], high: full}
			}
			divide(amount, parts)
			for i, n := range members[z] {
				out[n] = parts[i].amount
			}
			return
		}
		children := t[z].children
		lows, highs := make([]int, len(children)), make([]int, len(children))
		parts := make([]part, len(children))
		// Spread low and high replicas over the children as evenly as their nodes allow.
		for i, c := range children {
			highs[i] = min(t.fill(children, high, true), t[c].nodes)
			lows[i] = min(t.fill(children, low, false), t[c].nodes)
			parts[i] = part{weight: t[c].weight, low: uint64(lows[i]) * full, high: uint64(highs[i]) * full}
		}
		divide(amount, parts)
		for i, c := range children {
			down(c, parts[i].amount, lows[i], highs[i])
		}
	}
	down(0, uint64(k)*full, k, k)
	// Each level rounded up. What that added must not make a whole number of slots one more.
	for i := range out {
		out[i] -= min(out[i], 8)
	}
	return out
}

// fill returns the level to which k replicas rise when they are poured evenly into zones that
// each take as many as they have nodes: rounded up, the most any holds; down, the least.
func (t zones) fill(children []int, k int, up bool) int {
	for level := 0; ; level++ {
		open := 0
		for _, c := range children {
			if t[c].nodes > level {
				open++
			}
		}
		if open == 0 || k < open {
			if up && k > 0 && open > 0 {
				level++
			}
			return level
		}
		k -= open
	}
}

// part is one of those among whom an amount is divided.
type part struct{ weight, low, high, amount uint64 }

// divide splits amount in proportion to the weights within each part's bounds. Parts pushed
// against a bound are frozen there and the rest divided again, on the side that is violated
// more, until none is: repeating matters, as freezing one part can push another over.
func divide(amount uint64, parts []part) {
	frozen := make([]bool, len(parts))
	for {
		var weight uint64
		rest := int64(amount)
		for i, p := range parts {
			if frozen[i] {
				rest -= int64(p.amount)
			} else {
				weight += p.weight
			}
		}
		if weight == 0 {
			return
		}
		over := int64(0)
		for i := range parts {
			if p := &parts[i]; !frozen[i] {
				p.amount = proportion(uint64(max(rest, 0)), p.weight, weight)
				over += int64(p.amount) - int64(min(max(p.amount, p.low), p.high))
			}
		}
		done := true
		for i := range parts {
			p := &parts[i]
			if frozen[i] {
				continue
			}
			switch {
			case p.amount > p.high && over >= 0:
				p.amount, frozen[i], done = p.high, true, false
			case p.amount < p.low && over <= 0:
				p.amount, frozen[i], done = p.low, true, false
			}
		}
		if done {
			return
		}
	}
}

// proportion returns a·w/total, rounded up, for w ≤ total.
func proportion(a, w, total uint64) uint64 {
	hi, lo := bits.Mul64(a, w)
	if hi >= total { // only if w == total and a is huge
		return a
	}
	q, r := bits.Div64(hi, lo, total)
	if r > 0 {
		q++
	}
	return q
}
