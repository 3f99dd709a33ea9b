package shard

import (
	"cmp"
	"math"
	"math/bits"
	"runtime"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
)

// placement computes the table of a map: one bounded stable matching for each replica rank.
//
// Every (slot, node) pair has a uniform 64-bit number; its score is that number, or for unequal
// weights its Gumbel transform plus the logarithm of the weight, ties broken by the number, the
// node and the slot. Nodes are rearranged so that those of one zone and weight are neighbors:
// among them the highest number is the highest score, and a slot's best node is found by
// comparing integers, with one logarithm a group. With one replica zones play no part.
type placement struct {
	nodes    []Node
	slots    int
	replicas int
	slack    float64
	seed     uint64

	order  []uint16 // from position to node; nil if they are the same
	hash   []uint64 // by position
	groups []group  // runs of positions
	zones  zones    // nil with one replica, and so are leaves and weight
	leaves []int    // from position to leaf
	weight []uint64 // by position, relative to the heaviest
	logs   *logs    // nil if all weights are equal
}

// group is a run of positions [from, to) of one zone and one weight.
type group struct {
	from, to int
	leaf     int
	weight   int64 // log2
}

// newPlacement prepares to place nodes, which are sorted and checked.
func newPlacement(nodes []Node, cfg config) *placement {
	p := new(placement)
	p.init(nodes, cfg, nil)
	return p
}

// init is newPlacement in the memory of an earlier one. It makes the tables of logarithms if it needs
// some and is given none.
func (p *placement) init(nodes []Node, cfg config, t *logs) {
	*p = placement{
		nodes:    nodes,
		slots:    cfg.slotsFor(len(nodes)),
		replicas: min(cfg.replicas, len(nodes)),
		slack:    cfg.slack,
		seed:     mix(cfg.seed, k2),
		hash:     resize(p.hash, len(nodes)),
		groups:   p.groups[:0],
	}
	flat := p.replicas == 1
	if !even(nodes) {
		if p.logs = t; t == nil {
			p.logs = newLogs()
		}
	}
	arranged := nodes
	if p.logs != nil || !flat {
		p.order = make([]uint16, len(nodes))
		for i := range p.order {
			p.order[i] = uint16(i)
		}
		slices.SortStableFunc(p.order, func(i, j uint16) int {
			a, b := &nodes[i], &nodes[j]
			if !flat && a.Zone != b.Zone {
				return cmp.Compare(a.Zone, b.Zone)
			}
			return cmp.Compare(a.Weight, b.Weight)
		})
		arranged = make([]Node, len(nodes))
		for i, n := range p.order {
			arranged[i] = nodes[n]
		}
	}
	for i := range arranged {
		p.hash[i] = mix(hash(arranged[i].ID, p.seed), k0)
	}
	if !flat {
		p.weight = relative(arranged)
		p.zones, p.leaves = newZones(arranged, p.weight)
	}
	leaf := 0
	for i := range arranged {
		if !flat {
			leaf = p.leaves[i]
		}
		if last := len(p.groups) - 1; last < 0 || p.groups[last].leaf != leaf || arranged[i].Weight != arranged[i-1].Weight {
			g := group{from: i, leaf: leaf}
			if p.logs != nil {
				g.weight = p.logs.ofWeight(arranged[i].Weight)
			}
			p.groups = append(p.groups, g)
		}
		p.groups[len(p.groups)-1].to = i + 1
	}
}

// even reports whether all nodes have one weight.
func even(nodes []Node) bool {
	for i := range nodes {
		if nodes[i].Weight != nodes[0].Weight {
			return false
		}
	}
	return true
}

// node returns the index of the node at a position.
func (p *placement) node(pos int) uint16 {
	if p.order == nil {
		return uint16(pos)
	}
	return p.order[pos]
}

// pair is the number of a slot and the node at a position. Multiplying by an odd number permutes
// the 64-bit numbers, so it is uniform; placements make one for each slot and node, and a single
// multiplication that keeps the low half is the cheapest that will do.
func (p *placement) pair(slot uint32, pos int) uint64 {
	a, b := p.slotHash(slot)
	return (a ^ p.hash[pos]) * b
}

// slotHash returns the two hashes of a slot; the second is odd.
func (p *placement) slotHash(slot uint32) (a, b uint64) {
	a = fold(uint64(slot)*k1^p.seed, k0^uint64(slot))
	return a, bits.RotateLeft64(a*k3, 32) | 1
}

// beats reports whether a slot prefers the node at position i, where the pair's number is u, to
// that at j, where it is v.
func (p *placement) beats(i int, u uint64, j int, v uint64) bool {
	if p.logs != nil {
		a, b := p.logWeight(i), p.logWeight(j)
		if a != b {
			if a, b = a+p.logs.gumbel(u), b+p.logs.gumbel(v); a != b {
				return a > b
			}
		}
	}
	return u > v || u == v && p.node(i) < p.node(j)
}

// logWeight is the log2 of the weight at a position.
func (p *placement) logWeight(pos int) int64 {
	i := sort.Search(len(p.groups), func(i int) bool { return pos < p.groups[i].to })
	return p.groups[i].weight
}

// seat says from which number on a node takes a slot: at limit, only slots below tie.
type seat struct {
	limit uint64
	tie   uint32
}

func (s *seat) takes(u uint64, slot uint32) bool {
	return u > s.limit || u == s.limit && slot < s.tie
}

// anySeat takes every slot, noSeat none.
func anySeat() seat { return seat{0, math.MaxUint32} }
func noSeat() seat  { return seat{math.MaxUint64, 0} }

