package crdt_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-calm/calm/crdt"
)

// With nothing else changed since, undoing gives the values from before, doing it again those from
// after, and so on; a peer that hears of it all in whatever order sees the same.
func TestInvertGivesBackTheValuesFromBefore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := crdt.NewStore(1), crdt.NewStore(2)
		da, db := crdt.OpenStruct[everything](a, "doc"), crdt.OpenStruct[everything](b, "doc")
		changes := few(t)
		for range rapid.IntRange(0, 10).Draw(t, "history") {
			da.change(t, changes)
			db.change(t, changes)
			if rapid.Bool().Draw(t, "sync") {
				_, err := a.Merge(b.State())
				require.NoError(t, err)
			}
			if rapid.Bool().Draw(t, "sync back") {
				_, err := b.Merge(a.State())
				require.NoError(t, err)
			}
		}
		_, err := a.Merge(b.State())
		require.NoError(t, err)
		_, err = b.Merge(a.State())
		require.NoError(t, err)
		before := da.read("doc").seen()
		do := a.Update(func() {
			for range rapid.IntRange(1, 4).Draw(t, "changes") {
				da.change(t, changes)
			}
			if rapid.IntRange(0, 5).Draw(t, "delete") == 0 {
				a.Delete("doc")
			}
		})
		after := da.read("doc").seen()
		deltas := []crdt.Delta{do}
		for range 2 {
			undo := a.Invert(do)
			require.Equal(t, before, da.read("doc").seen(), "undone")
			redo := a.Invert(undo)
			require.Equal(t, after, da.read("doc").seen(), "done again")
			do = redo
			deltas = append(deltas, undo, redo)
		}
		for _, d := range rapid.Permutation(deltas).Draw(t, "order") {
			_, err := b.Merge(d)
			require.NoError(t, err)
		}
		require.Equal(t, after, db.read("doc").seen())
		_, err = a.Merge(b.State())
		require.NoError(t, err)
		_, err = b.Merge(a.State())
		require.NoError(t, err)
		require.Equal(t, a.State(), b.State())
	})
}

// What others do meanwhile survives an undoing, whether heard of before it or after.
func TestInvertLeavesWhatOthersDid(t *testing.T) {
	type one = *everything
	for name, c := range map[string]struct {
		before, do, meanwhile func(one)
		want                  mirror
		early                 mirror // undone before the other was heard of; nil: the same
	}{
		"an element that both added": {
			nil, func(e one) { e.Set.Add("x", "y") }, func(e one) { e.Set.Add("x") },
			mirror{`"doc" › field 1 › "x"`: true},
			nil,
		},
		"an element removed, another added": {
			func(e one) { e.Set.Add("x") }, func(e one) { e.Set.Remove("x") }, func(e one) { e.Set.Add("y") },
			mirror{`"doc" › field 1 › "x"`: true, `"doc" › field 1 › "y"`: true},
			nil,
		},
		"a remove that wins": {
			func(e one) { e.RW.Add("x") }, func(e one) { e.RW.Add("x") }, func(e one) { e.RW.Remove("x") },
			mirror{},
			nil,
		},
		"a count": {
			func(e one) { e.Counter.Add(10) }, func(e one) { e.Counter.Add(5) }, func(e one) { e.Counter.Add(1) },
			mirror{`"doc" › field 6`: int64(11)},
			nil,
		},
		"a counter removed and added to": {
			func(e one) { e.Nested.At("k").At(1).Add(5) }, func(e one) { e.Nested.Remove("k") }, func(e one) { e.Nested.At("k").At(1).Add(1) },
			mirror{`"doc" › field 12 › "k" › 1`: int64(6)},
			nil,
		},
		"a later write": {
			func(e one) { e.Last.Set(1, 1) }, func(e one) { e.Last.Set(5, 5) }, func(e one) { e.Last.Set(3, 3) },
			mirror{`"doc" › field 8`: 3.0},
			nil,
		},
		"a write in conflict": {
			func(e one) { e.Values.Set("old") }, func(e one) { e.Values.Set("undone") }, func(e one) { e.Values.Set("theirs") },
			mirror{`"doc" › field 9`: []string{"theirs"}},
			mirror{`"doc" › field 9`: []string{"old", "theirs"}},
		},
		"a flag turned off for good": {
			nil, func(e one) { e.Sticky.Disable() }, func(e one) { e.Sticky.Enable() },
			mirror{`"doc" › field 11`: true},
			nil,
		},
		"a flag that both turned on": {
			nil, func(e one) { e.Flag.Enable() }, func(e one) { e.Flag.Enable() },
			mirror{`"doc" › field 10`: true},
			nil,
		},
	} {
		for _, early := range []bool{false, true} {
			a, b := crdt.NewStore(1), crdt.NewStore(2)
			da, db := crdt.OpenStruct[everything](a, "doc"), crdt.OpenStruct[everything](b, "doc")
			if c.before != nil {
				merge(t, b, a.Update(func() { c.before(da) }))
			}
			do := a.Update(func() { c.do(da) })
			other := b.Update(func() { c.meanwhile(db) })
			if !early {
				merge(t, a, other)
			}
			done := da.read("doc").seen()
			undo := a.Invert(do)
			if !early { // what stood beside it was seen, and does not stop it from being done again
				merge(t, b, do, undo)
				redo := a.Invert(undo)
				require.Equal(t, done, da.read("doc").seen(), "%s, done again", name)
				undo = a.Invert(redo)
				merge(t, b, redo)
			}
			merge(t, a, other)
			merge(t, b, undo, do)
			if want := c.early; early && want != nil {
				c.want = want
			}
			require.Equal(t, c.want, da.read("doc").seen(), "%s, early %v", name, early)
			require.Equal(t, a.State(), b.State(), name)
		}
	}
}

