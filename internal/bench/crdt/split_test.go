package crdt

import (
	"fmt"
	"testing"

	"github.com/go-calm/calm/crdt"
)

// BenchmarkSplit cuts the state of a map of tiny values, each a place of its own, into frames of 64 KiB.
func BenchmarkSplit(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			m := crdt.NewMap[uint64, *crdt.LWW[byte]](1)
			d := m.Store().Update(func() {
				for i := range n {
					m.At(uint64(i)).Set(1, byte(i))
				}
			})
			frames := 0
			for b.Loop() {
				frames = 0
				for range d.Split(64 << 10) {
					frames++
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/event")
			b.ReportMetric(float64(frames), "frames")
		})
	}
}
