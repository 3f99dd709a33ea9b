package shard

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func zipf(slots int, exponent float64, seed uint64) []float64 {
	load := make([]float64, slots)
	for i, j := range rand.New(rand.NewPCG(seed, 1)).Perm(slots) {
		load[j] = math.Pow(float64(i+1), -exponent)
	}
	return load
}

func nodeLoads(m *Map, load []float64) (loads []float64, total float64) {
	loads = make([]float64, len(m.nodes))
	for s, l := range load {
		loads[m.owners[s]] += l
		total += l
	}
	return loads, total
}

// The case is that of 4096 slots with Zipf loads on 100 nodes; all but the seed is the same. Every
// node comes within the limit, whatever the seed.
func TestBalancerMovesLittle(t *testing.T) {
	var moves, costs, surplus []float64
	for seed := range uint64(100) {
		m := must(t, nodeSet(100), Slots(4096), Slack(0), Seed(seed))
		load := zipf(4096, 0.5, seed)
		p := Balancer{Limit: 1.02, Target: 1.02}.Propose(m, load)
		require.NoError(t, p.Err)
		loads, total := nodeLoads(m, load)
		excess := 0.0 // no plan can move less
		for _, l := range loads {
			excess += max(0, l-1.02*total/100)
		}
		if seed == 0 {
			require.LessOrEqual(t, len(p.Moves), 98)
			require.LessOrEqual(t, p.Cost, 0.06*total)
		}
		require.LessOrEqual(t, p.PeakAfter, 1.02+1e-9, "seed %d", seed)
		require.LessOrEqual(t, p.Cost, 1.3*excess, "seed %d", seed)
		require.Empty(t, p.Hot)
		moves, costs, surplus = append(moves, float64(len(p.Moves))), append(costs, 100*p.Cost/total), append(surplus, p.Cost/excess)
	}
	for name, x := range map[string][]float64{"moves": moves, "% of the load": costs, "of the least": surplus} {
		slices.Sort(x)
		t.Logf("%s: a tenth below %.4g, half below %.4g, nine tenths below %.4g, all below %.4g", name, x[9], x[49], x[89], x[99])
	}
	require.LessOrEqual(t, moves[49], 103.0)
	require.LessOrEqual(t, costs[49], 6.3)
	require.LessOrEqual(t, surplus[49], 1.12)
}

// After the moves are made nothing is left to propose, budgets hold, no move overloads its
// destination, and what the proposal says about peaks and costs is so.
func TestBalancerNeverOscillates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := drawNodes(t, 8)
		for i := range nodes {
			nodes[i].Weight = min(max(nodes[i].Weight, 0.5), 4)
		}
		m, err := New(nodes, Slots(64), Replicas(rapid.IntRange(1, 2).Draw(t, "replicas")))
		require.NoError(t, err)
		load := rapid.SliceOfN(rapid.Float64Range(0, 100), 64, 64).Draw(t, "load")
		b := Balancer{Limit: rapid.SampledFrom([]float64{0, 1.02, 1.3}).Draw(t, "limit")}
		if rapid.Bool().Draw(t, "budget") {
			b.MaxMoves, b.MaxCost = rapid.IntRange(1, 5).Draw(t, "moves"), rapid.Float64Range(1, 200).Draw(t, "cost")
		}
		limit := b.Limit
		if limit == 0 {
			limit = 1.10
		}
		for round := 0; ; round++ {
			require.Less(t, round, 100)
			p := b.Propose(m, load)
			require.NoError(t, p.Err)
			if len(p.Moves) == 0 {
				break
			}
			if b.MaxMoves > 0 {
				require.LessOrEqual(t, len(p.Moves), b.MaxMoves)
				require.LessOrEqual(t, p.Cost, b.MaxCost)
			}
			next, err := m.Apply(p.Plan)
			require.NoError(t, err)
			loads, total := nodeLoads(next, load)
			weights := 0.0
			for _, n := range m.nodes {
				weights += n.Weight
			}
			top, cost := 0.0, 0.0
			for i, l := range loads {
				top = max(top, l/(total*m.nodes[i].Weight/weights))
			}
			for _, mv := range p.Moves {
				cost += mv.Cost
				require.Equal(t, load[mv.Slot], mv.Cost)
				i, _ := m.find(mv.To)
				require.LessOrEqual(t, loads[i], limit*total*m.nodes[i].Weight/weights+1e-6)
			}
			require.InDelta(t, top, p.PeakAfter, 1e-6)
			require.InDelta(t, cost, p.Cost, 1e-6)
			require.LessOrEqual(t, p.PeakAfter, p.PeakBefore+1e-9)
			m = next
			if b.MaxMoves == 0 {
				again := b.Propose(m, load)
				if again.PeakAfter <= limit+1e-9 {
					continue // a slot may go back once, by a proposal that ends it all
				}
				for _, mv := range again.Moves {
					for _, old := range p.Moves {
						require.False(t, mv.Slot == old.Slot && mv.To == old.From, "slot %d goes back", mv.Slot)
					}
				}
			}
		}
	})
}

