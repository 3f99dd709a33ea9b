package crdt_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/clock"
	"github.com/go-calm/calm/crdt"
)

// conflict is what a row of the table in doc.go says: two changes that did not see each other.
type conflict struct {
	kind, ops string
	run       func(t *testing.T)
}

// both has two replicas of a type make what before does at the first one known, each make its change, and
// learn the other's in either order; then it looks at both.
func both[N crdt.Node[N]](before, one, other func(N), then func(t *testing.T, n N)) func(*testing.T) {
	return func(t *testing.T) {
		for _, first := range []bool{true, false} {
			roots := [2]*crdt.Map[string, N]{crdt.NewMap[string, N](1), crdt.NewMap[string, N](2)}
			at := func(i int) N { return roots[i].At("k") }
			if before != nil {
				before(at(0))
				merge(t, roots[1], roots[0].State())
			}
			if first {
				one(at(0))
				other(at(1))
			} else {
				other(at(1))
				one(at(0))
			}
			merge(t, roots[0], roots[1].State())
			merge(t, roots[1], roots[0].State())
			require.Equal(t, roots[0].State(), roots[1].State())
			then(t, at(0))
			then(t, at(1))
		}
	}
}

// reset takes an entry out of the map that it is in.
func reset[N crdt.Node[N]](before, change func(N), then func(t *testing.T, n N)) func(*testing.T) {
	return func(t *testing.T) {
		a, b := crdt.NewMap[string, N](1), crdt.NewMap[string, N](2)
		before(a.At("k"))
		merge(t, b, a.State())
		a.Remove("k")
		change(b.At("k"))
		merge(t, a, b.State())
		merge(t, b, a.State())
		require.Equal(t, a.State(), b.State())
		then(t, a.At("k"))
		then(t, b.At("k"))
	}
}

