package lattice_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-calm/calm/lattice"
	"github.com/go-calm/calm/lattice/latticetest"
)

func TestMorphisms(t *testing.T) {
	type sets = *lattice.Map[string, tags]
	genSets := genMap(genSet)
	t.Run("MapValues", func(t *testing.T) {
		latticetest.Morphism(t, genSets, func(m sets) *lattice.Map[string, lattice.Any] {
			return lattice.MapValues(m, func(s tags) lattice.Any { return lattice.AnyOf(s.Has("a")) })
		})
	})
	t.Run("MapValues of a monotone function", func(t *testing.T) {
		latticetest.Monotone(t, genSets, func(m sets) *lattice.Map[string, lattice.Max[uint64]] {
			return lattice.MapValues(m, func(s tags) lattice.Max[uint64] { return lattice.MaxOf(uint64(s.Len())) })
		})
	})
	t.Run("FoldSet", func(t *testing.T) {
		latticetest.Morphism(t, genSet, func(s tags) lattice.Max[string] {
			return lattice.FoldSet(s, func(e string) lattice.Max[string] { return lattice.MaxOf(e) })
		})
	})
	t.Run("MapSet", func(t *testing.T) {
		latticetest.Morphism(t, genSet, func(s tags) tags { return lattice.MapSet(s, strings.ToUpper) })
	})
	t.Run("FilterSet", func(t *testing.T) {
		latticetest.Morphism(t, genSet, func(s tags) tags {
			return lattice.FilterSet(s, func(e string) bool { return e < "c" })
		})
	})
	t.Run("Keys", func(t *testing.T) { latticetest.Morphism(t, genSets, lattice.Keys[string, tags]) })
	t.Run("Intersect", func(t *testing.T) { latticetest.Bimorphism(t, genSet, genSet, lattice.Intersect[string]) })
	t.Run("Product", func(t *testing.T) {
		latticetest.Bimorphism(t, genSet, genSet, func(a, b tags) tags {
			return lattice.Product(a, b, func(a, b string) string { return a + b })
		})
	})
	t.Run("Restrict", func(t *testing.T) {
		latticetest.Bimorphism(t, genSets, genSet, lattice.Restrict[string, tags])
	})
	t.Run("JoinKeys", func(t *testing.T) {
		latticetest.Bimorphism(t, genSets, genSets, func(a, b sets) sets {
			return lattice.JoinKeys(a, b, lattice.Intersect[string])
		})
	})
	t.Run("When", func(t *testing.T) { latticetest.Bimorphism(t, genAny, genSet, lattice.When[tags]) })
	t.Run("Compose", func(t *testing.T) {
		latticetest.Morphism(t, genSets, lattice.Compose(lattice.Keys[string, tags], func(s tags) tags {
			return lattice.MapSet(s, strings.ToUpper)
		}))
	})
}

func TestAtLeastIsAThreshold(t *testing.T) {
	latticetest.Threshold(t, genSet, lattice.AtLeast(lattice.SetOf("a", "b")))
	latticetest.Threshold(t, genMaxInt, lattice.AtLeast(lattice.MaxOf[int64](0)))
	latticetest.Monotone(t, genSet, func(s *lattice.Set[string]) lattice.Any {
		return lattice.AnyOf(lattice.AtLeast(lattice.SetOf("a"))(s))
	})
}

func TestFix(t *testing.T) {
	// Reachability in a graph that has a cycle.
	type edge = [2]string
	edges := lattice.SetOf(edge{"a", "b"}, edge{"b", "c"}, edge{"c", "a"}, edge{"d", "a"})
	step := func(reached *lattice.Set[string]) *lattice.Set[string] {
		return lattice.FoldSet(edges, func(e edge) *lattice.Set[string] {
			if reached.Has(e[0]) {
				return lattice.SetOf(e[1])
			}
			return nil
		})
	}
	latticetest.Morphism(t, func(t *rapid.T) *lattice.Set[string] { return lattice.SetOf(letters(t)...) }, step)
	require.Equal(t, "{a, b, c}", lattice.Fix(step, lattice.SetOf("a")).String())
	require.Equal(t, "{a, b, c}", lattice.FixDelta(step, lattice.SetOf("a")).String())
	require.Equal(t, "{a, b, c, d}", lattice.FixDelta(step, lattice.SetOf("d")).String())
	require.Empty(t, lattice.Fix(step, nil).Sorted())
}