// Who saw what is undone and went on from there is not set back.
func TestInvertLeavesWhatWasOvertaken(t *testing.T) {
	a, b := crdt.NewStore(1), crdt.NewStore(2)
	da, db := crdt.OpenStruct[everything](a, "doc"), crdt.OpenStruct[everything](b, "doc")
	merge(t, b, a.Update(func() {
		da.Last.Set(1, 1)
		da.Values.Set("one")
		da.Set.Add("x", "y")
	}))
	do := a.Update(func() {
		da.Last.Set(2, 2)
		da.Values.Set("two")
		da.Set.Add("x")
		da.Set.Remove("y")
	})
	merge(t, b, do)
	merge(t, a, b.Update(func() {
		db.Last.Set(3, 3)
		db.Values.Set("three")
		db.Set.Remove("x")
		db.Set.Add("y")
	}))
	require.True(t, a.Invert(do).IsZero())
	v, _ := da.Last.Value()
	require.Equal(t, 3.0, v)
	require.Equal(t, []string{"three"}, da.Values.Values())
	require.Equal(t, []string{"y"}, da.Set.Sorted())
}

// Of a delta that came as bytes, what it made is undone; what it took the place of is not known.
func TestInvertOfWhatCameAsBytes(t *testing.T) {
	a, b := crdt.NewSet[string](1), crdt.NewSet[string](2)
	a.Add("x")
	d := a.Store().Update(func() { a.Add("y"); a.Remove("x") })
	raw, err := d.MarshalBinary()
	require.NoError(t, err)
	parsed, err := crdt.ParseDelta(raw, crdt.Limits{})
	require.NoError(t, err)
	merge(t, b, a.State())
	require.True(t, crdt.NewSet[string](3).Store().Invert(parsed).IsZero(), "was never here")
	merge(t, a, b.Store().Invert(parsed))
	require.Zero(t, a.Len())
	require.True(t, a.Store().Invert(crdt.Delta{}).IsZero())

	c := crdt.NewCounter(1)
	c.Add(5)
	raw, err = c.Add(1).MarshalBinary()
	require.NoError(t, err)
	parsed, err = crdt.ParseDelta(raw, crdt.Limits{})
	require.NoError(t, err)
	require.True(t, c.Store().Invert(parsed).IsZero(), "what the total was before is not known")
	require.True(t, a.Store().Invert(parsed).IsZero(), "it is of another type, and never was here")
}