var conflicts = []conflict{
	{"Set", "add ∥ remove", both(
		func(s *crdt.Set[int]) { s.Add(1) },
		func(s *crdt.Set[int]) { s.Add(1) },
		func(s *crdt.Set[int]) { s.Remove(1) },
		func(t *testing.T, s *crdt.Set[int]) { require.True(t, s.Contains(1)) })},
	{"Set", "reset ∥ add", reset(
		func(s *crdt.Set[int]) { s.Add(1, 2) },
		func(s *crdt.Set[int]) { s.Add(2, 3) },
		func(t *testing.T, s *crdt.Set[int]) { require.Equal(t, []int{2, 3}, s.Sorted()) })},
	{"RWSet", "add ∥ remove", both(
		func(s *crdt.RWSet[int]) { s.Add(1) },
		func(s *crdt.RWSet[int]) { s.Add(1) },
		func(s *crdt.RWSet[int]) { s.Remove(1) },
		func(t *testing.T, s *crdt.RWSet[int]) {
			require.False(t, s.Contains(1))
			s.Add(1)
			require.True(t, s.Contains(1))
		})},
	{"LWWSet", "add ∥ remove", func(t *testing.T) {
		for _, late := range []bool{true, false} {
			both(nil,
				func(s *crdt.LWWSet[int]) { s.Add(5, 1) },
				func(s *crdt.LWWSet[int]) {
					if late {
						s.Remove(6, 1)
					} else {
						s.Remove(4, 1)
					}
				},
				func(t *testing.T, s *crdt.LWWSet[int]) { require.Equal(t, !late, s.Contains(1)) })(t)
		}
		both(nil, // replica 2 is the greater one
			func(s *crdt.LWWSet[int]) { s.Add(5, 1) },
			func(s *crdt.LWWSet[int]) { s.Remove(5, 1) },
			func(t *testing.T, s *crdt.LWWSet[int]) { require.False(t, s.Contains(1)) })(t)
	}},
	{"TwoPhaseSet", "add ∥ remove", both(
		func(s *crdt.TwoPhaseSet[int]) { s.Add(1) },
		func(s *crdt.TwoPhaseSet[int]) { s.Add(1) },
		func(s *crdt.TwoPhaseSet[int]) { s.Remove(1) },
		func(t *testing.T, s *crdt.TwoPhaseSet[int]) {
			require.False(t, s.Contains(1))
			s.Add(1)
			require.False(t, s.Contains(1))
		})},
	{"GSet", "add ∥ add", both(nil,
		func(s *crdt.GSet[int]) { s.Add(1) },
		func(s *crdt.GSet[int]) { s.Add(2) },
		func(t *testing.T, s *crdt.GSet[int]) { require.Equal(t, []int{1, 2}, s.Sorted()) })},
	{"Counter", "add ∥ add", both(nil,
		func(c *crdt.Counter) { c.Add(3) },
		func(c *crdt.Counter) { c.Add(-1) },
		func(t *testing.T, c *crdt.Counter) { require.Equal(t, int64(2), c.Value()) })},
	{"Counter", "reset ∥ add", reset(
		func(c *crdt.Counter) { c.Add(5) },
		func(c *crdt.Counter) { c.Add(1) },
		func(t *testing.T, c *crdt.Counter) { require.Equal(t, int64(1), c.Value()) })},
	{"Counter", "reset ∥ reset", func(t *testing.T) {
		a, b := crdt.NewMap[string, *crdt.Counter](1), crdt.NewMap[string, *crdt.Counter](2)
		merge(t, b, a.At("k").Add(5))
		one, other := a.Remove("k"), b.Remove("k")
		merge(t, a, other)
		merge(t, b, one)
		require.Zero(t, a.At("k").Value())
		require.Zero(t, b.At("k").Value())
	}},
	{"GCounter", "add ∥ add", both(nil,
		func(c *crdt.GCounter) { c.Add(3) },
		func(c *crdt.GCounter) { c.Add(1) },
		func(t *testing.T, c *crdt.GCounter) { require.Equal(t, uint64(4), c.Value()) })},
	{"GCounter", "reset ∥ add", reset(
		func(c *crdt.GCounter) { c.Add(5) },
		func(c *crdt.GCounter) { c.Add(1) },
		func(t *testing.T, c *crdt.GCounter) { require.Equal(t, uint64(1), c.Value()) })},
	{"BoundedCounter", "sub ∥ sub", func(t *testing.T) {
		a, b := bounded(t)
		_, err := a.Sub(5)
		require.NoError(t, err)
		_, err = b.Sub(3)
		require.NoError(t, err)
		_, err = b.Sub(2)
		require.ErrorIs(t, err, crdt.ErrBound)
		merge(t, a, b.State())
		require.Equal(t, uint64(1), a.Value())
	}},
	{"BoundedCounter", "sub ∥ transfer", func(t *testing.T) {
		a, b := bounded(t)
		d, err := b.Transfer(1, 4)
		require.NoError(t, err)
		_, err = b.Sub(1)
		require.ErrorIs(t, err, crdt.ErrBound)
		_, err = a.Sub(6)
		require.ErrorIs(t, err, crdt.ErrBound)
		merge(t, a, d)
		_, err = a.Sub(6)
		require.NoError(t, err)
		require.Equal(t, uint64(3), a.Value())
	}},
	{"LWW", "set ∥ set", func(t *testing.T) {
		for _, stamp := range []int{4, 5, 6} {
			both(nil,
				func(l *crdt.LWW[string]) { l.Set(5, "one") },
				func(l *crdt.LWW[string]) { l.Set(clock.Timestamp(stamp), "other") },
				func(t *testing.T, l *crdt.LWW[string]) {
					want := "other"
					if stamp < 5 {
						want = "one"
					}
					require.Equal(t, want, l.String())
				})(t)
		}
	}},
	{"LWW", "set ∥ clear", both(
		func(l *crdt.LWW[string]) { l.Set(1, "before") },
		func(l *crdt.LWW[string]) { l.Set(2, "set") },
		func(l *crdt.LWW[string]) { l.Clear() },
		func(t *testing.T, l *crdt.LWW[string]) { require.Equal(t, "set", l.String()) })},
	{"Register", "set ∥ set", both(nil,
		func(r *crdt.Register[string]) { r.Set("one") },
		func(r *crdt.Register[string]) { r.Set("other") },
		func(t *testing.T, r *crdt.Register[string]) {
			require.ElementsMatch(t, []string{"one", "other"}, r.Values())
			r.Set("last")
			require.Equal(t, []string{"last"}, r.Values())
		})},
	{"Register", "set ∥ clear", both(
		func(r *crdt.Register[string]) { r.Set("before") },
		func(r *crdt.Register[string]) { r.Set("set") },
		func(r *crdt.Register[string]) { r.Clear() },
		func(t *testing.T, r *crdt.Register[string]) { require.Equal(t, []string{"set"}, r.Values()) })},
	{"Flag", "enable ∥ disable", both(
		func(f *crdt.Flag) { f.Enable() },
		func(f *crdt.Flag) { f.Enable() },
		func(f *crdt.Flag) { f.Disable() },
		func(t *testing.T, f *crdt.Flag) { require.True(t, f.Enabled()) })},
	{"StickyFlag", "enable ∥ disable", both(
		func(f *crdt.StickyFlag) { f.Enable() },
		func(f *crdt.StickyFlag) { f.Enable() },
		func(f *crdt.StickyFlag) { f.Disable() },
		func(t *testing.T, f *crdt.StickyFlag) { require.False(t, f.Enabled()) })},
	{"Map", "remove ∥ change below", reset(
		func(m *crdt.Map[string, *crdt.Set[int]]) { m.At("x").Add(1); m.At("y").Add(1) },
		func(m *crdt.Map[string, *crdt.Set[int]]) { m.At("x").Add(2) },
		func(t *testing.T, m *crdt.Map[string, *crdt.Set[int]]) {
			require.Equal(t, 1, m.Len())
			require.Equal(t, []int{2}, m.At("x").Sorted())
		})},
	{"Map", "change ∥ change", both(nil,
		func(m *crdt.Map[string, *crdt.Counter]) { m.At("x").Add(1) },
		func(m *crdt.Map[string, *crdt.Counter]) { m.At("x").Add(2); m.At("y").Add(3) },
		func(t *testing.T, m *crdt.Map[string, *crdt.Counter]) {
			require.Equal(t, int64(3), m.At("x").Value())
			require.Equal(t, int64(3), m.At("y").Value())
		})},
	{"struct", "change ∥ change", func(t *testing.T) {
		a, b := crdt.NewStore(1), crdt.NewStore(2)
		da, db := crdt.OpenStruct[record](a, "r"), crdt.OpenStruct[record](b, "r")
		da.On.Enable()
		merge(t, b, a.State())
		da.On.Disable()
		da.N.Add(1)
		db.On.Enable()
		db.N.Add(2)
		merge(t, a, b.State())
		require.True(t, da.On.Enabled())
		require.Equal(t, int64(3), da.N.Value())
	}},
	{"struct", "Delete ∥ change", func(t *testing.T) {
		a, b := crdt.NewStore(1), crdt.NewStore(2)
		da, db := crdt.OpenStruct[record](a, "r"), crdt.OpenStruct[record](b, "r")
		da.On.Enable()
		da.N.Add(5)
		merge(t, b, a.State())
		a.Delete("r")
		db.N.Add(1)
		merge(t, a, b.State())
		require.False(t, da.On.Enabled())
		require.Equal(t, int64(1), da.N.Value())
	}},
}

