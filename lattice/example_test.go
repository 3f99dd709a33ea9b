package lattice_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-calm/calm/lattice"
)

// Three nodes saw pages and visitors; whatever way their states are merged, the result is one.
func Example() {
	type pages = lattice.Map[string, lattice.Pair[lattice.Max[int64], *lattice.Set[string]]]
	seen := func(page string, at int64, visitor string) *pages {
		var p pages
		p.Put(page, lattice.PairOf(lattice.MaxOf(at), lattice.SetOf(visitor)))
		return &p
	}
	a, b, c := seen("/", 5, "ann"), seen("/", 7, "bob"), seen("/about", 6, "ann")

	fmt.Println(a.Merge(b), a.Merge(c), a.Merge(b))
	fmt.Println(a)
	// Output:
	// true true false
	// {/: (7, {ann, bob}), /about: (6, {ann})}
}

func ExampleMax() {
	var latest lattice.Max[int64]
	latest, _ = latest.Join(lattice.MaxOf[int64](3))
	latest, grew := latest.Join(lattice.MaxOf[int64](2))
	fmt.Println(latest, grew, latest.AtLeast(2))
	// Output: 3 false true
}

func ExampleMin() {
	first := lattice.MinOf("carol", "bob")
	first, grew := first.Join(lattice.MinOf("ann"))
	fmt.Println(first, grew)
	// Output: ann true
}

func ExampleAny() {
	alarm := lattice.AnyOf(false, false)
	alarm, grew := alarm.Join(lattice.AnyOf(true))
	fmt.Println(alarm, grew)
	// Output: true true
}

func ExampleAll() {
	healthy := lattice.AllOf(true, true)
	healthy, grew := healthy.Join(lattice.AllOf(false))
	fmt.Println(healthy, grew)
	// Output: false true
}

func ExampleSet() {
	var s lattice.Set[string]
	s.Add("milk", "eggs")
	fmt.Println(s.Merge(lattice.SetOf("eggs", "flour")), s.Has("flour"), s.Len())
	fmt.Println(s.Delta(lattice.SetOf("milk")))

	b, _ := s.MarshalBinary()
	var back lattice.Set[string]
	fmt.Println(back.UnmarshalBinary(b), &back)
	// Output:
	// true true 3
	// {eggs, flour}
	// <nil> {eggs, flour, milk}
}

func ExampleMap() {
	var hits lattice.Map[string, lattice.Max[uint64]]
	hits.Put("node1", lattice.MaxOf[uint64](10))
	hits.Put("node1", lattice.MaxOf[uint64](8)) // late, and below what is known
	fmt.Println(hits.Get("node1"), hits.Get("node2"), hits.Len())
	// Output: 10 ⊥ 1
}

func ExamplePair() {
	p := lattice.PairOf(lattice.MaxOf(1), lattice.MinOf(1))
	p, grew := p.Join(lattice.PairOf(lattice.MaxOf(0), lattice.MinOf(0)))
	fmt.Println(p, grew)
	// Output: (1, 0) true
}

func ExampleDelta() {
	have, want := lattice.SetOf("a", "b"), lattice.SetOf("b", "c")
	fmt.Println(lattice.Delta(have, want))
	// Output: {c}
}

func ExampleMapValues() {
	var visitors lattice.Map[string, *lattice.Set[string]]
	visitors.Put("/", lattice.SetOf("ann", "bob"))
	visitors.Put("/about", lattice.SetOf("ann"))
	fmt.Println(lattice.MapValues(&visitors, func(s *lattice.Set[string]) lattice.Max[uint64] {
		return lattice.MaxOf(uint64(s.Len())) // monotone: a set that grows has no fewer elements
	}))
	// Output: {/: 2, /about: 1}
}

