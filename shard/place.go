package shard

import (
	"cmp"
	"math"
	"runtime"
	"slices"
	"sync"
)

// placement computes the table of a map: one bounded stable matching for each replica rank.
//
// Every (slot, node) pair has a uniform 64-bit number; its score is that number, or for unequal
// weights its Gumbel transform plus the logarithm of the weight, ties broken by the number, the
// node and the slot. Nodes are rearranged so that those of one zone and weight are neighbors:
// among them the highest number is the highest score, and a slot's best node is found by
// comparing integers, with one logarithm a group.
type placement struct {
	nodes    []Node
	slots    int
	replicas int
	slack    float64
	seed     uint64

	order  []uint16 // from position to node
	a, b   []uint64 // each position's two hashes
	groups []group  // runs of positions
	zones  zones    // nil if there is only one leaf
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

func newPlacement(nodes []Node, cfg config) *placement {
	p := &placement{
		nodes:    nodes,
		slots:    cfg.slotsFor(len(nodes)),
		replicas: min(cfg.replicas, len(nodes)),
		slack:    cfg.slack,
		seed:     mix(cfg.seed, k2),
	}
	p.order = make([]uint16, len(nodes))
	for i := range p.order {
		p.order[i] = uint16(i)
	}
	slices.SortStableFunc(p.order, func(i, j uint16) int {
		a, b := &nodes[i], &nodes[j]
		return cmp.Or(cmp.Compare(a.Zone, b.Zone), cmp.Compare(a.Weight, b.Weight))
	})

	at := func(i int) *Node { return &nodes[p.order[i]] }
	for _, n := range nodes {
		if n.Weight != nodes[0].Weight && p.logs == nil {
			p.logs = newLogs()
		}
	}
	arranged := make([]Node, len(nodes))
	p.a, p.b = make([]uint64, len(nodes)), make([]uint64, len(nodes))
	for i := range arranged {
		arranged[i] = *at(i)
		h := hash(at(i).ID, p.seed)
		p.a[i], p.b[i] = mix(h, k0), mix(h, k1)
	}
	p.weight = relative(arranged)
	p.zones, p.leaves = newZones(arranged, p.weight)
	for i := range arranged {
		if i == 0 || p.leaves[i] != p.leaves[i-1] || at(i).Weight != at(i-1).Weight {
			g := group{from: i, leaf: p.leaves[i]}
			if p.logs != nil {
				g.weight = p.logs.ofWeight(at(i).Weight)
			}
			p.groups = append(p.groups, g)
		}
		p.groups[len(p.groups)-1].to = i + 1
	}
	return p
}

// pair is the number of a slot and the node at a position.
func (p *placement) pair(slot uint32, pos int) uint64 {
	sa, sb := p.slotHash(slot)
	return fold(sa^p.a[pos], sb^p.b[pos])
}

func (p *placement) slotHash(slot uint32) (a, b uint64) {
	h := mix(uint64(slot), p.seed)
	return h, fold(h^k2, k3)
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
		as, bs := p.a[g.from:g.to], p.b[g.from:g.to]
		bs = bs[:len(as)]
		if seats == nil && len(held) == 0 {
			// Nearly all choices are made here, so this loop is as short as can be.
			for j, a := range as {
				if v := fold(sa^a, sb^bs[j]); v > u || pos < 0 {
					pos, u = j, v
				}
			}
			pos += g.from
		} else {
			for j, a := range as {
				v := fold(sa^a, sb^bs[j])
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
		if best < 0 || score > bestScore || score == bestScore && u > bestU {
			best, bestScore, bestU = pos, score, u
		}
	}
	return best
}

// place computes the table: rank by rank the owners of every slot, by node index.
func (p *placement) place() []uint16 {
	table := make([]uint16, p.slots*p.replicas) // by position, until the end
	held := make([]int, len(p.nodes))
	for rank := range p.replicas {
		// The bounds are on what a node holds up to and including this rank, so that a node whose
		// zone makes it second owner of nearly everything may make up for it as first owner.
		shares := p.zones.shares(p.weight, p.leaves, p.slots, rank+1)
		lower, upper := make([]int, len(held)), make([]int, len(held))
		for i, s := range shares {
			low, high := bounds(s, p.slack, p.slots)
			lower[i], upper[i] = max(low-held[i], 0), max(high-held[i], 0)
		}
		p.placeRank(table, rank, lower, upper)
		for _, pos := range table[rank*p.slots : (rank+1)*p.slots] {
			held[pos]++
		}
	}
	for i, pos := range table {
		table[i] = p.order[pos]
	}
	return table
}

// placeRank fills one rank of the table: the stable matching within the upper bounds, and after
// it the lower bounds.
func (p *placement) placeRank(table []uint16, rank int, lower, upper []int) {
	m := &matching{p: p, out: table[rank*p.slots : (rank+1)*p.slots], table: table, rank: rank}
	taken := make([]int, len(upper))
	m.repair(m.run(upper, taken), upper, taken)
	m.raise(lower, taken)
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
