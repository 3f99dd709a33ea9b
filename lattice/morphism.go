package lattice

// A morphism f keeps joins: f(a ⊔ b) = f(a) ⊔ f(b), and f(⊥) = ⊥. It may be applied to deltas
// one by one, in any order, and the results joined: it needs no coordination, nor the whole
// state. A function of two arguments that is a morphism of each is a bimorphism. The functions
// here are one or the other if what they are given is; package latticetest checks both.

// MapValues returns the map of f(v) for each value v, leaving out what f takes to bottom.
// It is a morphism of the map if f is one of the values, and monotone if f is. f must neither
// change nor keep its argument; what it returns is taken over.
func MapValues[K comparable, V Lattice[V], W Lattice[W]](m *Map[K, V], f func(V) W) *Map[K, W] {
	out := &Map[K, W]{}
	for k, v := range m.All() {
		out.set(k, f(v))
	}
	return out
}

// set gives a new key its value.
func (m *Map[K, V]) set(k K, v V) {
	if IsBottom(v) {
		return
	}
	if m.m == nil {
		m.m = make(map[K]V)
	}
	m.m[k] = v
}

// FoldSet returns the join of f(e) for all elements e: whatever f is, a morphism of the set.
// All other morphisms of sets are of this form.
func FoldSet[E comparable, L Lattice[L]](s *Set[E], f func(E) L) L {
	var sum L
	for e := range s.All() {
		sum, _ = sum.Join(f(e))
	}
	return sum
}

// MapSet returns the set of f(e) for all elements e: whatever f is, a morphism of the set.
func MapSet[E, F comparable](s *Set[E], f func(E) F) *Set[F] {
	out := &Set[F]{}
	for e := range s.All() {
		out.Add(f(e))
	}
	return out
}

// FilterSet returns the set of the elements for which keep is true: a morphism of the set, as
// long as keep looks at the element alone.
func FilterSet[E comparable](s *Set[E], keep func(E) bool) *Set[E] {
	out := &Set[E]{}
	for e := range s.All() {
		if keep(e) {
			out.Add(e)
		}
	}
	return out
}

// Keys returns the set of the keys that have a value above bottom: a morphism of the map.
func Keys[K comparable, V Lattice[V]](m *Map[K, V]) *Set[K] {
	out := &Set[K]{}
	for k := range m.All() {
		out.Add(k)
	}
	return out
}

// Intersect returns the set of what is in both: a bimorphism.
func Intersect[E comparable](a, b *Set[E]) *Set[E] {
	if b.Len() < a.Len() {
		a, b = b, a
	}
	return FilterSet(a, b.Has)
}

// Product returns f(a, b) for all elements of both sets: whatever f is, a bimorphism.
func Product[A, B, C comparable](as *Set[A], bs *Set[B], f func(A, B) C) *Set[C] {
	out := &Set[C]{}
	for a := range as.All() {
		for b := range bs.All() {
			out.Add(f(a, b))
		}
	}
	return out
}

// Restrict returns the part of the map whose keys are in the set: a bimorphism.
func Restrict[K comparable, V Lattice[V]](m *Map[K, V], keys *Set[K]) *Map[K, V] {
	out := &Map[K, V]{}
	for k, v := range m.All() {
		if keys.Has(k) {
			out.Put(k, v)
		}
	}
	return out
}

// JoinKeys returns f(a, b) for each key that has a value in both maps, as a database joins two
// tables on a column: a bimorphism of the maps if f is one of the values. f must neither
// change nor keep its arguments; what it returns is taken over.
func JoinKeys[K comparable, A Lattice[A], B Lattice[B], C Lattice[C]](as *Map[K, A], bs *Map[K, B], f func(A, B) C) *Map[K, C] {
	out := &Map[K, C]{}
	if bs.Len() < as.Len() {
		for k, b := range bs.All() {
			if as.Has(k) {
				out.set(k, f(as.Get(k), b))
			}
		}
		return out
	}
	for k, a := range as.All() {
		if bs.Has(k) {
			out.set(k, f(a, bs.Get(k)))
		}
	}
	return out
}

// When returns a copy of x once the condition holds, bottom until then: a bimorphism.
func When[L Lattice[L]](condition Any, x L) L {
	if !condition.Value() {
		var bottom L
		return bottom
	}
	return Clone(x)
}

// Compose returns g after f: a morphism if both are, and monotone if both are.
func Compose[A, B, C any](f func(A) B, g func(B) C) func(A) C {
	return func(a A) C { return g(f(a)) }
}