func ExampleMaxTime() {
	day := func(d int) time.Time { return time.Date(2026, 3, d, 0, 0, 0, 0, time.UTC) }
	lastSeen := lattice.MaxTimeOf(day(5))
	lastSeen, grew := lastSeen.Join(lattice.MaxTimeOf(day(4)))
	fmt.Println(lastSeen, grew, lastSeen.AtLeast(day(5)))
	// Output: 2026-03-05T00:00:00Z false true
}

func ExampleMinTime() {
	day := func(d int) time.Time { return time.Date(2026, 3, d, 0, 0, 0, 0, time.UTC) }
	firstSeen := lattice.MinTimeOf(day(5))
	firstSeen, grew := firstSeen.Join(lattice.MinTimeOf(day(4)))
	fmt.Println(firstSeen, grew, firstSeen.AtMost(day(4)))
	// Output: 2026-03-04T00:00:00Z true true
}

func ExampleTriple() {
	p := lattice.TripleOf(lattice.MaxOf(1), lattice.AnyOf(false), lattice.SetOf("a"))
	p, grew := p.Join(lattice.TripleOf(lattice.MaxOf(0), lattice.AnyOf(true), lattice.SetOf("b")))
	fmt.Println(p, grew)
	// Output: (1, true, {a, b}) true
}

// Who leads is decided by the term; what two nodes learn about one term is merged.
func ExampleLex() {
	a, b := lattice.LexOf[uint64](7, lattice.SetOf("n1")), lattice.LexOf[uint64](7, lattice.SetOf("n2"))
	a, _ = a.Join(b)
	fmt.Println(a)
	a, _ = a.Join(lattice.LexOf[uint64](8, lattice.SetOf("n3")))
	fmt.Println(a)
	// Output:
	// {n1, n2}@7
	// {n3}@8
}

// Versions of a document, each by how many writes of each replica it was written on top of:
// of those that did not know of each other, all are kept.
func ExampleAntichain() {
	version := func(writes ...uint64) *lattice.Vec[lattice.Max[uint64]] {
		v := lattice.VecOf[lattice.Max[uint64]]()
		for i, n := range writes {
			v.Put(i, lattice.MaxOf(n))
		}
		return v
	}
	heads := lattice.AntichainOf(version(1))
	heads.Add(version(2))    // by the first replica, which knew of it
	heads.Add(version(1, 1)) // by the second, which did not know of that
	fmt.Println(heads)
	fmt.Println(heads.Add(version(3, 1)), heads)
	// Output:
	// {[1 1], [2]}
	// true {[3 1]}
}

func ExampleWithTop() {
	hosts := lattice.WithTopOf(lattice.SetOf("a", "b"))
	hosts, grew := hosts.Join(lattice.Top[*lattice.Set[string]]())
	fmt.Println(hosts, grew, hosts.IsTop())
	// Output: ⊤ true true
}

func ExampleFlat() {
	owner := lattice.FlatOf("ann")
	owner, grew := owner.Join(lattice.FlatOf("ann"))
	fmt.Println(owner, grew)
	owner, grew = owner.Join(lattice.FlatOf("bob"))
	fmt.Println(owner, grew, owner.IsConflict())
	// Output:
	// ann false
	// ⊤ true true
}

// With nothing to keep beside the key, a Lex is a Max.
func ExamplePoint() {
	l := lattice.LexOf(3, lattice.Point{})
	l, grew := l.Join(lattice.LexOf(5, lattice.Point{}))
	fmt.Println(l.Key(), grew)
	// Output: 5 true
}

func ExamplePrefix() {
	writer := lattice.PrefixOf("start", "work")
	reader := lattice.PrefixOf("start")
	fmt.Println(reader.Merge(writer), reader)
	fmt.Println(reader.Merge(lattice.PrefixOf("something else")), reader)
	// Output:
	// true [start work]
	// true ⊤
}

// A version vector: how many events of each replica were seen.
func ExampleVec() {
	a := lattice.VecOf(lattice.MaxOf(3), lattice.MaxOf(0), lattice.MaxOf(1))
	b := lattice.VecOf(lattice.MaxOf(2), lattice.MaxOf(4))
	fmt.Println(a.LessEq(b), b.LessEq(a), a.Merge(b), a)
	// Output: false false true [3 4 1]
}