// best returns the position of highest score for slot among the eligible zones, without the
// positions in held; seats, unless nil, must take it. It returns -1 if there is none.
func (p *placement) best(slot uint32, eligible []bool, held []uint16, seats []seat) int {
	sa, sb := p.slotHash(slot)
	best, bestScore, bestU := -1, int64(math.MinInt64), uint64(0)
	for i := range p.groups {
		g := &p.groups[i]
		if eligible != nil && !eligible[g.leaf] {
			continue
		}
		pos, u := -1, uint64(0)
		if seats == nil && len(held) == 0 {
			pos, u = highest(p.hash[g.from:g.to], sa, sb)
			pos += g.from
		} else {
			for j, h := range p.hash[g.from:g.to] {
				v := (sa ^ h) * sb
				at := g.from + j
				if (v > u || pos < 0) && (seats == nil || seats[at].takes(v, slot)) && !slices.Contains(held, uint16(at)) {
					pos, u = at, v
				}
			}
		}
		if pos < 0 {
			continue
		}
		score := int64(0)
		if p.logs != nil {
			score = p.logs.gumbel(u) + g.weight
		}
		if best < 0 || score > bestScore ||
			score == bestScore && (u > bestU || u == bestU && p.node(pos) < p.node(best)) {
			best, bestScore, bestU = pos, score, u
		}
	}
	return best
}

// highest returns the index of the highest number of a slot among nodes, the first of equals.
// Nearly all the work of a placement is done here.
func highest(hashes []uint64, a, b uint64) (at int, top uint64) {
	i := 0
	for ; i+4 <= len(hashes); i += 4 {
		h := hashes[i : i+4 : i+4]
		u0, u1, u2, u3 := (a^h[0])*b, (a^h[1])*b, (a^h[2])*b, (a^h[3])*b
		if max(u0, u1, u2, u3) > top { // seldom, so that this is the only branch most of the time
			for j, u := range [4]uint64{u0, u1, u2, u3} {
				if u > top {
					at, top = i+j, u
				}
			}
		}
	}
	for ; i < len(hashes); i++ {
		if u := (a ^ hashes[i]) * b; u > top {
			at, top = i, u
		}
	}
	return at, top
}

// span is how many slots a node may hold, at least and at most.
type span struct{ low, high int32 }

// spans are those of all nodes, or one that goes for all.
type spans []span

func (s spans) at(i int) span {
	if len(s) == 1 {
		return s[0]
	}
	return s[i]
}

// flatSpans returns the spans of nodes, in their order, where each slot has one replica.
func flatSpans(nodes []Node, slots int, slack float64) spans {
	whole := uint64(slots) << grain
	if even(nodes) {
		w := relative(nodes[:1])[0]
		low, high := bounds(proportion(whole, w, w*uint64(len(nodes))), slack, slots)
		return spans{{int32(low), int32(high)}}
	}
	out := make(spans, len(nodes))
	for i, s := range flatShares(relative(nodes), slots) {
		low, high := bounds(s, slack, slots)
		out[i] = span{int32(low), int32(high)}
	}
	return out
}

// flatShares returns the shares of nodes of these weights where each slot has one replica.
func flatShares(weights []uint64, slots int) []uint64 {
	sum := uint64(0)
	for _, w := range weights {
		sum += w
	}
	out := make([]uint64, len(weights))
	for i, w := range weights {
		out[i] = proportion(uint64(slots)<<grain, w, sum)
	}
	return out
}

// spans returns, by position, how many slots each node may hold with k replicas.
func (p *placement) spans(k int) spans {
	if p.zones == nil {
		s := flatSpans(p.nodes, p.slots, p.slack)
		if p.order == nil || len(s) == 1 {
			return s
		}
		out := make(spans, len(s))
		for pos, n := range p.order {
			out[pos] = s[n]
		}
		return out
	}
	out := make(spans, len(p.nodes))
	for i, s := range p.zones.shares(p.weight, p.leaves, p.slots, k) {
		low, high := bounds(s, p.slack, p.slots)
		out[i] = span{int32(low), int32(high)}
	}
	return out
}

// byNode puts figures that are by position in the order of the nodes; it may return figures itself.
func (p *placement) byNode(figures []int32) []int32 {
	if p.order == nil {
		return figures
	}
	out := make([]int32, len(figures))
	for pos, n := range p.order {
		out[n] = figures[pos]
	}
	return out
}

// place computes the table: rank by rank the owners of every slot, by node index; by position, how
// many each node has; and, with one replica, what is to be remembered of it.
func (p *placement) place() (table []uint16, held []int32, kept *past) {
	table = make([]uint16, p.slots*p.replicas) // by position, until the end
	held = make([]int32, len(p.nodes))
	for rank := range p.replicas {
		// The bounds are on what a node holds up to and including this rank, so that a node whose
		// zone makes it second owner of nearly everything may make up for it as first owner.
		room := p.spans(rank + 1)
		if rank > 0 {
			for i, h := range held {
				room[i] = span{max(room[i].low-h, 0), max(room[i].high-h, 0)}
			}
		}
		m := &matching{p: p, out: table[rank*p.slots : (rank+1)*p.slots], table: table, rank: rank, room: room, taken: make([]int32, len(held))}
		m.repair(m.run())
		if p.replicas == 1 {
			kept = &past{logs: p.logs, first: m.liked, scratch: new(atomic.Pointer[variation])}
		}
		m.raise(kept)
		for _, pos := range m.out {
			held[pos]++
		}
	}
	if p.order != nil {
		for i, pos := range table {
			table[i] = p.order[pos]
		}
	}
	return table, held, kept
}

// parallel calls f on even parts of [0, n) and waits for all of them.
func parallel(n, work int, f func(from, to int)) {
	workers := min(runtime.GOMAXPROCS(0), work>>16+1)
	if workers <= 1 {
		f(0, n)
		return
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() { f(n*w/workers, n*(w+1)/workers) })
	}
	wg.Wait()
}
