package latticetest

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/go-calm/calm/lattice"
)

// Monotone checks that f keeps the order: a ≤ b ⇒ f(a) ≤ f(b). What a monotone function says
// of a part of the state is never revoked by the rest.
func Monotone[A lattice.Lattice[A], B lattice.Lattice[B]](t *testing.T, gen func(*rapid.T) A, f func(A) B) {
	t.Helper()
	runAll(t, monotone(gen, f))
}

// CheckMonotone is [Monotone] for use outside tests, as [Check] is [Run].
func CheckMonotone[A lattice.Lattice[A], B lattice.Lattice[B]](gen func(*rapid.T) A, f func(A) B) error {
	return checkAll(monotone(gen, f))
}

// Morphism checks that f keeps joins: f(a ⊔ b) = f(a) ⊔ f(b) and f(⊥) = ⊥. A morphism may be
// applied to deltas instead of to the whole state; it is also monotone.
func Morphism[A lattice.Lattice[A], B lattice.Lattice[B]](t *testing.T, gen func(*rapid.T) A, f func(A) B) {
	t.Helper()
	runAll(t, morphism(gen, f))
}

// CheckMorphism is [Morphism] for use outside tests, as [Check] is [Run].
func CheckMorphism[A lattice.Lattice[A], B lattice.Lattice[B]](gen func(*rapid.T) A, f func(A) B) error {
	return checkAll(morphism(gen, f))
}

// Bimorphism checks that f is a morphism of each of its arguments while the other stays: it
// may be applied to a delta on either side.
func Bimorphism[A lattice.Lattice[A], B lattice.Lattice[B], C lattice.Lattice[C]](
	t *testing.T, genA func(*rapid.T) A, genB func(*rapid.T) B, f func(A, B) C,
) {
	t.Helper()
	runAll(t, bimorphism(genA, genB, f))
}

// CheckBimorphism is [Bimorphism] for use outside tests, as [Check] is [Run].
func CheckBimorphism[A lattice.Lattice[A], B lattice.Lattice[B], C lattice.Lattice[C]](
	genA func(*rapid.T) A, genB func(*rapid.T) B, f func(A, B) C,
) error {
	return checkAll(bimorphism(genA, genB, f))
}

// Threshold checks that met is upward closed: what meets it still does when it has grown. Only
// such a condition may be waited for in a [lattice.Cell].
func Threshold[A lattice.Lattice[A]](t *testing.T, gen func(*rapid.T) A, met func(A) bool) {
	t.Helper()
	runAll(t, threshold(gen, met))
}

// CheckThreshold is [Threshold] for use outside tests, as [Check] is [Run].
func CheckThreshold[A lattice.Lattice[A]](gen func(*rapid.T) A, met func(A) bool) error {
	return checkAll(threshold(gen, met))
}

func runAll(t *testing.T, laws []law) {
	t.Helper()
	for _, law := range laws {
		t.Run(law.name, func(t *testing.T) { law.run(t) })
	}
}

func monotone[A lattice.Lattice[A], B lattice.Lattice[B]](gen func(*rapid.T) A, f func(A) B) []law {
	a := kit[A]{Lattice[A]{Gen: gen}}
	return []law{
		{"monotone", "a ≤ b ⇒ f(a) ≤ f(b)", func(t *rapid.T) error {
			x := a.draw(t, "a")
			y := join(x, a.draw(t, "more", x))
			if fx, fy := f(x), f(y); !fx.LessEq(fy) {
				return differ("a = %v\n  b = %v\n  f(a) = %v\n  f(b) = %v", x, y, fx, fy)
			}
			return nil
		}},
		readsOnly(gen, f),
	}
}

