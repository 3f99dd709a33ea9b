package crdt_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-calm/calm/clock"
	"github.com/go-calm/calm/crdt"
)

// everything has a field of each type, and nested ones.
type everything struct {
	Set      *crdt.Set[string]                                 `crdt:"1"`
	RW       *crdt.RWSet[string]                               `crdt:"2"`
	LWWSet   *crdt.LWWSet[string]                              `crdt:"3"`
	Grow     *crdt.GSet[string]                                `crdt:"4"`
	Two      *crdt.TwoPhaseSet[string]                         `crdt:"5"`
	Counter  *crdt.Counter                                     `crdt:"6"`
	Up       *crdt.GCounter                                    `crdt:"7"`
	Last     *crdt.LWW[float64]                                `crdt:"8"`
	Values   *crdt.Register[string]                            `crdt:"9"`
	Flag     *crdt.Flag                                        `crdt:"10"`
	Sticky   *crdt.StickyFlag                                  `crdt:"11"`
	Nested   *crdt.Map[string, *crdt.Map[int8, *crdt.Counter]] `crdt:"12"`
	Tags     *crdt.Map[string, *crdt.RWSet[string]]            `crdt:"13"`
	Blobs    *crdt.Map[bool, *crdt.LWW[[]byte]]                `crdt:"14"`
	Versions *crdt.Map[string, *crdt.Register[int]]            `crdt:"15"`
}

// A mirror is a plain copy of what a store holds, by path.
type mirror map[string]any

func place(path ...any) string { return crdt.Path(path).String() }

func putSet(m mirror, es []string, path ...any) {
	for _, e := range es {
		m[place(append(path[:len(path):len(path)], e)...)] = true
	}
}

// read makes a mirror by reading everything.
func (e *everything) read(name string) mirror {
	m := mirror{}
	f := func(n crdt.Field) []any { return []any{name, n} }
	putSet(m, e.Set.Sorted(), f(1)...)
	putSet(m, e.RW.Sorted(), f(2)...)
	putSet(m, e.LWWSet.Sorted(), f(3)...)
	putSet(m, e.Grow.Sorted(), f(4)...)
	putSet(m, e.Two.Sorted(), f(5)...)
	if n := e.Counter.Value(); n != 0 {
		m[place(f(6)...)] = n
	}
	if n := e.Up.Value(); n != 0 {
		m[place(f(7)...)] = n
	}
	if v, ok := e.Last.Value(); ok {
		m[place(f(8)...)] = v
	}
	if vs := e.Values.Values(); len(vs) > 0 {
		m[place(f(9)...)] = vs
	}
	if e.Flag.Enabled() {
		m[place(f(10)...)] = true
	}
	if e.Sticky.Enabled() {
		m[place(f(11)...)] = true
	}
	for k, inner := range e.Nested.All() {
		for i, c := range inner.All() {
			m[place(name, crdt.Field(12), k, i)] = c.Value()
		}
	}
	for k, s := range e.Tags.All() {
		putSet(m, s.Sorted(), name, crdt.Field(13), k)
	}
	for k, b := range e.Blobs.All() {
		m[place(name, crdt.Field(14), k)], _ = b.Value()
	}
	for k, r := range e.Versions.All() {
		m[place(name, crdt.Field(15), k)] = r.Values()
	}
	return m
}