type record struct {
	On *crdt.Flag    `crdt:"1"`
	N  *crdt.Counter `crdt:"2"`
}

// bounded returns replicas of a count of 9, of which the first has the right to take 5, the second 4.
func bounded(t *testing.T) (a, b *crdt.BoundedCounter) {
	t.Helper()
	a, b = crdt.NewBoundedCounter(1), crdt.NewBoundedCounter(2)
	a.Add(5)
	b.Add(4)
	merge(t, a, b.State())
	merge(t, b, a.State())
	return a, b
}

// What doc.go says becomes of two changes that did not see each other does become of them, and it says so of
// every type.
func TestWhatTheTableSays(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	_, table, _ := strings.Cut(string(doc), "did not see each other:\n//\n")
	table, _, _ = strings.Cut(table, "\n//\n")
	var rows [][2]string
	kind := ""
	for line := range strings.Lines(strings.ReplaceAll(table, "//\t", "")) {
		cells := [2]string{strings.TrimSpace(line[:16]), strings.TrimSpace(strings.SplitAfterN(line[16:], "  ", 2)[0])}
		if cells[1] == "" {
			t.Fatalf("no row: %q", line)
		}
		if name := strings.Trim(strings.Split(cells[0], ",")[0], " "); name != "" && name != "CounterMap" {
			kind = name
		}
		rows = append(rows, [2]string{kind, cells[1]})
	}
	var run [][2]string
	for _, c := range conflicts {
		run = append(run, [2]string{c.kind, c.ops})
		t.Run(c.kind+"/"+c.ops, c.run)
	}
	require.ElementsMatch(t, run, rows)
}
