package shard

import (
	"math"
	"math/bits"
	"slices"
)

// Rebalance starts from the table as it is and moves as few slot replicas as it can so that nodes,
// the new set, hold them within the slack and spread over the zones. Unlike [New] it depends on
// the table it starts from; members that are to agree must agree on the map or on the plan, for
// example by merging [Assignments].
//
// Options are those of m where none are given. With one replica the moves are exactly
// [Plan.Lower]; with replicas in zones they may be a few more. The slots and the seed cannot change.
// On bad input the plan's Err is an error of [New], and m itself is returned.
func (m *Map) Rebalance(nodes []Node, opts ...Option) (*Map, Plan) {
	r, err := newRebalance(m, nodes, opts)
	if err != nil {
		return m, Plan{Err: err}
	}
	if r.replicas == 1 && m.replicas == 1 {
		return r.single(m)
	}
	r.fill()
	r.shed()
	r.pull()
	r.keepRanks(m)
	next := newMap(r.nodes, r.cfg, m.slots, r.table)
	plan := Diff(m, next)
	plan.Lower = r.least()
	return next, plan
}

const nobody = math.MaxUint16 // in a table: a replica without a node

// rebalance is a table on its way. Its nodes are those of the new map.
type rebalance struct {
	cfg      config
	nodes    []Node
	zones    zones
	leaves   []int
	flat     bool // one leaf: every node is eligible for every slot
	slots    int
	replicas int
	table    []uint16
	held     []int
	low      []int // bounds
	high     []int
	fair     []int
	vacant   int // replicas that cannot stay where they are
	lower    int // moves that the bounds demand
	used     []int
	eligible []bool
}

func newRebalance(m *Map, nodes []Node, opts []Option) (*rebalance, error) {
	cfg := m.cfg
	cfg.slots = m.slots
	cfg.apply(opts)
	switch {
	case cfg.slots != m.slots:
		return nil, &OptionError{"Slots", float64(cfg.slots), "cannot change in a rebalance"}
	case cfg.seed != m.cfg.seed:
		return nil, &OptionError{"Seed", float64(cfg.seed), "cannot change in a rebalance"}
	}
	cfg.slots = m.cfg.slots
	sorted, err := sortNodes(nodes)
	if err != nil {
		return nil, err
	}
	if err := cfg.check(sorted); err != nil {
		return nil, err
	}
	r := &rebalance{
		cfg: cfg, nodes: sorted, slots: m.slots, replicas: min(cfg.replicas, len(sorted)),
		held: make([]int, len(sorted)),
	}
	r.low, r.high, r.fair = make([]int, len(sorted)), make([]int, len(sorted)), make([]int, len(sorted))
	weights := relative(sorted)
	var shares []uint64
	if r.replicas == 1 { // zones play no part
		r.flat = true
		shares = flatShares(weights, r.slots)
	} else {
		r.zones, r.leaves = newZones(sorted, weights)
		r.flat = !slices.ContainsFunc(r.leaves, func(l int) bool { return l != r.leaves[0] })
		r.used, r.eligible = make([]int, len(r.zones)), make([]bool, len(r.zones))
		shares = r.zones.shares(weights, r.leaves, r.slots, r.replicas)
	}
	for i, s := range shares {
		r.low[i], r.high[i] = bounds(s, cfg.slack, r.slots)
		r.fair[i] = int(s >> grain)
	}
	r.adopt(m)
	return r, nil
}

// bounds returns the fewest and the most slots a node of a share may hold. Weights such as 0.1 and
// shares are rounded, so a share that is a hair above a whole number is that number. All hairs of
// MaxNodes together make less than a slot, so there is still room for every slot.
func bounds(share uint64, slack float64, slots int) (low, high int) {
	const hair = 1 << grain / (2 * (MaxNodes + 1))
	hi, lo := bits.Mul64(share, uint64(slack*(1<<32)))
	extra := hi<<32 | lo>>32
	low = int((share - min(2*extra, share)) >> grain)
	high = max(int((share+extra)>>grain), int((share+1<<grain-1-hair)>>grain))
	return low, min(high, slots)
}

