package lattice_test

import (
	"strings"
	"testing"

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
