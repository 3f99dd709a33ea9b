package crdt_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/clock"
	"github.com/go-calm/calm/crdt"
)

func merge(t *testing.T, into interface {
	Merge(crdt.Delta) (bool, error)
}, ds ...crdt.Delta,
) (changed bool) {
	t.Helper()
	for _, d := range ds {
		c, err := into.Merge(d)
		require.NoError(t, err)
		changed = changed || c
	}
	return changed
}

func TestSetAddWins(t *testing.T) {
	a, b := crdt.NewSet[string](1), crdt.NewSet[string](2)
	merge(t, b, a.Add("x", "y"))
	add, remove := a.Add("x"), b.Remove("x")
	require.False(t, merge(t, a, remove), "a knows already that what b saw is over")
	require.True(t, merge(t, b, add))
	require.Equal(t, []string{"x", "y"}, a.Sorted())
	require.Equal(t, []string{"x", "y"}, b.Sorted())
	require.Equal(t, a.State(), b.State())

	// What was removed does not come back by an old message.
	c := crdt.NewSet[string](3)
	old := a.State()
	merge(t, c, a.Remove("x"))
	require.False(t, merge(t, a, old))
	merge(t, c, old)
	require.Equal(t, []string{"y"}, c.Sorted())
	require.False(t, c.Contains("x"))
	require.Equal(t, 1, c.Len())
}

func TestSetOfEachElementType(t *testing.T) {
	type page string
	checkSet(t, []string{"", "a", "b"})
	checkSet(t, []page{"a", "b"})
	checkSet(t, []int{-5, 0, 3, 1 << 20})
	checkSet(t, []uint8{0, 200})
	checkSet(t, []bool{false, true})
	checkSet(t, []float64{-1.5, 0, math.Inf(1)})
	checkSet(t, [][2]int32{{1, 2}, {1, 3}})
	checkSet(t, [][4]byte{{1, 2, 3, 4}, {9}})
}

func checkSet[E comparable](t *testing.T, es []E) {
	a, b := crdt.NewSet[E](1), crdt.NewSet[E](2)
	merge(t, b, a.Add(es...))
	require.ElementsMatch(t, es, slices.Collect(b.All()))
	if len(es) > 2 {
		require.Equal(t, es, b.Sorted())
	}
	for _, e := range es {
		require.True(t, b.Contains(e))
	}
	merge(t, a, b.Remove(es...))
	require.Zero(t, a.Len())
}

func TestUnsupportedTypesPanicWhenMade(t *testing.T) {
	require.PanicsWithValue(t, "crdt: no binary form for elements of this type: chan int is not a bool, number, string, array of them, []byte or time, and has no AppendBinary and UnmarshalBinary; give Open or NewStore a crdt.Codec",
		func() { crdt.NewSet[chan int](1) })
	require.Panics(t, func() { crdt.NewMap[string, *crdt.LWW[[]int]](1) })
	require.PanicsWithValue(t, "crdt: OnUpdate has no function", func() { crdt.NewStore(1).OnUpdate(nil) })
	require.PanicsWithValue(t, "crdt: Observe has no function", func() { crdt.NewStore(1).Observe(nil) })
	require.PanicsWithValue(t, "crdt: nil option; each is a Codec", func() { crdt.NewStore(1, nil) })
	require.Panics(t, func() { crdt.NewSet[int](0).Add(1) }, "a change without a replica id")
}

// The root counter is one number a replica, however deltas come.
func TestRootCounter(t *testing.T) {
	a, b := crdt.NewCounter(1), crdt.NewCounter(2)
	d1, d2, d3 := a.Add(1), a.Add(1), a.Add(1)
	merge(t, b, d3)
	require.Equal(t, int64(3), b.Value(), "the third tells the total")
	merge(t, b, d1)
	require.Equal(t, int64(3), b.Value(), "never more than 3")
	merge(t, b, d2)
	require.Equal(t, int64(3), b.Value())
	require.Equal(t, a.State(), b.State())
	for range 10_000 {
		a.Add(-1)
	}
	require.Equal(t, int64(-9997), a.Value())
	require.Less(t, a.State().Len(), 40, "increments are not kept")

	g := crdt.NewGCounter(1)
	require.True(t, g.AtLeast(0))
	g.Add(math.MaxUint64 - 1)
	g.Add(5)
	require.Equal(t, uint64(math.MaxUint64), g.Value(), "stops at the top")
	h := crdt.NewGCounter(2)
	h.Add(7)
	merge(t, h, g.State())
	require.True(t, h.AtLeast(math.MaxUint64))
	require.True(t, g.Add(0).IsZero())
	require.True(t, a.Add(0).IsZero())
}