// indexes returns, for each node of the old map, its index in the new one, or nobody.
func (r *rebalance) indexes(m *Map) []uint16 {
	to := make([]uint16, len(m.nodes))
	for i, j := 0, 0; i < len(to); i++ {
		for j < len(r.nodes) && r.nodes[j].ID < m.nodes[i].ID {
			j++
		}
		to[i] = nobody
		if j < len(r.nodes) && r.nodes[j].ID == m.nodes[i].ID {
			to[i] = uint16(j)
		}
	}
	return to
}

// adopt takes over the old table as far as it can stay, and counts what must move at least.
func (r *rebalance) adopt(m *Map) {
	to := r.indexes(m)
	r.table = make([]uint16, r.slots*r.replicas)
	before := make([]int, len(r.nodes)) // what each holds before zones take any away
	vacant, torn := 0, 0
	if m.replicas == 1 && r.replicas == 1 {
		rename(r.table, m.owners, to)
		for i, n := range m.counts() {
			if to[i] == nobody {
				vacant += int(n)
			} else {
				r.held[to[i]] = int(n)
			}
		}
		copy(before, r.held)
	} else {
		owners := make([]uint16, 0, m.replicas+r.replicas)
		for s := range r.slots {
			owners = owners[:0]
			for i := s; i < len(m.owners); i += m.slots {
				owners = append(owners, to[m.owners[i]])
			}
			// Where fewer replicas are wanted, those of absent nodes go first, then the last.
			for len(owners) > r.replicas {
				i := slices.Index(owners, nobody)
				if i < 0 {
					i = len(owners) - 1
				}
				owners = slices.Delete(owners, i, i+1)
			}
			for len(owners) < r.replicas {
				owners = append(owners, nobody)
			}
			for _, n := range owners {
				if n == nobody {
					vacant++
				} else {
					before[n]++
				}
			}
			torn += r.keepSpread(owners)
			for rank, n := range owners {
				r.table[rank*r.slots+s] = n
				if n != nobody {
					r.held[n]++
				}
			}
		}
	}
	if m.replicas > r.replicas { // which replica to drop is free, which frees the other bounds too
		r.vacant = vacant
		return
	}
	// Replicas without a node must move, and so must, slot by slot, those that share a zone too
	// many; of other nodes, the excess over the upper bounds; and what is missing to the lower
	// bounds must come from elsewhere.
	excess, missing := 0, 0
	for i, n := range before {
		excess += max(n-r.high[i], 0)
		missing += max(r.low[i]-n, 0)
	}
	r.vacant, r.lower = vacant+torn, max(vacant+excess, missing)
}

// rename writes to table the owners, which have other indices now.
func rename(table, owners, to []uint16) {
	same := true
	for i, n := range to {
		same = same && i == int(n)
	}
	if same { // nodes have only come, after all the others
		copy(table, owners)
		return
	}
	table = table[:len(owners)]
	for len(owners) >= 4 && len(table) >= 4 {
		a, b, c, d := to[owners[0]], to[owners[1]], to[owners[2]], to[owners[3]]
		table[0], table[1], table[2], table[3] = a, b, c, d
		owners, table = owners[4:], table[4:]
	}
	for i, o := range owners {
		table[i] = to[o]
	}
}

// counts returns how many entries of the table each node has.
func (m *Map) counts() []int32 {
	if m.held != nil {
		return m.held
	}
	held := make([]int32, len(m.nodes))
	for _, o := range m.owners {
		held[o]++
	}
	return held
}

// least is the lower bound on the moves. If zones left a node out of its bounds, the bounds prove
// nothing and only the replicas that had to leave their node count.
func (r *rebalance) least() int {
	for i, n := range r.held {
		if n < r.low[i] || n > r.high[i] {
			return r.vacant
		}
	}
	return max(r.vacant, r.lower)
}

