package lattice_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-calm/calm/lattice"
	"github.com/go-calm/calm/lattice/latticetest"
)

// Generators draw from small domains, so that states overlap.

func smallInt(t *rapid.T) int64 {
	return rapid.SampledFrom([]int64{math.MinInt64, math.MinInt64 + 1, -1, 0, 1, 2, math.MaxInt64}).Draw(t, "int")
}

func smallUint(t *rapid.T) uint64 {
	return rapid.SampledFrom([]uint64{0, 1, 2, 1 << 63, math.MaxUint64}).Draw(t, "uint")
}

func smallFloat(t *rapid.T) float64 {
	return rapid.SampledFrom([]float64{math.Inf(-1), -1, math.Copysign(0, -1), 0, 5e-324, -5e-324, 1, math.MaxFloat64, math.NaN()}).Draw(t, "float")
}

func smallString(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "a", "b", "c", "\x00"}).Draw(t, "string")
}

func letter(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "letter")
}

func letters(t *rapid.T) []string {
	return rapid.SliceOfN(rapid.Custom(letter), 0, 4).Draw(t, "letters")
}

func genSet(t *rapid.T) *lattice.Set[string] {
	if rapid.IntRange(0, 7).Draw(t, "nil") == 0 {
		return nil
	}
	return lattice.SetOf(letters(t)...)
}

func genMaxInt(t *rapid.T) lattice.Max[int64]     { return lattice.MaxOf(smallInt(t)) }
func genMaxUint(t *rapid.T) lattice.Max[uint64]   { return lattice.MaxOf(smallUint(t)) }
func genMaxFloat(t *rapid.T) lattice.Max[float64] { return lattice.MaxOf(smallFloat(t)) }
func genMaxString(t *rapid.T) lattice.Max[string] { return lattice.MaxOf(smallString(t)) }
func genAny(t *rapid.T) lattice.Any               { return lattice.AnyOf(rapid.Bool().Draw(t, "any")) }
func genAll(t *rapid.T) lattice.All               { return lattice.AllOf(rapid.Bool().Draw(t, "all")) }

func genMin[T int64 | uint64 | float64 | string](v func(*rapid.T) T) func(t *rapid.T) lattice.Min[T] {
	return func(t *rapid.T) lattice.Min[T] {
		if rapid.IntRange(0, 7).Draw(t, "none") == 0 {
			return lattice.Min[T]{}
		}
		return lattice.MinOf(v(t))
	}
}

// genMap draws maps of whatever gen draws.
func genMap[V lattice.Lattice[V]](gen func(*rapid.T) V) func(t *rapid.T) *lattice.Map[string, V] {
	return func(t *rapid.T) *lattice.Map[string, V] {
		if rapid.IntRange(0, 7).Draw(t, "nil") == 0 {
			return nil
		}
		m := &lattice.Map[string, V]{}
		for range rapid.IntRange(0, 3).Draw(t, "puts") {
			m.Put(letter(t), gen(t))
		}
		return m
	}
}

type (
	tags  = *lattice.Set[string]
	inner = lattice.Pair[lattice.Max[int64], tags]
	deep  = *lattice.Map[string, *lattice.Map[string, inner]]
)

func genPair[A lattice.Lattice[A], B lattice.Lattice[B]](a func(*rapid.T) A, b func(*rapid.T) B) func(t *rapid.T) lattice.Pair[A, B] {
	return func(t *rapid.T) lattice.Pair[A, B] { return lattice.PairOf(a(t), b(t)) }
}

func genDeep(t *rapid.T) deep { return genMap(genMap(genPair(genMaxInt, genSet)))(t) }

