package lattice

// MapValues returns the map of f(v) for each value v, leaving out what f takes to bottom.
// It is a morphism of the map if f is one of the values (f(a ⊔ b) = f(a) ⊔ f(b)), monotone if
// f is, so that it may be applied to deltas or to whole states. f must neither change nor keep
// its argument; what it returns is taken over.
func MapValues[K comparable, V Lattice[V], W Lattice[W]](m *Map[K, V], f func(V) W) *Map[K, W] {
	out := &Map[K, W]{}
	for k, v := range m.All() {
		if w := f(v); !IsBottom(w) {
			if out.m == nil {
				out.m = make(map[K]W, m.Len())
			}
			out.m[k] = w
		}
	}
	return out
}
