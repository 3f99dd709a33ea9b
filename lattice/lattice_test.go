package lattice_test

import (
	"math"
	"testing"
	"time"

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

func genAll(t *rapid.T) lattice.All { return lattice.AllOf(rapid.Bool().Draw(t, "all")) }

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

func someTime(t *rapid.T) time.Time {
	zone := rapid.SampledFrom([]*time.Location{time.UTC, time.FixedZone("east", 3600), time.FixedZone("west", -3600)}).Draw(t, "zone")
	return rapid.SampledFrom([]time.Time{{}, time.Unix(0, 0), time.Unix(0, 1), time.Unix(-3600, 0), time.Date(2000, 1, 1, 0, 0, 0, 999999999, time.UTC)}).Draw(t, "time").In(zone)
}

// genHyperLogLog draws sketches around the length at which a list turns into registers.
func genHyperLogLog(t *rapid.T) *lattice.HyperLogLog {
	s := &lattice.HyperLogLog{}
	if p := rapid.IntRange(3, 6).Draw(t, "precision"); p > 3 {
		s = lattice.NewHyperLogLog(p)
		// Hashes with few leading bits and few trailing ones share registers.
		for _, h := range rapid.SliceOfN(rapid.Uint64Range(0, 1<<10-1), 0, 12).Draw(t, "hashes") {
			s.AddHash(h>>5<<59 | h&31<<uint(rapid.SampledFrom([]int{0, 30, 36, 40}).Draw(t, "shift")))
		}
	}
	return s
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
	run(t, "Triple", latticetest.Lattice[lattice.Triple[lattice.Any, tags, lattice.Min[string]]]{
		Gen: func(t *rapid.T) lattice.Triple[lattice.Any, tags, lattice.Min[string]] {
			return lattice.TripleOf(genAny(t), genSet(t), genMin(smallString)(t))
		},
	})
	run(t, "Lex", latticetest.Lattice[lattice.Lex[int64, tags]]{
		Gen: func(t *rapid.T) lattice.Lex[int64, tags] { return lattice.LexOf(smallInt(t), genSet(t)) },
	})
	run(t, "Lex of Max", latticetest.Lattice[lattice.Lex[uint64, lattice.Max[string]]]{
		Gen: func(t *rapid.T) lattice.Lex[uint64, lattice.Max[string]] {
			return lattice.LexOf(smallUint(t), genMaxString(t))
		},
	})
	run(t, "Lex of Point", latticetest.Lattice[lattice.Lex[string, lattice.Point]]{
		Gen: func(t *rapid.T) lattice.Lex[string, lattice.Point] {
			return lattice.LexOf(smallString(t), lattice.Point{})
		},
	})
	run(t, "WithTop", latticetest.Lattice[lattice.WithTop[tags]]{
		Gen: func(t *rapid.T) lattice.WithTop[tags] {
			if rapid.IntRange(0, 3).Draw(t, "top") == 0 {
				return lattice.Top[tags]()
			}
			return lattice.WithTopOf(genSet(t))
		},
		Top: lattice.Top[tags],
	})
	run(t, "WithTop of Max", latticetest.Lattice[lattice.WithTop[lattice.Max[int64]]]{
		Gen: func(t *rapid.T) lattice.WithTop[lattice.Max[int64]] {
			if rapid.IntRange(0, 3).Draw(t, "top") == 0 {
				return lattice.Top[lattice.Max[int64]]()
			}
			return lattice.WithTopOf(genMaxInt(t))
		},
		Top: lattice.Top[lattice.Max[int64]],
	})
	run(t, "Flat", latticetest.Lattice[lattice.Flat[string]]{
		Gen: func(t *rapid.T) lattice.Flat[string] { return lattice.FlatOf(letters(t)...) },
		Top: lattice.Conflict[string],
	})
	run(t, "Flat of float64", latticetest.Lattice[lattice.Flat[float64]]{
		Gen:    func(t *rapid.T) lattice.Flat[float64] { return lattice.FlatOf(smallFloat(t)) },
		NoJSON: true,
	})
	run(t, "Point", latticetest.Lattice[lattice.Point]{
		Gen: func(t *rapid.T) lattice.Point { return lattice.Point{} },
		Top: func() lattice.Point { return lattice.Point{} },
	})
	run(t, "Interval", latticetest.Lattice[lattice.Interval[int64]]{
		Gen: func(t *rapid.T) lattice.Interval[int64] {
			return lattice.IntervalOf(rapid.SliceOfN(rapid.Custom(smallInt), 0, 2).Draw(t, "values")...)
		},
		Top: func() lattice.Interval[int64] { return lattice.IntervalOf[int64](math.MinInt64, math.MaxInt64) },
	})
	run(t, "Interval of float64", latticetest.Lattice[lattice.Interval[float64]]{
		Gen: func(t *rapid.T) lattice.Interval[float64] {
			return lattice.IntervalOf(rapid.SliceOfN(rapid.Custom(smallFloat), 0, 2).Draw(t, "values")...)
		},
		NoJSON: true,
	})
	run(t, "MaxTime", latticetest.Lattice[lattice.MaxTime]{
		Gen:   func(t *rapid.T) lattice.MaxTime { return lattice.MaxTimeOf(someTime(t)) },
		Equal: func(a, b lattice.MaxTime) bool { return a.Value().Equal(b.Value()) },
	})
	run(t, "MinTime", latticetest.Lattice[lattice.MinTime]{
		Gen:   func(t *rapid.T) lattice.MinTime { return lattice.MinTimeOf(someTime(t)) },
		Equal: func(a, b lattice.MinTime) bool { return a.Value().Equal(b.Value()) },
	})
	run(t, "Prefix", latticetest.Lattice[*lattice.Prefix[string]]{
		Gen: func(t *rapid.T) *lattice.Prefix[string] {
			log := []string{"a", "b", "c", "d", "e"}
			p := lattice.PrefixOf(log[:rapid.IntRange(0, 5).Draw(t, "length")]...)
			if rapid.IntRange(0, 5).Draw(t, "other") == 0 {
				p.Append(letter(t))
			}
			if rapid.IntRange(0, 9).Draw(t, "conflict") == 0 {
				p.Merge(lattice.PrefixOf("x"))
			}
			return p
		},
		Top: func() *lattice.Prefix[string] {
			p := lattice.PrefixOf("x")
			p.Merge(lattice.PrefixOf("y"))
			return p
		},
		Mutators: map[string]func(*rapid.T, *lattice.Prefix[string]) *lattice.Prefix[string]{
			"Append": func(t *rapid.T, p *lattice.Prefix[string]) *lattice.Prefix[string] {
				if p == nil {
					p = lattice.PrefixOf[string]()
				}
				p.Append(letter(t))
				return p
			},
		},
	})
	run(t, "Vec", latticetest.Lattice[*lattice.Vec[tags]]{
		Gen: func(t *rapid.T) *lattice.Vec[tags] {
			return lattice.VecOf(rapid.SliceOfN(rapid.Custom(genSet), 0, 3).Draw(t, "values")...)
		},
	})
	run(t, "Vec of Max", latticetest.Lattice[*lattice.Vec[lattice.Max[uint64]]]{
		Gen: func(t *rapid.T) *lattice.Vec[lattice.Max[uint64]] {
			v := &lattice.Vec[lattice.Max[uint64]]{}
			v.Put(rapid.IntRange(0, 3).Draw(t, "index"), genMaxUint(t))
			v.Put(rapid.IntRange(0, 3).Draw(t, "index"), genMaxUint(t))
			return v
		},
	})
	run(t, "BoundedSet", latticetest.Lattice[*lattice.BoundedSet[string]]{
		Gen: func(t *rapid.T) *lattice.BoundedSet[string] {
			s := &lattice.BoundedSet[string]{}
			if limit := rapid.IntRange(0, 3).Draw(t, "limit"); limit > 0 {
				s = lattice.NewBoundedSet[string](limit)
			}
			s.Add(letters(t)...)
			return s
		},
		Top: func() *lattice.BoundedSet[string] {
			s := lattice.NewBoundedSet[string](1)
			s.Add("a", "b")
			return s
		},
	})
	run(t, "Bits", latticetest.Lattice[*lattice.Bits]{
		Gen: func(t *rapid.T) *lattice.Bits {
			return lattice.BitsOf(rapid.SliceOfN(rapid.SampledFrom([]uint{0, 1, 63, 64, 130}), 0, 4).Draw(t, "bits")...)
		},
	})
	run(t, "UnionFind", latticetest.Lattice[*lattice.UnionFind[string]]{
		Gen: func(t *rapid.T) *lattice.UnionFind[string] {
			u := &lattice.UnionFind[string]{}
			for range rapid.IntRange(0, 3).Draw(t, "unions") {
				u.Union(letter(t), letter(t))
			}
			return u
		},
	})
	run(t, "TopK", latticetest.Lattice[*lattice.TopK[string, int64]]{
		Gen: func(t *rapid.T) *lattice.TopK[string, int64] {
			b := &lattice.TopK[string, int64]{}
			if k := rapid.IntRange(0, 3).Draw(t, "k"); k > 0 {
				b = lattice.NewTopK[string, int64](k)
			}
			for range rapid.IntRange(0, 4).Draw(t, "puts") {
				b.Put(letter(t), rapid.Int64Range(-1, 2).Draw(t, "score"))
			}
			return b
		},
	})
	run(t, "Antichain", latticetest.Lattice[*lattice.Antichain[inner]]{
		Gen: func(t *rapid.T) *lattice.Antichain[inner] {
			return lattice.AntichainOf(rapid.SliceOfN(rapid.Custom(genPair(genMaxInt, genSet)), 0, 3).Draw(t, "values")...)
		},
	})
	run(t, "MaxMap", latticetest.Lattice[*lattice.MaxMap[int64, uint64]]{
		Gen: func(t *rapid.T) *lattice.MaxMap[int64, uint64] {
			m := &lattice.MaxMap[int64, uint64]{}
			for range rapid.IntRange(0, 9).Draw(t, "puts") {
				m.Put(rapid.OneOf(rapid.Int64Range(-5, 5), rapid.Custom(smallInt)).Draw(t, "key"), smallUint(t))
			}
			return m
		},
	})
	run(t, "MaxMap of float64", latticetest.Lattice[*lattice.MaxMap[uint8, float64]]{
		Gen: func(t *rapid.T) *lattice.MaxMap[uint8, float64] {
			m := &lattice.MaxMap[uint8, float64]{}
			for range rapid.IntRange(0, 9).Draw(t, "puts") {
				m.Put(rapid.Uint8Range(0, 5).Draw(t, "key"), smallFloat(t))
			}
			return m
		},
	})
	run(t, "IntSet", latticetest.Lattice[*lattice.IntSet]{
		Gen: func(t *rapid.T) *lattice.IntSet {
			return lattice.IntSetOf(rapid.SliceOfN(rapid.OneOf(rapid.Uint64Range(0, 20), rapid.Custom(smallUint)), 0, 20).Draw(t, "numbers")...)
		},
	})
	run(t, "TombSet", latticetest.Lattice[*lattice.TombSet[string]]{
		Gen: func(t *rapid.T) *lattice.TombSet[string] {
			s := &lattice.TombSet[string]{}
			s.Add(letters(t)...)
			s.Remove(letters(t)...)
			return s
		},
	})
	run(t, "TombSet of int8", latticetest.Lattice[*lattice.TombSet[int8]]{
		Gen: func(t *rapid.T) *lattice.TombSet[int8] {
			id := rapid.SampledFrom([]int8{-128, -127, -1, 0, 1, 2, 3, 126, 127})
			s := &lattice.TombSet[int8]{}
			s.Add(rapid.SliceOfN(id, 0, 4).Draw(t, "added")...)
			s.Remove(rapid.SliceOfN(id, 0, 4).Draw(t, "removed")...)
			return s
		},
	})
	run(t, "TombMap", latticetest.Lattice[*lattice.TombMap[uint64, tags]]{
		Gen: func(t *rapid.T) *lattice.TombMap[uint64, tags] {
			m := &lattice.TombMap[uint64, tags]{}
			for range rapid.IntRange(0, 3).Draw(t, "puts") {
				m.Put(rapid.Uint64Range(0, 5).Draw(t, "key"), genSet(t))
			}
			m.Remove(rapid.SliceOfN(rapid.OneOf(rapid.Uint64Range(0, 5), rapid.Custom(smallUint)), 0, 4).Draw(t, "removed")...)
			return m
		},
	})
	run(t, "HyperLogLog", latticetest.Lattice[*lattice.HyperLogLog]{Gen: genHyperLogLog})
	run(t, "KMV", latticetest.Lattice[*lattice.KMV]{
		Gen: func(t *rapid.T) *lattice.KMV {
			s := &lattice.KMV{}
			if k := rapid.IntRange(2, 5).Draw(t, "k"); k > 2 {
				s = lattice.NewKMV(k)
			}
			for _, n := range rapid.SliceOfN(rapid.Uint64Range(0, 8), 0, 8).Draw(t, "elements") {
				s.AddHash(n << 60)
			}
			return s
		},
	})
	run(t, "Bloom", latticetest.Lattice[*lattice.Bloom]{
		Gen: func(t *rapid.T) *lattice.Bloom {
			b := lattice.NewBloom(rapid.SampledFrom([]int{1, 1, 1, 2, 12}).Draw(t, "size"), 0.5)
			for _, n := range rapid.SliceOfN(rapid.Uint64Range(0, 8), 0, 8).Draw(t, "elements") {
				b.AddUint64(n)
			}
			switch rapid.IntRange(0, 9).Draw(t, "special") {
			case 0:
				return nil
			case 1:
				b.Join(lattice.NewBloom(100, 0.1))
			}
			return b
		},
		Top: func() *lattice.Bloom {
			b := lattice.NewBloom(1, 0.1)
			b.Join(lattice.NewBloom(100, 0.1))
			return b
		},
	})
}

func run[L lattice.Lattice[L]](t *testing.T, name string, l latticetest.Lattice[L]) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		latticetest.Run(t, l)
		t.Run("exhaustive", func(t *testing.T) {
			gen := rapid.Custom(func(t *rapid.T) L {
				rapid.Bool().Draw(t, "unused") // rapid wants every generator to draw something
				return l.Gen(t)
			})
			for world := range 8 {
				var states []L
				for i := range 4 {
					states = append(states, gen.Example(4*world+i))
				}
				latticetest.Exhaustive(t, l, states...)
			}
		})
	})
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
