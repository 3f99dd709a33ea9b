package lattice_test

import (
	"slices"
	"testing"
	"time"

	"github.com/go-calm/calm/lattice"
)

// BenchmarkRatio does the job of [BenchmarkMerge] by hand and by each type in turns of a few
// milliseconds and compares the medians: what else the machine does meets all of them alike.
func BenchmarkRatio(b *testing.B) {
	keys := randomKeys(stateSize)
	picked := pick(keys)
	handState, handDeltas := handMap(keys, 1), each(picked, func(ks []key) hand { return handMap(ks, 1) })
	calmState, calmDeltas := mapOf(keys, 1), each(picked, func(ks []key) *calmMap { return mapOf(ks, 1) })
	flatState, flatDeltas := maxMapOf(keys, 1), each(picked, func(ks []key) *maxMap { return maxMapOf(ks, 1) })
	entries := each(picked, func(ks []key) []lattice.Entry[key, uint64] {
		es := make([]lattice.Entry[key, uint64], len(ks))
		for i, k := range ks {
			es[i] = lattice.Entry[key, uint64]{Key: k, Value: 1}
		}
		return es
	})
	entryState := maxMapOf(keys, 1)
	intState, intDeltas := lattice.IntSetOf(keys...), each(picked, func(ks []key) *lattice.IntSet { return lattice.IntSetOf(ks...) })
	jobs := []struct {
		name  string
		merge func(i int)
		times []time.Duration
	}{
		{name: "hand", merge: func(i int) { mergeByHand(handState, handDeltas[i]) }},
		{name: "Map", merge: func(i int) { calmState.Merge(calmDeltas[i]) }},
		{name: "MaxMap", merge: func(i int) { flatState.Merge(flatDeltas[i]) }},
		{name: "MaxMap.MergeEntries", merge: func(i int) { entryState.MergeEntries(entries[i]) }},
		{name: "IntSet", merge: func(i int) { intState.Merge(intDeltas[i]) }},
	}
	const turn = 16
	for i := 0; b.Loop(); i += turn {
		for j := range jobs {
			start := time.Now()
			for k := range turn {
				jobs[j].merge((i + k) % deltas)
			}
			jobs[j].times = append(jobs[j].times, time.Since(start))
		}
	}
	median := func(ts []time.Duration) float64 {
		slices.Sort(ts)
		return float64(ts[len(ts)/2])
	}
	base := median(jobs[0].times)
	b.ReportMetric(base/turn/deltaSize, "hand-ns/entry")
	for _, job := range jobs[1:] {
		b.ReportMetric(median(job.times)/base, job.name+"/hand")
	}
}
