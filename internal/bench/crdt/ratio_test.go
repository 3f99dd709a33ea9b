package crdt

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/go-calm/calm/crdt"
)

// job is one side of a comparison: prepare is not measured, the function that it returns is, and does
// so many operations as the comparison says.
type job struct {
	name    string
	prepare func() (run func())
}

// inTurns has jobs do the same work in turns, each with a heap that was just collected, and reports
// the first one's median time and allocations of an operation and its share of the others' time: what
// else the machine does meets all of them alike.
func inTurns(b *testing.B, operations int, jobs ...job) {
	times := make([][]float64, len(jobs))
	var before, after runtime.MemStats
	var count, bytes, turns float64
	for b.Loop() {
		for range 7 {
			for i, j := range jobs {
				run := j.prepare()
				runtime.GC()
				runtime.ReadMemStats(&before)
				start := time.Now()
				run()
				times[i] = append(times[i], float64(time.Since(start))/float64(operations))
				if runtime.ReadMemStats(&after); i == 0 {
					count, bytes = count+float64(after.Mallocs-before.Mallocs), bytes+float64(after.TotalAlloc-before.TotalAlloc)
				}
			}
			turns += float64(operations)
		}
	}
	median := func(ts []float64) float64 {
		slices.Sort(ts)
		return ts[len(ts)/2]
	}
	first := median(times[0])
	b.ReportMetric(first, "ns/op")
	b.ReportMetric(float64(int(count/turns)), "allocs/op")
	b.ReportMetric(bytes/turns, "B/op")
	for i, j := range jobs[1:] {
		other := median(times[i+1])
		b.ReportMetric(other, j.name+"-ns")
		b.ReportMetric(first/other, jobs[0].name+"/"+j.name)
	}
}

// BenchmarkRatio compares with a plain Go map of the same strings in turns, which [BenchmarkAdd],
// [BenchmarkMergeOne] and [BenchmarkMergeState], one after the other, cannot do as fairly. One
// iteration is several turns of all sides, and an operation is what is done to one element.
//
// What is to be reached, and what the time that is left is made of (pprof):
//
//   - Add at most 2.5. A third of it is to write the delta, of which a fifth is its checksum; the rest is
//     shared by the table, the node and the lane.
//   - MergeOne at most 3, and a million at most three times a thousand.
//   - Merging what is there at most 0.05: as good as nothing if its bytes were merged before. If they
//     were not, it is 0.05 to 0.07: each element's node and key are compared with the delta's, which is
//     memory to go through, 80 bytes an element.
//   - Decode at most 1.27 and 30 allocations. Two thirds are to hash, to look up and to make the nodes.
func BenchmarkRatio(b *testing.B) {
	es := elements(0, 2*many)
	base := filled(1, es[:many]).State()
	raw, _ := base.MarshalBinary()

	b.Run("Add", func(b *testing.B) { // into an empty set, with a delta each, until it holds a hundred thousand
		inTurns(b, many, job{"calm", func() func() {
			s := crdt.NewSet[string](1)
			return func() {
				for _, e := range es[:many] {
					s.Add(e)
				}
			}
		}}, job{"plain", func() func() {
			m := map[string]uint64{}
			return func() { insert(m, es[:many]) }
		}})
	})

	// One new element at a time, by another replica, until the set is twice as large: what either side
	// pays for growing is in it. A million grows by a tenth only.
	for _, n := range []int{1000, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("MergeOne/n=%d", n), func(b *testing.B) {
			here, more := elements(0, n), elements(n, min(n, many))
			state := filled(1, here).State()
			other := crdt.NewSet[string](2)
			ds := make([]crdt.Delta, len(more))
			for i, e := range more {
				ds[i] = other.Add(e)
			}
			inTurns(b, len(more), job{"calm", func() func() {
				s := copyOf(b, 3, state)
				return func() {
					for _, d := range ds {
						s.Merge(d)
					}
				}
			}}, job{"plain", func() func() {
				m := plain(here)
				return func() { insert(m, more) }
			}})
		})
	}

	b.Run("MergeState/disjoint", func(b *testing.B) {
		d, o := filled(2, es[many:]).State(), plain(es[many:])
		inTurns(b, many, job{"calm", func() func() {
			s := copyOf(b, 3, base)
			return func() { s.Merge(d) }
		}}, job{"plain", func() func() {
			m := plain(es[:many])
			return func() { maps.Copy(m, o) }
		}})
	})

	// The same state as here: in bytes that were merged before, and in bytes that were never seen, as
	// this replica got it in other pieces.
	identical := func(prepare func() *crdt.Set[string]) func(b *testing.B) {
		return func(b *testing.B) {
			m, o := plain(es[:many]), plain(es[:many])
			inTurns(b, many, job{"calm", func() func() {
				s := prepare()
				return func() { s.Merge(base) }
			}}, job{"plain", func() func() {
				return func() { maps.Copy(m, o) }
			}})
		}
	}
	b.Run("MergeState/identical", identical(func() *crdt.Set[string] { return copyOf(b, 3, base) }))
	b.Run("MergeState/equal", identical(func() *crdt.Set[string] {
		s := crdt.NewSet[string](3)
		for piece := range base.Split(64 << 10) {
			s.Merge(piece)
		}
		return s
	}))

	b.Run("Decode", func(b *testing.B) { // from bytes to a set, beside a map made of strings that are there
		inTurns(b, many, job{"calm", func() func() {
			return func() {
				d, err := crdt.ParseDelta(raw, crdt.Limits{})
				if err != nil {
					b.Fatal(err)
				}
				copyOf(b, 2, d)
			}
		}}, job{"plain", func() func() {
			m := map[string]uint64{}
			return func() { insert(m, es[:many]) }
		}})
	})
	b.Run("Encode", func(b *testing.B) { // beside reading a map's keys once
		s, m := copyOf(b, 2, base), plain(es[:many])
		inTurns(b, many, job{"calm", func() func() {
			return func() { s.State() }
		}}, job{"plain", func() func() {
			return func() {
				n := 0
				for k := range m {
					n += len(k)
				}
				runtime.KeepAlive(n)
			}
		}})
	})
}

func insert(m map[string]uint64, es []string) {
	for i, e := range es {
		m[e] = uint64(i)
	}
}
