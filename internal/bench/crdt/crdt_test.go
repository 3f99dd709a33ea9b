// Package crdt measures package crdt beside the same work on a plain Go map, which keeps no causal
// context, makes no deltas and cannot merge removals: the lower bound. Run it with
//
//	go test -run - -bench . -count 6 ./crdt | go run golang.org/x/perf/cmd/benchstat@latest -
package crdt

import (
	"fmt"
	"maps"
	"runtime"
	"testing"

	"github.com/go-calm/calm/crdt"
)

const many = 100_000

func elements(from, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("elem-%08d", from+i)
	}
	return out
}

func filled(id crdt.ReplicaID, es []string) *crdt.Set[string] {
	s := crdt.NewSet[string](id)
	for _, e := range es {
		s.Add(e)
	}
	return s
}

func plain(es []string) map[string]uint64 {
	m := map[string]uint64{}
	for i, e := range es {
		m[e] = uint64(i)
	}
	return m
}

// copyOf returns a replica with the same state.
func copyOf(b *testing.B, id crdt.ReplicaID, d crdt.Delta) *crdt.Set[string] {
	s := crdt.NewSet[string](id)
	if _, err := s.Merge(d); err != nil {
		b.Fatal(err)
	}
	return s
}

func BenchmarkAdd(b *testing.B) {
	es := elements(0, many)
	b.Run("plain", func(b *testing.B) {
		b.ReportAllocs()
		m := map[string]uint64{}
		for i := 0; i < b.N; i++ {
			if i%many == 0 {
				m = map[string]uint64{}
			}
			m[es[i%many]] = uint64(i)
		}
	})
	b.Run("calm", func(b *testing.B) {
		b.ReportAllocs()
		s := crdt.NewSet[string](1)
		for i := 0; i < b.N; i++ {
			if i%many == 0 {
				s = crdt.NewSet[string](1)
			}
			s.Add(es[i%many])
		}
	})
}

// One element that is new, into a state of n; each is taken out again by the next state.
func BenchmarkMergeOne(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000, 1_000_000} {
		es, more := elements(0, n), elements(n, 1<<14)
		b.Run(fmt.Sprintf("n=%d/plain", n), func(b *testing.B) {
			m := plain(es)
			for i := 0; b.Loop(); i++ {
				if i%len(more) == 0 && i > 0 {
					b.StopTimer()
					m = plain(es)
					b.StartTimer()
				}
				m[more[i%len(more)]] = 1
			}
		})
		b.Run(fmt.Sprintf("n=%d/calm", n), func(b *testing.B) {
			b.ReportAllocs()
			base := filled(1, es).State()
			other := crdt.NewSet[string](2)
			var ds []crdt.Delta
			for _, e := range more {
				ds = append(ds, other.Add(e))
			}
			s := copyOf(b, 3, base)
			for i := 0; b.Loop(); i++ {
				if i%len(more) == 0 && i > 0 {
					b.StopTimer()
					s = copyOf(b, 3, base)
					b.StartTimer()
				}
				s.Merge(ds[i%len(more)])
			}
		})
	}
}

func BenchmarkMergeState(b *testing.B) {
	left, right := elements(0, many), elements(many, many)
	b.Run("disjoint/plain", func(b *testing.B) {
		o := plain(right)
		for b.Loop() {
			b.StopTimer()
			m := plain(left)
			b.StartTimer()
			maps.Copy(m, o)
		}
	})
	b.Run("disjoint/calm", func(b *testing.B) {
		base, d := filled(1, left).State(), filled(2, right).State()
		for b.Loop() {
			b.StopTimer()
			s := copyOf(b, 3, base)
			b.StartTimer()
			s.Merge(d)
		}
	})
	b.Run("identical/plain", func(b *testing.B) {
		m, o := plain(left), plain(left)
		for b.Loop() {
			maps.Copy(m, o)
		}
	})
	b.Run("identical/calm", func(b *testing.B) {
		d := filled(1, left).State()
		s := copyOf(b, 3, d)
		for b.Loop() {
			s.Merge(d)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	s := filled(1, elements(0, many))
	runtime.GC() // of filling, which is not what is measured
	b.ReportAllocs()
	size := 0
	for b.Loop() {
		size = s.State().Len()
	}
	b.ReportMetric(float64(size)/many-13, "metadataB/elem")
}

func BenchmarkDecode(b *testing.B) {
	raw, _ := filled(1, elements(0, many)).State().MarshalBinary()
	parse := func(b *testing.B) crdt.Delta {
		d, err := crdt.ParseDelta(raw, crdt.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		return d
	}
	b.Run("all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			copyOf(b, 2, parse(b))
		}
	})
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			parse(b)
		}
	})
}

// A counter that a thousand replicas have added to.
func BenchmarkCounter(b *testing.B) {
	c := crdt.NewCounter(1)
	for id := range crdt.ReplicaID(1000) {
		c.Merge(crdt.NewCounter(id + 2).Add(1))
	}
	state := c.State()
	b.Run("inc", func(b *testing.B) { // collected, flushed once in a thousand
		b.ReportAllocs()
		t := c.Tally()
		for i := 0; i < b.N; i++ {
			if t.Add(1); i%1000 == 999 {
				t.Flush()
			}
		}
	})
	b.Run("inc grow-only", func(b *testing.B) {
		t := crdt.NewGCounter(1).Tally()
		for i := 0; i < b.N; i++ {
			if t.Add(1); i%1000 == 999 {
				t.Flush()
			}
		}
	})
	b.Run("add", func(b *testing.B) { // with a delta each
		b.ReportAllocs()
		alone := crdt.NewCounter(1)
		for b.Loop() {
			alone.Add(1)
		}
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			c.Value()
		}
	})
	b.Run("merge", func(b *testing.B) {
		for b.Loop() {
			c.Merge(state)
		}
	})
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Bytes of heap an element beyond its own 13.
func BenchmarkHeap(b *testing.B) {
	es := elements(0, many)
	b.Run("plain", func(b *testing.B) {
		for b.Loop() {
			before := heap()
			m := plain(es)
			b.ReportMetric(float64(heap()-before)/many, "B/elem")
			runtime.KeepAlive(m)
		}
	})
	b.Run("calm", func(b *testing.B) {
		for b.Loop() {
			d := filled(1, es).State()
			before := heap()
			s := copyOf(b, 2, d)
			b.ReportMetric(float64(heap()-before)/many-13, "B/elem")
			runtime.KeepAlive(s)
			runtime.KeepAlive(d)
		}
	})
}
