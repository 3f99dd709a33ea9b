package shard

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sort"
	"strings"
)

// ErrLoad is what every [*LoadError] matches.
var ErrLoad = errors.New("shard: bad load")

// LoadError says what is wrong with a slice of loads. It matches [ErrLoad].
type LoadError struct {
	Slot   int     // the first bad one, or -1
	Value  float64 // its load, or the length of the slice
	Reason string
}

// Error implements error.
func (e *LoadError) Error() string {
	if e.Slot < 0 {
		return fmt.Sprintf("shard: %v loads: %s", e.Value, e.Reason)
	}
	return fmt.Sprintf("shard: load %v of slot %d: %s", e.Value, e.Slot, e.Reason)
}

// Is reports whether target is [ErrLoad].
func (e *LoadError) Is(target error) bool { return target == ErrLoad }

// Balancer proposes moves that take load off overloaded nodes. A node's load is that of the slots
// it is the first owner of; its fair share is in proportion to its weight.
//
// The zero value is ready to use. A Balancer is a plain value and safe for concurrent use.
//
// It moves least load: from the hottest node first the smallest slot that alone brings it to its
// target, else the largest that fits anywhere, always to the fullest node that takes it without
// exceeding its own target. Where nothing fits, it looks for a node that makes room by handing
// smaller slots on, if slots have one replica and that brings all nodes within their limits. No node ends above its limit that was not so before,
// so proposals never go round in circles; and between Target and Limit nothing moves.
type Balancer struct {
	Limit    float64 // act on nodes above Limit times their fair share; 0 means 1.10
	Target   float64 // bring them to Target times their fair share; 0 means 1.02, or Limit if that is less
	MaxMoves int     // moves a proposal may make; 0 means any number
	MaxCost  float64 // load a proposal may move; 0 means any

	// InFlight are moves under way. Their slots' loads count at their destinations, and the slots
	// are not moved again.
	InFlight []Move
}

// Proposal is a plan with the load it is about.
type Proposal struct {
	Plan // its Moves have the slots' loads as costs; Err is set for bad input

	// Hot are slots with more load than any node should have, hottest first.
	// Moving cannot help: they need splitting or replicas.
	Hot []HotSlot

	PeakBefore float64 // the highest load of a node relative to its fair share
	PeakAfter  float64
	Cost       float64 // the load moved
}

// HotSlot is a slot that is too hot for any node.
type HotSlot struct {
	Slot  Slot
	Owner string
	Load  float64
	Share float64 // of the whole load
	Parts int     // into how many equal parts to split it, or by how many replicas to serve it
	Why   string
}

// String says which slot it is and why it is too hot.
func (h HotSlot) String() string { return fmt.Sprintf("slot %d of %s: %s", h.Slot, h.Owner, h.Why) }

// String is the report of the plan, the load of the hottest node before and after, and the slots that
// are too hot for any.
func (p Proposal) String() string {
	if p.Err != nil {
		return p.Plan.String()
	}
	var b strings.Builder
	b.WriteString(p.Plan.String())
	fmt.Fprintf(&b, "hottest node %.3f → %.3f of its share\n", p.PeakBefore, p.PeakAfter)
	for _, h := range p.Hot {
		fmt.Fprintf(&b, "  %s\n", h)
	}
	return b.String()
}

// LogValue logs how much is moved, what that makes of the hottest node, and how many slots are too hot
// for any; or the error.
func (p Proposal) LogValue() slog.Value {
	if p.Err != nil {
		return p.Plan.LogValue()
	}
	return slog.GroupValue(slog.Int("moves", len(p.Moves)), slog.Float64("cost", p.Cost),
		slog.Float64("before", p.PeakBefore), slog.Float64("after", p.PeakAfter), slog.Int("hot", len(p.Hot)))
}

// dust is what sums of the same loads in another order may differ by.
const dust = 1e-10

// nodeLoad is a node while a proposal is made.
type nodeLoad struct {
	load, fair float64
	slots      []Slot // that may leave, by falling load
	begun      bool   // a move was made, so it is to reach its target
	stuck      bool
}

// Propose returns the moves for a map and the load of each of its slots.
// With replicas a slot moves only within its zone, which keeps the replicas spread.
//
// Cost: sorting the slots of overloaded nodes, and a look at all nodes for each move.
// Errors, in the plan's Err: [*LoadError] for a slice of the wrong length or a load that is
// negative or not finite; [*OptionError] for a limit or target below 1, a target above the limit
// or a negative budget; [ErrPlan] for a move in flight of a slot or to a node that is not there.
func (b Balancer) Propose(m *Map, load []float64) Proposal {
	p, settled := b.propose(m, load, true)
	if !settled {
		// Handing on is worth its moves only where it ends the matter: what is left over could
		// otherwise send slots back in the next round.
		p, _ = b.propose(m, load, false)
	}
	return p
}