// change draws a change and makes it. Of all changes a run has a few: else what one does to another
// is hardly ever met.
func (e *everything) change(t *rapid.T, few []int) {
	k := rapid.SampledFrom([]string{"", "a", "b"})
	n := rapid.Int64Range(-2, 2)
	at := clock.Timestamp(rapid.Int64Range(1, 5).Draw(t, "stamp"))
	changes := []func(){
		func() { e.Set.Add(k.Draw(t, "e"), k.Draw(t, "e")) },
		func() { e.Set.Remove(k.Draw(t, "e")) },
		func() { e.Set.Clear() },
		func() { e.RW.Add(k.Draw(t, "e")) },
		func() { e.RW.Remove(k.Draw(t, "e")) },
		func() { e.LWWSet.Add(at, k.Draw(t, "e")) },
		func() { e.LWWSet.Remove(at, k.Draw(t, "e")) },
		func() { e.Grow.Add(k.Draw(t, "e")) },
		func() { e.Two.Add(k.Draw(t, "e")) },
		func() { e.Two.Remove(k.Draw(t, "e")) },
		func() { e.Counter.Add(n.Draw(t, "n")) },
		func() { e.Up.Add(uint64(n.Draw(t, "n") + 2)) },
		func() { e.Last.Set(at, float64(n.Draw(t, "n"))) },
		func() { e.Last.Clear() },
		func() { e.Values.Set(k.Draw(t, "v")) },
		func() { e.Values.Resolve(func(vs []string) string { return vs[0] }) },
		func() { e.Flag.Enable() },
		func() { e.Flag.Disable() },
		func() { e.Sticky.Enable() },
		func() { e.Sticky.Disable() },
		func() { e.Nested.At(k.Draw(t, "k")).At(int8(n.Draw(t, "k"))).Add(n.Draw(t, "n")) },
		func() { e.Nested.At(k.Draw(t, "k")).Remove(int8(n.Draw(t, "k"))) },
		func() { e.Nested.Remove(k.Draw(t, "k")) },
		func() { e.Nested.Clear() },
		func() { e.Tags.At(k.Draw(t, "k")).Add(k.Draw(t, "e")) },
		func() { e.Tags.At(k.Draw(t, "k")).Remove(k.Draw(t, "e")) },
		func() { e.Tags.Remove(k.Draw(t, "k")) },
		func() { e.Blobs.At(n.Draw(t, "k") > 0).Set(at, []byte(k.Draw(t, "v"))) },
		func() { e.Blobs.Clear() },
		func() { e.Versions.At(k.Draw(t, "k")).Set(int(n.Draw(t, "v"))) },
		func() { e.Versions.Remove(k.Draw(t, "k")) },
	}
	changes[rapid.SampledFrom(few).Draw(t, "change")%len(changes)]()
}

// few draws what changes a run has: some that stand beside each other in the list, where those of
// one type do.
func few(t *rapid.T) []int {
	from := rapid.IntRange(0, 30).Draw(t, "first change")
	out := []int{rapid.IntRange(0, 30).Draw(t, "other change")}
	for i := range rapid.IntRange(1, 4).Draw(t, "changes beside it") {
		out = append(out, from+i)
	}
	return out
}

// seen is what reading can tell from nothing: what is not there, is off, or is a counter of zero
// outside a map.
func (m mirror) seen() mirror {
	out := maps.Clone(m)
	maps.DeleteFunc(out, func(k string, v any) bool {
		return v == false || !strings.Contains(k, "field 12") && (v == int64(0) || v == uint64(0))
	})
	return out
}

// A follower keeps a mirror by what it is told alone.
type follower struct {
	store *crdt.Store
	doc   *everything
	copy  mirror
	told  []crdt.Change // since the last check
}

func follow(id crdt.ReplicaID) *follower {
	f := &follower{store: crdt.NewStore(id), copy: mirror{}}
	f.doc = crdt.OpenStruct[everything](f.store, "doc")
	f.store.Observe(func(c crdt.Change) { f.told = append(f.told, c) })
	return f
}