// A counter of 5 that is removed while somebody else adds 1 is 1, not 6, 3 or 0.
func TestMapCounterResetIsExact(t *testing.T) {
	type stock = crdt.Map[string, *crdt.Map[string, *crdt.Counter]]
	a, b := crdt.Open[*stock](1), crdt.Open[*stock](2)
	for range 5 {
		merge(t, b, a.At("lisbon").At("sku").Add(1))
	}
	removed, added := a.Remove("lisbon"), b.At("lisbon").At("sku").Add(1)
	require.False(t, a.Contains("lisbon"))
	merge(t, a, added)
	merge(t, b, removed)
	require.Equal(t, int64(1), a.At("lisbon").At("sku").Value())
	require.Equal(t, int64(1), b.At("lisbon").At("sku").Value())
	require.Equal(t, a.State(), b.State())
}

func TestUpdateIsOneDeltaAndOneEventACounter(t *testing.T) {
	s := crdt.NewStore(1)
	m := crdt.At[*crdt.Map[string, *crdt.Counter]](s, "m")
	d := s.Update(func() {
		for range 100 {
			require.True(t, m.At("x").Add(1).IsZero(), "inside an update nothing is told")
		}
		s.Update(func() { m.At("y").Add(7) })
		m.At("z").Add(1)
		m.Remove("z")
	})
	require.Equal(t, int64(100), m.At("x").Value())
	require.Less(t, d.Len(), 60)
	o := crdt.NewStore(2)
	merge(t, o, d)
	om := crdt.At[*crdt.Map[string, *crdt.Counter]](o, "m")
	require.Equal(t, []string{"x", "y"}, om.Sorted())
	require.True(t, s.Update(func() {}).IsZero())

	// A panic inside leaves what was done, and a store that works.
	require.Panics(t, func() { s.Update(func() { m.At("x").Add(1); panic("oops") }) })
	require.Equal(t, int64(101), m.At("x").Value())
	merge(t, o, s.Since(o.Digest()))
	require.Equal(t, s.State(), o.State())
	require.Panics(t, func() { s.Update(func() { s.Merge(d) }) })
}

func TestOnUpdate(t *testing.T) {
	s, o := crdt.NewSet[int](1), crdt.NewSet[int](2)
	var told, more []crdt.Delta
	stop := s.Store().OnUpdate(func(d crdt.Delta) { told = append(told, d) })
	stopMore := s.Store().OnUpdate(func(d crdt.Delta) { more = append(more, d) })
	one := s.Add(1)
	all := s.Store().Update(func() { s.Add(2); s.Remove(1) })
	s.Remove(7) // changes nothing
	merge(t, s, o.Add(5))
	stop()
	last := s.Add(3)
	require.Equal(t, []crdt.Delta{one, all}, told)
	require.Equal(t, []crdt.Delta{one, all, last}, more)
	stopMore()
	s.Add(4)
	require.Len(t, more, 3)
}

func TestLWW(t *testing.T) {
	a, b := crdt.NewLWW[string](1), crdt.NewLWW[string](2)
	_, ok := a.Value()
	require.False(t, ok)
	_, ok = a.Stamp()
	require.False(t, ok)
	require.Equal(t, "(unset)", a.String())

	// Of equal stamps all choose the same one, that of the greater replica.
	da, db := a.Set(5, "a"), b.Set(5, "b")
	merge(t, a, db)
	merge(t, b, da)
	require.Equal(t, "b", a.String())
	require.Equal(t, "b", b.String())
	require.Equal(t, a.State(), b.State())

	// A write counts over what it has seen, though its clock is behind.
	merge(t, b, a.Set(1, "c"))
	require.Equal(t, "c", b.String())
	st, _ := b.Stamp()
	require.Equal(t, clock.Stamp[crdt.ReplicaID]{Time: 6, Node: 1}, st)

	// And over one at the end of time.
	a.Set(math.MaxInt64, "end")
	a.Set(7, "after")
	require.Equal(t, "after", a.String())
	merge(t, b, a.State())
	require.Equal(t, "after", b.String())

	merge(t, b, a.Clear())
	require.Equal(t, "(unset)", b.String())
	// Negative stamps are before all others.
	n, p := crdt.NewLWW[int](1), crdt.NewLWW[int](2)
	dn, dp := n.Set(-5, 1), p.Set(3, 2)
	merge(t, n, dp)
	merge(t, p, dn)
	require.Equal(t, "2", n.String())
	require.Equal(t, "2", p.String())
}