func TestLaws(t *testing.T) {
	run(t, "Max of int64", latticetest.Lattice[lattice.Max[int64]]{
		Gen: genMaxInt,
		Top: func() lattice.Max[int64] { return lattice.MaxOf[int64](math.MaxInt64) },
	})
	run(t, "Max of uint64", latticetest.Lattice[lattice.Max[uint64]]{
		Gen: genMaxUint,
		Top: func() lattice.Max[uint64] { return lattice.MaxOf[uint64](math.MaxUint64) },
	})
	run(t, "Max of float64", latticetest.Lattice[lattice.Max[float64]]{
		Gen: genMaxFloat,
		Top: func() lattice.Max[float64] { return lattice.MaxOf(math.Inf(1)) },
	})
	run(t, "Max of string", latticetest.Lattice[lattice.Max[string]]{Gen: genMaxString})
	run(t, "Min of int64", latticetest.Lattice[lattice.Min[int64]]{
		Gen: genMin(smallInt),
		Top: func() lattice.Min[int64] { return lattice.MinOf[int64](math.MinInt64) },
	})
	run(t, "Min of uint64", latticetest.Lattice[lattice.Min[uint64]]{
		Gen: genMin(smallUint),
		Top: func() lattice.Min[uint64] { return lattice.MinOf[uint64](0) },
	})
	run(t, "Min of float64", latticetest.Lattice[lattice.Min[float64]]{Gen: genMin(smallFloat), NoJSON: true})
	run(t, "Min of string", latticetest.Lattice[lattice.Min[string]]{
		Gen: genMin(smallString),
		Top: func() lattice.Min[string] { return lattice.MinOf("") },
	})
	run(t, "Any", latticetest.Lattice[lattice.Any]{Gen: genAny, Top: func() lattice.Any { return lattice.AnyOf(true) }})
	run(t, "All", latticetest.Lattice[lattice.All]{Gen: genAll, Top: func() lattice.All { return lattice.AllOf(false) }})
	run(t, "Set", latticetest.Lattice[*lattice.Set[string]]{
		Gen: genSet,
		DeltaMutators: map[string]func(*rapid.T, *lattice.Set[string]) (after, delta *lattice.Set[string]){
			"Add": func(t *rapid.T, s *lattice.Set[string]) (after, delta *lattice.Set[string]) {
				if s == nil {
					s = lattice.SetOf[string]()
				}
				e := letter(t)
				s.Add(e)
				return s, lattice.SetOf(e)
			},
		},
	})
	run(t, "Map of Max", latticetest.Lattice[*lattice.Map[string, lattice.Max[uint64]]]{Gen: genMap(genMaxUint)})
	run(t, "Map of Map of Pair", latticetest.Lattice[deep]{
		Gen: genDeep,
		Mutators: map[string]func(*rapid.T, deep) deep{
			"Put": func(t *rapid.T, m deep) deep {
				if m == nil {
					m = &lattice.Map[string, *lattice.Map[string, inner]]{}
				}
				m.Put(letter(t), genMap(genPair(genMaxInt, genSet))(t))
				return m
			},
		},
	})
	run(t, "Pair", latticetest.Lattice[lattice.Pair[lattice.Any, tags]]{Gen: genPair(genAny, genSet)})
}

func run[L lattice.Lattice[L]](t *testing.T, name string, l latticetest.Lattice[L]) {
	t.Helper()
	t.Run(name, func(t *testing.T) { latticetest.Run(t, l) })
}

func TestMaxOfEveryKind(t *testing.T) {
	type seconds int16
	type ratio float32
	require.Equal(t, seconds(0), lattice.MaxOf[seconds](0).Value())
	require.False(t, lattice.IsBottom(lattice.MaxOf[seconds](0)))
	require.True(t, lattice.IsBottom(lattice.MaxOf[seconds](math.MinInt16)))
	require.True(t, lattice.MaxOf[seconds](0).AtLeast(-1))
	require.False(t, lattice.MaxOf[seconds](-2).AtLeast(-1))
	require.True(t, lattice.Max[seconds]{}.AtLeast(math.MinInt16))
	require.Equal(t, ratio(0), lattice.MaxOf[ratio](0, -1).Value())
	require.True(t, lattice.IsBottom(lattice.MaxOf(ratio(math.NaN()))))
	require.True(t, lattice.IsBottom(lattice.MaxOf(math.NaN(), math.Inf(-1))))
	require.Equal(t, int8(0), lattice.MaxOf[int8](-128, 0).Value())
	require.Equal(t, "⊥", lattice.Max[int32]{}.String())
	require.Equal(t, "0", lattice.MaxOf[int32](0).String())
	require.Equal(t, "⊥", lattice.Max[uint32]{}.String())
	require.Equal(t, math.Inf(1), 1/lattice.MaxOf(math.Copysign(0, -1)).Value(), "−0 is kept")
	v, ok := lattice.MinOf(math.Copysign(0, -1)).Value()
	require.True(t, ok)
	require.Equal(t, math.Inf(1), 1/v, "−0 is kept")
	_, ok = lattice.MinOf(math.NaN()).Value()
	require.False(t, ok)
}
