package shard

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func drawRebalance(t *rapid.T, replicas int) (m, next *Map, plan Plan) {
	opts := []Option{
		Slots(1 << rapid.IntRange(3, 7).Draw(t, "slots")), Replicas(replicas),
		Slack(rapid.SampledFrom([]float64{0, 0.05, 0.3}).Draw(t, "slack")),
	}
	m, err := New(drawNodes(t, 8), opts...)
	require.NoError(t, err)
	next = m
	for step := range rapid.IntRange(1, 3).Draw(t, "steps") { // so that m may be a table that New would not make
		m = next
		var set []Node
		for _, n := range m.nodes {
			if rapid.IntRange(0, 4).Draw(t, "stay") > 0 {
				set = append(set, n)
			}
		}
		for i := range rapid.IntRange(0, 3).Draw(t, "join") {
			set = append(set, Node{ID: fmt.Sprintf("new-%d-%d", step, i), Zone: rapid.SampledFrom([]string{"", "a", "b", "c/1"}).Draw(t, "zone")})
		}
		if len(set) == 0 {
			set = append(set, Node{ID: fmt.Sprint("last-", step)})
		}
		next, plan = m.Rebalance(set, Slack(rapid.SampledFrom([]float64{0, 0.05, 0.3}).Draw(t, "slack2")))
		require.NoError(t, plan.Err)
	}
	return m, next, plan
}

func counted(m *Map) []int {
	count := make([]int, len(m.nodes))
	for _, o := range m.owners {
		count[o]++
	}
	return count
}

func TestRebalanceMovesTheLeast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, next, plan := drawRebalance(t, 1)
		require.Len(t, plan.Moves, plan.Lower)
		for i, s := range next.shares() {
			low, high := bounds(s, next.cfg.slack, next.slots)
			require.GreaterOrEqual(t, counted(next)[i], low)
			require.LessOrEqual(t, counted(next)[i], high)
		}
		_ = m
	})
}

// The bound is not only reached but true: no assignment within the bounds moves less.
func TestLowerBoundByBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		replicas := rapid.IntRange(1, 3).Draw(t, "replicas")
		zone := rapid.SampledFrom([]map[string]string{
			{"a": "x", "b": "x"}, {"a": "x/1", "b": "x/2", "c": "x/2", "d": "y"}, {"a": "x", "b": "y", "c": "z"},
		}).Draw(t, "zones")
		set := func(label string) (nodes []Node) {
			for _, id := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 1, 4, rapid.ID[string]).Draw(t, label) {
				nodes = append(nodes, Node{ID: id, Zone: zone[id]})
			}
			return nodes
		}
		m, err := New(set("old"), Slots(4), Replicas(replicas), Slack(1), Seed(rapid.Uint64().Draw(t, "seed")))
		require.NoError(t, err)
		slack := rapid.SampledFrom([]float64{0, 0.3}).Draw(t, "slack")
		next, plan := m.Rebalance(set("new"), Slack(slack))
		require.NoError(t, plan.Err)

		weights := relative(next.nodes)
		tree, leaves := newZones(next.nodes, weights)
		low, high := make([]int, len(next.nodes)), make([]int, len(next.nodes))
		inside := true
		for i, s := range next.shares() {
			low[i], high[i] = bounds(s, slack, 4)
			inside = inside && counted(next)[i] >= low[i] && counted(next)[i] <= high[i]
		}
		// Every way to choose owners, slot by slot, of those that are spread as placement spreads them.
		var ways [][]int
		for set := range 1 << len(next.nodes) {
			var owners []int
			for n := range next.nodes {
				if set>>n&1 == 1 {
					owners = append(owners, n)
				}
			}
			if len(owners) == next.replicas && spread(tree, leaves, owners) {
				ways = append(ways, owners)
			}
		}
		best, held := math.MaxInt, make([]int, len(next.nodes))
		var try func(slot, moves int)
		try = func(slot, moves int) {
			if moves >= best {
				return
			}
			if slot == 4 {
				for i, h := range held {
					if inside && (h < low[i] || h > high[i]) {
						return
					}
				}
				best = moves
				return
			}
			for _, owners := range ways {
				cost := 0
				for _, o := range owners {
					held[o]++
					if i, ok := m.find(next.nodes[o].ID); !ok || !m.holds(slot, i) {
						cost++
					}
				}
				try(slot+1, moves+cost)
				for _, o := range owners {
					held[o]--
				}
			}
		}
		try(0, 0)
		require.LessOrEqual(t, plan.Lower, best)
		made := 0
		for _, mv := range plan.Moves {
			if mv.To != "" {
				made++
			}
		}
		require.GreaterOrEqual(t, made, best)
		if replicas == 1 && len(m.nodes) > 0 {
			require.Equal(t, best, made)
		}
	})
}