// keepSpread takes from the owners of a slot as few as possible so that the rest can be completed
// to a set spread as placement spreads it, and returns how many. It replays a placement in which
// owners are preferred wherever they are eligible, and strangers stand in where none is.
func (r *rebalance) keepSpread(owners []uint16) (torn int) {
	if r.flat {
		return 0
	}
	clear(r.used)
	var kept [maxReplicas/64 + 1]uint64
	for range owners {
		clear(r.eligible)
		r.zones.eligible(0, r.used, r.eligible)
		leaf := slices.Index(r.eligible, true)
		for i, n := range owners {
			if n != nobody && kept[i>>6]>>(i&63)&1 == 0 && r.eligible[r.leaves[n]] {
				kept[i>>6] |= 1 << (i & 63)
				leaf = r.leaves[n]
				break
			}
		}
		r.use(leaf)
	}
	for i, n := range owners {
		if n != nobody && kept[i>>6]>>(i&63)&1 == 0 {
			owners[i] = nobody
			torn++
		}
	}
	return torn
}

// fill gives the replicas without a node to the nodes that need them most.
func (r *rebalance) fill() {
	for i, n := range r.table {
		if n == nobody {
			if to, _ := r.neediest(i); to >= 0 {
				r.put(i, to)
			}
		}
	}
}

// shed relieves nodes above their upper bound.
func (r *rebalance) shed() {
	over := 0
	for i, n := range r.held {
		over += max(n-r.high[i], 0)
	}
	for i, n := range r.table {
		if over == 0 {
			return
		}
		if r.held[n] > r.high[n] {
			if to, need := r.neediest(i); need > full {
				r.put(i, to)
				over--
			}
		}
	}
}

// pull fills nodes below their lower bound, first from nodes above their fair share, then from any
// that stay at their lower bound.
func (r *rebalance) pull() {
	missing := 0
	for i, n := range r.held {
		missing += max(r.low[i]-n, 0)
	}
	for _, floor := range [][]int{r.fair, r.low} {
		for i, n := range r.table {
			if missing == 0 {
				return
			}
			if r.held[n] > floor[n] {
				if to, need := r.neediest(i); need > poor {
					r.put(i, to)
					missing--
				}
			}
		}
	}
}

// keepRanks puts who stays an owner of a slot back to the rank that it had, which others may have taken
// meanwhile: so the moves alone, each to the rank of who goes, lead to the same table.
func (r *rebalance) keepRanks(m *Map) {
	if m.replicas != r.replicas {
		return // ranks come or go
	}
	to := r.indexes(m)
	for s := range r.slots {
		for at := s; at < len(r.table); at += r.slots {
			was := to[m.owners[at]]
			if was == nobody || was == r.table[at] {
				continue
			}
			for i := s; i < len(r.table); i += r.slots {
				if r.table[i] == was {
					r.table[at], r.table[i] = was, r.table[at]
					break
				}
			}
		}
	}
}

func (r *rebalance) put(i, to int) {
	if n := r.table[i]; n != nobody {
		r.held[n]--
	}
	r.table[i] = uint16(to)
	r.held[to]++
}

// Needs above poor are of nodes below their lower bound, needs of at most full of nodes at their
// upper bound.
const (
	poor = 1 << 28
	full = -1 << 28
)

// neediest returns the node that most needs the replica at entry i of the table, of those where it
// may go, and how much it needs it; -1 if there is none.
func (r *rebalance) neediest(i int) (node, need int) {
	slot := i % r.slots
	if !r.flat {
		clear(r.used)
		clear(r.eligible)
		for j := slot; j < len(r.table); j += r.slots {
			if j != i && r.table[j] != nobody {
				r.use(r.leaves[r.table[j]])
			}
		}
		r.zones.eligible(0, r.used, r.eligible)
	}
	node, need = -1, math.MinInt
	for n := range r.held {
		if x := r.need(n); x > need && (r.flat || r.eligible[r.leaves[n]]) && !r.owns(slot, n) {
			node, need = n, x
		}
	}
	return node, need
}

// need is how much a node needs a replica more.
func (r *rebalance) need(n int) int {
	held := r.held[n]
	switch x := r.fair[n] - held; {
	case held < r.low[n]:
		return poor + r.low[n] - held
	case held >= r.high[n]:
		return x + full
	default:
		return x
	}
}

func (r *rebalance) owns(slot, n int) bool {
	for j := slot; j < len(r.table); j += r.slots {
		if int(r.table[j]) == n {
			return true
		}
	}
	return false
}

// use counts a replica in a leaf and the zones around it.
func (r *rebalance) use(leaf int) {
	for z := leaf; z >= 0; z = r.zones[z].parent {
		r.used[z]++
	}
}
