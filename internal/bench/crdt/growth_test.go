package crdt

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/go-calm/calm/crdt"
)

// written returns the state of a set of n elements, each written by one of some replicas.
func written(b *testing.B, n, replicas int) (crdt.Delta, []string) {
	es := elements(0, n)
	all := crdt.NewSet[string](1 << 20)
	for r := range replicas {
		s := crdt.NewSet[string](crdt.ReplicaID(r + 1))
		lo, hi := r*n/replicas, (r+1)*n/replicas
		s.Store().Update(func() { s.Add(es[lo:hi]...) })
		if _, err := all.Merge(s.State()); err != nil {
			b.Fatal(err)
		}
	}
	return all.State(), es
}

// How costs grow with the elements and with the replicas that wrote them.
func BenchmarkGrowth(b *testing.B) {
	for _, c := range []struct{ n, replicas int }{
		{1000, 1},
		{10_000, 1},
		{100_000, 1},
		{1_000_000, 1},
		{100_000, 3},
		{100_000, 10},
		{100_000, 100},
		{100_000, 1000},
	} {
		b.Run(fmt.Sprintf("n=%d/replicas=%d", c.n, c.replicas), func(b *testing.B) {
			state, _ := written(b, c.n, c.replicas)
			raw, _ := state.MarshalBinary()
			b.Run("merge one", func(b *testing.B) {
				writer := crdt.NewSet[string](1 << 21)
				var ds []crdt.Delta
				for _, e := range elements(c.n, 1<<13) {
					ds = append(ds, writer.Add(e))
				}
				s := copyOf(b, 1<<22, state)
				for i := 0; b.Loop(); i++ {
					if i%len(ds) == 0 && i > 0 {
						b.StopTimer()
						s = copyOf(b, 1<<22, state)
						b.StartTimer()
					}
					s.Merge(ds[i%len(ds)])
				}
			})
			b.Run("encode", func(b *testing.B) {
				s := copyOf(b, 1<<22, state)
				for b.Loop() {
					s.State()
				}
				b.ReportMetric(float64(len(raw))/float64(c.n)-13, "metadataB/elem")
			})
			b.Run("decode", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					d, err := crdt.ParseDelta(raw, crdt.Limits{})
					if err != nil {
						b.Fatal(err)
					}
					copyOf(b, 2, d)
				}
			})
			b.Run("identical", func(b *testing.B) { // bytes that were merged before
				s := copyOf(b, 1<<22, state)
				for b.Loop() {
					s.Merge(state)
				}
			})
			b.Run("equal", func(b *testing.B) { // an equal state that comes in other bytes: walked along
				s := copyOf(b, 1<<22, state)
				more := crdt.NewSet[string](1 << 21)
				var ds []crdt.Delta
				for i := range 5 { // more than are known again
					d, err := crdt.Join(state, more.Add(fmt.Sprint("x", i)))
					if err != nil {
						b.Fatal(err)
					}
					s.Merge(d)
					ds = append(ds, d)
				}
				b.ResetTimer()
				for i := 0; b.Loop(); i++ {
					s.Merge(ds[i%len(ds)])
				}
			})
			b.Run("heap", func(b *testing.B) {
				for b.Loop() {
					before := heap()
					s := copyOf(b, 2, state)
					b.ReportMetric(float64(heap()-before)/float64(c.n)-13, "B/elem")
					runtime.KeepAlive(s)
				}
			})
		})
	}
}