// propose makes a proposal, with or without handing on, and reports whether it did not hand on or
// leaves no node above its limit.
func (b Balancer) propose(m *Map, load []float64, handOn bool) (p Proposal, settled bool) {
	limit, target := cmp.Or(b.Limit, 1.10), b.Target
	if target == 0 {
		target = min(1.02, limit)
	}
	if err := b.check(m, load, limit, target); err != nil {
		return Proposal{Plan: Plan{Err: err}}, true
	}

	nodes, total := make([]nodeLoad, len(m.nodes)), 0.0
	weights := 0.0
	for _, w := range relative(m.nodes) {
		weights += float64(w)
	}
	owner := slices.Clone(m.owners[:m.slots])
	fixed := make(map[Slot]bool, len(b.InFlight))
	for _, mv := range b.InFlight {
		if mv.Rank == 0 {
			n, _ := m.find(mv.To)
			owner[mv.Slot] = uint16(n)
		}
		fixed[mv.Slot] = true
	}
	for s, o := range owner {
		nodes[o].load += load[s]
		total += load[s]
	}
	most := 0.0
	for i, w := range relative(m.nodes) {
		nodes[i].fair = total * (float64(w) / weights)
		most = max(most, nodes[i].fair)
	}
	for s, o := range owner {
		if n := &nodes[o]; n.load > limit*n.fair {
			if load[s] > limit*most {
				p.Hot = append(p.Hot, hotSlot(Slot(s), m.nodes[o].ID, load[s], total, target*most))
			}
			if load[s] > 0 && !fixed[Slot(s)] {
				n.slots = append(n.slots, Slot(s))
			}
		}
	}
	slices.SortFunc(p.Hot, func(a, b HotSlot) int {
		return cmp.Or(cmp.Compare(b.Load, a.Load), cmp.Compare(a.Slot, b.Slot))
	})
	for i := range nodes {
		slices.SortFunc(nodes[i].slots, func(a, b Slot) int {
			return cmp.Or(cmp.Compare(load[b], load[a]), cmp.Compare(a, b))
		})
	}
	p.PeakBefore = peak(nodes)
	handedOn := false
	for b.MaxMoves == 0 || len(p.Moves) < b.MaxMoves {
		i := hottest(nodes, limit, target)
		if i < 0 {
			break
		}
		budget := math.Inf(1)
		if b.MaxCost > 0 {
			budget = b.MaxCost - p.Cost
		}
		n := &nodes[i]
		at, to := choose(m, nodes, i, load, target, budget)
		if at < 0 { // nothing fits below the targets; below the limits is still an improvement
			at, to = choose(m, nodes, i, load, limit, budget)
		}
		if at < 0 {
			if handOn && b.makeRoom(m, &p, nodes, owner, fixed, i, load, limit, budget) {
				handedOn = true
			} else {
				n.stuck = true
			}
			continue
		}
		s := n.slots[at]
		n.slots = slices.Delete(n.slots, at, at+1)
		p.move(m, nodes, s, i, to, load[s])
		fixed[s] = true
		n.begun = true
	}
	p.PeakAfter = peak(nodes)
	slices.SortFunc(p.Moves, func(a, b Move) int { return cmp.Compare(a.Slot, b.Slot) })
	above := slices.ContainsFunc(nodes, func(n nodeLoad) bool { return n.load > limit*n.fair*(1+dust) })
	return p, !handedOn || !above
}

func (p *Proposal) move(m *Map, nodes []nodeLoad, s Slot, from, to int, load float64) {
	nodes[from].load -= load
	nodes[to].load += load
	p.Cost += load
	p.Moves = append(p.Moves, Move{Slot: s, From: m.nodes[from].ID, To: m.nodes[to].ID, Cost: load})
}

// makeRoom moves a slot of node i to a node that hands on as much as it has then too much, and
// reports whether that was possible within the budgets.
func (b Balancer) makeRoom(m *Map, p *Proposal, nodes []nodeLoad, owner []uint16, fixed map[Slot]bool, i int, load []float64, limit, budget float64) bool {
	if m.replicas > 1 {
		return false
	}
	// First the smallest slot that alone sheds the excess, then smaller ones; roomy nodes first.
	from := nodes[i].slots
	alone := sort.Search(len(from), func(k int) bool { return load[from[k]] < nodes[i].load-limit*nodes[i].fair })
	var hosts []int
	for j := range nodes {
		if j != i && nodes[j].load < limit*nodes[j].fair {
			hosts = append(hosts, j)
		}
	}
	room := func(j int) float64 { return limit*nodes[j].fair - nodes[j].load }
	slices.SortStableFunc(hosts, func(x, y int) int { return cmp.Compare(room(y), room(x)) })
	for k := max(alone-1, 0); k < min(alone+6, len(from)); k++ {
		for _, j := range hosts[:min(len(hosts), 6)] {
			trial := Proposal{Plan: Plan{Moves: slices.Clone(p.Moves)}, Cost: p.Cost}
			after := slices.Clone(nodes)
			host := &after[j]
			host.slots = nil
			for s, at := range owner {
				if int(at) == j && load[s] > 0 && !fixed[Slot(s)] {
					host.slots = append(host.slots, Slot(s))
				}
			}
			slices.SortFunc(host.slots, func(a, b Slot) int { return cmp.Or(cmp.Compare(load[b], load[a]), cmp.Compare(a, b)) })
			trial.move(m, after, from[k], i, j, load[from[k]])
			for host.load > limit*host.fair {
				at, to := choose(m, after, j, load, limit, math.Inf(1))
				if at < 0 {
					break
				}
				s := host.slots[at]
				host.slots = slices.Delete(host.slots, at, at+1)
				trial.move(m, after, s, j, to, load[s])
			}
			if host.load > limit*host.fair || trial.Cost-p.Cost > budget || b.MaxMoves > 0 && len(trial.Moves) > b.MaxMoves {
				continue
			}
			for _, mv := range trial.Moves[len(p.Moves):] {
				fixed[mv.Slot] = true
			}
			host.slots = nil
			after[i].slots = slices.Delete(slices.Clone(from), k, k+1)
			after[i].begun = true
			copy(nodes, after)
			p.Moves, p.Cost = trial.Moves, trial.Cost
			return true
		}
	}
	return false
}