type cart struct {
	Items *crdt.Map[string, *crdt.Counter] `crdt:"1"`
	Note  *crdt.LWW[string]                `crdt:"2"`
	plain int
}

type newCart struct {
	Items   *crdt.Map[string, *crdt.Counter] `crdt:"1"`
	Coupons *crdt.Set[string]                `crdt:"3"`
}

// A replica keeps and passes on fields that it does not know.
func TestUnknownFieldsAreRelayed(t *testing.T) {
	newer, older, third := crdt.NewStore(1), crdt.NewStore(2), crdt.NewStore(3)
	nc := crdt.OpenStruct[newCart](newer, "cart")
	oc := crdt.OpenStruct[cart](older, "cart")
	oc.plain = 1
	newer.Update(func() {
		nc.Items.At("tea").Add(2)
		nc.Coupons.Add("half price")
	})
	merge(t, older, newer.State())
	require.Equal(t, int64(2), oc.Items.At("tea").Value())
	older.Update(func() { oc.Note.Set(1, "gift"); oc.Items.At("tea").Add(1) })
	merge(t, third, older.State())
	tc := crdt.OpenStruct[newCart](third, "cart")
	require.Equal(t, []string{"half price"}, tc.Coupons.Sorted())
	require.Equal(t, int64(3), tc.Items.At("tea").Value())
	require.Equal(t, older.State(), third.State())

	merge(t, older, third.Delete("cart"))
	require.Equal(t, 0, oc.Items.Len())
	merge(t, newer, older.State())
	require.Equal(t, older.State(), newer.State())
	require.Zero(t, nc.Coupons.Len())
}

func TestOpenStructPanicsOnWrongStructs(t *testing.T) {
	s := crdt.NewStore(1)
	for name, open := range map[string]func(){
		"no struct": func() { crdt.OpenStruct[int](s, "a") },
		"no fields": func() { crdt.OpenStruct[struct{ A int }](s, "b") },
		"number 0": func() {
			crdt.OpenStruct[struct {
				A *crdt.Counter `crdt:"0"`
			}](s, "c")
		},
		"same number": func() {
			crdt.OpenStruct[struct {
				A, B *crdt.Counter `crdt:"1"`
			}](s, "d")
		},
		"another type": func() {
			crdt.OpenStruct[struct {
				A *int `crdt:"1"`
			}](s, "e")
		},
		"no pointer": func() {
			crdt.OpenStruct[struct {
				A crdt.Counter `crdt:"1"`
			}](s, "f")
		},
		"open otherwise":    func() { crdt.At[*crdt.Counter](s, "x"); crdt.At[*crdt.GCounter](s, "x") },
		"names in no store": func() { crdt.At[*crdt.Counter](crdt.NewCounter(1).Store(), "x") },
	} {
		require.Panics(t, open, name)
	}
	crdt.At[*crdt.Counter](s, "x") // twice as the same is fine
}

