// Package lattice measures package lattice beside hand-written loops and its peers.
package lattice_test

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/go-calm/calm/lattice"
)

// The job: a delta of 1 000 entries is merged into a state of 2^20, over and over. All keys
// are there. Deltas that change nothing measure finding; raising ones, writing. Each run takes
// another of 256 deltas, so that the state's lines come from memory, as they do in life.

const (
	stateSize = 1 << 20
	deltaSize = 1000
	deltas    = 256
)

type (
	key     = uint64
	hand    = map[key]uint64
	calmMap = lattice.Map[key, lattice.Max[uint64]]
	maxMap  = lattice.MaxMap[key, uint64]
)

func randomKeys(n int) []key {
	rng := rand.New(rand.NewPCG(1, 2))
	keys := make([]key, n)
	for i := range keys {
		keys[i] = rng.Uint64()
	}
	return keys
}

// pick returns the keys of each delta, all of which are in the state.
func pick(keys []key) [][]key {
	rng := rand.New(rand.NewPCG(3, 4))
	out := make([][]key, deltas)
	for i := range out {
		out[i] = make([]key, deltaSize)
		for j := range out[i] {
			out[i][j] = keys[rng.IntN(len(keys))]
		}
	}
	return out
}

// loop runs merge with another delta each time and reports the time of one entry.
func loop(b *testing.B, merge func(i int)) {
	b.Helper()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		merge(i % deltas)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/deltaSize, "ns/entry")
}

func handMap(keys []key, v uint64) hand {
	m := make(hand, len(keys))
	for _, k := range keys {
		m[k] = v
	}
	return m
}

func mapOf(keys []key, v uint64) *calmMap {
	m := &calmMap{}
	m.Grow(len(keys))
	for _, k := range keys {
		m.Put(k, lattice.MaxOf(v))
	}
	return m
}

func maxMapOf(keys []key, v uint64) *maxMap {
	m := &maxMap{}
	m.Grow(len(keys))
	for _, k := range keys {
		m.Put(k, v)
	}
	return m
}

func each[T any](picked [][]key, f func([]key) T) []T {
	out := make([]T, len(picked))
	for i, keys := range picked {
		out[i] = f(keys)
	}
	return out
}

func mergeByHand(m, d hand) (grew bool) {
	for k, v := range d {
		if old, ok := m[k]; !ok || v > old {
			m[k] = v
			grew = true
		}
	}
	return grew
}

// BenchmarkMerge is the floor's job, a delta of 1 000 into 2^20, nothing changes.
func BenchmarkMerge(b *testing.B) {
	keys := randomKeys(stateSize)
	picked := pick(keys)

	b.Run("hand-written/map", func(b *testing.B) {
		m, ds := handMap(keys, 1), each(picked, func(ks []key) hand { return handMap(ks, 1) })
		loop(b, func(i int) { mergeByHand(m, ds[i]) })
	})
	b.Run("calm/Map", func(b *testing.B) {
		m, ds := mapOf(keys, 1), each(picked, func(ks []key) *calmMap { return mapOf(ks, 1) })
		loop(b, func(i int) { m.Merge(ds[i]) })
	})
	b.Run("calm/Map.MergeEntries", func(b *testing.B) {
		m := mapOf(keys, 1)
		ds := each(picked, func(ks []key) (es []lattice.Entry[key, lattice.Max[uint64]]) {
			for _, k := range ks {
				es = append(es, lattice.Entry[key, lattice.Max[uint64]]{Key: k, Value: lattice.MaxOf[uint64](1)})
			}
			return es
		})
		loop(b, func(i int) { m.MergeEntries(ds[i]) })
	})
	b.Run("calm/MaxMap", func(b *testing.B) {
		m, ds := maxMapOf(keys, 1), each(picked, func(ks []key) *maxMap { return maxMapOf(ks, 1) })
		loop(b, func(i int) { m.Merge(ds[i]) })
	})
	b.Run("calm/MaxMap.MergeEntries", func(b *testing.B) {
		m := maxMapOf(keys, 1)
		ds := each(picked, func(ks []key) []lattice.Entry[key, uint64] { return maxMapOf(ks, 1).Entries() })
		loop(b, func(i int) { m.MergeEntries(ds[i]) })
	})
}

