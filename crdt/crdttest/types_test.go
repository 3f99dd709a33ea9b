package crdttest_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/go-calm/calm/clock"
	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/crdt/crdttest"
	"github.com/go-calm/calm/internal/testenv"
)

// A change is one thing done at a place such as "lisbon/sku-1": n is added there (for a set, the
// element comes in), or all at and below the place is removed.
type change struct {
	remove bool
	place  string
	n      int64
}

// An update is what one delta holds: most often one change.
type update []change

func (u update) String() string {
	var parts []string
	for _, c := range u {
		if c.remove {
			parts = append(parts, "remove "+c.place)
		} else {
			parts = append(parts, fmt.Sprintf("%s+=%d", c.place, c.n))
		}
	}
	return strings.Join(parts, ", ")
}

func add(place string, n int64) change { return change{place: place, n: n} }
func remove(place string) change       { return change{remove: true, place: place} }

func (c change) covers(place string) bool {
	return c.remove && (c.place == place || c.place == "" || strings.HasPrefix(place, c.place+"/"))
}

// survivors is the specification of everything that has observed-remove: of the additions, those that no removal
// has seen that covers their place.
func survivors(h crdttest.History[update]) map[string][]int64 {
	out := map[string][]int64{}
	for i, e := range h.All() {
		for a, c := range e.Op {
			gone := func(by update) bool {
				return slices.ContainsFunc(by, func(d change) bool { return d.covers(c.place) })
			}
			if !c.remove && !gone(e.Op[a:]) && !h.SeenBy(i, gone) {
				out[c.place] = append(out[c.place], c.n)
			}
		}
	}
	return out
}

// table renders places and what they show, so that all kinds of values compare as strings.
func table(rows map[string]string) string {
	var out []string
	for _, place := range slices.Sorted(maps.Keys(rows)) {
		out = append(out, place+"="+rows[place])
	}
	return strings.Join(out, " ")
}

func sums(h crdttest.History[update]) string {
	rows := map[string]string{}
	for place, ns := range survivors(h) {
		sum := int64(0)
		for _, n := range ns {
			sum += n
		}
		rows[place] = fmt.Sprint(sum)
	}
	return table(rows)
}

func elements(h crdttest.History[update]) string {
	rows := map[string]string{}
	for place := range survivors(h) {
		rows[place] = "in"
	}
	return table(rows)
}

// replica is what all types of package crdt have in common.
type replica interface {
	Merge(crdt.Delta) (bool, error)
	State() crdt.Delta
	Digest() crdt.Digest
	Since(crdt.Digest) crdt.Delta
	Store() *crdt.Store
}