func TestMergeRefusesOtherSchemas(t *testing.T) {
	s := crdt.NewStore(1)
	c := crdt.OpenStruct[cart](s, "cart")
	c.Items.At("tea").Add(1)
	before := s.State()
	check := func(d crdt.Delta, path string) {
		t.Helper()
		changed, err := s.Merge(d)
		require.ErrorIs(t, err, crdt.ErrSchema)
		var se *crdt.SchemaError
		require.ErrorAs(t, err, &se)
		require.Equal(t, path, se.Path)
		require.NotEmpty(t, err.Error())
		require.False(t, changed)
		require.Equal(t, before, s.State(), "half of it was taken in")
	}
	check(crdt.NewCounter(2).Add(1), "the root")
	o := crdt.NewStore(2)
	check(o.Update(func() {
		crdt.At[*crdt.Set[string]](o, "fine").Add("x")
		crdt.At[*crdt.Counter](o, "cart").Add(1)
	}), `"cart"`)
	o = crdt.NewStore(3)
	type wrong struct {
		Items *crdt.Map[string, *crdt.Set[int]] `crdt:"1"`
	}
	check(crdt.OpenStruct[wrong](o, "cart").Items.At("tea").Add(1), `"cart" › field 1 › "tea"`)
	o = crdt.NewStore(4)
	type wide struct {
		Note *crdt.LWW[int] `crdt:"2"`
	}
	check(crdt.OpenStruct[wide](o, "cart").Note.Set(1, 5), `"cart" › field 2`)

	// Numbers of another width are the same type as long as they fit.
	n := crdt.NewSet[int8](1)
	m := crdt.NewSet[int](2)
	merge(t, n, m.Add(100))
	_, err := n.Merge(m.Add(1000))
	require.ErrorIs(t, err, crdt.ErrSchema)
	require.Equal(t, []int8{100}, n.Sorted())
}

func TestEquivocationIsRefused(t *testing.T) {
	// Two histories under one name, met by a third.
	a, twin, c := crdt.NewSet[string](1), crdt.NewSet[string](1), crdt.NewSet[string](3)
	merge(t, c, a.Add("x"))
	_, err := c.Merge(twin.Add("y"))
	require.ErrorIs(t, err, crdt.ErrEquivocation)
	var ee *crdt.EquivocationError
	require.ErrorAs(t, err, &ee)
	require.Equal(t, crdt.Dot{Node: 1, N: 1}, ee.Dot)
	require.False(t, ee.Reused)
	require.Equal(t, []string{"x"}, c.Sorted())

	// A replica that lost its state, began again under its old name, and hears of its past.
	merge(t, c, a.Add("z"))
	_, err = twin.Merge(c.State())
	require.ErrorAs(t, err, &ee)
	require.True(t, ee.Reused)
	require.Equal(t, crdt.Dot{Node: 1, N: 2}, ee.Dot)
	require.NotEmpty(t, err.Error())

	// One that reads its past before it does anything goes on where it stopped.
	again := crdt.NewSet[string](1)
	merge(t, again, a.State())
	again.Add("w")
	merge(t, c, again.State())
	require.Equal(t, []string{"w", "x", "z"}, c.Sorted())

	// The same element in another set.
	type tags = crdt.Map[string, *crdt.Set[string]]
	m1, m2, m3 := crdt.Open[*tags](1), crdt.Open[*tags](1), crdt.Open[*tags](3)
	merge(t, m3, m1.At("here").Add("x"))
	_, err = m3.Merge(m2.At("there").Add("x"))
	require.ErrorIs(t, err, crdt.ErrEquivocation)
	require.Equal(t, []string{"here"}, m3.Sorted())

	// The same with payloads: equal events with other content.
	r1, r2, r3 := crdt.NewLWW[int](1), crdt.NewLWW[int](1), crdt.NewLWW[int](3)
	merge(t, r3, r1.Set(1, 1))
	_, err = r3.Merge(r2.Set(1, 2))
	require.ErrorIs(t, err, crdt.ErrEquivocation)
}

// ---- scenarios in which other implementations fail ----------------------------------------------

func TestReaddingStaysSmall(t *testing.T) {
	s := crdt.NewSet[string](1)
	for range 100_000 {
		s.Add("x")
	}
	require.Less(t, s.State().Len(), 40)
	for i := range 1000 {
		s.Add(fmt.Sprint(i))
	}
	for i := range 1000 {
		s.Remove(fmt.Sprint(i))
	}
	require.Less(t, s.State().Len(), 40)
	s.Clear()
	require.Less(t, s.State().Len(), 30)
}

func TestDelayedDeltaAndLaterRemoveConverge(t *testing.T) {
	a, b := crdt.NewSet[string](1), crdt.NewSet[string](2)
	d1, d2 := a.Add("x"), a.Add("y")
	merge(t, b, d2)
	merge(t, a, b.Remove("y"))
	merge(t, b, d1)
	require.Equal(t, []string{"x"}, a.Sorted())
	require.Equal(t, a.State(), b.State())
}