func (b Balancer) check(m *Map, load []float64, limit, target float64) error {
	switch {
	case !(limit >= 1) || math.IsInf(limit, 0):
		return &OptionError{"Limit", limit, "must be at least 1"}
	case !(target >= 1 && target <= limit):
		return &OptionError{"Target", target, "must be from 1 to the limit"}
	case b.MaxMoves < 0:
		return &OptionError{"MaxMoves", float64(b.MaxMoves), "must not be negative"}
	case !(b.MaxCost >= 0):
		return &OptionError{"MaxCost", b.MaxCost, "must not be negative"}
	case len(load) != m.slots:
		return &LoadError{-1, float64(len(load)), fmt.Sprintf("the map has %d slots; give each its load", m.slots)}
	}
	for s, l := range load {
		if !(l >= 0 && l <= math.MaxFloat64/float64(maxSlots)) {
			return &LoadError{s, l, "must be finite and not negative, and so must the sum of all"}
		}
	}
	for _, mv := range b.InFlight {
		if uint64(mv.Slot) >= uint64(m.slots) || m.Node(mv.To) == nil {
			return fmt.Errorf("%w: slot %d is in flight to %q", ErrPlan, mv.Slot, mv.To)
		}
	}
	return nil
}

func hotSlot(s Slot, owner string, load, total, target float64) HotSlot {
	parts := int(min(math.Ceil(load/target), maxSlots))
	return HotSlot{
		Slot: s, Owner: owner, Load: load, Share: load / total, Parts: parts,
		Why: fmt.Sprintf("alone it is %.1f times what the largest node should carry: split its keys into %d slots, or serve it from %d replicas",
			load/target, parts, parts),
	}
}

func peak(nodes []nodeLoad) (top float64) {
	for _, n := range nodes {
		if n.fair > 0 {
			top = max(top, n.load/n.fair)
		}
	}
	return top
}

// hottest returns the hottest node that is above its limit, or on its way from there to its target;
// -1 if there is none.
func hottest(nodes []nodeLoad, limit, target float64) int {
	best := -1
	for i, n := range nodes {
		bound := limit
		if n.begun {
			bound = target
		}
		if !n.stuck && n.load > bound*n.fair*(1+dust) && (best < 0 || n.load*nodes[best].fair > nodes[best].load*n.fair) {
			best = i
		}
	}
	return best
}

// choose returns the index of the slot to leave node i and where it goes, or -1.
func choose(m *Map, nodes []nodeLoad, i int, load []float64, target, budget float64) (at, to int) {
	n := &nodes[i]
	excess := n.load - target*n.fair
	// The slots fall in load: those before alone shed the excess.
	alone := sort.Search(len(n.slots), func(k int) bool { return load[n.slots[k]] < excess })
	for k := alone - 1; k >= 0; k-- {
		if load[n.slots[k]] > budget {
			break
		}
		if to := fullest(m, nodes, i, n.slots[k], load[n.slots[k]], target); to >= 0 {
			return k, to
		}
		if m.replicas == 1 {
			break // a larger slot does not fit where a smaller one does not
		}
	}
	for k := alone; k < len(n.slots); k++ {
		if l := load[n.slots[k]]; l <= budget {
			if to := fullest(m, nodes, i, n.slots[k], l, target); to >= 0 {
				return k, to
			}
		}
	}
	return -1, -1
}

// fullest returns the node with the least room that still takes load, or -1.
func fullest(m *Map, nodes []nodeLoad, from int, s Slot, load, target float64) int {
	best, least := -1, math.Inf(1)
	for i := range nodes {
		room := target*nodes[i].fair - nodes[i].load
		if room < load || room >= least || i == from {
			continue
		}
		if m.replicas > 1 && (m.nodes[i].Zone != m.nodes[from].Zone || m.holds(int(s), i)) {
			continue
		}
		best, least = i, room
	}
	return best
}
