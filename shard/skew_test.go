package shard

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestSkewBoundsEveryCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.IntRange(1, 12).Draw(t, "capacity")
		parts := rapid.IntRange(1, 3).Draw(t, "parts")
		exact := map[string]uint64{}
		var all *Skew
		for i := range parts {
			s := NewSkew(strconv.Itoa(i), capacity)
			for _, k := range rapid.SliceOf(rapid.IntRange(0, 30)).Draw(t, "keys") {
				key := strconv.Itoa(k * k / 30)
				s.Add(key)
				exact[key]++
			}
			if all == nil {
				all = s
			} else {
				all.Merge(s)
			}
		}
		r := all.Report(4)
		var events uint64
		for _, n := range exact {
			events += n
		}
		require.Equal(t, events, r.Events)
		seen := map[string]bool{}
		for _, h := range r.Top {
			seen[h.Key] = true
			require.GreaterOrEqual(t, h.Count, exact[h.Key], h.Key)
			require.LessOrEqual(t, h.Count-h.Error, exact[h.Key], h.Key)
			require.LessOrEqual(t, h.Error, events/uint64(capacity))
		}
		for key, n := range exact {
			if n > events/uint64(capacity) && len(r.Top) < 10 {
				require.True(t, seen[key], "%s with %d of %d is missing", key, n, events)
			}
		}
		requireLinked(t, all.own)
	})
}

// requireLinked checks that the table and the buckets of a sketch lead to each counter once, and that
// buckets have members and rise.
func requireLinked(t require.TestingT, k *sketch) {
	members, below, last := 0, int32(none), uint64(0)
	for at := k.bottom; at != none; below, at = at, k.buckets[at].above {
		g := k.buckets[at]
		require.Equal(t, below, g.below)
		require.Greater(t, g.count, last)
		last = g.count
		for i := g.first; ; i = k.counters[i].next {
			c := k.counters[i]
			members++
			require.LessOrEqual(t, members, len(k.counters))
			require.Equal(t, at, c.bucket)
			require.Equal(t, i, k.counters[c.next].prev)
			found, ok := k.find(c.key, c.hash)
			require.True(t, ok)
			require.EqualValues(t, found, c.at)
			require.Equal(t, i+1, k.table[c.at])
			if c.next == g.first {
				break
			}
		}
	}
	require.Len(t, k.counters, members)
	require.LessOrEqual(t, len(k.buckets), max(len(k.counters), 1))
}

func TestSkewIsALattice(t *testing.T) {
	build := func(source string, n int) *Skew {
		s := NewSkew(source, 8)
		for i := range n {
			s.Add(strconv.Itoa(i * i % 40))
		}
		return s
	}
	a, b, c := build("a", 50), build("b", 70), build("c", 90)
	merge := func(all ...*Skew) KeyReport {
		x := NewSkew("x", 8)
		for _, s := range all {
			x.Merge(s)
		}
		return x.Report(4)
	}
	ab := NewSkew("y", 8)
	require.True(t, ab.Merge(b))
	require.True(t, ab.Merge(a))
	require.False(t, ab.Merge(a))
	want := merge(a, b, c)
	require.Equal(t, want, merge(c, b, a))
	require.Equal(t, want, merge(c, ab, a, c))
	old := build("a", 20)
	require.Equal(t, want, merge(a, b, c, old), "an old state changes nothing")
	require.Equal(t, want, merge(old, a, b, c), "a new state replaces it")
	// What was merged is not shared.
	b.Add("later")
	require.False(t, a.Merge(a))
	require.Equal(t, want.Events, ab.Report(4).Events+c.Report(4).Events)
}

