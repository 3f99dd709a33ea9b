package crdt_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/crdt"
)

func TestGSet(t *testing.T) {
	a, b := crdt.NewGSet[int](1), crdt.NewGSet[int](2)
	merge(t, b, a.Add(1, 2, 3))
	require.True(t, a.Add(2, 3).IsZero(), "what is there need not be told")
	merge(t, a, b.Add(4))
	require.Equal(t, []int{1, 2, 3, 4}, a.Sorted())
	require.True(t, a.AtLeast(4) && !a.AtLeast(5) && a.Contains(4) && !a.Contains(5))
	require.Equal(t, a.State(), b.State())
}

func TestTwoPhaseSet(t *testing.T) {
	a, b, c := crdt.NewTwoPhaseSet[string](1), crdt.NewTwoPhaseSet[string](2), crdt.NewTwoPhaseSet[string](3)
	merge(t, b, a.Add("x", "y"))
	d, again := a.Remove("x", "z"), b.Add("x") // did not see each other
	require.True(t, a.Add("x", "z").IsZero(), "removed is removed")
	merge(t, a, again)
	merge(t, b, d)
	merge(t, c, again, d)
	for _, s := range []*crdt.TwoPhaseSet[string]{a, b} {
		require.Equal(t, []string{"y"}, s.Sorted())
		require.Equal(t, 1, s.Len())
	}
	require.Empty(t, c.Sorted())
	require.Equal(t, a.State(), b.State())
	merge(t, a, b.Add("x"), c.Add("x"), c.Remove("x"))
	require.False(t, a.Contains("x"))
}

func TestRWSetRemoveWins(t *testing.T) {
	a, b := crdt.NewRWSet[string](1), crdt.NewRWSet[string](2)
	merge(t, b, a.Add("x", "y"))
	add, remove := a.Add("x"), b.Remove("x")
	merge(t, a, remove)
	merge(t, b, add)
	require.Equal(t, []string{"y"}, a.Sorted())
	require.Equal(t, 1, a.Len())
	require.Equal(t, a.State(), b.State())
	merge(t, b, a.Add("x")) // one that has seen the remove
	require.Equal(t, []string{"x", "y"}, b.Sorted())
	require.True(t, b.Contains("x"))
}

func TestLWWSet(t *testing.T) {
	a, b := crdt.NewLWWSet[string](1), crdt.NewLWWSet[string](2)
	merge(t, b, a.Add(10, "x", "y"))
	early, late := a.Remove(11, "x"), b.Add(12, "x")
	merge(t, a, late)
	merge(t, b, early)
	require.Equal(t, []string{"x", "y"}, a.Sorted(), "the later one counts")
	require.Equal(t, a.State(), b.State())
	add, remove := a.Add(20, "z"), b.Remove(20, "z") // the greater replica counts
	merge(t, a, remove)
	merge(t, b, add)
	require.False(t, a.Contains("z") || b.Contains("z"))
	merge(t, b, a.Remove(1, "y")) // seen, so it counts though its clock is behind
	require.Equal(t, []string{"x"}, b.Sorted())
	require.Equal(t, 1, b.Len())
}

func TestFlags(t *testing.T) {
	a, b := crdt.NewFlag(1), crdt.NewFlag(2)
	require.False(t, a.Enabled())
	merge(t, b, a.Enable())
	on, off := a.Enable(), b.Disable()
	merge(t, a, off)
	merge(t, b, on)
	require.True(t, a.Enabled() && b.Enabled(), "enable wins")
	require.Equal(t, a.State(), b.State())
	merge(t, b, a.Disable())
	require.False(t, b.Enabled())

	p, q := crdt.NewStickyFlag(1), crdt.NewStickyFlag(2)
	require.False(t, p.Enabled())
	merge(t, q, p.Enable())
	on, off = p.Enable(), q.Disable()
	merge(t, p, off)
	merge(t, q, on)
	require.False(t, p.Enabled() || q.Enabled(), "disable wins")
	merge(t, q, p.Enable()) // one that has seen the Disable
	require.True(t, q.Enabled())
	require.Equal(t, p.State(), q.State())
}

