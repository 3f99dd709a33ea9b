package crdttest_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/clock"
	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/internal/testenv"
)

// Scenarios in which other implementations are known to fail, each by itself.

func merge(t *testing.T, into interface {
	Merge(crdt.Delta) (bool, error)
}, ds ...crdt.Delta,
) {
	t.Helper()
	for _, d := range ds {
		_, err := into.Merge(d)
		require.NoError(t, err)
	}
}

func TestReAddsStaySmall(t *testing.T) {
	s := crdt.NewSet[string](1)
	for range 100_000 {
		s.Add("milk")
	}
	require.LessOrEqual(t, s.State().Len(), 64)
	for range 100_000 {
		s.Add("milk")
		s.Remove("milk")
	}
	require.Zero(t, s.Len())
	require.LessOrEqual(t, s.State().Len(), 48)
}

func TestAddAndRemoveLeaveNothing(t *testing.T) {
	s, empty := crdt.NewSet[string](1), crdt.NewSet[string](1)
	empty.Add("x")
	empty.Remove("x")
	for i := range 1000 {
		s.Add(fmt.Sprint(i))
	}
	for i := range 1000 {
		s.Remove(fmt.Sprint(i))
	}
	require.Zero(t, s.Len())
	require.LessOrEqual(t, s.State().Len(), empty.State().Len()+2)
}

// Whatever is missing, a counter shows no more than was counted.
func TestThirdIncrementFirst(t *testing.T) {
	for _, order := range [][]int{{2, 0, 1}, {2, 1, 0}, {1, 0, 2}, {0, 2, 1}} {
		a, b := crdt.NewGCounter(1), crdt.NewGCounter(2)
		x, y := crdt.NewCounter(1), crdt.NewCounter(2)
		var ds, es []crdt.Delta
		for range 3 {
			ds = append(ds, a.Add(1))
			es = append(es, x.Add(1))
		}
		for _, i := range order {
			merge(t, b, ds[i])
			merge(t, y, es[i])
			require.LessOrEqual(t, b.Value(), uint64(3))
			require.LessOrEqual(t, y.Value(), int64(3))
		}
		require.EqualValues(t, 3, b.Value())
		require.EqualValues(t, 3, y.Value())
	}
}

func TestRegisterUnderReorderedDeltas(t *testing.T) {
	for _, order := range [][]int{{2, 0, 1}, {2, 1, 0}, {1, 2, 0}, {1, 0, 2}, {0, 2, 1}, {0, 1, 2}} {
		// Three writes of one replica, of which another one has seen the first, and writes beside the others.
		a, b, c := crdt.NewRegister[string](1), crdt.NewRegister[string](2), crdt.NewRegister[string](3)
		ds := []crdt.Delta{a.Set("first"), a.Set("second"), a.Set("third")}
		merge(t, b, ds[0])
		beside := b.Set("beside")
		for _, i := range order {
			merge(t, c, ds[i])
		}
		require.Equal(t, []string{"third"}, c.Values())
		late := crdt.NewRegister[string](4)
		merge(t, late, beside)
		for _, i := range order {
			merge(t, late, ds[i], beside)
			require.NotContains(t, late.Values(), "first", "the write beside has seen it")
		}
		require.ElementsMatch(t, []string{"third", "beside"}, late.Values())
		_, conflict := late.Value()
		require.True(t, conflict)
		merge(t, c, beside)
		require.Equal(t, bytesOf(c.State()), bytesOf(late.State()))
		merge(t, c, late.Set("settled"))
		require.Equal(t, []string{"settled"}, c.Values())
	}
}

func TestLastWriterUnderReorderedDeltas(t *testing.T) {
	a, b := crdt.NewLWW[string](1), crdt.NewLWW[string](2)
	var ds []crdt.Delta
	for i, v := range []string{"first", "second", "third"} {
		ds = append(ds, a.Set(clock.Timestamp(10-i), v)) // its clock runs backwards
	}
	for _, i := range []int{2, 0, 1} {
		merge(t, b, ds[i])
		v, ok := b.Value()
		require.True(t, ok)
		require.Equal(t, "third", v)
	}
}

// Removing a counter of 5 while somebody adds 1 leaves 1.
func TestCounterRemovedWhileIncremented(t *testing.T) {
	a, b := crdt.NewMap[string, *crdt.Counter](1), crdt.NewMap[string, *crdt.Counter](2)
	merge(t, b, a.At("k").Add(5))
	removed, added := b.Remove("k"), a.At("k").Add(1)
	merge(t, b, added)
	merge(t, a, removed)
	require.EqualValues(t, 1, a.At("k").Value())
	require.EqualValues(t, 1, b.At("k").Value())
	require.Equal(t, bytesOf(a.State()), bytesOf(b.State()))

	// The same with increments on both sides, and with a peer in between.
	a, b = crdt.NewMap[string, *crdt.Counter](1), crdt.NewMap[string, *crdt.Counter](2)
	c := crdt.NewMap[string, *crdt.Counter](3)
	for range 5 {
		merge(t, b, a.At("k").Add(1))
		merge(t, a, b.At("k").Add(1))
	}
	merge(t, c, a.State())
	removed = c.Remove("k")
	merge(t, b, a.At("k").Add(1))
	merge(t, c, b.At("k").Add(1), removed, a.State())
	merge(t, a, c.State())
	merge(t, b, removed)
	for _, m := range []*crdt.Map[string, *crdt.Counter]{a, b, c} {
		require.EqualValues(t, 2, m.At("k").Value())
	}
}