func ExampleInterval() {
	latency := lattice.IntervalOf(12.5, 40)
	latency, grew := latency.Join(lattice.IntervalOf(3.5))
	fmt.Println(latency, grew, latency.Contains(20))
	// Output: [3.5, 40] true true
}

func ExampleBoundedSet() {
	s := lattice.NewBoundedSet[string](2)
	fmt.Println(s.Add("a", "b"), s)
	fmt.Println(s.Add("c"), s, s.Has("anyone"))
	// Output:
	// true {a, b} of 2
	// true ⊤ of 2 true
}

func ExampleBits() {
	seen := lattice.BitsOf(1, 2, 200)
	fmt.Println(seen.Merge(lattice.BitsOf(2, 3)), seen, seen.Has(200))
	// Output: true {1, 2, 3, 200} true
}

func ExampleUnionFind() {
	var names, more lattice.UnionFind[string]
	names.Union("ann", "ann@example.com")
	more.Union("ann@example.com", "+1 555 0100")
	fmt.Println(names.Merge(&more), names.Same("ann", "+1 555 0100"))
	fmt.Println(&names)
	// Output:
	// true true
	// {+1 555 0100 = ann = ann@example.com}
}

func ExampleTopK() {
	a, b := lattice.NewTopK[string, int](2), lattice.NewTopK[string, int](2)
	a.Put("ann", 30)
	a.Put("bob", 10)
	b.Put("eve", 20)
	fmt.Println(a.Merge(b), a)
	// Output: true [ann: 30, eve: 20] of 2
}

func ExampleMaxMap() {
	var newest lattice.MaxMap[uint32, uint64] // the highest sequence number of each node
	newest.Put(1, 10)
	delta := []lattice.Entry[uint32, uint64]{{Key: 1, Value: 9}, {Key: 2, Value: 4}}
	fmt.Println(newest.MergeEntries(delta), &newest, newest.AtLeast(1, 10))
	// Output: true {1: 10, 2: 4} true
}

func ExampleIntSet() {
	seen := lattice.IntSetOf(3, 1, 4)
	fmt.Println(seen.Merge(lattice.IntSetOf(1, 5)), seen, seen.Len())
	// Output: true {1, 3, 4, 5} 4
}

func ExampleTombSet() {
	var a, b lattice.TombSet[uint64]
	a.Add(1, 2, 3)
	b.Remove(2)
	fmt.Println(a.Merge(&b), &a)
	fmt.Println(a.Add(2), a.Has(2), a.Removed(2))
	// Output:
	// true {1, 3} − 1
	// false false true
}

func ExampleTombMap() {
	var sessions lattice.TombMap[uint64, lattice.Max[int64]] // when each was last active
	sessions.Put(1, lattice.MaxOf[int64](100))
	sessions.Put(2, lattice.MaxOf[int64](101))
	sessions.Remove(1)
	fmt.Println(&sessions, sessions.Put(1, lattice.MaxOf[int64](200)))
	// Output: {2: 101} − 1 false
}

func ExampleHyperLogLog() {
	var monday, tuesday lattice.HyperLogLog
	for i := range 60_000 {
		monday.AddUint64(uint64(i))
		tuesday.AddUint64(uint64(i + 30_000))
	}
	if _, err := monday.Merge(&tuesday); err != nil {
		fmt.Println(err)
	}
	off := monday.Estimate()/90_000 - 1
	fmt.Println(off < 3*monday.StdError() && off > -3*monday.StdError())
	// Output: true
}

func ExampleKMV() {
	var monday, tuesday lattice.KMV
	for i := range 60_000 {
		monday.AddUint64(uint64(i))
		tuesday.AddUint64(uint64(i + 30_000))
	}
	common, stdError := monday.Intersection(&tuesday)
	fmt.Println(common > 30_000-3*stdError && common < 30_000+3*stdError)
	// Output: true
}