func TestSkewPredictsThePeak(t *testing.T) {
	const events, shards = 100_000, 64
	for name, draw := range map[string]func(*rand.Rand) int{
		"uniform": func(r *rand.Rand) int { return r.IntN(20_000) },
		"few":     func(r *rand.Rand) int { return r.IntN(300) },
		"zipf 1.1": func() func(*rand.Rand) int {
			z := rand.NewZipf(rand.New(rand.NewPCG(1, 1)), 1.1, 1, 50_000)
			return func(*rand.Rand) int { return int(z.Uint64()) }
		}(),
		"one customer": func(r *rand.Rand) int {
			if r.IntN(100) < 31 {
				return 0
			}
			return r.IntN(12_000)
		},
	} {
		rnd := rand.New(rand.NewPCG(9, 9))
		s, exact := NewSkew("", 0), map[string]float64{}
		for range events {
			key := strconv.Itoa(draw(rnd))
			s.Add(key)
			exact[key]++
		}
		r := s.Report(shards)
		real, seeds := 0.0, 40
		for seed := range seeds {
			load := make([]float64, shards)
			for key, n := range exact {
				load[Hash(key, uint64(seed))%shards] += n
			}
			real += slices.Max(load) / events * shards / float64(seeds)
		}
		squares, top := 0.0, 0.0
		for _, n := range exact {
			squares += n / events * n / events
			top = max(top, n/events)
		}
		t.Logf("%s: peak %.3f, really %.3f; %d keys, really %d; effective %.0f, really %.0f", name, r.Peak, real, r.Distinct, len(exact), r.Effective, 1/squares)
		require.InEpsilon(t, real, r.Peak, 0.05, name)
		require.InEpsilon(t, len(exact), r.Distinct, 0.06, name)
		if top > 0.01 {
			require.InEpsilon(t, top, r.MaxShare, 0.01, name)
			require.InEpsilon(t, 1/squares, r.Effective, 0.05, name)
		}
	}
}

func TestRank(t *testing.T) {
	type event struct{ customer, order int }
	rnd := rand.New(rand.NewPCG(1, 2))
	sample := func(yield func(event) bool) {
		for i := range 20_000 {
			e := event{customer: rnd.IntN(1000), order: i}
			if rnd.IntN(3) == 0 {
				e.customer = 7
			}
			if !yield(e) {
				return
			}
		}
	}
	reports := Rank(sample, 16, map[string]func(event) string{
		"customer": func(e event) string { return fmt.Sprint(e.customer) },
		"order":    func(e event) string { return fmt.Sprint(e.order) },
		"constant": func(event) string { return "" },
	})
	require.Equal(t, "order", reports[0].Name)
	require.Equal(t, "good", reports[0].Verdict())
	require.Equal(t, "customer", reports[1].Name)
	require.Equal(t, "bad", reports[1].Verdict())
	require.InDelta(t, 3, reports[1].Ceiling, 0.1)
	require.Equal(t, "7", reports[1].Top[0].Key)
	require.Equal(t, "constant: 1 keys, the top one 100 %; at most 1 shards can ever be busy; peak/avg over 16 shards 16.00: bad", reports[2].String())
	require.Equal(t, "fair", KeyReport{Peak: 2}.Verdict())
	require.Panics(t, func() { Rank(sample, 0, map[string]func(event) string{"x": func(event) string { return "" }}) })
	require.Panics(t, func() { NewSkew("", 0).Report(1<<20 + 1) })
	require.Panics(t, func() { NewSkew("", -1) })
	require.Panics(t, func() { NewSkew("", maxCapacity+1) })
	empty := NewSkew("", 0).Report(3)
	require.Zero(t, empty.Peak)
	require.Equal(t, "unknown", empty.Verdict())
	require.Contains(t, KeyReport{Ceiling: 1234}.String(), "at most 1234 shards")
	require.False(t, math.IsNaN(empty.Effective))
}

func TestSkewDoesNotAllocate(t *testing.T) {
	s := NewSkew("", 64)
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = strconv.Itoa(i)
	}
	i := 0
	require.Zero(t, testing.AllocsPerRun(1000, func() { s.Add(keys[i%len(keys)]); i++ }))
}
