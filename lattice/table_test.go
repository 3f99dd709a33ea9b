package lattice_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-calm/calm/lattice"
)

// someLength draws how much is merged at once: little, or about as much as merges look up ahead.
func someLength(t *rapid.T) int {
	return rapid.OneOf(rapid.IntRange(0, 5), rapid.SampledFrom([]int{63, 64, 65, 127, 128, 129, 400})).Draw(t, "length")
}

// The flat tables do what Go's maps would, while they grow, across batches, and with keys that
// come twice.
func TestFlatTablesAgreeWithMaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.Uint64Range(0, rapid.SampledFrom([]uint64{8, 200, 1 << 40}).Draw(t, "greatest"))
		table, numbers := &lattice.MaxMap[uint64, int64]{}, &lattice.IntSet{}
		model, seen := map[uint64]int64{}, map[uint64]struct{}{}
		for range rapid.IntRange(1, 5).Draw(t, "merges") {
			n := someLength(t)
			ks := rapid.SliceOfN(key, n, n).Draw(t, "keys")
			entries := make([]lattice.Entry[uint64, int64], n)
			for i, k := range ks {
				entries[i] = lattice.Entry[uint64, int64]{Key: k, Value: rapid.Int64Range(-2, 2).Draw(t, "value")}
			}
			before, size := maps.Clone(model), len(seen)
			for _, e := range entries {
				old, ok := model[e.Key]
				if !ok || e.Value > old {
					model[e.Key] = e.Value
				}
				seen[e.Key] = struct{}{}
			}
			var grew bool
			if rapid.Bool().Draw(t, "as a map") {
				other := &lattice.MaxMap[uint64, int64]{}
				other.MergeEntries(entries)
				grew = table.Merge(other)
			} else {
				grew = table.MergeEntries(entries)
			}
			require.Equal(t, !maps.Equal(before, model), grew)
			require.Equal(t, model, maps.Collect(table.All()))
			require.Equal(t, len(seen) > size, numbers.Merge(lattice.IntSetOf(ks...)))
			require.Equal(t, slices.Sorted(maps.Keys(seen)), slices.Sorted(numbers.All()))
		}
	})
}

// A bit that is new is told of and kept wherever it is, and nothing else changes.
func TestMergeFindsEachNewBit(t *testing.T) {
	const n = 64 * 19 // two turns of eight words, and three words
	for i := range uint(n) {
		all, one := &lattice.Bits{}, lattice.BitsOf(i, n-1)
		for j := range uint(n) {
			if j != i {
				all.Add(j)
			}
		}
		require.True(t, all.Merge(one), i)
		require.Equal(t, n, all.Len(), i)
		require.False(t, all.Merge(one), i)
	}
}
