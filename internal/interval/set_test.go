package interval

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// naive is the specification: one entry a number.
type naive map[uint64]bool

func (n naive) addRange(lo, hi uint64) {
	for i := lo; i <= hi; i++ {
		n[i] = true
	}
}

func draw(t *rapid.T, label string) (Set, naive) {
	s, n := Set{}, naive{}
	for _, r := range rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Range {
		lo := rapid.Uint64Range(0, 40).Draw(t, "lo")
		return Range{lo, lo + rapid.Uint64Range(0, 6).Draw(t, "len")}
	}), 0, 10).Draw(t, label) {
		s.AddRange(r.Lo, r.Hi)
		n.addRange(r.Lo, r.Hi)
	}
	return s, n
}

func check(t *rapid.T, s Set, n naive) {
	for i := uint64(0); i < 60; i++ {
		require.Equal(t, n[i], s.Has(i), "number %d in %v", i, s.runs)
	}
	require.Equal(t, uint64(len(n)), s.Count())
	for i, r := range s.runs {
		require.LessOrEqual(t, r.Lo, r.Hi)
		if i > 0 {
			require.Greater(t, r.Lo, s.runs[i-1].Hi+1, "runs touch: %v", s.runs)
		}
	}
}

func TestSetAgreesWithOneEntryANumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, na := draw(t, "a")
		b, nb := draw(t, "b")
		check(t, a, na)

		n := rapid.Uint64Range(0, 50).Draw(t, "n")
		require.Equal(t, !na[n], a.Add(n))
		na[n] = true
		check(t, a, na)

		contained := true
		minus := naive{}
		for i := range nb {
			contained = contained && na[i]
		}
		for i := range na {
			if !nb[i] {
				minus[i] = true
			}
		}
		require.Equal(t, contained, a.Contains(b))
		in, last := a.Until(n)
		require.Equal(t, na[n], in)
		for i := n; i <= min(last, 60); i++ {
			require.Equal(t, in, na[i])
		}
		if last < math.MaxUint64 {
			require.NotEqual(t, in, na[last+1])
		}
		check(t, a.Minus(b), minus)

		before := a.Clone()
		union := a.Clone()
		union.Merge(b)
		for i := range nb {
			na[i] = true
		}
		check(t, union, na)
		require.Equal(t, before, a.Clone(), "Merge changed what it was cloned from")
		require.True(t, union.Contains(a) && union.Contains(b))
		swapped := b.Clone()
		swapped.Merge(a)
		require.True(t, union.Equal(swapped))
		var pushed Set
		for _, r := range union.Runs() {
			require.True(t, pushed.Push(r))
		}
		require.True(t, pushed.Equal(union))
		lo := rapid.Uint64Range(0, 50).Draw(t, "lo")
		hi := lo + rapid.Uint64Range(0, 5).Draw(t, "width")
		all := true
		for i := lo; i <= hi; i++ {
			all = all && na[i]
		}
		require.Equal(t, all, union.ContainsRange(lo, hi))
		prefix := uint64(0)
		for na[prefix+1] {
			prefix++
		}
		require.Equal(t, prefix, union.Prefix())
	})
}

// What comes from the last to the first stays where it is, but for now and then.
func TestRunsFromTheLastToTheFirst(t *testing.T) {
	const n = 10_000
	var s Set
	moved := 0
	var last *Range
	for i := uint64(n); i > 0; i-- {
		lo := 3 * i
		s.AddRange(lo, lo)
		if i%7 == 0 { // and one that is not quite the first
			s.AddRange(lo+4, lo+4)
		}
		if at := &s.runs[len(s.runs)-1]; at != last {
			last = at
			moved++
		}
	}
	require.LessOrEqual(t, moved, 40)
	require.Equal(t, int(s.Count()), n+n/7)
	for i := 1; i < len(s.runs); i++ {
		require.Less(t, s.runs[i-1].Hi+1, s.runs[i].Lo)
	}
	for i := uint64(1); i <= n; i++ {
		require.True(t, s.Has(3*i))
		require.Equal(t, i%7 == 0, s.Has(3*i+4))
	}

	// A set that grew at its end since, and one that was cut, have other arrays.
	for i := range uint64(1000) {
		s.AddRange(4*n+3*i, 4*n+3*i)
	}
	s.AddRange(1, 1)
	require.True(t, s.Has(1) && s.Has(3) && s.Has(4*n))
	require.Equal(t, uint64(n+n/7+1001), s.Count())
}

func TestSetAtTheEdges(t *testing.T) {
	s := Of(Range{math.MaxUint64, math.MaxUint64}, Range{0, 0})
	require.False(t, s.Add(math.MaxUint64))
	require.True(t, s.Has(0) && s.Has(math.MaxUint64) && !s.Has(1))
	s.AddRange(0, math.MaxUint64)
	require.Equal(t, []Range{{0, math.MaxUint64}}, s.Runs())
	require.Equal(t, uint64(math.MaxUint64), s.Count())
	require.Zero(t, (&Set{}).Max())
	s.AddRange(5, 4)
	require.Len(t, s.Runs(), 1)

	s.Clear()
	require.True(t, s.IsEmpty() && !s.Has(5))

	var p Set
	require.False(t, p.Push(Range{3, 2}), "backwards")
	require.True(t, p.Push(Range{3, 4}))
	require.False(t, p.Push(Range{5, 6}), "touches")
	require.False(t, p.Push(Range{1, 1}), "goes back")
	require.True(t, p.Push(Range{7, math.MaxUint64}))
	require.False(t, p.Push(Range{0, 1}), "after the last number")
}
