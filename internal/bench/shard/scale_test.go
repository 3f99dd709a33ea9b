package shard_test

import (
	"fmt"
	"testing"

	"github.com/go-calm/calm/shard"
)

// BenchmarkScale is what placement costs as nodes are added: building the map anew, the slots that
// one more node moves beside the least that it could, and what a member has to hold.
func BenchmarkScale(b *testing.B) {
	for _, n := range []int{3, 100, 10_000} {
		nodes := make([]shard.Node, n)
		for i := range nodes {
			nodes[i].ID = fmt.Sprintf("node-%05d", i)
		}
		b.Run(fmt.Sprintf("calm.With/nodes=%d", n), func(b *testing.B) {
			m, err := shard.New(nodes)
			if err != nil {
				b.Fatal(err)
			}
			var more *shard.Map
			for b.Loop() {
				if more, err = m.With(shard.Node{ID: "one-more"}); err != nil {
					b.Fatal(err)
				}
			}
			plan := shard.Diff(m, more)
			_, least := m.Rebalance(append(nodes[:n:n], shard.Node{ID: "one-more"}))
			binary, err := more.MarshalBinary()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(m.Slots()), "slots")
			b.ReportMetric(float64(len(plan.Moves)), "moves")
			b.ReportMetric(float64(least.Lower), "least")
			b.ReportMetric(float64(len(binary))/1024, "kB-map")
		})
	}
}