func TestInvertAtTheRoot(t *testing.T) {
	c, o := crdt.NewCounter(1), crdt.NewCounter(2)
	c.Add(3)
	d := c.Add(5)
	c.Add(1)
	merge(t, c, o.Add(100))
	undo := c.Store().Invert(d)
	require.Equal(t, int64(104), c.Value(), "what came after it counts")
	c.Store().Invert(undo)
	require.Equal(t, int64(109), c.Value())
	merge(t, o, d)
	require.True(t, o.Store().Invert(d).IsZero(), "another replica's total")

	b := crdt.NewBoundedCounter(1)
	first := b.Add(10)
	taken, err := b.Sub(4)
	require.NoError(t, err)
	b.Store().Invert(taken)
	require.Equal(t, uint64(10), b.Value())
	_, err = b.Sub(7)
	require.NoError(t, err)
	b.Store().Invert(first)
	require.Zero(t, b.Value(), "as much as there are rights to")
	gift := b.Add(2)
	moved, err := b.Transfer(9, 2)
	require.NoError(t, err)
	b.Store().Invert(moved)
	b.Store().Invert(gift)
	require.Equal(t, uint64(2), b.Value())

	// What only grows stays.
	g, n := crdt.NewGSet[int](1), crdt.NewGCounter(1)
	require.True(t, g.Store().Invert(g.Add(1)).IsZero())
	require.True(t, n.Store().Invert(n.Add(1)).IsZero())
	two := crdt.NewTwoPhaseSet[int](1)
	add := two.Add(1, 2)
	require.True(t, two.Store().Invert(two.Remove(2)).IsZero())
	two.Store().Invert(add)
	require.Zero(t, two.Len())
	require.False(t, two.Add(1).IsZero(), "it was not removed")

	// Registers, flags and sets are as in a store.
	l, f, s := crdt.NewLWW[string](1), crdt.NewFlag(1), crdt.NewSet[string](1)
	l.Set(1, "a")
	l.Store().Invert(l.Set(2, "b"))
	require.Equal(t, "a", l.String())
	stamp, _ := l.Stamp()
	require.EqualValues(t, 1, stamp.Time, "the stamp that it had")
	// A tie stays decided as it was.
	merge(t, l, crdt.NewLWW[string](2).Set(1, "0, greater only by its replica"))
	was := l.String()
	l.Store().Invert(l.Set(7, "c"))
	require.Equal(t, was, l.String())

	f.Store().Invert(f.Enable())
	require.False(t, f.Enabled())
	f.Enable()
	f.Store().Invert(f.Disable())
	require.True(t, f.Enabled())
	s.Add("x")
	merge(t, s, crdt.NewSet[string](2).Add("x"))
	clear := s.Clear()
	s.Store().Invert(clear)
	require.Equal(t, []string{"x"}, s.Sorted())
	require.Less(t, s.State().Len(), 50, "one event is enough")
}

// Inside an Update an undoing is part of it.
func TestInvertInsideUpdate(t *testing.T) {
	s := crdt.NewSet[string](1)
	d := s.Add("x")
	both := s.Store().Update(func() {
		require.True(t, s.Store().Invert(d).IsZero())
		s.Add("y")
	})
	require.Equal(t, []string{"y"}, s.Sorted())
	s.Store().Invert(both)
	require.Equal(t, []string{"x"}, s.Sorted())
}

// What Compact has fused is taken off all the same; what was reset since is not.
func TestInvertAfterCompact(t *testing.T) {
	m := crdt.NewMap[string, *crdt.Counter](1)
	peer := crdt.NewMap[string, *crdt.Counter](2)
	m.At("k").Add(1)
	d := m.At("k").Add(10)
	m.At("k").Add(100)
	merge(t, peer, m.State())
	require.Equal(t, 2, m.Store().Compact(m.Digest().Meet(peer.Digest())))
	undo := m.Store().Invert(d)
	require.Equal(t, int64(101), m.At("k").Value())
	m.Store().Invert(undo)
	require.Equal(t, int64(111), m.At("k").Value())
	m.Remove("k")
	require.True(t, m.Store().Invert(d).IsZero())
}