// spread reports whether owners are as even over the zones as the nodes there allow.
func spread(tree zones, leaves, owners []int) bool {
	used := make([]int, len(tree))
	for _, o := range owners {
		for z := leaves[o]; z >= 0; z = tree[z].parent {
			used[z]++
		}
	}
	for z := range tree {
		for _, a := range tree[z].children {
			for _, b := range tree[z].children {
				if used[a] > used[b]+1 && used[b] < tree[b].nodes {
					return false
				}
			}
		}
	}
	return true
}

func TestRebalanceKeepsReplicasSpread(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, next, plan := drawRebalance(t, rapid.IntRange(2, 3).Draw(t, "replicas"))
		tree, leaves := newZones(next.nodes, relative(next.nodes))
		for s := range next.slots {
			var owners []int
			for r := range next.replicas {
				o := int(next.owners[r*next.slots+s])
				require.NotContains(t, owners, o)
				owners = append(owners, o)
			}
			require.True(t, spread(tree, leaves, owners), "slot %d", s)
		}
		made := 0
		for _, mv := range plan.Moves {
			if mv.To != "" {
				made++
			}
		}
		require.GreaterOrEqual(t, made, plan.Lower)
		_ = m
	})
}

func TestRebalanceInZonesIsNearTheBound(t *testing.T) {
	nodes := nodeSet(102)
	for i := range nodes {
		nodes[i].Zone = fmt.Sprint(i % 3)
	}
	m := must(t, nodes[:99], Slots(16384), Replicas(3))
	for name, set := range map[string][]Node{
		"three join":  nodes,
		"one leaves":  nodes[1:99],
		"three leave": nodes[3:99],
	} {
		next, plan := m.Rebalance(set)
		require.NoError(t, plan.Err)
		t.Logf("%s: %d moves, bound %d", name, len(plan.Moves), plan.Lower)
		require.LessOrEqual(t, float64(len(plan.Moves)), 1.01*float64(plan.Lower), name)
		for i, s := range next.shares() {
			low, high := bounds(s, next.cfg.slack, next.slots)
			require.True(t, counted(next)[i] >= low && counted(next)[i] <= high, name)
		}
	}
}

// Applied whole or wave by wave, a plan gives the new map, be it one that New has made apart.
func TestApply(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, next, plan := drawRebalance(t, rapid.IntRange(1, 3).Draw(t, "replicas"))
		if rapid.Bool().Draw(t, "apart") {
			var err error
			next, err = New(drawNodes(t, 8), Slots(m.slots), Replicas(m.replicas))
			require.NoError(t, err)
			plan = Diff(m, next)
		}
		whole, err := m.Apply(plan)
		require.NoError(t, err)
		requireSame(t, next, whole)
		step := m
		for wave := range plan.Waves(2) {
			step, err = step.Apply(plan.Part(wave))
			if m.replicas != next.replicas {
				require.ErrorIs(t, err, ErrPlan)
				return
			}
			require.NoError(t, err)
			b, err := step.MarshalBinary()
			require.NoError(t, err)
			require.NoError(t, new(Map).UnmarshalBinary(b))
		}
		if len(plan.Moves) > 0 {
			require.Same(t, next, step)
		}
	})
}

func TestApplyRefuses(t *testing.T) {
	m := must(t, []Node{{ID: "a"}, {ID: "b"}, {ID: "c"}}, Slots(8), Replicas(2))
	var own []string
	for n := range m.Owners(0) {
		own = append(own, n.ID)
	}
	other := map[string]string{"ab": "c", "ba": "c", "ac": "b", "ca": "b", "bc": "a", "cb": "a"}[own[0]+own[1]]
	for name, mv := range map[string]Move{
		"no such slot":      {Slot: 8, From: own[0], To: other},
		"from a stranger":   {From: "x", To: other},
		"from a non-owner":  {From: other, To: other},
		"to an owner":       {From: own[0], To: own[1]},
		"to a stranger":     {From: own[0], To: "x"},
		"one replica more":  {To: other},
		"one replica fewer": {From: own[0]},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := m.Apply(Plan{Moves: []Move{mv}})
			require.ErrorIs(t, err, ErrPlan)
			require.Nil(t, got)
		})
	}
	got, err := m.Apply(Plan{Moves: []Move{{From: own[1], To: other}}})
	require.NoError(t, err)
	var now []string
	for n := range got.Owners(0) {
		now = append(now, n.ID)
	}
	require.Equal(t, []string{own[0], other}, now)
	_, whole := got.Rebalance([]Node{{ID: own[0]}, {ID: own[1]}, {ID: "d"}})
	begun, err := got.Apply(whole.Part(whole.Moves[:1]))
	require.NoError(t, err)
	_, err = begun.Apply(whole)
	require.ErrorIs(t, err, ErrPlan, "a plan made from another map")
	_, err = m.Apply(Plan{Err: ErrNoNodes})
	require.ErrorIs(t, err, ErrNoNodes)
}

