package shard

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/go-calm/calm/internal/testenv"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// On long random walks every map that With and Without make is, byte for byte, the one that New makes
// of the same set; and what it remembers of its matching is true.
func TestVaryEqualsNew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		opts := []Option{
			Slots(1 << rapid.IntRange(0, 9).Draw(t, "slots")), Seed(rapid.Uint64().Draw(t, "seed")),
			Slack(rapid.SampledFrom([]float64{0, 0.02, 0.05, 0.3, 1}).Draw(t, "slack")),
		}
		weights := rapid.SampledFrom([][]float64{{0}, {1, 2, 3}, {0.5, 1e-3, 7}}).Draw(t, "weights")
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "walk"), 1))
		walk(t, rnd, rapid.IntRange(1, 25).Draw(t, "nodes"), 40, weights, opts)
	})
}

func TestVaryEqualsNewOnManyNodes(t *testing.T) {
	for seed := range uint64(testenv.Checks(3)) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		walk(t, rnd, 150, 8, [][]float64{{1}, {1}, {1, 2, 3, 4}}[seed%3], []Option{Slots(1 << 13), Seed(seed)})
	}
}

func walk(t require.TestingT, rnd *rand.Rand, nodes, steps int, weights []float64, opts []Option) {
	weight := func() float64 { return weights[rnd.IntN(len(weights))] }
	set := nodeSet(nodes)
	for i := range set {
		set[i].Weight = weight()
	}
	m, err := New(set, opts...)
	require.NoError(t, err)
	for step := range steps {
		var add []Node
		for i := range rnd.IntN(3) {
			n := Node{ID: fmt.Sprintf("n%02d-%d-%d", rnd.IntN(100), step, i), Weight: weight()}
			if rnd.IntN(4) == 0 { // another weight for a node that is there, or another zone
				n.ID = m.nodes[rnd.IntN(len(m.nodes))].ID
				n.Zone = "z"
			}
			if !slices.ContainsFunc(add, func(o Node) bool { return o.ID == n.ID }) {
				add = append(add, n)
			}
		}
		more, err := m.With(add...)
		require.NoError(t, err)
		var drop []string
		for i := 0; i < rnd.IntN(3) && len(drop) < len(more.nodes)-1; i++ {
			id := more.nodes[rnd.IntN(len(more.nodes))].ID
			if !slices.Contains(drop, id) {
				drop = append(drop, id)
			}
		}
		less, err := more.Without(drop...)
		require.NoError(t, err)
		for _, got := range []*Map{more, less} {
			want, err := New(got.nodes, opts...)
			require.NoError(t, err)
			requireSame(t, want, got)
			require.NotNil(t, got.past)
			require.ElementsMatch(t, want.past.raised, got.past.raised)
			for w := range want.past.first {
				require.Zero(t, got.past.first[w]&^want.past.first[w], "a slot is taken to be where it likes best")
			}
			for _, k := range got.past.tops {
				p := newPlacement(got.nodes, got.cfg)
				pos := 0
				for p.node(pos) != k.node {
					pos++
				}
				q := pull{m: &matching{p: p}, pos: pos, want: len(k.best)}
				q.m.list([]*pull{&q})
				require.Equal(t, q.best, k.best)
			}
		}
		m = less
	}
}

// Maps that come from each other share what they need on the way, and nothing else.
func TestVaryFromManyGoroutines(t *testing.T) {
	m := must(t, nodeSet(40), Slots(1<<11))
	want := make([]*Map, 8)
	for i := range want {
		want[i] = must(t, append(nodeSet(40), Node{ID: fmt.Sprint("new", i)}), Slots(1<<11))
	}
	var wg sync.WaitGroup
	for i := range want {
		wg.Go(func() {
			for range 10 {
				more, err := m.With(Node{ID: fmt.Sprint("new", i)})
				assert.NoError(t, err)
				less, err := more.Without(fmt.Sprint("new", i))
				assert.NoError(t, err)
				assert.Equal(t, want[i].Fingerprint(), more.Fingerprint())
				assert.Equal(t, m.Fingerprint(), less.Fingerprint())
			}
		})
	}
	wg.Wait()
}

// To place 1000 nodes takes two megabytes. The map after a change of one allocates what it holds and
// little else, 190 kB, while what is needed on the way is another 40 kB.
func TestVaryAllocatesTheMap(t *testing.T) {
	if testenv.Race {
		t.Skip("the race detector allocates")
	}
	const rounds = 10
	var before, after runtime.MemStats
	set := nodeSet(1000)
	runtime.ReadMemStats(&before)
	m := must(t, set, Slots(1<<16))
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<20))
	for i := range rounds + 1 {
		if i == 1 {
			runtime.ReadMemStats(&before)
		}
		more, err := m.With(Node{ID: "one more"})
		require.NoError(t, err)
		m, err = more.Without("one more")
		require.NoError(t, err)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, (after.TotalAlloc-before.TotalAlloc)/(2*rounds), uint64(200_000))
	require.Less(t, (after.Mallocs-before.Mallocs)/(2*rounds), uint64(50))
}
