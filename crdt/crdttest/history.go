package crdttest

import (
	"iter"
	"slices"
	"time"
)

// Event is one operation that was executed.
type Event[Op any] struct {
	Op      Op
	Replica uint64    // the ID of the replica that executed it
	Time    time.Time // what its wall clock showed
	Delta   []byte    // what Apply returned: empty only of the last one, if it changed nothing; read-only

	label  int  // counts the events, each host having its own residue
	saw    bits // the events that the replica had received or executed before
	past   bits // saw, and all that those saw
	gapped bool // past holds more than saw
}

// History is a set of operations and the relation of who saw whom: all that an oracle may
// look at. It is read-only and valid during the call that received it.
type History[Op any] struct {
	events []*Event[Op]
}

// Len returns the number of operations.
func (h History[Op]) Len() int { return len(h.events) }

// At returns operation i, 0 ≤ i < Len.
func (h History[Op]) At(i int) Event[Op] { return *h.events[i] }

// All yields the operations. Each comes after those that it saw; otherwise the order means
// nothing, and an oracle that depends on it is reported.
func (h History[Op]) All() iter.Seq2[int, Event[Op]] {
	return func(yield func(int, Event[Op]) bool) {
		for i, e := range h.events {
			if !yield(i, *e) {
				return
			}
		}
	}
}

// Sees reports whether operation j was executed where operation i was visible.
func (h History[Op]) Sees(j, i int) bool { return h.events[j].saw.has(h.events[i].label) }

// SeenBy reports whether some operation for which by holds saw operation i: whether an addition
// was removed, a write overwritten, an increment reset.
func (h History[Op]) SeenBy(i int, by func(Op) bool) bool {
	for _, e := range h.events {
		if e.saw.has(h.events[i].label) && by(e.Op) {
			return true
		}
	}
	return false
}

// another returns h in another order that respects visibility: as far from the order of h as
// that allows.
func (h History[Op]) another() History[Op] {
	rest := slices.Clone(h.events)
	slices.Reverse(rest)
	var seen bits
	var all bits
	for _, e := range rest {
		all = all.with(e.label)
	}
	var out []*Event[Op]
	for len(rest) > 0 {
		i := slices.IndexFunc(rest, func(e *Event[Op]) bool { return e.saw.and(all).within(seen) })
		out = append(out, rest[i])
		seen = seen.with(rest[i].label)
		rest = slices.Delete(rest, i, i+1)
	}
	return History[Op]{out}
}

// bits is an immutable set of small numbers, without trailing zero words.
type bits []uint64

func (b bits) has(i int) bool { return i>>6 < len(b) && b[i>>6]>>(i&63)&1 == 1 }

func (b bits) with(i int) bits {
	out := make(bits, max(len(b), i>>6+1))
	copy(out, b)
	out[i>>6] |= 1 << (i & 63)
	return out
}

func (b bits) or(c bits) bits {
	if c.within(b) {
		return b
	}
	out := make(bits, max(len(b), len(c)))
	copy(out, b)
	for i, w := range c {
		out[i] |= w
	}
	return out
}

func (b bits) and(c bits) bits {
	out := slices.Clone(b[:min(len(b), len(c))])
	for i := range out {
		out[i] &= c[i]
	}
	return out.trim()
}

func (b bits) minus(c bits) bits {
	out := slices.Clone(b)
	for i := range min(len(b), len(c)) {
		out[i] &^= c[i]
	}
	return out.trim()
}

func (b bits) trim() bits {
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return b
}

func (b bits) within(c bits) bool {
	for i, w := range b {
		if i < len(c) {
			w &^= c[i]
		}
		if w != 0 {
			return false
		}
	}
	return true
}

func (b bits) all() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, w := range b {
			for j := 0; w != 0; j, w = j+1, w>>1 {
				if w&1 == 1 && !yield(i<<6|j) {
					return
				}
			}
		}
	}
}