func ExampleBloom() {
	seen := lattice.NewBloom(1000, 0.01)
	seen.AddString("ann")
	fmt.Println(seen.HasString("ann"), seen.HasString("bob"))

	_, err := seen.Merge(lattice.NewBloom(2000, 0.01))
	fmt.Println(err)
	var mismatch *lattice.MismatchError
	if errors.As(err, &mismatch) {
		fmt.Println(mismatch.Parameter, mismatch.Got/mismatch.Have, "times as many")
	}
	// Output:
	// true false
	// lattice: sketches of different parameters: bits 9600 and 19200
	// bits 2 times as many
}

// Whoever votes last, the answer is the same: it is read as a threshold.
func ExampleCell() {
	var votes lattice.Cell[*lattice.Set[string]]
	for _, name := range []string{"ann", "bob", "eve"} {
		go func() {
			if _, err := votes.Put(lattice.SetOf(name)); err != nil {
				fmt.Println(err)
			}
		}()
	}
	quorum := func(s *lattice.Set[string]) bool { return s.Len() >= 3 }
	if err := votes.Wait(context.Background(), quorum); err == nil {
		fmt.Println("elected")
	}
	fmt.Println(votes.Freeze())
	// Output:
	// elected
	// {ann, bob, eve}
}

func ExampleCell_Handle() {
	var c lattice.Cell[*lattice.Set[int]]
	stop := c.Handle(func(delta *lattice.Set[int]) { fmt.Println("new:", delta) })
	defer stop()
	for _, s := range []*lattice.Set[int]{lattice.SetOf(1, 2), lattice.SetOf(2, 3), lattice.SetOf(1)} {
		if _, err := c.Put(s); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// new: {1, 2}
	// new: {3}
}

func ExampleAtLeast() {
	threshold := lattice.AtLeast(lattice.SetOf("a", "b"))
	fmt.Println(threshold(lattice.SetOf("a")), threshold(lattice.SetOf("a", "b", "c")))
	// Output: false true
}

func ExampleDecompose() {
	p := lattice.PairOf(lattice.MaxOf(3), lattice.SetOf("a"))
	for part := range lattice.Decompose(p) {
		fmt.Println(part)
	}
	// Output:
	// (3, {})
	// (⊥, {a})
}

func ExampleFold() {
	states := slices.Values([]lattice.Max[string]{lattice.MaxOf("b"), lattice.MaxOf("c"), lattice.MaxOf("a")})
	fmt.Println(lattice.Fold(states))
	// Output: c
}

// What can be reached from a in a graph that has a cycle.
func ExampleFix() {
	edges := lattice.SetOf([2]string{"a", "b"}, [2]string{"b", "c"}, [2]string{"c", "a"}, [2]string{"d", "a"})
	step := func(reached *lattice.Set[string]) *lattice.Set[string] {
		return lattice.FoldSet(edges, func(e [2]string) *lattice.Set[string] {
			if reached.Has(e[0]) {
				return lattice.SetOf(e[1])
			}
			return nil
		})
	}
	fmt.Println(lattice.Fix(step, lattice.SetOf("a")))
	fmt.Println(lattice.FixDelta(step, lattice.SetOf("a"))) // the same, from what is new alone
	// Output:
	// {a, b, c}
	// {a, b, c}
}

func ExampleJoinKeys() {
	var names, ages lattice.Map[int, *lattice.Set[string]]
	names.Put(1, lattice.SetOf("ann"))
	names.Put(2, lattice.SetOf("bob"))
	ages.Put(1, lattice.SetOf("33"))
	fmt.Println(lattice.JoinKeys(&names, &ages, func(a, b *lattice.Set[string]) *lattice.Set[string] {
		return lattice.Product(a, b, func(name, age string) string { return name + " is " + age })
	}))
	// Output: {1: {ann is 33}}
}