func TestConcurrentRemovesBeforeTheAdds(t *testing.T) {
	a, b, c, d := crdt.NewSet[string](1), crdt.NewSet[string](2), crdt.NewSet[string](3), crdt.NewSet[string](4)
	add := a.Add("x")
	merge(t, b, add)
	merge(t, c, add)
	r1, r2 := b.Remove("x"), c.Remove("x")
	merge(t, d, r1, r2, add)
	require.Zero(t, d.Len())
	merge(t, a, r2, r1)
	require.Equal(t, a.State(), d.State())
}

func TestLostDeltaThenStateLosesNothing(t *testing.T) {
	a, b := crdt.NewSet[string](1), crdt.NewSet[string](2)
	a.Add("lost")
	merge(t, b, a.Add("seen"))
	merge(t, b, a.State())
	require.Equal(t, []string{"lost", "seen"}, b.Sorted())
}

func TestInnerRemoveThatEmptiesAnEntry(t *testing.T) {
	a, b := crdt.NewMap[string, *crdt.Set[int]](1), crdt.NewMap[string, *crdt.Set[int]](2)
	merge(t, b, a.At("k").Add(1))
	merge(t, b, a.At("k").Remove(1))
	require.False(t, a.Contains("k"))
	require.False(t, b.Contains("k"))
	require.Zero(t, b.Len())
	require.Equal(t, a.State(), b.State())
}

func TestPutPutDeleteAgainstPut(t *testing.T) {
	a, b := crdt.NewMap[string, *crdt.LWW[int]](1), crdt.NewMap[string, *crdt.LWW[int]](2)
	merge(t, b, a.At("k").Set(1, 1))
	d2, d3 := a.At("k").Set(2, 2), a.Remove("k")
	other := b.At("k").Set(3, 3)
	merge(t, a, other)
	merge(t, b, d3, d2)
	require.Equal(t, a.State(), b.State())
	require.Equal(t, "3", a.At("k").String())
}

func TestOneStateHasOneEncoding(t *testing.T) {
	var ds []crdt.Delta
	a := crdt.NewMap[string, *crdt.Set[int]](1)
	for i := range 50 {
		ds = append(ds, a.At(fmt.Sprint("k", i%7)).Add(i))
		if i%11 == 0 {
			ds = append(ds, a.Remove(fmt.Sprint("k", i%5)))
		}
	}
	for i := range 20 {
		b := crdt.NewMap[string, *crdt.Set[int]](2)
		order := slices.Clone(ds)
		for j := range order {
			k := (j*31 + i*17) % len(order)
			order[j], order[k] = order[k], order[j]
		}
		merge(t, b, order...)
		require.Equal(t, a.State(), b.State())
	}
}

func TestMoreThanAMillionElementsRoundTrip(t *testing.T) {
	if testing.Short() {
		t.Skip("a million elements")
	}
	s := crdt.NewSet[int](1)
	const n = 1<<20 + 10
	s.Store().Update(func() {
		for i := range n {
			s.Add(i)
		}
	})
	raw, err := s.State().MarshalBinary()
	require.NoError(t, err)
	d, err := crdt.ParseDelta(raw, crdt.Limits{})
	require.NoError(t, err)
	o := crdt.NewSet[int](2)
	merge(t, o, d)
	require.Equal(t, n, o.Len())
	require.Equal(t, s.Store().Fingerprint(), o.Store().Fingerprint())
	require.Less(t, len(raw), 5*n, "a number and its length an element")
}

// Two hundred thousand events at one counter are written, merged, removed and brought back in a moment:
// looking each of them up among all the others would take minutes.
func TestManyEventsAtOnePlace(t *testing.T) {
	const n = 100_000
	count := func(id crdt.ReplicaID) *crdt.CounterMap[string] {
		m := crdt.NewCounterMap[string](id)
		for range n {
			m.Add("k", 1)
		}
		return m
	}
	a, b := count(1), count(2)
	merge(t, a, b.State())
	merge(t, b, a.State())
	require.EqualValues(t, 2*n, a.Value("k"))
	gone := a.Remove("k")
	merge(t, b, gone)
	require.Zero(t, b.Len())
	merge(t, b, a.Store().Invert(gone))
	require.EqualValues(t, 2*n, b.Value("k"))
	require.Equal(t, a.State(), b.State())
}