func bytesOf(d crdt.Delta) []byte {
	b, err := d.MarshalBinary()
	must(err)
	return b
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// typeOf describes a type of package crdt. Each change becomes a call of do; updates of several
// changes are one Update of the store.
func typeOf[N replica](open func(crdt.ReplicaID) N, ops []update, do func(N, change) crdt.Delta, value func(N) string, spec func(crdttest.History[update]) string) crdttest.Type[N, update, string] {
	merge := func(s N, b []byte) (bool, error) {
		d, err := crdt.ParseDelta(slices.Clone(b), crdt.Limits{})
		if err != nil {
			return false, err
		}
		return s.Merge(d)
	}
	return crdttest.Type[N, update, string]{
		New: func(r crdttest.Replica) N { return open(crdt.ReplicaID(r.ID)) },
		Ops: ops,
		Apply: func(s N, u update) []byte {
			if len(u) == 1 {
				return bytesOf(do(s, u[0]))
			}
			return bytesOf(s.Store().Update(func() {
				for _, c := range u {
					if d := do(s, c); !d.IsZero() {
						panic("a mutator returned a delta inside Update")
					}
				}
			}))
		},
		Merge: merge,
		State: func(s N) []byte { return bytesOf(s.State()) },
		Value: value,
		Spec:  spec,
		Digest: func(s N) []byte {
			b, err := s.Digest().MarshalBinary()
			must(err)
			return b
		},
		Since: func(s N, digest []byte) []byte {
			var d crdt.Digest
			must(d.UnmarshalBinary(digest))
			return bytesOf(s.Since(d))
		},
		Resume: func(r crdttest.Replica, saved []byte) (N, error) {
			s := open(crdt.ReplicaID(r.ID))
			_, err := merge(s, saved)
			return s, err
		},
		// A removed thing leaves nothing: what is paid for is what is there, and the replicas.
		Bound: func(h crdttest.History[update]) int {
			ids := map[uint64]bool{}
			for _, e := range h.All() {
				ids[e.Replica] = true
			}
			n := 32 + 24*len(ids)
			for place, ns := range survivors(h) {
				n += (32 + len(place)) * len(ns)
			}
			return n
		},
	}
}

// check puts a type through everything. The nightly run gives the small worlds a step more.
func check[N any](t *testing.T, typ crdttest.Type[N, update, string], worlds ...crdttest.World) {
	t.Helper()
	t.Parallel()
	switch {
	case testenv.Race:
		worlds = []crdttest.World{{Replicas: 2, Steps: 3}, {Replicas: 3, Steps: 2}}
	case len(worlds) > 0:
	case testenv.Thorough():
		worlds = []crdttest.World{{Replicas: 2, Steps: 5}, {Replicas: 3, Steps: 4}}
	default:
		worlds = []crdttest.World{{Replicas: 2, Steps: 4}, {Replicas: 3, Steps: 3}}
	}
	t.Run("laws", func(t *testing.T) { crdttest.Run(t, typ) })
	t.Run("exhaustive", func(t *testing.T) { crdttest.Exhaustive(t, typ, worlds...) })
	t.Run("simulation", func(t *testing.T) { crdttest.Simulate(t, typ) })
}

func setType() crdttest.Type[*crdt.Set[string], update, string] {
	return typeOf(crdt.NewSet[string],
		[]update{{add("a", 1)}, {remove("a")}, {add("b", 1)}},
		func(s *crdt.Set[string], c change) crdt.Delta {
			switch {
			case c.place == "":
				return s.Clear()
			case c.remove:
				return s.Remove(c.place)
			}
			return s.Add(c.place)
		},
		func(s *crdt.Set[string]) string { return table(setRows("", s)) },
		elements)
}

// setRows reads a set in all ways, which must agree.
func setRows(prefix string, s *crdt.Set[string]) map[string]string {
	rows := map[string]string{}
	for e := range s.All() {
		rows[prefix+e] = "in"
	}
	sorted := s.Sorted()
	if len(sorted) != s.Len() || len(rows) != s.Len() || !slices.IsSorted(sorted) {
		panic(fmt.Sprintf("All %v, Sorted %q, Len %d", rows, sorted, s.Len()))
	}
	for _, e := range sorted {
		if !s.Contains(e) {
			panic(fmt.Sprintf("Sorted has %q, Contains has not", e))
		}
	}
	return rows
}

// mapRows reads a map in all ways, which must agree.
func mapRows[V crdt.Node[V]](m *crdt.Map[string, V], prefix string, inner func(prefix string, v V) map[string]string) map[string]string {
	rows := map[string]string{}
	n := 0
	for k, v := range m.All() {
		n++
		below := inner(prefix+k, v)
		if len(below) == 0 {
			panic(fmt.Sprintf("key %q is there with nothing in it", k))
		}
		maps.Copy(rows, below)
	}
	sorted := m.Sorted()
	if len(sorted) != n || m.Len() != n || !slices.IsSorted(sorted) {
		panic(fmt.Sprintf("All yields %d keys, Sorted %q, Len %d", n, sorted, m.Len()))
	}
	for _, k := range sorted {
		if !m.Contains(k) {
			panic(fmt.Sprintf("Sorted has %q, Contains has not", k))
		}
	}
	return rows
}

func TestSet(t *testing.T) {
	check(t, setType(), crdttest.World{Replicas: 2, Steps: 5}, crdttest.World{Replicas: 3, Steps: 4})
}

func TestSetUpdates(t *testing.T) {
	typ := setType()
	typ.Ops = []update{{add("a", 1)}, {remove("a"), add("b", 1)}, {add("a", 1), add("b", 1), remove("a")}, {remove("")}}
	check(t, typ)
}

func TestGCounter(t *testing.T) {
	typ := typeOf(crdt.NewGCounter,
		[]update{{add("", 1)}, {add("", 2), add("", 3)}},
		func(s *crdt.GCounter, c change) crdt.Delta { return s.Add(uint64(c.n)) },
		func(s *crdt.GCounter) string {
			n := s.Value()
			if !s.AtLeast(n) || s.AtLeast(n+1) {
				panic(fmt.Sprintf("AtLeast disagrees with Value %d", n))
			}
			if n == 0 {
				return ""
			}
			return table(map[string]string{"": fmt.Sprint(n)})
		},
		sums)
	number := func(v string) (n int64) {
		if v != "" {
			_, err := fmt.Sscanf(v, "=%d", &n)
			must(err)
		}
		return n
	}
	typ.Monotone = func(before, after string) bool { return number(before) <= number(after) }
	typ.Invariant = func(past crdttest.History[update], v string) error {
		if most := sums(past); number(v) > number(most) {
			return fmt.Errorf("of at most %s", most)
		}
		return nil
	}
	// A total for each replica, whatever the number of increments.
	typ.Bound = func(h crdttest.History[update]) int {
		ids := map[uint64]bool{}
		for _, e := range h.All() {
			ids[e.Replica] = true
		}
		return 32 + 32*len(ids)
	}
	check(t, typ)
}

func TestCounter(t *testing.T) {
	typ := typeOf(crdt.NewCounter,
		[]update{{add("", 2)}, {add("", -1)}},
		func(s *crdt.Counter, c change) crdt.Delta { return s.Add(c.n) },
		func(s *crdt.Counter) string { return fmt.Sprint(s.Value()) },
		func(h crdttest.History[update]) string {
			n := int64(0)
			for _, e := range h.All() {
				for _, c := range e.Op {
					n += c.n
				}
			}
			return fmt.Sprint(n)
		})
	check(t, typ)
}

func changeCounter(m *crdt.Map[string, *crdt.Counter], c change, k string) crdt.Delta {
	switch {
	case c.remove && k == "":
		return m.Clear()
	case c.remove:
		return m.Remove(k)
	}
	return m.At(k).Add(c.n)
}

func counterRows(prefix string, c *crdt.Counter) map[string]string {
	return map[string]string{prefix: fmt.Sprint(c.Value())}
}

// The counter in a map: a reset that did not see an increment never undoes it, and undoes all else.
func TestMapOfCounter(t *testing.T) {
	typ := typeOf(crdt.NewMap[string, *crdt.Counter],
		[]update{{add("k", 1)}, {remove("k")}},
		func(m *crdt.Map[string, *crdt.Counter], c change) crdt.Delta { return changeCounter(m, c, c.place) },
		func(m *crdt.Map[string, *crdt.Counter]) string { return table(mapRows(m, "", counterRows)) },
		sums)
	check(t, typ, crdttest.World{Replicas: 2, Steps: 6}, crdttest.World{Replicas: 3, Steps: 4})
	typ.Ops = []update{
		{add("k", 1)},
		{add("k", 2), add("k", -2)},
		{remove("k"), add("k", 5)},
		{add("k", 7), remove("k")},
		{remove("")},
	}
	t.Run("updates", func(t *testing.T) {
		check(t, typ)
	})
}

func TestMapOfMapOfCounter(t *testing.T) {
	type stock = crdt.Map[string, *crdt.Map[string, *crdt.Counter]]
	typ := typeOf(crdt.NewMap[string, *crdt.Map[string, *crdt.Counter]],
		[]update{{add("x/a", 1)}, {remove("x/a")}, {remove("x")}},
		func(m *stock, c change) crdt.Delta {
			outer, inner, deep := strings.Cut(c.place, "/")
			if c.remove && !deep {
				return m.Remove(outer)
			}
			return changeCounter(m.At(outer), c, inner)
		},
		func(m *stock) string {
			return table(mapRows(m, "", func(k string, v *crdt.Map[string, *crdt.Counter]) map[string]string {
				return mapRows(v, k+"/", counterRows)
			}))
		},
		sums)
	check(t, typ)
	typ.Ops = []update{{add("x/a", 1)}, {add("x/b", 1), remove("x/a")}, {remove("x"), add("x/b", 1), add("y/a", 1)}, {remove("y")}}
	t.Run("updates", func(t *testing.T) {
		check(t, typ)
	})
}

func TestMapOfSet(t *testing.T) {
	typ := typeOf(crdt.NewMap[string, *crdt.Set[string]],
		[]update{{add("x/a", 1)}, {remove("x/a")}, {remove("x")}},
		func(m *crdt.Map[string, *crdt.Set[string]], c change) crdt.Delta {
			k, e, deep := strings.Cut(c.place, "/")
			switch {
			case !deep:
				return m.Remove(k)
			case c.remove:
				return m.At(k).Remove(e)
			}
			return m.At(k).Add(e)
		},
		func(m *crdt.Map[string, *crdt.Set[string]]) string {
			return table(mapRows(m, "", func(k string, s *crdt.Set[string]) map[string]string { return setRows(k+"/", s) }))
		},
		elements)
	check(t, typ)
}

// A multimap is a map of sets, by its own methods.
func TestMultiMap(t *testing.T) {
	typ := typeOf(crdt.NewMultiMap[string, string],
		[]update{{add("x/a", 1)}, {remove("x/a")}, {remove("x")}, {add("y/a", 1), add("x/b", 1)}},
		func(m *crdt.MultiMap[string, string], c change) crdt.Delta {
			k, v, deep := strings.Cut(c.place, "/")
			switch {
			case !deep:
				return m.Remove(k)
			case c.remove:
				return m.Discard(k, v)
			}
			return m.Add(k, v)
		},
		func(m *crdt.MultiMap[string, string]) string {
			rows := map[string]string{}
			for k, v := range m.Pairs() {
				if rows[k+"/"+v] = "in"; !m.Has(k, v) || !slices.Contains(m.Values(k), v) || !m.Contains(k) {
					panic(fmt.Sprintf("Pairs has %q at %q, others have not", v, k))
				}
			}
			return table(rows)
		},
		elements)
	check(t, typ, crdttest.World{Replicas: 2, Steps: 3}, crdttest.World{Replicas: 3, Steps: 2})
}

// A counter map is a map of counters, by its own methods.
func TestCounterMap(t *testing.T) {
	typ := typeOf(crdt.NewCounterMap[string],
		[]update{{add("k", 1)}, {remove("k")}, {add("k", 2), add("l", -1)}},
		func(m *crdt.CounterMap[string], c change) crdt.Delta {
			if c.remove {
				return m.Remove(c.place)
			}
			return m.Add(c.place, c.n)
		},
		func(m *crdt.CounterMap[string]) string {
			rows, sum := map[string]string{}, int64(0)
			for k, n := range m.Values() {
				rows[k] = fmt.Sprint(n)
				if sum += n; m.Value(k) != n {
					panic(fmt.Sprintf("Values has %d at %q, Value has not", n, k))
				}
			}
			if m.Total() != sum {
				panic(fmt.Sprintf("a total of %d, a sum of %d", m.Total(), sum))
			}
			return table(rows)
		},
		sums)
	check(t, typ, crdttest.World{Replicas: 2, Steps: 3}, crdttest.World{Replicas: 3, Steps: 2})
}

// A register's writes are stamped by a wall clock that stands still, jumps ahead and falls behind.
type register struct {
	*crdt.Map[string, *crdt.LWW[int64]]
	now func() clock.Timestamp
}

// lastWrites is the specification of a map of registers: a write is over when a write or a removal
// at its place has seen it; of those that are not, the one of the greatest stamp shows.
func lastWrites(h crdttest.History[update]) string {
	stamps := make([]clock.Timestamp, h.Len())
	over := func(i, j int, c change) bool { // has j seen and ended change c of i?
		return h.Sees(j, i) && slices.ContainsFunc(h.At(j).Op, func(d change) bool {
			return d.covers(c.place) || !d.remove && d.place == c.place
		})
	}
	type best struct {
		at clock.Timestamp
		id uint64
		n  int64
	}
	rows := map[string]best{}
	for i, e := range h.All() {
		c := e.Op[0]
		if c.remove {
			continue
		}
		stamps[i] = clock.At(e.Time)
		for j, f := range h.All() {
			if d := f.Op[0]; d.remove || d.place != c.place || !h.Sees(i, j) {
				continue
			}
			lives := true
			for k := range h.Len() {
				lives = lives && (!h.Sees(i, k) || !over(j, k, f.Op[0]))
			}
			if lives && stamps[i] <= stamps[j] {
				stamps[i] = stamps[j] + 1
			}
		}
		lives := true
		for k := range h.Len() {
			lives = lives && !over(i, k, c)
		}
		b, there := rows[c.place]
		if lives && (!there || b.at < stamps[i] || b.at == stamps[i] && b.id < e.Replica) {
			rows[c.place] = best{stamps[i], e.Replica, c.n}
		}
	}
	out := map[string]string{}
	for place, b := range rows {
		out[place] = fmt.Sprint(b.n)
	}
	return table(out)
}

func registerType(ops ...update) crdttest.Type[register, update, string] {
	typ := typeOf(func(id crdt.ReplicaID) register {
		return register{crdt.NewMap[string, *crdt.LWW[int64]](id), nil}
	},
		ops,
		func(r register, c change) crdt.Delta {
			if c.remove {
				return r.Remove(c.place)
			}
			return r.At(c.place).Set(r.now(), c.n)
		},
		func(r register) string {
			return table(mapRows(r.Map, "", func(k string, l *crdt.LWW[int64]) map[string]string {
				v, ok := l.Value()
				if !ok {
					return nil
				}
				return map[string]string{k: fmt.Sprint(v)}
			}))
		},
		lastWrites)
	now := func(r crdttest.Replica) func() clock.Timestamp {
		return func() clock.Timestamp { return clock.At(r.Now()) }
	}
	open, resume := typ.New, typ.Resume
	typ.New = func(r crdttest.Replica) register {
		s := open(r)
		s.now = now(r)
		return s
	}
	typ.Resume = func(r crdttest.Replica, saved []byte) (register, error) {
		s, err := resume(r, saved)
		s.now = now(r)
		return s, err
	}
	return typ
}

func TestMapOfLWW(t *testing.T) {
	check(t, registerType(update{add("k", 1)}, update{add("k", 2)}, update{remove("k")}))
}

// A record of a struct schema, its fields changed one by one and together.
type record struct {
	*base
	cart *cart
}

type cart struct {
	Items *crdt.Map[string, *crdt.Counter] `crdt:"1"`
	Tags  *crdt.Set[string]                `crdt:"2"`
	Hits  *crdt.GCounter                   `crdt:"7"`
}

type base = crdt.Store

func (r record) Store() *crdt.Store { return r.base }

func TestStruct(t *testing.T) {
	typ := typeOf(func(id crdt.ReplicaID) record {
		r := record{base: crdt.NewStore(id)}
		r.cart = crdt.OpenStruct[cart](r.base, "cart")
		return r
	},
		[]update{{add("items/x", 1), add("hits", 1)}, {remove("items/x"), add("tags/a", 1)}, {remove("")}},
		func(r record, c change) crdt.Delta {
			field, k, _ := strings.Cut(c.place, "/")
			switch {
			case c.place == "":
				return r.Delete("cart")
			case field == "items":
				return changeCounter(r.cart.Items, c, k)
			case field == "tags" && c.remove:
				return r.cart.Tags.Remove(k)
			case field == "tags":
				return r.cart.Tags.Add(k)
			}
			return r.cart.Hits.Add(uint64(c.n))
		},
		func(r record) string {
			rows := mapRows(r.cart.Items, "items/", counterRows)
			maps.Copy(rows, setRows("tags/", r.cart.Tags))
			if n := r.cart.Hits.Value(); n > 0 {
				rows["hits"] = fmt.Sprint(n)
			}
			return table(rows)
		},
		func(h crdttest.History[update]) string {
			rows := map[string]string{}
			for place, ns := range survivors(h) {
				sum := int64(0)
				for _, n := range ns {
					sum += n
				}
				if rows[place] = fmt.Sprint(sum); strings.HasPrefix(place, "tags/") {
					rows[place] = "in"
				}
			}
			return table(rows)
		})
	check(t, typ)
}
