package shard

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func nodeSet(n int) []Node {
	nodes := make([]Node, n)
	for i := range nodes {
		nodes[i] = Node{ID: fmt.Sprintf("node-%05d.dc1.example:8080", i)}
	}
	return nodes
}

func must(t testing.TB, nodes []Node, opts ...Option) *Map {
	t.Helper()
	m, err := New(nodes, opts...)
	require.NoError(t, err)
	return m
}

// requireSame wants two maps to be one value, whatever they remember of how they were made, and that
// to be true.
func requireSame(t require.TestingT, a, b *Map) {
	require.Equal(t, a.Fingerprint(), b.Fingerprint())
	x, y := *a, *b
	for _, m := range []*Map{&x, &y} {
		if m.held != nil {
			held := m.held
			m.held = nil
			require.Equal(t, m.counts(), held)
		}
		m.past = nil
	}
	require.Equal(t, x, y)
}

func drawNodes(t *rapid.T, most int) []Node {
	ids := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,3}`), 1, most, rapid.ID[string]).Draw(t, "ids")
	weights := rapid.SampledFrom([][]float64{{0}, {0, 1}, {1, 2, 3}, {0.5, 1e-3, 7}, {1e300, 1e-300, 1}}).Draw(t, "weights")
	zones := rapid.SampledFrom([][]string{{""}, {"a", "b"}, {"a", "b", "c", ""}, {"a/1", "a/2", "b/1", "b"}, {"a/1/x", "a/1/y", "b/2/x"}}).Draw(t, "zones")
	var nodes []Node
	for _, id := range ids {
		nodes = append(nodes, Node{id, rapid.SampledFrom(weights).Draw(t, "w"), rapid.SampledFrom(zones).Draw(t, "z")})
	}
	return nodes
}

func drawOptions(t *rapid.T) []Option {
	return []Option{
		Slots(1 << rapid.IntRange(0, 8).Draw(t, "slots")),
		Replicas(rapid.IntRange(1, 4).Draw(t, "replicas")),
		Slack(rapid.SampledFrom([]float64{0, 0.05, 0.3, 1}).Draw(t, "slack")),
		Seed(rapid.Uint64().Draw(t, "seed")),
	}
}

func TestPlacementEqualsTheNaiveMatching(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes, err := sortNodes(drawNodes(t, 12))
		require.NoError(t, err)
		cfg := newConfig(append(drawOptions(t), Replicas(1)))
		p := newPlacement(nodes, cfg)
		for i := range p.hash { // nodes whose hashes collide are nodes as well
			if rapid.IntRange(0, 9).Draw(t, "collide") == 0 {
				p.hash[i] = p.hash[0]
			}
		}
		got, _, _ := p.place()

		lower, upper := make([]int, len(nodes)), make([]int, len(nodes))
		for i := range nodes {
			share := float64(sharesOf(nodes, p.slots)[i]) / (1 << grain)
			lower[i] = max(int(share*(1-2*cfg.slack)), 0)
			upper[i] = min(max(int(share*(1+cfg.slack)), int(math.Ceil(share))), p.slots)
		}
		for s, node := range naive(p, lower, upper) {
			require.EqualValues(t, node, got[s], "slot %d", s)
		}
	})
}

func TestSameSetSameMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes, opts := drawNodes(t, 12), drawOptions(t)
		want, err := New(nodes, opts...)
		require.NoError(t, err)

		bytes, err := want.MarshalBinary()
		require.NoError(t, err)
		same := func(m *Map, how string) {
			got, err := m.MarshalBinary()
			require.NoError(t, err)
			require.Equal(t, bytes, got, how)
			require.Equal(t, want.owners, m.owners, how)
			require.Equal(t, want.nodes, m.nodes, how)
			require.Equal(t, want.Fingerprint(), m.Fingerprint(), how)
		}
		shuffled, err := New(rapid.Permutation(nodes).Draw(t, "order"), opts...)
		require.NoError(t, err)
		same(shuffled, "in another order")

		// Any walk of With and Without that ends at the same set.
		walk, err := New([]Node{{ID: "origin"}}, opts...)
		require.NoError(t, err)
		for _, n := range rapid.Permutation(nodes).Draw(t, "walk") {
			other := n
			other.Weight++
			other.Zone += "x"
			if rapid.Bool().Draw(t, "detour") {
				walk, err = walk.With(other, Node{ID: "detour"})
				require.NoError(t, err)
				walk, err = walk.Without("detour")
				require.NoError(t, err)
			}
			walk, err = walk.With(n)
			require.NoError(t, err)
		}
		walk, err = walk.Without("origin")
		require.NoError(t, err)
		same(walk, "by a walk of With and Without")
	})
}

// A slot's replicas are distinct nodes, and at every zone the replicas are spread over the zones
// below it as evenly as the nodes there allow.
func TestReplicasAreSpread(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := drawNodes(t, 12)
		m, err := New(nodes, drawOptions(t)...)
		require.NoError(t, err)
		weights := slices.Repeat([]uint64{1}, len(m.nodes))
		tree, leaves := newZones(m.nodes, weights)
		for s := range m.slots {
			seen, used := map[int]bool{}, make([]int, len(tree))
			for r := range m.replicas {
				o := int(m.owners[r*m.slots+s])
				require.False(t, seen[o], "a node twice in slot %d", s)
				seen[o] = true
				for z := leaves[o]; z >= 0; z = tree[z].parent {
					used[z]++
				}
			}
			for z := range tree {
				for _, a := range tree[z].children {
					for _, b := range tree[z].children {
						if used[a] > used[b]+1 {
							require.Equal(t, tree[b].nodes, used[b], "slot %d: zone %d has room, yet zone %d holds more", s, b, a)
						}
					}
				}
			}
		}
	})
}

func TestBoundsHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := drawNodes(t, 12)
		for i := range nodes {
			nodes[i].Weight = min(max(nodes[i].Weight, 0.1), 10)
		}
		slack := rapid.SampledFrom([]float64{0, 0.02, 0.05, 0.5}).Draw(t, "slack")
		m, err := New(nodes, Slots(1024), Slack(slack), Seed(rapid.Uint64().Draw(t, "seed")))
		require.NoError(t, err)
		count := make([]int, len(nodes))
		for _, o := range m.owners {
			count[o]++
		}
		for i, n := range count {
			require.True(t, within(n, floatShare(m.nodes, i, 1024), slack), "node %d holds %d of %f", i, n, floatShare(m.nodes, i, 1024))
		}
	})
}

// 0.1 is not a binary fraction, and still 0.5 of 16 is a whole number of slots.
func TestBoundsOfSharesThatAreWholeButForRounding(t *testing.T) {
	for share, want := range map[uint64][2]int{
		32 << grain:            {32, 32},
		32<<grain + 1:          {32, 32},
		32<<grain + 100:        {32, 33},
		32<<grain + 1<<grain/2: {32, 33},
	} {
		low, high := bounds(share, 0, 1024)
		require.Equal(t, want, [2]int{low, high}, "%d", share)
	}
}

func TestBoundsHoldWithReplicasInZones(t *testing.T) {
	for _, slack := range []float64{0, 0.05} {
		for _, racks := range []int{3, 4, 7} {
			nodes := nodeSet(24)
			for i := range nodes {
				nodes[i].Zone = fmt.Sprintf("rack-%d", i%racks)
			}
			m := must(t, nodes, Slots(4096), Replicas(3), Slack(slack))
			count := make([]int, len(nodes))
			for _, o := range m.owners {
				count[o]++
			}
			members := make([]int, racks)
			for i := range nodes {
				members[i%racks]++
			}
			for i, n := range count {
				share := 3 * 4096 / float64(racks) / float64(members[i%racks])
				if racks != 3 {
					share = 3 * 4096 / 24.0
				}
				require.True(t, within(n, share, slack), "slack %v, %d racks: node %d holds %d of %f", slack, racks, i, n, share)
			}
		}
	}
}

func TestALonelyZoneHoldsAReplicaOfEverySlot(t *testing.T) {
	nodes := nodeSet(10)
	for i := range nodes {
		nodes[i].Zone = "many"
	}
	nodes[0].Zone = "one"
	m := must(t, nodes, Slots(1024), Replicas(2), Slack(0))
	count := make([]int, 10)
	for _, o := range m.owners {
		count[o]++
	}
	require.Equal(t, 1024, count[0])
	for _, n := range count[1:] {
		require.InDelta(t, 1024/9.0, n, 1)
	}
}

func TestExactWeights(t *testing.T) {
	nodes := nodeSet(50)
	for i := range nodes {
		nodes[i].Weight = float64(1 + i%4)
	}
	m := must(t, nodes, Slack(0))
	count := make([]int, len(nodes))
	for _, o := range m.owners {
		count[o]++
	}
	for i, n := range count {
		require.InDelta(t, floatShare(m.nodes, i, m.slots), n, 1)
	}
}

// The peers' classic: dividing a uniform hash by the weight gives 66.7/22.8/10.5 here.
func TestWeightedChoiceIsProportional(t *testing.T) {
	nodes := []Node{{ID: "a", Weight: 1}, {ID: "b", Weight: 0.5}, {ID: "c", Weight: 0.25}}
	m := must(t, nodes, Slots(1<<16), Slack(1)) // bounds so wide that only the scores decide
	count := make([]float64, 3)
	for _, o := range m.owners {
		count[o]++
	}
	for i, want := range []float64{4. / 7, 2. / 7, 1. / 7} {
		require.InDelta(t, want, count[i]/(1<<16), 0.008)
	}
}

func moved(a, b *Map) (all, gone int) {
	for s := range a.slots {
		for r := range a.replicas {
			from, to := a.nodes[a.owners[r*a.slots+s]].ID, b.nodes[b.owners[r*b.slots+s]].ID
			if from != to {
				all++
				if b.Node(from) == nil || a.Node(to) == nil {
					gone++
				}
			}
		}
	}
	return all, gone
}

// With the default slack, removing or adding one of 100 nodes moves little more than it must.
func TestMovesAreFew(t *testing.T) {
	m := must(t, nodeSet(100), Slots(1<<16))
	all, must1 := 0, 0
	for i := range 6 {
		less, err := m.Without(m.nodes[i*13].ID)
		require.NoError(t, err)
		a, g := moved(m, less)
		more, err := m.With(Node{ID: fmt.Sprint("new", i)})
		require.NoError(t, err)
		a2, g2 := moved(m, more)
		all, must1 = all+a+a2, must1+g+g2
	}
	t.Logf("%d moves, %d of them from a node that left or to one that came: %.3f", all, must1, float64(all)/float64(must1))
	require.Less(t, float64(all), 1.05*float64(must1))
}

func TestWithFullSlackOnlyTheChangedNodeMoves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := drawNodes(t, 10)
		for i := range nodes {
			nodes[i].Weight = 1
		}
		m, err := New(nodes, Slots(64), Slack(1), Seed(rapid.Uint64().Draw(t, "seed")))
		require.NoError(t, err)
		bounded := false // even a slack of 1 binds where it lets a node hold less than it would
		check := func(a, b *Map) {
			for _, x := range []*Map{a, b} {
				count := make([]int, len(x.nodes))
				for _, o := range x.owners {
					count[o]++
				}
				bounded = bounded || slices.Max(count) >= 2*64/len(x.nodes)
			}
			if all, gone := moved(a, b); !bounded {
				require.Equal(t, gone, all)
			}
		}
		more, err := m.With(Node{ID: "NEW"})
		require.NoError(t, err)
		check(m, more)
	})
}

func TestLookupsAgree(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	m := must(t, nodeSet(20), Slots(2), Replicas(3))
	for i := range 4000 {
		if i == 2000 {
			m = must(t, nodeSet(20), Slots(4096), Replicas(3), Seed(9))
		}
		key := strconv.FormatUint(rnd.Uint64()>>rnd.IntN(64), 36)
		owner := m.Owner(key)
		require.Same(t, owner, m.OwnerBytes([]byte(key)))
		require.Equal(t, m.Slot(key), m.SlotBytes([]byte(key)))
		require.Less(t, int(m.Slot(key)), m.Slots())
		owners := slices.Collect(m.Owners(m.Slot(key)))
		require.Len(t, owners, 3)
		require.Same(t, owner, owners[0])
		n := rnd.Uint64()
		require.Same(t, m.OwnerUint64(n), slices.Collect(m.Owners(m.SlotUint64(n)))[0])
	}
	require.Empty(t, slices.Collect(m.Owners(4096)))
	require.Empty(t, slices.Collect(m.Owners(math.MaxUint32)))
	for range m.Owners(0) {
		break
	}
}

// Maps are read without locks: from many goroutines a key has the owner that it has from one.
func TestLookupsFromManyGoroutines(t *testing.T) {
	m := must(t, nodeSet(20), Slots(256), Replicas(2))
	keys, want := make([]string, 1000), make([]*Node, 1000)
	for i := range keys {
		keys[i] = strings.Repeat("k", i%70) + strconv.Itoa(i)
		want[i] = m.Owner(keys[i])
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			wrong := 0
			for i, key := range keys {
				if m.Owner(key) != want[i] || m.OwnerBytes([]byte(key)) != want[i] {
					wrong++
				}
			}
			assert.Zero(t, wrong)
			_ = m.Fingerprint()
		})
	}
	wg.Wait()
}

// Whatever two maps differ in, they have different fingerprints.
func TestFingerprintsTellApart(t *testing.T) {
	set := func(change func(n *Node)) []Node {
		nodes := []Node{{ID: "a", Zone: "x"}, {ID: "b", Zone: "y"}, {ID: "c", Zone: "z"}}
		change(&nodes[1])
		return nodes
	}
	same := set(func(*Node) {})
	seen := map[uint64]string{}
	apart := func(m *Map, what string) {
		require.Empty(t, seen[m.Fingerprint()], what)
		seen[m.Fingerprint()] = what
	}
	for _, slots := range []int{1, 2, 4, 8, 16} {
		m := must(t, same, Slots(slots))
		for name, m := range map[string]*Map{
			"base":     m,
			"ID":       must(t, set(func(n *Node) { n.ID = "d" }), Slots(slots)),
			"weight":   must(t, set(func(n *Node) { n.Weight = 1.0000001 }), Slots(slots)),
			"zone":     must(t, set(func(n *Node) { n.Zone = "x" }), Slots(slots)),
			"slack":    must(t, same, Slots(slots), Slack(0.051)),
			"seed":     must(t, same, Slots(slots), Seed(1)),
			"replicas": must(t, same, Slots(slots), Replicas(2)),
			"as many":  must(t, same, Slots(slots), Replicas(3)),
			"too many": must(t, same, Slots(slots), Replicas(4)),
		} {
			apart(m, fmt.Sprint(name, slots))
		}
		for s := range slots { // each entry of the table, moved on its own
			from := slices.Collect(m.Owners(Slot(s)))[0].ID
			to := map[string]string{"a": "b", "b": "c", "c": "a"}[from]
			m, err := m.Apply(Plan{Moves: []Move{{Slot: Slot(s), From: from, To: to}}})
			require.NoError(t, err)
			apart(m, fmt.Sprint("slot ", s, " of ", slots))
		}
	}
	apart(must(t, same), "chosen slots")
	apart(must(t, same, Slots(4096)), "the same slots, asked for")
}

// Nodes whose hashes are equal like every slot alike. The lower one has as many as it may, the other
// the rest, whichever came first; what else there is goes on as ever.
func TestNodesThatCollide(t *testing.T) {
	nodes, err := sortNodes(nodeSet(8))
	require.NoError(t, err)
	for _, slack := range []float64{0, 0.05, 1} {
		p := newPlacement(nodes, newConfig([]Option{Slots(1 << 10), Slack(slack)}))
		p.hash[5] = p.hash[2]
		table, held, _ := p.place()
		count := make([]int32, len(nodes))
		for _, o := range table {
			count[o]++
		}
		require.Equal(t, held, count)
		for i, n := range count {
			require.True(t, within(int(n), 128, slack), "slack %v: node %d holds %d", slack, i, n)
		}
		require.GreaterOrEqual(t, count[2], count[5])
	}
}

func TestOneSlot(t *testing.T) {
	m := must(t, nodeSet(3), Slots(1), Replicas(2))
	require.Equal(t, 1, m.Slots())
	owner := slices.Collect(m.Owners(0))[0]
	for i := range uint64(100) { // of which every bit takes both values
		key := fmt.Sprint("anything", i)
		require.Equal(t, Slot(0), m.Slot(key))
		require.Equal(t, Slot(0), m.SlotBytes([]byte(key)))
		require.Equal(t, Slot(0), m.SlotUint64(i))
		require.Same(t, owner, m.Owner(key))
		require.Same(t, owner, m.OwnerBytes([]byte(key)))
		require.Same(t, owner, m.OwnerUint64(i))
		require.Same(t, owner, m.Pick(key, NewLoads(m), 1))
	}
}

// More nodes than slots is fine: some hold nothing.
func TestMoreNodesThanSlots(t *testing.T) {
	m := must(t, nodeSet(100), Slots(16), Replicas(2))
	count := make([]int, 100)
	for _, o := range m.owners {
		count[o]++
	}
	require.Equal(t, 1, slices.Max(count[:]))
}

func TestDefaultSlots(t *testing.T) {
	for n, want := range map[int]int{1: 4096, 8: 4096, 9: 8192, 100: 65536, 1000: 65536, 4000: 131072, 10000: 262144, MaxNodes: 1 << 21} {
		c := config{}
		require.Equal(t, want, c.slotsFor(n), "%d nodes", n)
		require.GreaterOrEqual(t, want, 20*n)
	}
}

func TestBadInput(t *testing.T) {
	one := Node{ID: "a"}
	for name, c := range map[string]struct {
		nodes []Node
		opts  []Option
		want  error
	}{
		"no nodes":              {nil, nil, ErrNoNodes},
		"too many nodes":        {make([]Node, MaxNodes+1), nil, ErrOption},
		"an empty ID":           {[]Node{one, {}}, nil, ErrEmptyID},
		"an ID twice":           {[]Node{one, {ID: "b"}, one}, nil, ErrDuplicate},
		"a NaN weight":          {[]Node{{ID: "a", Weight: math.NaN()}}, nil, ErrWeight},
		"an infinite weight":    {[]Node{{ID: "a", Weight: math.Inf(1)}}, nil, ErrWeight},
		"a negative weight":     {[]Node{{ID: "a", Weight: -1}}, nil, ErrWeight},
		"a nil option":          {[]Node{one}, []Option{nil, Slots(1)}, ErrOption},
		"zero slots":            {[]Node{one}, []Option{Slots(0)}, ErrOption},
		"negative slots":        {[]Node{one}, []Option{Slots(-1)}, ErrOption},
		"too many slots":        {[]Node{one}, []Option{Slots(1 << 25)}, ErrOption},
		"slots, no power of 2":  {[]Node{one}, []Option{Slots(100)}, ErrOption},
		"no replicas":           {[]Node{one}, []Option{Replicas(0)}, ErrOption},
		"too many replicas":     {[]Node{one}, []Option{Replicas(256)}, ErrOption},
		"negative slack":        {[]Node{one}, []Option{Slack(-0.1)}, ErrOption},
		"NaN slack":             {[]Node{one}, []Option{Slack(math.NaN())}, ErrOption},
		"strict, few nodes":     {[]Node{one}, []Option{Strict(), Replicas(2)}, ErrReplicas},
		"strict, too few zones": {[]Node{one, {ID: "b"}}, []Option{Strict(), Replicas(2)}, ErrReplicas},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := New(c.nodes, c.opts...)
			require.Nil(t, m)
			require.ErrorIs(t, err, c.want)
			require.Contains(t, err.Error(), "shard: ")
		})
	}
	_, err := must(t, nodeSet(2)).Without("ghost")
	require.ErrorIs(t, err, ErrUnknown)
	var ne *NodeError
	require.ErrorAs(t, err, &ne)
	require.Equal(t, "ghost", ne.ID)
	_, err = must(t, nodeSet(1)).Without(nodeSet(1)[0].ID)
	require.ErrorIs(t, err, ErrNoNodes)
	_, err = must(t, nodeSet(1)).With(Node{ID: "x"}, Node{ID: "x"})
	require.ErrorIs(t, err, ErrDuplicate)
	strict := must(t, []Node{{ID: "a", Zone: "x/1"}, {ID: "b", Zone: "y/1"}}, Strict(), Replicas(2))
	_, err = strict.Without("a")
	require.ErrorIs(t, err, ErrReplicas)
}

// Weights cannot add up to nothing: none given is 1, and one that is zero by accident is too.
func TestZeroWeightsMeanOne(t *testing.T) {
	want := must(t, []Node{{ID: "a", Weight: 1}, {ID: "b", Weight: 1}})
	requireSame(t, want, must(t, []Node{{ID: "a"}, {ID: "b", Weight: math.Copysign(0, -1)}}))
}

func TestFewerNodesThanReplicas(t *testing.T) {
	m := must(t, nodeSet(2), Slots(64), Replicas(3))
	require.Equal(t, 2, m.Replicas())
	require.Len(t, slices.Collect(m.Owners(5)), 2)
	m, err := m.With(Node{ID: "c"}, Node{ID: "d"})
	require.NoError(t, err)
	require.Equal(t, 3, m.Replicas())
}

func TestNothingIsSharedWithTheCaller(t *testing.T) {
	nodes := nodeSet(3)
	m := must(t, nodes)
	id := m.nodes[0].ID
	nodes[0].ID = "changed"
	require.Equal(t, id, m.nodes[0].ID)
}

func TestLookupsDoNotAllocate(t *testing.T) {
	m := must(t, nodeSet(10))
	b := []byte("user:00001234 and a longer tail of it")
	require.Zero(t, testing.AllocsPerRun(100, func() {
		m.Owner("user:00001234")
		m.OwnerBytes(b)
		m.OwnerUint64(7)
		m.Slot("user:00001234")
		for n := range m.Owners(3) {
			_ = n
		}
	}))
}

// Over random keys each node gets its share of keys as it gets its share of slots.
func TestKeysSpreadEvenly(t *testing.T) {
	m := must(t, nodeSet(10), Slots(1024))
	for name, key := range map[string]func(i int) string{
		"numbers":  strconv.Itoa,
		"prefixed": func(i int) string { return fmt.Sprintf("user:%08d", i) },
		"suffixed": func(i int) string { return fmt.Sprintf("%08d:orders-of-this-very-customer", i) },
		"binary":   func(i int) string { return string([]byte{byte(i), byte(i >> 8), byte(i >> 16), 0, 0, 0, 0, 0}) },
		"long":     func(i int) string { return fmt.Sprintf("%0100d", i) },
	} {
		const keys = 200_000
		hits := make([]float64, m.slots)
		for i := range keys {
			hits[m.Slot(key(i))]++
		}
		require.True(t, chiSquareFits(hits, keys), name)
	}
	hits := make([]float64, m.slots)
	for i := range 200_000 {
		hits[m.SlotUint64(uint64(i))]++
	}
	require.True(t, chiSquareFits(hits, 200_000), "uint64")
	for _, shift := range []int{8, 24, 40, 46} {
		clear(hits)
		for i := range 200_000 {
			hits[m.SlotUint64(uint64(i)<<shift)]++
		}
		require.True(t, chiSquareFits(hits, 200_000), "uint64 << %d", shift)
	}
}

// chiSquareFits reports whether the counts are as even as chance makes them, to 5 deviations
// on either side: a suspiciously even spread is a weak hash as well.
func chiSquareFits(hits []float64, total float64) bool {
	want, chi := total/float64(len(hits)), 0.0
	for _, h := range hits {
		chi += (h - want) * (h - want) / want
	}
	free := float64(len(hits) - 1)
	return math.Abs(chi-free) < 5*math.Sqrt(2*free)
}

// The scores of the pairs are uniform and independent enough that first choices are even.
func TestFirstChoicesAreEven(t *testing.T) {
	for _, n := range []int{2, 3, 10, 100} {
		nodes, err := sortNodes(nodeSet(n))
		require.NoError(t, err)
		p := newPlacement(nodes, config{replicas: 1, slots: 1 << 16})
		hits := make([]float64, n)
		for s := range p.slots {
			hits[p.best(uint32(s), nil, nil, nil)]++
		}
		require.True(t, chiSquareFits(hits, 1<<16), "%d nodes: %v", n, hits)
	}
}