func TestBalancerHysteresis(t *testing.T) {
	m := must(t, []Node{{ID: "a"}, {ID: "b"}}, Slots(256), Slack(0))
	load := make([]float64, 256)
	for s := range load {
		if load[s] = 1; m.nodes[m.owners[s]].ID == "a" {
			load[s] = 1.15 // a has 1.07 of its share
		}
	}
	require.Empty(t, Balancer{}.Propose(m, load).Moves)
	p := Balancer{Limit: 1.05}.Propose(m, load)
	require.NotEmpty(t, p.Moves)
	require.LessOrEqual(t, p.PeakAfter, 1.02) // not only to the limit
}

func TestBalancerReportsHotSlots(t *testing.T) {
	m := must(t, nodeSet(4), Slots(64))
	load := slices.Repeat([]float64{1}, 64)
	load[7] = 100
	p := Balancer{}.Propose(m, load)
	require.Len(t, p.Hot, 1)
	h := p.Hot[0]
	require.Equal(t, Slot(7), h.Slot)
	require.Equal(t, 3, h.Parts) // 100 of 163 over 4 nodes
	require.InDelta(t, 100/163.0, h.Share, 1e-9)
	require.Contains(t, h.Why, "split its keys into 3 slots")
	next, err := m.Apply(p.Plan)
	require.NoError(t, err)
	require.Equal(t, m.owners[7], next.owners[7], "moving it cannot help")
	loads, _ := nodeLoads(next, load)
	require.Equal(t, 100.0, loads[m.owners[7]], "but everything else can leave its node")
}

func TestBalancerCountsMovesInFlight(t *testing.T) {
	m := must(t, []Node{{ID: "a"}, {ID: "b"}}, Slots(8), Slack(0))
	load := make([]float64, 8)
	var flight []Move
	for s := range load {
		if m.nodes[m.owners[s]].ID == "a" {
			load[s] = 1
			if len(flight) < 2 {
				flight = append(flight, Move{Slot: Slot(s), From: "a", To: "b"})
			}
		}
	}
	require.Len(t, Balancer{}.Propose(m, load).Moves, 2)
	require.Empty(t, Balancer{InFlight: flight}.Propose(m, load).Moves)
	p := Balancer{InFlight: flight[:1]}.Propose(m, load)
	require.Len(t, p.Moves, 1)
	require.NotEqual(t, flight[0].Slot, p.Moves[0].Slot)
	for s, l := range load { // all of the load is under way to b, which is too much
		if l > 0 && !slices.ContainsFunc(flight, func(mv Move) bool { return mv.Slot == Slot(s) }) {
			flight = append(flight, Move{Slot: Slot(s), From: "a", To: "b"})
		}
	}
	require.Empty(t, Balancer{InFlight: flight}.Propose(m, load).Moves, "what is in flight is not moved again")
}

func TestBalancerRefuses(t *testing.T) {
	m := must(t, nodeSet(2), Slots(4))
	good := make([]float64, 4)
	for name, c := range map[string]struct {
		b    Balancer
		load []float64
		want error
	}{
		"too few loads":     {Balancer{}, good[:3], ErrLoad},
		"a NaN":             {Balancer{}, []float64{0, 0, math.NaN(), 0}, ErrLoad},
		"a negative load":   {Balancer{}, []float64{0, -1, 0, 0}, ErrLoad},
		"an infinite load":  {Balancer{}, []float64{0, math.Inf(1), 0, 0}, ErrLoad},
		"a limit below 1":   {Balancer{Limit: 0.9}, good, ErrOption},
		"a NaN limit":       {Balancer{Limit: math.NaN()}, good, ErrOption},
		"a target above it": {Balancer{Target: 1.5}, good, ErrOption},
		"negative moves":    {Balancer{MaxMoves: -1}, good, ErrOption},
		"negative cost":     {Balancer{MaxCost: -1}, good, ErrOption},
		"a flight to x":     {Balancer{InFlight: []Move{{To: "x"}}}, good, ErrPlan},
		"a flight of 9":     {Balancer{InFlight: []Move{{Slot: 9, To: m.nodes[0].ID}}}, good, ErrPlan},
	} {
		t.Run(name, func(t *testing.T) {
			p := c.b.Propose(m, c.load)
			require.ErrorIs(t, p.Err, c.want)
			require.Empty(t, p.Moves)
			require.Contains(t, p.Err.Error(), "shard: ")
		})
	}
	require.NoError(t, Balancer{}.Propose(m, good).Err)
}