// check applies what was told and compares with what there is to read.
func (f *follower) check(t require.TestingT, local bool) {
	last := ""
	for _, c := range f.told {
		p := c.Path.String()
		require.Equal(t, f.copy[p], c.Before, p)
		require.False(t, reflect.DeepEqual(c.Before, c.After), "%v changed nothing", c)
		require.Equal(t, local, c.Local)
		require.NotEqual(t, last, p, "told twice")
		last = p
		if c.After == nil {
			delete(f.copy, p)
		} else {
			f.copy[p] = c.After
		}
	}
	f.told = nil
	require.Equal(t, f.doc.read("doc"), f.copy.seen())
	// The mirror knows which keys there are.
	for _, k := range []string{"", "a", "b"} {
		there := false
		for p := range f.copy {
			there = there || strings.HasPrefix(p, place("doc", crdt.Field(13), k)+" ")
		}
		require.Equal(t, f.doc.Tags.Contains(k), there, k)
	}
}

// Who follows the changes knows the state, whatever happens.
func TestObserverKeepsAMirror(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fs := []*follower{follow(1), follow(2), follow(3)}
		var deltas []crdt.Delta
		changes := few(t)
		pick := rapid.IntRange(0, 2)
		t.Repeat(map[string]func(*rapid.T){
			"change": func(t *rapid.T) {
				f := fs[pick.Draw(t, "who")]
				deltas = append(deltas, f.store.Update(func() {
					for range rapid.IntRange(1, 3).Draw(t, "changes") {
						f.doc.change(t, changes)
					}
				}))
				f.check(t, true)
			},
			"deliver": func(t *rapid.T) {
				if len(deltas) == 0 {
					t.Skip()
				}
				f := fs[pick.Draw(t, "who")]
				_, err := f.store.Merge(rapid.SampledFrom(deltas).Draw(t, "delta"))
				require.NoError(t, err)
				f.check(t, false)
			},
			"sync": func(t *rapid.T) {
				a, b := fs[pick.Draw(t, "from")], fs[pick.Draw(t, "to")]
				_, err := b.store.Learn(a.store.Since(b.store.Digest()))
				require.NoError(t, err)
				b.check(t, false)
			},
			"delete": func(t *rapid.T) {
				f := fs[pick.Draw(t, "who")]
				deltas = append(deltas, f.store.Delete("doc"))
				f.check(t, true)
			},
		})
	})
}

// The types that stand at the root have paths of one key or none.
func TestObserveAtTheRoot(t *testing.T) {
	var told []string
	tell := func(c crdt.Change) { told = append(told, fmt.Sprint(c, c.Local)) }
	says := func(want ...string) {
		t.Helper()
		require.Equal(t, want, told)
		told = nil
	}
	s, o := crdt.NewSet[int](1), crdt.NewSet[int](2)
	s.Store().Observe(tell)
	s.Add(300, 2)
	says("Set 2: <nil> → true true", "Set 300: <nil> → true true")
	merge(t, o, s.State())
	merge(t, s, o.Remove(2))
	says("Set 2: true → <nil> false")
	s.Add(300) // again
	s.Remove(7)
	says()

	c, d := crdt.NewCounter(1), crdt.NewCounter(2)
	c.Store().Observe(tell)
	c.Add(2)
	merge(t, c, d.Add(-5), d.Add(1))
	says("Counter the root: <nil> → 2 true", "Counter the root: 2 → -3 false", "Counter the root: -3 → -2 false")

	b := crdt.NewBoundedCounter(1)
	b.Store().Observe(tell)
	b.Add(3)
	_, err := b.Sub(1)
	require.NoError(t, err)
	_, err = b.Transfer(2, 1)
	require.NoError(t, err)
	says("BoundedCounter the root: <nil> → 3 true", "BoundedCounter the root: 3 → 2 true")

	g := crdt.NewGCounter(1)
	g.Store().Observe(tell)
	g.Add(1)
	says("GCounter the root: <nil> → 1 true")

	r := crdt.NewRegister[string](1)
	r.Store().Observe(tell)
	r.Set("x")
	r.Set("x") // another write of the same
	merge(t, r, crdt.NewRegister[string](2).Set("x"))
	r.Clear()
	says("Register the root: <nil> → [x] true", "Register the root: [x] → <nil> true")
}