func TestRegister(t *testing.T) {
	a, b, c := crdt.NewRegister[string](1), crdt.NewRegister[string](2), crdt.NewRegister[string](3)
	v, conflict := a.Value()
	require.True(t, v == "" && !conflict && len(a.Values()) == 0)
	first := a.Set("")
	require.Equal(t, []string{""}, a.Values(), "an empty value is a value")
	merge(t, b, first)
	da, db := a.Set("tea"), b.Set("milk")
	merge(t, c, db, da)
	require.Equal(t, []string{"milk", "tea"}, c.Values())
	v, conflict = c.Value()
	require.True(t, v == "tea" && conflict)
	merge(t, c, first) // an old message
	require.Len(t, c.Values(), 2)
	resolved := c.Resolve(func(vs []string) string { return vs[0] + " " + vs[1] })
	require.True(t, c.Resolve(func([]string) string { panic("no conflict") }).IsZero())
	merge(t, a, db, resolved)
	merge(t, b, resolved, da)
	require.Equal(t, []string{"milk tea"}, a.Values())
	require.Equal(t, a.State(), b.State())

	// The same value written twice is no conflict.
	merge(t, a, b.Set("same"), a.Set("same"))
	_, conflict = a.Value()
	require.False(t, conflict)
	a.Clear()
	require.Empty(t, a.Values())
}

// All types stand in maps, where a remove resets them exactly.
func TestMapOfEachType(t *testing.T) {
	type all struct {
		Flags     *crdt.Map[string, *crdt.Flag]             `crdt:"1"`
		Sticky    *crdt.Map[string, *crdt.StickyFlag]       `crdt:"2"`
		Registers *crdt.Map[string, *crdt.Register[int]]    `crdt:"3"`
		GSets     *crdt.Map[string, *crdt.GSet[int]]        `crdt:"4"`
		Twos      *crdt.Map[string, *crdt.TwoPhaseSet[int]] `crdt:"5"`
		RWs       *crdt.Map[string, *crdt.RWSet[int]]       `crdt:"6"`
		LWWs      *crdt.Map[string, *crdt.LWWSet[int]]      `crdt:"7"`
	}
	a, b := crdt.NewStore(1), crdt.NewStore(2)
	da, db := crdt.OpenStruct[all](a, "all"), crdt.OpenStruct[all](b, "all")
	merge(t, b, a.Update(func() {
		da.Flags.At("k").Enable()
		da.Sticky.At("k").Disable()
		da.Registers.At("k").Set(1)
		da.GSets.At("k").Add(1)
		da.Twos.At("k").Add(1)
		da.RWs.At("k").Remove(1)
		da.LWWs.At("k").Add(1, 1)
	}))
	removed := a.Update(func() {
		da.Flags.Remove("k")
		da.Sticky.Remove("k")
		da.Registers.Remove("k")
		da.GSets.Remove("k")
		da.Twos.Remove("k")
		da.RWs.Remove("k")
		da.LWWs.Remove("k")
	})
	added := b.Update(func() {
		db.Sticky.At("k").Enable()
		db.Registers.At("k").Set(2)
		db.GSets.At("k").Add(2)
		db.Twos.At("k").Add(2)
		db.RWs.At("k").Add(2)
		db.LWWs.At("k").Add(1, 2)
	})
	merge(t, a, added)
	merge(t, b, removed)
	require.Equal(t, a.State(), b.State())
	require.False(t, db.Flags.Contains("k"))
	require.True(t, db.Sticky.At("k").Enabled())
	require.Equal(t, []int{2}, db.Registers.At("k").Values())
	require.Equal(t, []int{2}, db.GSets.At("k").Sorted())
	require.Equal(t, []int{2}, db.Twos.At("k").Sorted())
	require.Equal(t, []int{2}, db.RWs.At("k").Sorted())
	require.Equal(t, []int{2}, db.LWWs.At("k").Sorted())
	merge(t, a, b.Delete("all"))
	require.Less(t, a.State().Len(), 40)
}
