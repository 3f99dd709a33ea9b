package lattice

import (
	"encoding/binary"
	"iter"
	"reflect"
	"slices"

	"github.com/go-calm/calm/internal/interval"
	"github.com/go-calm/calm/internal/wire"
)

// graveyard is a set of what was removed for ever. Integers are kept as runs of consecutive
// ones, so that a million removed ids cost as much as one if there are no gaps between them.
type graveyard[E comparable] struct {
	runs  interval.Set   // for integers, as number counts them
	other map[E]struct{} // for the rest
}

// number returns the place of e in the order of all 64-bit integers, and false if it is none.
func number[E comparable](e E) (uint64, bool) {
	switch n := any(e).(type) {
	case uint64:
		return n, true
	case int64:
		return uint64(n) ^ 1<<63, true
	case int:
		return uint64(int64(n)) ^ 1<<63, true
	case uint32:
		return uint64(n), true
	case string:
		return 0, false
	}
	switch v := reflect.ValueOf(&e).Elem(); {
	case v.CanInt():
		return uint64(v.Int()) ^ 1<<63, true
	case v.CanUint():
		return v.Uint(), true
	}
	return 0, false
}

// fromNumber is number undone.
func fromNumber[E comparable](n uint64) (e E) {
	if v := reflect.ValueOf(&e).Elem(); v.CanInt() {
		v.SetInt(int64(n ^ 1<<63))
	} else {
		v.SetUint(n)
	}
	return e
}

func isInteger[E comparable]() bool {
	var e E
	_, ok := number(e)
	return ok
}

func (g *graveyard[E]) has(e E) bool {
	if n, ok := number(e); ok {
		return g.runs.Has(n)
	}
	_, ok := g.other[e]
	return ok
}

func (g *graveyard[E]) add(e E) (grew bool) {
	if n, ok := number(e); ok {
		return g.runs.Add(n)
	}
	if g.other == nil {
		g.other = make(map[E]struct{})
	}
	before := len(g.other)
	g.other[e] = struct{}{}
	return len(g.other) > before
}

// len counts what is in it, up to the greatest uint64.
func (g *graveyard[E]) len() uint64 { return g.runs.Count() + uint64(len(g.other)) }

// all yields what is in it.
func (g *graveyard[E]) all() iter.Seq[E] {
	return func(yield func(E) bool) {
		for e := range g.other {
			if !yield(e) {
				return
			}
		}
		for _, run := range g.runs.Runs() {
			for n := run.Lo; ; n++ {
				if !yield(fromNumber[E](n)) {
					return
				}
				if n == run.Hi {
					break
				}
			}
		}
	}
}

// minus returns what is in g and not in o.
func (g *graveyard[E]) minus(o *graveyard[E]) graveyard[E] {
	d := graveyard[E]{runs: g.runs.Minus(o.runs)}
	for e := range g.other {
		if !o.has(e) {
			d.add(e)
		}
	}
	return d
}

func (g *graveyard[E]) lessEq(o *graveyard[E]) bool {
	if !o.runs.Contains(g.runs) || len(g.other) > len(o.other) {
		return false
	}
	for e := range g.other {
		if !o.has(e) {
			return false
		}
	}
	return true
}

// merge puts all of o in and reports whether any of it is new.
func (g *graveyard[E]) merge(o *graveyard[E]) (grew bool) {
	if !g.runs.Contains(o.runs) {
		g.runs.Merge(o.runs)
		grew = true
	}
	for e := range o.other {
		grew = g.add(e) || grew
	}
	return grew
}

// put appends the runs of integers, each as the gap before it and its length, or the sorted
// rest.
func (g *graveyard[E]) put(dst []byte) []byte {
	if !isInteger[E]() {
		all := make([]E, 0, len(g.other))
		for e := range g.other {
			all = append(all, e)
		}
		return putElements(dst, all)
	}
	dst = appendCount(dst, len(g.runs.Runs()))
	var last uint64
	for _, run := range g.runs.Runs() {
		dst = binary.AppendUvarint(dst, run.Lo-last)
		dst = binary.AppendUvarint(dst, run.Hi-run.Lo)
		last = run.Hi
	}
	return dst
}

func getGraveyard[E comparable](r *wire.Reader) (g graveyard[E]) {
	if !isInteger[E]() {
		getElements(r, func(n int) { g.other = make(map[E]struct{}, n) }, func(e E) { g.other[e] = struct{}{} })
		return g
	}
	var last uint64
	for range r.Count(2) {
		gap, length := r.Uvarint(), r.Uvarint()
		run := interval.Range{Lo: last + gap, Hi: last + gap + length}
		if r.Err() == nil && (run.Lo < last || run.Hi < run.Lo || !g.runs.Push(run)) {
			r.Fail("runs are not ascending")
		}
		if r.Err() != nil {
			return g
		}
		last = run.Hi
	}
	// A run must not hold what E cannot: its ends have to survive the way to E and back.
	if runs := g.runs.Runs(); len(runs) > 0 {
		for _, n := range []uint64{runs[0].Lo, last} {
			if back, _ := number(fromNumber[E](n)); back != n {
				r.Fail("a number does not fit")
			}
		}
	}
	return g
}

// sorted returns what is in it as a slice, in order.
func (g *graveyard[E]) sorted() []E { return sorted(slices.Collect(g.all())) }