// BenchmarkRaise is the same with deltas that raise every value.
func BenchmarkRaise(b *testing.B) {
	keys := randomKeys(stateSize)
	picked := pick(keys)
	b.Run("hand-written/map", func(b *testing.B) {
		m, ds := handMap(keys, 1), each(picked, func(ks []key) hand { return handMap(ks, 1) })
		v := uint64(1)
		loop(b, func(i int) {
			v++
			for k := range ds[i] {
				if old, ok := m[k]; !ok || v > old {
					m[k] = v
				}
			}
		})
	})
	b.Run("calm/Map", func(b *testing.B) {
		m := mapOf(keys, 1)
		v := uint64(1)
		loop(b, func(i int) {
			v++
			for _, k := range picked[i] {
				m.Put(k, lattice.MaxOf(v))
			}
		})
	})
	b.Run("calm/MaxMap", func(b *testing.B) {
		m := maxMapOf(keys, 1)
		v := uint64(1)
		loop(b, func(i int) {
			v++
			for _, k := range picked[i] {
				m.Put(k, v)
			}
		})
	})
}

// BenchmarkUnion is the job for sets.
func BenchmarkUnion(b *testing.B) {
	keys := randomKeys(stateSize)
	picked := pick(keys)
	b.Run("hand-written/map", func(b *testing.B) {
		set := func(ks []key) map[key]struct{} {
			m := make(map[key]struct{}, len(ks))
			for _, k := range ks {
				m[k] = struct{}{}
			}
			return m
		}
		m, ds := set(keys), each(picked, set)
		loop(b, func(i int) {
			for k := range ds[i] {
				m[k] = struct{}{}
			}
		})
	})
	b.Run("calm/Set", func(b *testing.B) {
		m, ds := lattice.SetOf(keys...), each(picked, func(ks []key) *lattice.Set[key] { return lattice.SetOf(ks...) })
		loop(b, func(i int) { m.Merge(ds[i]) })
	})
	b.Run("calm/IntSet", func(b *testing.B) {
		m, ds := lattice.IntSetOf(keys...), each(picked, func(ks []key) *lattice.IntSet { return lattice.IntSetOf(ks...) })
		loop(b, func(i int) { m.Merge(ds[i]) })
	})
}

// BenchmarkCopyingJoin is the merge of libraries whose join returns a new state.
func BenchmarkCopyingJoin(b *testing.B) {
	keys := randomKeys(stateSize)
	m, ds := handMap(keys, 1), each(pick(keys)[:4], func(ks []key) hand { return handMap(ks, 1) })
	loop(b, func(i int) {
		out := make(hand, len(m))
		for k, v := range m {
			out[k] = v
		}
		mergeByHand(out, ds[i%len(ds)])
		m = out
	})
}

// BenchmarkMergeBySize shows what a delta of 1 000 costs in states of other sizes: it may miss
// more caches, but does no more work.
func BenchmarkMergeBySize(b *testing.B) {
	for _, size := range []struct {
		name string
		n    int
	}{{"1k", 1000}, {"10k", 10_000}, {"100k", 100_000}, {"1M", 1_000_000}, {"10M", 10_000_000}} {
		keys := randomKeys(size.n)
		picked := pick(keys)
		b.Run("Map/"+size.name, func(b *testing.B) {
			m, ds := mapOf(keys, 1), each(picked, func(ks []key) *calmMap { return mapOf(ks, 1) })
			loop(b, func(i int) { m.Merge(ds[i]) })
		})
		b.Run("MaxMap/"+size.name, func(b *testing.B) {
			m, ds := maxMapOf(keys, 1), each(picked, func(ks []key) *maxMap { return maxMapOf(ks, 1) })
			loop(b, func(i int) { m.Merge(ds[i]) })
		})
	}
}

// BenchmarkGC is a collection with 1 M entries alive.
func BenchmarkGC(b *testing.B) {
	keys := randomKeys(1_000_000)
	collect := func(b *testing.B) {
		for b.Loop() {
			runtime.GC()
		}
		b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(time.Millisecond), "ms/GC")
	}
	b.Run("nothing", collect)
	b.Run("Map", func(b *testing.B) {
		m := mapOf(keys, 1)
		collect(b)
		runtime.KeepAlive(m)
	})
	b.Run("MaxMap", func(b *testing.B) {
		m := maxMapOf(keys, 1)
		collect(b)
		runtime.KeepAlive(m)
	})
	b.Run("pointers", func(b *testing.B) {
		m := make(map[key]*uint64)
		for _, k := range keys {
			m[k] = new(uint64)
		}
		collect(b)
		runtime.KeepAlive(m)
	})
}
