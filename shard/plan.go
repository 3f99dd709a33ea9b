package shard

import (
	"fmt"
	"iter"
	"log/slog"
	"math"
	"slices"
	"strings"
)

// Move hands one replica of a slot from one node to another. The new owner takes the rank of the
// old one. An empty From adds a replica, an empty To drops one.
type Move struct {
	Slot Slot
	Rank int     // 0 is the first owner
	From string  // the ID of a node of the old map
	To   string  // the ID of a node of the new map
	Cost float64 // the load of the slot, where it is known; 0 otherwise
}

// String says what moves from where to where.
func (mv Move) String() string {
	what := fmt.Sprintf("slot %d", mv.Slot)
	if mv.Rank > 0 {
		what += fmt.Sprintf(", rank %d", mv.Rank)
	}
	switch {
	case mv.From == "":
		return what + ": another owner, " + mv.To
	case mv.To == "":
		return what + ": no longer " + mv.From
	}
	return what + ": " + mv.From + " → " + mv.To
}

// Plan is how to get from one map to another. It is a value: nothing happens until it is carried
// out, so a plan is also the answer to "what if". The zero value is the plan to do nothing.
type Plan struct {
	// Err is why there is no plan; the other fields are empty then.
	Err error

	// Moves are ordered by slot, then rank.
	Moves []Move

	// Lower is a proven lower bound: no plan that brings every node within its bounds makes fewer
	// moves (those with a To). It is set by [Map.Rebalance]. [Diff] compares two given tables, so
	// its moves are as few as they can be and Lower is their number.
	Lower int

	old, new *Map
	all      int // how many moves lead from old to new
}

// Part returns the plan with only some of its moves, one wave for example, to [Map.Apply] them.
func (p Plan) Part(moves []Move) Plan {
	p.Moves = moves
	return p
}

// whole reports whether all moves from old to new are in the plan.
func (p *Plan) whole() bool { return p.new != nil && len(p.Moves) == p.all }

// Before returns the statistics of the old map.
func (p Plan) Before() Stats { return p.stats(p.old) }

// After returns the statistics of the new map.
func (p Plan) After() Stats { return p.stats(p.new) }

func (p Plan) stats(m *Map) Stats {
	if m == nil {
		return Stats{}
	}
	return m.Stats()
}

// Diff returns the moves that turn the old map into the new one. Owners of a slot that only change
// rank do not move: they have the ranks of the new map when all moves are made ([Map.Apply]). The maps must have equally many slots and the same seed, or else keys change
// slots and no moves of slots lead from one to the other: an [*OptionError] in the plan's Err.
func Diff(old, new *Map) Plan {
	if old.slots != new.slots {
		return Plan{Err: &OptionError{"Slots", float64(new.slots), "the maps must have equally many slots"}}
	}
	if old.seed != new.seed {
		return Plan{Err: &OptionError{"Seed", float64(new.cfg.seed), "the maps must have the same seed"}}
	}
	to := old.indexIn(new)
	p := Plan{old: old, new: new}
	var gone, come []int // ranks
	for s := range old.slots {
		if old.replicas == 1 && new.replicas == 1 && to[old.owners[s]] == int(new.owners[s]) {
			continue
		}
		gone, come = gone[:0], come[:0]
		for r := range old.replicas {
			if !new.holds(s, to[old.owners[r*old.slots+s]]) {
				gone = append(gone, r)
			}
		}
		for r := range new.replicas {
			kept := false
			for q := range old.replicas {
				kept = kept || to[old.owners[q*old.slots+s]] == int(new.owners[r*new.slots+s])
			}
			if !kept {
				come = append(come, r)
			}
		}
		for i := range max(len(gone), len(come)) {
			mv := Move{Slot: Slot(s)}
			if i < len(gone) {
				mv.Rank, mv.From = gone[i], old.nodes[old.owners[gone[i]*old.slots+s]].ID
			}
			if i < len(come) {
				mv.Rank, mv.To = come[i], new.nodes[new.owners[come[i]*new.slots+s]].ID
				p.Lower++
			}
			p.Moves = append(p.Moves, mv)
		}
	}
	p.all = len(p.Moves)
	return p
}

// indexIn returns the index in o of each of m's nodes, -1 for those that are not there.
func (m *Map) indexIn(o *Map) []int {
	to := make([]int, len(m.nodes))
	for i := range m.nodes {
		to[i] = -1
		if j, ok := o.find(m.nodes[i].ID); ok {
			to[i] = j
		}
	}
	return to
}

func (m *Map) holds(slot, node int) bool {
	for i := slot; i < len(m.owners); i += m.slots {
		if int(m.owners[i]) == node {
			return true
		}
	}
	return false
}

