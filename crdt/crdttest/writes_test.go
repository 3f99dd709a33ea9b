package crdttest_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-calm/calm/clock"
	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/crdt/crdttest"
)

// The types of package crdt in which a removal is a write like any other: it lives until a write
// that has seen it takes its place. Here each update is one change.

// A write is a change that no later one at its place has seen.
type write struct {
	change
	at clock.Timestamp // stamped as [crdt.LWW.Set] says
	id uint64
}

// latest returns, for each place, the writes that live there.
func latest(h crdttest.History[update]) map[string][]write {
	here := func(place string) func(update) bool {
		return func(by update) bool { return by[0].place == place }
	}
	out := map[string][]write{}
	stamps := make([]clock.Timestamp, h.Len())
	for i, e := range h.All() {
		c := e.Op[0]
		stamps[i] = clock.At(e.Time)
		for j, f := range h.All() {
			if h.Sees(i, j) && f.Op[0].place == c.place && stamps[i] <= stamps[j] {
				stamps[i] = stamps[j] + 1
			}
		}
		if !h.SeenBy(i, here(c.place)) {
			out[c.place] = append(out[c.place], write{c, stamps[i], e.Replica})
		}
	}
	return out
}

// in renders the places of which the writes that live say so.
func in(h crdttest.History[update], is func([]write) bool) string {
	rows := map[string]string{}
	for place, ws := range latest(h) {
		if is(ws) {
			rows[place] = "in"
		}
	}
	return table(rows)
}

func removal(w write) bool { return w.remove }

// bounded bounds types that keep an event for each write that lives, removals included.
func bounded[N any](typ crdttest.Type[N, update, string]) crdttest.Type[N, update, string] {
	typ.Bound = func(h crdttest.History[update]) int {
		ids := map[uint64]bool{}
		for _, e := range h.All() {
			ids[e.Replica] = true
		}
		n := 32 + 24*len(ids)
		for place, ws := range latest(h) {
			n += (40 + len(place)) * len(ws)
		}
		return n
	}
	return typ
}

// elementsOf is what all sets offer.
type elementsOf interface {
	replica
	Len() int
	Sorted() []string
	Contains(string) bool
}

func setValue[S elementsOf](s S) string {
	rows := map[string]string{}
	sorted := s.Sorted()
	if len(sorted) != s.Len() || !slices.IsSorted(sorted) {
		panic(fmt.Sprintf("Sorted %q, Len %d", sorted, s.Len()))
	}
	for _, e := range sorted {
		if rows[e] = "in"; !s.Contains(e) {
			panic(fmt.Sprintf("Sorted has %q, Contains has not", e))
		}
	}
	for _, e := range []string{"a", "b"} {
		if s.Contains(e) != (rows[e] != "") {
			panic(fmt.Sprintf("Contains %q disagrees with Sorted %q", e, sorted))
		}
	}
	return table(rows)
}

func addsAndRemoves() []update {
	return []update{{add("a", 1)}, {remove("a")}, {add("b", 1)}}
}

func TestGSet(t *testing.T) {
	typ := typeOf(crdt.NewGSet[string], []update{{add("a", 1)}, {add("b", 1)}, {add("a", 1), add("c", 1)}},
		func(s *crdt.GSet[string], c change) crdt.Delta { return s.Add(c.place) },
		setValue[*crdt.GSet[string]], elements)
	typ.Monotone = func(before, after string) bool {
		return !slices.ContainsFunc(strings.Fields(before), func(e string) bool { return !strings.Contains(after, e) })
	}
	check(t, typ)
}

// Once removed, for ever removed.
func TestTwoPhaseSet(t *testing.T) {
	check(t, bounded(typeOf(crdt.NewTwoPhaseSet[string], addsAndRemoves(),
		func(s *crdt.TwoPhaseSet[string], c change) crdt.Delta {
			if c.remove {
				return s.Remove(c.place)
			}
			return s.Add(c.place)
		},
		setValue[*crdt.TwoPhaseSet[string]],
		func(h crdttest.History[update]) string {
			rows := map[string]string{}
			for _, e := range h.All() {
				rows[e.Op[0].place] = "in"
			}
			for _, e := range h.All() {
				if e.Op[0].remove {
					delete(rows, e.Op[0].place)
				}
			}
			return table(rows)
		})))
}

func TestRWSet(t *testing.T) {
	check(t, bounded(typeOf(crdt.NewRWSet[string], addsAndRemoves(),
		func(s *crdt.RWSet[string], c change) crdt.Delta {
			if c.remove {
				return s.Remove(c.place)
			}
			return s.Add(c.place)
		},
		setValue[*crdt.RWSet[string]],
		func(h crdttest.History[update]) string {
			return in(h, func(ws []write) bool { return !slices.ContainsFunc(ws, removal) })
		})))
}