func TestDelayedDeltaAndLaterRemove(t *testing.T) {
	a, b := crdt.NewSet[string](1), crdt.NewSet[string](2)
	late, second := a.Add("x"), a.Add("y")
	merge(t, b, second)
	removed := b.Remove("y") // above the gap that the late delta leaves
	merge(t, a, removed)
	merge(t, b, late)
	require.Equal(t, []string{"x"}, a.Sorted())
	require.Equal(t, []string{"x"}, b.Sorted())
	require.Equal(t, bytesOf(a.State()), bytesOf(b.State()))
}

func TestTwoRemovesBeforeTheAdds(t *testing.T) {
	a, b, c, d := crdt.NewSet[string](1), crdt.NewSet[string](2), crdt.NewSet[string](3), crdt.NewSet[string](4)
	x, y := a.Add("x"), b.Add("x")
	merge(t, c, x)
	merge(t, d, y)
	noX, noY := c.Remove("x"), d.Remove("x")
	late := crdt.NewSet[string](5)
	merge(t, late, noX, noY, x, y)
	require.Empty(t, late.Sorted())
	merge(t, a, noX, y, noY)
	require.Equal(t, bytesOf(a.State()), bytesOf(late.State()))
}

func TestEqualStatesHaveEqualDigests(t *testing.T) {
	a, b := crdt.NewSet[string](1), crdt.NewSet[string](2)
	x, y, z := a.Add("x"), a.Add("y", "z"), b.Add("y")
	merge(t, a, z)
	merge(t, b, y, x)
	require.True(t, a.Digest().Equal(b.Digest()))
	da, err := a.Digest().MarshalBinary()
	require.NoError(t, err)
	db, err := b.Digest().MarshalBinary()
	require.NoError(t, err)
	require.Equal(t, da, db)
	require.Equal(t, a.Store().Fingerprint(), b.Store().Fingerprint())
	require.True(t, a.Since(b.Digest()).IsZero())
}

func TestInnerRemoveEmptiesTheEntry(t *testing.T) {
	a, b := crdt.NewMap[string, *crdt.Set[string]](1), crdt.NewMap[string, *crdt.Set[string]](2)
	merge(t, b, a.At("k").Add("x"))
	merge(t, b, a.At("k").Remove("x"))
	for _, m := range []*crdt.Map[string, *crdt.Set[string]]{a, b} {
		require.False(t, m.Contains("k"))
		require.Zero(t, m.Len())
		require.Empty(t, m.Sorted())
	}
}

func TestFiftyEncodingsAreOne(t *testing.T) {
	s := crdt.NewMap[string, *crdt.Set[int]](1)
	for i := range 200 {
		s.At(fmt.Sprint(i % 13)).Add(i)
	}
	other := crdt.NewMap[string, *crdt.Set[int]](2)
	merge(t, other, s.State())
	first := bytesOf(s.State())
	for range 50 {
		require.True(t, bytes.Equal(first, bytesOf(s.State())))
		require.True(t, bytes.Equal(first, bytesOf(other.State())))
	}
}

func TestMoreThanAMillionElements(t *testing.T) {
	if testing.Short() || testenv.Race {
		t.Skip("a million elements take a while")
	}
	const n = 1<<20 + 1
	s := crdt.NewSet[int](1)
	elements := make([]int, n)
	for i := range elements {
		elements[i] = i
	}
	s.Add(elements...)
	state, err := crdt.ParseDelta(bytesOf(s.State()), crdt.Limits{})
	require.NoError(t, err)
	loaded := crdt.NewSet[int](2)
	merge(t, loaded, state)
	require.Equal(t, n, loaded.Len())
	require.True(t, loaded.Contains(n-1))
}

func TestRemoveRemovesAtThePeer(t *testing.T) {
	a, b := crdt.NewSet[string](1), crdt.NewSet[string](2)
	merge(t, b, a.Add("x"))
	merge(t, b, a.Remove("x"))
	require.Empty(t, b.Sorted())
	require.Equal(t, bytesOf(a.State()), bytesOf(b.State()))
}

func TestLostDeltaThenFullState(t *testing.T) {
	a, b := crdt.NewSet[string](1), crdt.NewSet[string](2)
	merge(t, b, a.Add("a"))
	a.Add("b") // this delta is lost
	merge(t, b, a.Add("c"))
	merge(t, a, b.State())
	merge(t, b, a.State())
	require.Equal(t, []string{"a", "b", "c"}, a.Sorted())
	require.Equal(t, []string{"a", "b", "c"}, b.Sorted())
}

// Pieces of a big difference, of which some are lost and the rest come backwards.
func TestPiecesOfADifference(t *testing.T) {
	a := crdt.NewMap[string, *crdt.Set[int]](1)
	b := crdt.NewMap[string, *crdt.Set[int]](2)
	for i := range 300 {
		a.At(fmt.Sprint(i % 7)).Add(i)
	}
	merge(t, b, a.State())
	for i := range 300 {
		if i%3 == 0 {
			a.At(fmt.Sprint(i % 7)).Remove(i)
		}
		a.At("new").Add(i)
	}
	b.At("0").Add(-1)
	var pieces []crdt.Delta
	for d := range a.Since(b.Digest()).Split(100) {
		pieces = append(pieces, d)
	}
	require.Greater(t, len(pieces), 10)
	for i := len(pieces) - 1; i >= 0; i -= 2 {
		merge(t, b, pieces[i])
		require.True(t, b.At("0").Contains(-1))
	}
	merge(t, b, a.Since(b.Digest()))
	merge(t, a, b.Since(a.Digest()))
	require.Equal(t, bytesOf(a.State()), bytesOf(b.State()))
	require.Equal(t, 300, b.At("new").Len())
}