// Waves splits the moves so that no node sends or receives more than perNode in one wave, and
// after each wave every node holds a number of slots between those before and after the plan:
// where both maps are within their bounds, so is every step. Within a wave the order is free.
// perNode below 1 counts as 1.
//
// Moves from and to the same node go together: chains from a node that ends with fewer slots to
// one that ends with more, and rings, are never torn apart. Each chain passes a node once.
func (p Plan) Waves(perNode int) iter.Seq[[]Move] {
	return func(yield func([]Move) bool) {
		chains := p.chains()
		type traffic struct{ out, in int }
		for len(chains) > 0 {
			load := map[string]traffic{}
			var wave []Move
			later := chains[:0]
			for _, chain := range chains {
				fits := true
				for _, mv := range chain {
					fits = fits && (mv.From == "" || load[mv.From].out < max(perNode, 1)) &&
						(mv.To == "" || load[mv.To].in < max(perNode, 1))
				}
				if !fits {
					later = append(later, chain)
					continue
				}
				for _, mv := range chain {
					f := load[mv.From]
					f.out++
					load[mv.From] = f
					t := load[mv.To]
					t.in++
					load[mv.To] = t
				}
				wave = append(wave, chain...)
			}
			chains = later
			if !yield(wave) {
				return
			}
		}
	}
}

// chains splits the moves, as edges between nodes, into simple paths and rings such that every
// path starts at a node that sends more than it receives and ends at one that receives more.
func (p Plan) chains() [][]Move {
	out := map[string][]Move{}
	surplus := map[string]int{}
	var starts []string
	for _, mv := range p.Moves {
		if _, ok := out[mv.From]; !ok {
			starts = append(starts, mv.From)
		}
		out[mv.From] = append(out[mv.From], mv)
		surplus[mv.From]++
		surplus[mv.To]--
	}
	var chains [][]Move
	walk := func(from string) {
		var path []Move
		at := map[string]int{from: 0} // how long the path was when it passed the node
		for node := from; len(out[node]) > 0; {
			mv := out[node][0]
			out[node] = out[node][1:]
			path = append(path, mv)
			node = mv.To
			if start, ok := at[node]; ok {
				chains = append(chains, slices.Clone(path[start:]))
				for _, mv := range path[start:] {
					delete(at, mv.To)
				}
				path = path[:start]
			}
			at[node] = len(path)
			if surplus[node] < 0 {
				surplus[node]++
				break
			}
		}
		if len(path) > 0 {
			chains = append(chains, path)
		}
	}
	for _, s := range starts {
		for surplus[s] > 0 {
			surplus[s]--
			walk(s)
		}
	}
	for _, s := range starts { // what is left is rings
		for len(out[s]) > 0 {
			walk(s)
		}
	}
	return chains
}

// LogValue logs how many moves there are and how few would do, or the error.
func (p Plan) LogValue() slog.Value {
	if p.Err != nil {
		return slog.GroupValue(slog.Any("err", p.Err))
	}
	return slog.GroupValue(slog.Int("moves", len(p.Moves)), slog.Int("lower", p.Lower))
}

// String is the what-if report: how many moves and how few would do, the balance before and
// after, and what each node sends and receives.
func (p Plan) String() string {
	if p.Err != nil {
		return "no plan: " + p.Err.Error()
	}
	if len(p.Moves) == 0 {
		return "nothing to move\n"
	}
	var b strings.Builder
	moves, cost := 0, 0.0
	type flow struct{ out, in int }
	flows := map[string]flow{}
	for _, mv := range p.Moves {
		if mv.To != "" {
			moves++
			f := flows[mv.To]
			f.in++
			flows[mv.To] = f
		}
		if mv.From != "" {
			f := flows[mv.From]
			f.out++
			flows[mv.From] = f
		}
		cost += mv.Cost
	}
	fmt.Fprintf(&b, "%d moves", moves)
	if p.Lower > 0 && p.whole() {
		fmt.Fprintf(&b, ", at least %d needed", p.Lower)
	}
	if cost > 0 && !math.IsInf(cost, 0) {
		fmt.Fprintf(&b, ", cost %.4g", cost)
	}
	b.WriteByte('\n')
	if p.whole() {
		x, y := p.Before(), p.After()
		fmt.Fprintf(&b, "fullest node %.3f → %.3f of its share, emptiest %.3f → %.3f\n", x.Peak, y.Peak, x.Trough, y.Trough)
	}
	ids := make([]string, 0, len(flows))
	for id := range flows {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		fmt.Fprintf(&b, "  %-24s sends %d, receives %d\n", id, flows[id].out, flows[id].in)
	}
	return b.String()
}