func TestRebalanceRefuses(t *testing.T) {
	m := must(t, nodeSet(3), Slots(64))
	for name, c := range map[string]struct {
		nodes []Node
		opts  []Option
		want  error
	}{
		"no nodes":       {nil, nil, ErrNoNodes},
		"an ID twice":    {[]Node{{ID: "a"}, {ID: "a"}}, nil, ErrDuplicate},
		"a nil option":   {nodeSet(3), []Option{nil}, ErrOption},
		"other slots":    {nodeSet(3), []Option{Slots(128)}, ErrOption},
		"another seed":   {nodeSet(3), []Option{Seed(1)}, ErrOption},
		"negative slack": {nodeSet(3), []Option{Slack(-1)}, ErrOption},
		"too strict":     {nodeSet(3), []Option{Strict(), Replicas(4)}, ErrReplicas},
	} {
		t.Run(name, func(t *testing.T) {
			same, plan := m.Rebalance(c.nodes, c.opts...)
			require.ErrorIs(t, plan.Err, c.want)
			require.Same(t, m, same)
			require.Empty(t, plan.Moves)
			require.Contains(t, plan.String(), "no plan")
		})
	}
	require.ErrorIs(t, Diff(m, must(t, nodeSet(3), Slots(128))).Err, ErrOption)
	require.ErrorIs(t, Diff(m, must(t, nodeSet(3), Slots(64), Seed(3))).Err, ErrOption)
}

func TestWavesKeepTheBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var plan Plan
		var m, next *Map
		if rapid.Bool().Draw(t, "rebalance") {
			m, next, plan = drawRebalance(t, rapid.IntRange(1, 3).Draw(t, "replicas"))
		} else { // maps placed apart: with replicas, nodes send and receive at once
			opts := []Option{Slots(64), Replicas(rapid.IntRange(1, 3).Draw(t, "replicas"))}
			var err error
			m, err = New(drawNodes(t, 8), append(opts, Slack(0.05))...)
			require.NoError(t, err)
			set := append(drawNodes(t, 3), m.nodes...)
			for i := range set {
				set[i].ID += map[bool]string{true: "+"}[i < len(set)-len(m.nodes)]
				set[i].Weight = rapid.SampledFrom([]float64{1, 2, 3}).Draw(t, "weight")
			}
			next, err = New(set, append(opts, Slack(0))...)
			require.NoError(t, err)
			plan = Diff(m, next)
			require.NoError(t, plan.Err)
		}
		perNode := rapid.IntRange(1, 4).Draw(t, "perNode")
		held, final := map[string]int{}, map[string]int{}
		for i, n := range counted(m) {
			held[m.nodes[i].ID] = n
		}
		for i, n := range counted(next) {
			final[next.nodes[i].ID] = n
		}
		start := map[string]int{}
		for id, n := range held {
			start[id] = n
		}
		var all []Move
		for wave := range plan.Waves(perNode) {
			require.NotEmpty(t, wave)
			in, out := map[string]int{}, map[string]int{}
			for _, mv := range wave {
				out[mv.From]++
				in[mv.To]++
				held[mv.From]--
				held[mv.To]++
			}
			for id, n := range held {
				if id != "" {
					require.LessOrEqual(t, out[id], perNode)
					require.LessOrEqual(t, in[id], perNode)
					require.LessOrEqual(t, n, max(start[id], final[id]), id)
					require.GreaterOrEqual(t, n, min(start[id], final[id]), id)
				}
			}
			all = append(all, wave...)
		}
		require.ElementsMatch(t, plan.Moves, all)
		for range plan.Waves(1) {
			break
		}
	})
}

func TestPlanString(t *testing.T) {
	m := must(t, []Node{{ID: "a"}, {ID: "b"}}, Slots(8), Slack(0))
	_, plan := m.Rebalance([]Node{{ID: "a"}})
	require.Equal(t, "4 moves, at least 4 needed\nfullest node 1.000 → 1.000 of its share, emptiest 1.000 → 1.000\n  a                        sends 0, receives 4\n  b                        sends 4, receives 0\n", plan.String())
	require.Equal(t, "nothing to move\n", Plan{}.String())
	require.Equal(t, Stats{}, Plan{}.Before())
	require.True(t, slices.IsSortedFunc(plan.Moves, func(a, b Move) int { return int(a.Slot) - int(b.Slot) }))
}
