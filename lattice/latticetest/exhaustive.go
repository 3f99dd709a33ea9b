package latticetest

import (
	"fmt"
	"testing"

	"github.com/go-calm/calm/lattice"
)

// maxParts bounds the world of [Exhaustive]: n states join to 2ⁿ, of which all triples are looked at.
const maxParts = 7

// Exhaustive checks a small world to its end: of bottom, the given states and all that these join
// to, every pair and every triple is held against the laws of joins, order, changes and deltas.
// Where [Run] samples, this is a proof, as far as the world goes. It costs O(8ⁿ) joins for n states;
// more than 7 panic.
func Exhaustive[L lattice.Lattice[L]](t *testing.T, l Lattice[L], states ...L) {
	t.Helper()
	if err := CheckExhaustive(l, states...); err != nil {
		t.Error(err)
	}
}

// CheckExhaustive is [Exhaustive] for use outside tests: it returns what broke first, a [*LawError],
// or nil.
func CheckExhaustive[L lattice.Lattice[L]](l Lattice[L], states ...L) error {
	if len(states) > maxParts {
		panic(fmt.Sprintf("latticetest: a world of %d states is too large; give at most %d", len(states), maxParts))
	}
	w := world[L]{k: kit[L]{l}}
	var bottom L
	w.states = []L{bottom}
	for _, s := range states {
		for _, old := range w.states {
			w.add(join(old, s))
		}
	}
	return w.check()
}

// world is a set of states that is closed under Join.
type world[L lattice.Lattice[L]] struct {
	k      kit[L]
	states []L
}

func (w *world[L]) add(s L) {
	for _, o := range w.states {
		if w.k.same(o, s) {
			return
		}
	}
	w.states = append(w.states, s)
}

// check holds the world against each law. Laws on fewer states come first: what they find is
// easier to read.
func (w *world[L]) check() error {
	for _, a := range w.states {
		for _, b := range w.states {
			if err := w.pair(a, b); err != nil {
				return err
			}
		}
	}
	for _, a := range w.states {
		for _, b := range w.states {
			ab := join(a, b)
			for _, c := range w.states {
				if err := w.triple(a, b, ab, c); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (w *world[L]) broken(law string, format string, args ...any) error {
	for _, l := range laws(w.k.l) {
		if l.name == law {
			return l.failure(differ(format, args...))
		}
	}
	panic("latticetest: no law " + law)
}

func (w *world[L]) pair(a, b L) error {
	same := w.k.same
	sum, grew := clone(a).Join(clone(b))
	back := join(b, a)
	below := clone(a).LessEq(clone(b))
	switch {
	case !same(join(a, a), a):
		return w.broken("idempotent", "a     = %v\n  a ⊔ a = %v", a, join(a, a))
	case !same(sum, back):
		return w.broken("commutative", "a     = %v\n  b     = %v\n  a ⊔ b = %v\n  b ⊔ a = %v", a, b, sum, back)
	case below != same(sum, b):
		return w.broken("order-agrees-with-join", "a     = %v\n  b     = %v\n  a ⊔ b = %v\n  a ≤ b is %v", a, b, sum, below)
	case grew == clone(sum).LessEq(clone(a)):
		return w.broken("change-is-reported", "a     = %v\n  b     = %v\n  a ⊔ b = %v\n  reported a change: %v", a, b, sum, grew)
	case !clone(a).LessEq(clone(sum)) || !clone(b).LessEq(clone(sum)):
		return w.broken("join-is-least-upper-bound", "a     = %v\n  b     = %v\n  a ⊔ b = %v", a, b, sum)
	}
	if d := lattice.Delta(clone(a), clone(b)); !same(join(a, d), sum) {
		return w.broken("delta-suffices", "have  = %v\n  want  = %v\n  delta = %v", a, b, d)
	}
	return nil
}

func (w *world[L]) triple(a, b, ab, c L) error {
	same := w.k.same
	if left, right := join(ab, c), join(a, join(b, c)); !same(left, right) {
		return w.broken("associative", "a = %v\n  b = %v\n  c = %v\n  (a ⊔ b) ⊔ c = %v\n  a ⊔ (b ⊔ c) = %v", a, b, c, left, right)
	}
	aUnderB, bUnderC := clone(a).LessEq(clone(b)), clone(b).LessEq(clone(c))
	if aUnderB && bUnderC && !clone(a).LessEq(clone(c)) {
		return w.broken("order-is-partial", "a = %v ≤\n  b = %v ≤\n  c = %v", a, b, c)
	}
	if bUnderC && clone(a).LessEq(clone(c)) && !clone(ab).LessEq(clone(c)) {
		return w.broken("join-is-least-upper-bound", "a = %v\n  b = %v\n  a ⊔ b = %v is not below\n  c = %v", a, b, ab, c)
	}
	return nil
}