func morphism[A lattice.Lattice[A], B lattice.Lattice[B]](gen func(*rapid.T) A, f func(A) B) []law {
	a, b := kit[A]{Lattice[A]{Gen: gen}}, kit[B]{}
	return []law{
		{"keeps-bottom", "f(⊥) = ⊥", func(*rapid.T) error {
			var bottom A
			if fx := f(bottom); !lattice.IsBottom(fx) {
				return differ("f(⊥) = %v", fx)
			}
			return nil
		}},
		{"keeps-joins", "f(a ⊔ b) = f(a) ⊔ f(b)", func(t *rapid.T) error {
			x := a.draw(t, "a")
			y := a.draw(t, "b", x)
			if whole, parts := f(join(x, y)), join(f(x), f(y)); !b.same(whole, parts) {
				return differ("a = %v\n  b = %v\n  f(a ⊔ b) = %v\n  f(a) ⊔ f(b) = %v", x, y, whole, parts)
			}
			return nil
		}},
		readsOnly(gen, f),
	}
}

func bimorphism[A lattice.Lattice[A], B lattice.Lattice[B], C lattice.Lattice[C]](
	genA func(*rapid.T) A, genB func(*rapid.T) B, f func(A, B) C,
) []law {
	a, b, c := kit[A]{Lattice[A]{Gen: genA}}, kit[B]{Lattice[B]{Gen: genB}}, kit[C]{}
	return []law{
		{"keeps-bottom", "f(⊥, b) = ⊥ = f(a, ⊥)", func(t *rapid.T) error {
			var bottomA A
			var bottomB B
			x, y := a.draw(t, "a"), b.draw(t, "b")
			if left, right := f(bottomA, y), f(x, bottomB); !lattice.IsBottom(left) || !lattice.IsBottom(right) {
				return differ("a = %v\n  b = %v\n  f(⊥, b) = %v\n  f(a, ⊥) = %v", x, y, left, right)
			}
			return nil
		}},
		{"keeps-joins-on-the-left", "f(a ⊔ a', b) = f(a, b) ⊔ f(a', b)", func(t *rapid.T) error {
			x, y := a.draw(t, "a"), b.draw(t, "b")
			x2 := a.draw(t, "a'", x)
			if whole, parts := f(join(x, x2), y), join(f(x, y), f(x2, y)); !c.same(whole, parts) {
				return differ("a = %v\n  a' = %v\n  b = %v\n  f(a ⊔ a', b) = %v\n  f(a, b) ⊔ f(a', b) = %v", x, x2, y, whole, parts)
			}
			return nil
		}},
		{"keeps-joins-on-the-right", "f(a, b ⊔ b') = f(a, b) ⊔ f(a, b')", func(t *rapid.T) error {
			x, y := a.draw(t, "a"), b.draw(t, "b")
			y2 := b.draw(t, "b'", y)
			if whole, parts := f(x, join(y, y2)), join(f(x, y), f(x, y2)); !c.same(whole, parts) {
				return differ("a = %v\n  b = %v\n  b' = %v\n  f(a, b ⊔ b') = %v\n  f(a, b) ⊔ f(a, b') = %v", x, y, y2, whole, parts)
			}
			return nil
		}},
		readsOnly(genA, func(x A) C { var bottom B; return f(x, bottom) }),
	}
}

func threshold[A lattice.Lattice[A]](gen func(*rapid.T) A, met func(A) bool) []law {
	a := kit[A]{Lattice[A]{Gen: gen}}
	return []law{
		{"upward-closed", "met(a) and a ≤ b ⇒ met(b): growth never revokes it", func(t *rapid.T) error {
			x := a.draw(t, "a")
			y := join(x, a.draw(t, "more", x))
			if met(x) && !met(y) {
				return differ("a = %v meets it\n  b = %v does not", x, y)
			}
			return nil
		}},
		readsOnly(gen, met),
	}
}

// readsOnly is the law that every function over states has to keep.
func readsOnly[A lattice.Lattice[A], R any](gen func(*rapid.T) A, f func(A) R) law {
	a := kit[A]{Lattice[A]{Gen: gen}}
	return law{"reads-only", "f does not change its argument", func(t *rapid.T) error {
		x := a.draw(t, "a")
		before, printed := dump(x), fmt.Sprint(x)
		f(x)
		if dump(x) != before {
			return differ("a was %s\n  after f it is %v", printed, x)
		}
		return nil
	}}
}