// What nobody has opened here is not told; a field that is known is, beside one that is not.
func TestObserveTellsWhatIsOpen(t *testing.T) {
	newer, older := crdt.NewStore(1), crdt.NewStore(2)
	nc := crdt.OpenStruct[newCart](newer, "cart")
	crdt.OpenStruct[cart](older, "cart")
	var told []string
	older.Observe(func(c crdt.Change) { told = append(told, c.String()) })
	merge(t, older, newer.Update(func() {
		nc.Items.At("tea").Add(2)
		nc.Coupons.Add("half price")
		crdt.At[*crdt.Flag](newer, "other").Enable()
	}))
	require.Equal(t, []string{`Counter "cart" › field 1 › "tea": <nil> → 2`}, told)
}

func TestObserversMayChangeTheStoreAndLeave(t *testing.T) {
	s := crdt.NewStore(1)
	words, total := crdt.At[*crdt.Set[string]](s, "words"), crdt.At[*crdt.Counter](s, "total")
	var order []string
	var cancel func()
	s.Observe(func(c crdt.Change) {
		order = append(order, "first "+c.Path.String())
		if c.Path[0] == "words" {
			require.True(t, words.Contains(c.Path[1].(string)), "it is applied by now")
			d := total.Add(1)
			require.False(t, d.IsZero())
		}
	})
	cancel = s.Observe(func(c crdt.Change) {
		order = append(order, "second "+c.Path.String())
		if c.Path[0] == "total" {
			cancel()
		}
	})
	d := words.Add("a", "b")
	require.Equal(t, []string{
		`first "words" › "a"`, `second "words" › "a"`, `first "words" › "b"`, `second "words" › "b"`,
		`first "total"`, `second "total"`, `first "total"`,
	}, order)
	o := crdt.NewStore(2)
	merge(t, o, d)
	require.Zero(t, crdt.At[*crdt.Counter](o, "total").Value(), "another change, another delta")
	cancel()
	require.Equal(t, int64(2), total.Value())

	// Who is told first may end what the second is told.
	var second func()
	first := s.Observe(func(crdt.Change) { second() })
	second = s.Observe(func(c crdt.Change) { t.Error("told after its end: ", c) })
	words.Add("e")
	first()

	// One that panics ends what it was told of and nothing else.
	stop := s.Observe(func(crdt.Change) { panic("oops") })
	require.Panics(t, func() { words.Add("c") })
	require.True(t, words.Contains("c"))
	stop()
	order = nil
	words.Add("d")
	require.Equal(t, []string{`first "words" › "d"`, `first "total"`}, order)

	require.Panics(t, func() { s.Update(func() { s.Observe(func(crdt.Change) {}) }) })
}

func TestRefusedDeltasAreNotObserved(t *testing.T) {
	s := crdt.NewStore(1)
	crdt.At[*crdt.Set[string]](s, "x").Add("a")
	s.Observe(func(c crdt.Change) { t.Error(c) })
	o := crdt.NewStore(2)
	crdt.At[*crdt.Counter](o, "x").Add(1)
	_, err := s.Merge(o.State())
	require.ErrorIs(t, err, crdt.ErrSchema)
	merge(t, s, s.State())
	s.Update(func() {})
}

func TestKindsAndPathsForPeople(t *testing.T) {
	require.Equal(t, "the root", crdt.Path{}.String())
	require.Equal(t, `"cart/42" › field 1 › "tea" › 5`, crdt.Path{"cart/42", crdt.Field(1), "tea", 5}.String())
	names := map[string]bool{}
	for k := crdt.KindSet; k <= crdt.KindStickyFlag; k++ {
		names[k.String()] = true
	}
	require.Len(t, names, 12)
	require.Equal(t, []string{"Kind(0)", "Kind(13)"}, []string{crdt.Kind(0).String(), crdt.Kind(13).String()})
	require.True(t, slices.Contains(slices.Collect(maps.Keys(names)), "TwoPhaseSet"))
}
