package lattice_test

import (
	"fmt"

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
