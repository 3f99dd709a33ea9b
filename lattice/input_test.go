package lattice_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/lattice"
)

// What is not equal to itself could be put in again and again and never be found.
func TestNaNIsLeftOut(t *testing.T) {
	nan := math.NaN()
	set, tombs := lattice.SetOf(nan, 1), &lattice.TombSet[float64]{}
	require.Equal(t, []float64{1}, set.Sorted())
	require.False(t, set.Add(nan))
	require.False(t, tombs.Add(nan))
	require.False(t, tombs.Remove(nan))
	require.Zero(t, tombs.Len())
	var m lattice.Map[float64, lattice.Any]
	require.False(t, m.Put(nan, lattice.AnyOf(true)))
	require.Zero(t, m.Len())
	require.True(t, lattice.IsBottom(lattice.MaxOf(nan)))
	require.True(t, lattice.IsBottom(lattice.MinOf(nan)))
	require.True(t, lattice.IsBottom(lattice.IntervalOf(nan)))
	lo, hi, ok := lattice.IntervalOf(nan, 2, 1).Bounds()
	require.Equal(t, []any{1.0, 2.0, true}, []any{lo, hi, ok})
	var same lattice.UnionFind[float64]
	require.False(t, same.Union(nan, 1))
	require.Zero(t, same.Len())
	board := lattice.NewTopK[float64, float64](2)
	require.False(t, board.Put(nan, 1))
	require.False(t, board.Put(1, nan))
	var few lattice.BoundedSet[float64]
	few.Add(nan)
	require.Zero(t, few.Len())
	require.True(t, lattice.Equal(lattice.FlatOf(nan), lattice.FlatOf(nan)), "one NaN is as good as another")
	table := &lattice.MaxMap[uint8, float64]{}
	require.False(t, table.Put(1, nan))
	require.Zero(t, table.Len())
}

// A nil pointer is bottom wherever it stands.
func TestNilInsideNestedValues(t *testing.T) {
	type sets = lattice.Map[string, *lattice.Set[string]]
	type nested = lattice.Map[string, lattice.Pair[*sets, *lattice.Vec[*lattice.Set[string]]]]
	var m nested
	var none *nested
	require.False(t, m.Merge(nil))
	require.False(t, m.Put("a", lattice.PairOf[*sets, *lattice.Vec[*lattice.Set[string]]](nil, nil)))
	require.Zero(t, m.Len(), "bottom is not kept")
	inner := &sets{}
	require.False(t, inner.Put("x", nil))
	require.True(t, inner.Put("x", lattice.SetOf("1")))
	require.False(t, inner.Put("x", nil))
	row := lattice.VecOf[*lattice.Set[string]](nil, lattice.SetOf("2"), nil)
	require.Equal(t, 2, row.Len())
	require.True(t, m.Put("a", lattice.PairOf(inner, row)))
	require.False(t, m.Put("a", lattice.PairOf[*sets](nil, row)))
	require.Equal(t, "{a: ({x: {1}}, [{} {2}])}", m.String())

	require.True(t, none.LessEq(&m))
	require.False(t, m.LessEq(none))
	require.Zero(t, none.Get("a").First.Len())
	joined, grew := none.Join(&m)
	require.True(t, grew)
	require.True(t, lattice.Equal(joined, &m))
	require.True(t, lattice.Equal(m.Delta(nil), &m))
	require.Zero(t, none.Delta(&m).Len())
	b, err := m.MarshalBinary()
	require.NoError(t, err)
	var back nested
	require.NoError(t, back.UnmarshalBinary(b))
	require.True(t, lattice.Equal(&back, &m))
	b, err = none.MarshalBinary()
	require.NoError(t, err)
	require.NoError(t, back.UnmarshalBinary(b))
	require.Zero(t, back.Len())
}

// Bytes of another type, and types without a form, are refused by errors that tell which it is.
func TestErrorsOfDecodersAreTyped(t *testing.T) {
	b, err := lattice.SetOf("a").MarshalBinary()
	require.NoError(t, err)
	for _, d := range decoders() {
		if _, ok := d.(*lattice.Set[string]); ok {
			continue
		}
		require.ErrorIs(t, d.UnmarshalBinary(b), lattice.ErrMalformed, "%T", d)
		require.ErrorIs(t, d.UnmarshalBinary(nil), lattice.ErrMalformed, "%T", d)
	}
	type point struct{ X, Y int }
	_, err = lattice.SetOf(point{1, 2}).MarshalBinary()
	require.ErrorIs(t, err, lattice.ErrUnsupported)
	require.ErrorIs(t, new(lattice.Set[point]).UnmarshalBinary(b), lattice.ErrUnsupported)
	_, err = new(lattice.Map[string, lattice.Lex[string, *lattice.Set[point]]]).MarshalBinary()
	require.ErrorIs(t, err, lattice.ErrUnsupported)
}