func TestFlag(t *testing.T) {
	check(t, typeOf(crdt.NewFlag, []update{{add("", 1)}, {remove("")}},
		func(f *crdt.Flag, c change) crdt.Delta {
			if c.remove {
				return f.Disable()
			}
			return f.Enable()
		},
		func(f *crdt.Flag) string { return fmt.Sprint(f.Enabled()) },
		func(h crdttest.History[update]) string { return fmt.Sprint(len(survivors(h)) > 0) }))
}

func TestStickyFlag(t *testing.T) {
	check(t, bounded(typeOf(crdt.NewStickyFlag, []update{{add("", 1)}, {remove("")}},
		func(f *crdt.StickyFlag, c change) crdt.Delta {
			if c.remove {
				return f.Disable()
			}
			return f.Enable()
		},
		func(f *crdt.StickyFlag) string { return fmt.Sprint(f.Enabled()) },
		func(h crdttest.History[update]) string {
			return fmt.Sprint(in(h, func(ws []write) bool { return !slices.ContainsFunc(ws, removal) }) != "")
		})))
}

func TestRegister(t *testing.T) {
	check(t, typeOf(crdt.NewRegister[int64], []update{{add("", 1)}, {add("", 2)}, {remove("")}},
		func(r *crdt.Register[int64], c change) crdt.Delta {
			if c.remove {
				return r.Clear()
			}
			return r.Set(c.n)
		},
		func(r *crdt.Register[int64]) string {
			vs := r.Values()
			v, conflict := r.Value()
			if conflict != (len(vs) > 1) || len(vs) > 0 && v != vs[len(vs)-1] {
				panic(fmt.Sprintf("Values %v, Value %d, conflict %t", vs, v, conflict))
			}
			return fmt.Sprint(vs)
		},
		func(h crdttest.History[update]) string {
			vs := []int64{}
			for _, w := range latest(h)[""] {
				if !w.remove {
					vs = append(vs, w.n)
				}
			}
			slices.Sort(vs)
			return fmt.Sprint(slices.Compact(vs))
		}))
}

// A set with the clock that stamps its changes.
type stamped struct {
	*crdt.LWWSet[string]
	now func() clock.Timestamp
}

func TestLWWSet(t *testing.T) {
	typ := bounded(typeOf(func(id crdt.ReplicaID) stamped { return stamped{crdt.NewLWWSet[string](id), nil} },
		addsAndRemoves(),
		func(s stamped, c change) crdt.Delta {
			if c.remove {
				return s.Remove(s.now(), c.place)
			}
			return s.Add(s.now(), c.place)
		},
		setValue[stamped],
		func(h crdttest.History[update]) string {
			return in(h, func(ws []write) bool {
				return !slices.MaxFunc(ws, func(a, b write) int {
					return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.id, b.id))
				}).remove
			})
		}))
	now := func(r crdttest.Replica) func() clock.Timestamp {
		return func() clock.Timestamp { return clock.At(r.Now()) }
	}
	open, resume := typ.New, typ.Resume
	typ.New = func(r crdttest.Replica) stamped {
		s := open(r)
		s.now = now(r)
		return s
	}
	typ.Resume = func(r crdttest.Replica, saved []byte) (stamped, error) {
		s, err := resume(r, saved)
		s.now = now(r)
		return s, err
	}
	check(t, typ)
}

// Whatever is subtracted by whom, never more than was added; what is refused changes nothing.
func TestBoundedCounter(t *testing.T) {
	typ := typeOf(crdt.NewBoundedCounter,
		[]update{{add("", 2)}, {add("", -1)}, {add("2", 1)}},
		func(b *crdt.BoundedCounter, c change) crdt.Delta {
			var d crdt.Delta
			var err error
			rights := b.Rights()
			switch {
			case c.place != "":
				to := crdt.ReplicaID(c.place[0] - '0')
				d, err = b.Transfer(to, uint64(c.n))
			case c.n > 0:
				return b.Add(uint64(c.n))
			default:
				d, err = b.Sub(uint64(-c.n))
			}
			if refused := err != nil; refused != (rights == 0) || refused && !d.IsZero() {
				panic(fmt.Sprintf("%v with %d rights: %v", c, rights, err))
			}
			return d
		},
		func(b *crdt.BoundedCounter) string { return fmt.Sprint(b.Value()) },
		func(h crdttest.History[update]) string {
			n := int64(0)
			for _, e := range h.All() {
				if e.Op[0].place == "" && len(e.Delta) > 0 { // else it was refused
					n += e.Op[0].n
				}
			}
			return fmt.Sprint(n) // below zero it differs from every value
		})
	typ.Bound = func(h crdttest.History[update]) int {
		ids := map[uint64]bool{}
		for _, e := range h.All() {
			ids[e.Replica] = true
		}
		return 32 + 64*len(ids)
	}
	check(t, typ)
}
