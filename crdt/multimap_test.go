package crdt_test

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/crdt"
)

func TestMultiMap(t *testing.T) {
	a, b := crdt.NewMultiMap[string, int](1), crdt.NewMultiMap[string, int](2)
	merge(t, b, a.Add("x", 2, 1), a.Add("y", 5))
	require.Equal(t, []int{1, 2}, b.Values("x"))
	require.True(t, b.Has("y", 5) && !b.Has("x", 5) && !b.Has("z", 1))
	pairs := 0
	for k, v := range b.Pairs() {
		require.True(t, a.Has(k, v))
		pairs++
	}
	require.Equal(t, 3, pairs)
	for range b.Pairs() {
		break
	}
	removed, added := a.Remove("x"), b.Add("x", 2)
	merge(t, a, added)
	merge(t, b, removed, a.Discard("y", 5, 6))
	require.Equal(t, []string{"x"}, b.Sorted())
	require.Equal(t, []int{2}, b.Values("x"))
	require.Equal(t, a.State(), b.State())

	// It is a map of sets, to who opens it so too, and nests like one.
	m := crdt.NewMap[string, *crdt.Set[int]](3)
	merge(t, m, a.State())
	require.Equal(t, []int{2}, m.At("x").Sorted())
	type shop struct {
		Tags  *crdt.MultiMap[string, string] `crdt:"1"`
		Stock *crdt.CounterMap[string]       `crdt:"2"`
	}
	s := crdt.NewStore(4)
	crdt.OpenStruct[shop](s, "shop").Tags.Add("tea", "hot")
	crdt.At[*crdt.Map[string, *crdt.MultiMap[string, string]]](s, "deep").At("a").Add("b", "c")
	o := crdt.NewStore(5)
	merge(t, o, s.State())
	require.True(t, crdt.OpenStruct[shop](o, "shop").Tags.Has("tea", "hot"))
}

func TestCounterMap(t *testing.T) {
	a, b := crdt.NewCounterMap[string](1), crdt.NewCounterMap[string](2)
	merge(t, b, a.Add("x", 5), a.Add("y", -2))
	require.Equal(t, int64(5), b.Value("x"))
	require.Zero(t, b.Value("z"))
	require.False(t, b.Contains("z"), "reading makes nothing")
	require.Equal(t, map[string]int64{"x": 5, "y": -2}, maps.Collect(b.Values()))
	require.Equal(t, int64(3), b.Total())
	removed, added := a.Remove("x"), b.Add("x", 1)
	merge(t, a, added)
	merge(t, b, removed)
	require.Equal(t, int64(1), a.Value("x"))
	require.Equal(t, a.State(), b.State())
	for range b.Values() {
		break
	}
}