func TestMeter(t *testing.T) {
	m := NewMeter(2, time.Second)
	for range 100 {
		m.Add(1, 0.5)
	}
	m.Add(0, -1)
	m.Add(0, math.NaN())
	m.Add(0, math.Inf(1))
	require.Equal(t, []float64{0, 50}, m.Roll(time.Second))
	require.Equal(t, []float64{0, 50}, m.Roll(0), "no time, no change")
	r := m.Roll(time.Second) // an idle second: half of what there was, less the share of the past before
	require.InDelta(t, 50*0.25/0.75, r[1], 1e-9)
	// A constant rate is measured right from the start.
	m = NewMeter(1, time.Minute)
	for range 5 {
		m.Add(0, 30)
		require.InDelta(t, 10, m.Roll(3 * time.Second)[0], 1e-6)
	}
	require.Panics(t, func() { m.Add(1, 1) })
	require.PanicsWithValue(t, "shard: a meter needs a number of slots and a positive half-life", func() { NewMeter(-1, time.Second) })
	require.Panics(t, func() { NewMeter(1, 0) })
	require.Zero(t, testing.AllocsPerRun(100, func() { m.Add(0, 1) }))
}

func TestMeterLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMeter(1, time.Hour)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 1000 {
					m.Add(0, 1)
				}
			})
		}
		wg.Wait()
		require.InDelta(t, 4000, m.Roll(time.Second)[0], 1e-6)
	})
}

func TestPickBoundsEachNode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := drawNodes(t, 6)
		for i := range nodes {
			nodes[i].Weight = min(max(nodes[i].Weight, 0.5), 4)
		}
		m, err := New(nodes, Slots(64), Replicas(rapid.IntRange(1, 3).Draw(t, "replicas")))
		require.NoError(t, err)
		l := NewLoads(m)
		eps := rapid.SampledFrom([]float64{0, 0.25, math.NaN(), -3, 1e300, math.Inf(1)}).Draw(t, "eps")
		slack := 0.0
		if eps > 0 {
			slack = eps
		}
		var flying []*Node
		for i := range 60 {
			if len(flying) > 0 && rapid.IntRange(0, 3).Draw(t, "done") == 0 {
				l.Done(flying[0])
				flying = flying[1:]
				continue
			}
			n := m.Pick("hot", l, eps)
			flying = append(flying, n)
			j, _ := m.find(n.ID)
			require.LessOrEqual(t, float64(l.Load(n.ID)), max(1, math.Ceil(float64(len(flying))*(1+slack)*l.share[j]+1e-6)), "pick %d", i)
			if i == 0 {
				require.Same(t, m.Owner("hot"), n)
			}
		}
	})
}

func TestPickKeepsToItsOwnersWhileItCan(t *testing.T) {
	m := must(t, nodeSet(10), Replicas(2))
	l := NewLoads(m)
	for i := range 100 {
		key := fmt.Sprint(i)
		n := m.Pick(key, l, 0.25)
		require.Same(t, m.Owner(key), n)
		l.Done(n)
	}
	owners := slices.Collect(m.Owners(m.Slot("hot")))
	require.Same(t, owners[0], m.Pick("hot", l, 0.25))
	require.Same(t, owners[1], m.Pick("hot", l, 0.25))
	require.NotContains(t, owners, m.Pick("hot", l, 0.25))
}

func TestPickUnderContention(t *testing.T) {
	m := must(t, nodeSet(3))
	l := NewLoads(m)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				l.Done(m.Pick("hot", l, 0))
			}
		})
	}
	wg.Wait()
	for n := range m.Nodes() {
		require.Zero(t, l.Load(n.ID))
	}
	require.Zero(t, l.total.Load())
}

func TestLoadsOutliveTheMap(t *testing.T) {
	m := must(t, nodeSet(2))
	l := NewLoads(m)
	a, b := m.Pick("x", l, 0), m.Pick("x", l, 0)
	less, err := m.Without(a.ID)
	require.NoError(t, err)
	l2 := l.For(less)
	require.EqualValues(t, 1, l2.Load(b.ID))
	l3 := l2.For(m)
	require.EqualValues(t, 1, l3.Load(a.ID), "a came back before its request was done")
	l2.Done(a)
	l.Done(b)
	require.Zero(t, l3.Load(a.ID))
	require.Zero(t, l3.total.Load())
	require.Zero(t, l3.Load("stranger"))
	require.Panics(t, func() { less.Pick("x", l, 0) })
}
