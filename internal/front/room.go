// Package front lets a slice grow before its first element, as append lets it grow behind its last.
package front

// Room is what is free before a slice in its array. The zero value knows of none. It belongs to one
// slice; a copy of that slice may share it by a pointer, as it is noticed if another one has used it.
type Room[T any] struct{ free []T }

// Grow returns s with n more elements before it, whose values are not specified; n is at least 1. It
// moves s now and then: to where as many elements as there will be are free before it, and half as many
// behind it, so that what grows at both ends does not move each time.
func (r *Room[T]) Grow(s []T, n int) []T {
	have, free := len(s), len(r.free)
	if free < n || have == 0 || &r.free[:free+1][free] != &s[0] { // too little is free, or s has moved
		free = have + n
		all := make([]T, free+have, free+have+have/2)
		copy(all[free:], s)
		r.free = all[:free]
	}
	s = r.free[free-n : free+have]
	r.free = r.free[:free-n]
	return s
}
