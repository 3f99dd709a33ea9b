package lattice

import "iter"

// Lattice is what every type here is and what containers ask of their values: a
// join-semilattice with a least element, which is the zero value of L (for a pointer type
// that includes nil).
//
// Join returns the least upper bound of its receiver and its argument. As append does, it
// consumes the receiver, whose memory it may reuse: go on with the result. It neither changes
// its argument nor keeps any part of it that could be changed later. The second result says
// whether the bound is above the receiver, exactly: false means that nothing changed.
//
// LessEq reports whether the receiver is below or equal to its argument, which is to say that
// joining it to the argument would change nothing. It changes neither.
//
// Package latticetest checks these laws on a type of your own.
type Lattice[L any] interface {
	Join(L) (L, bool)
	LessEq(L) bool
}

// Differ is a lattice that can tell what one state lacks of another: x.Delta(have) is a
// least d for which have ⊔ d = have ⊔ x, sharing no changeable memory with either.
type Differ[L any] interface{ Delta(have L) L }

// Decomposer is a lattice that can take a state apart: into states that are joins of nothing
// smaller, whose join is x, and none of which can be left out. Bottom has none.
type Decomposer[L any] interface{ Decompose() iter.Seq[L] }

// IsBottom reports whether x is the least element. It is a snapshot read: x may grow.
func IsBottom[L Lattice[L]](x L) bool {
	var bottom L
	return x.LessEq(bottom)
}

// Equal reports whether a and b are the same state, however each of them is represented.
func Equal[L Lattice[L]](a, b L) bool { return a.LessEq(b) && b.LessEq(a) }

// Clone returns a copy of x that shares no changeable memory with it.
func Clone[L Lattice[L]](x L) L {
	var bottom L
	c, _ := bottom.Join(x)
	return c
}

// Delta returns the least of want that, joined to have, makes have at least want: what to
// send to someone who has have. For a type that is not a [Differ] this is bottom or all of
// want. It shares no changeable memory with either.
func Delta[L Lattice[L]](have, want L) L {
	if want.LessEq(have) {
		var bottom L
		return bottom
	}
	if d, ok := any(want).(Differ[L]); ok {
		return d.Delta(have)
	}
	return Clone(want)
}

// Decompose yields states whose join is x, each a join of nothing smaller, and none of which
// can be left out. A type that is not a [Decomposer] yields all of x at once; bottom yields
// nothing. What is yielded shares no changeable memory with x.
func Decompose[L Lattice[L]](x L) iter.Seq[L] {
	return func(yield func(L) bool) {
		if IsBottom(x) {
			return
		}
		if d, ok := any(x).(Decomposer[L]); ok {
			d.Decompose()(yield)
			return
		}
		yield(Clone(x))
	}
}

// Fold joins all that seq yields; of nothing it is bottom.
func Fold[L Lattice[L]](seq iter.Seq[L]) L {
	var sum L
	for x := range seq {
		sum, _ = sum.Join(x)
	}
	return sum
}

// Fix returns the least state above x that f adds nothing to: it joins f(x) to x until that
// changes nothing. f is to be monotone ([latticetest.Monotone] checks it), and must neither
// change nor keep its argument; x is taken over. Fix does not end if states can grow for ever.
//
// [latticetest.Monotone]: https://pkg.go.dev/github.com/go-calm/calm/lattice/latticetest#Monotone
func Fix[L Lattice[L]](f func(L) L, x L) L {
	for {
		more, grew := x.Join(f(x))
		if x = more; !grew {
			return x
		}
	}
}

// FixDelta is Fix for an f that is a morphism, f(a ⊔ b) = f(a) ⊔ f(b): it gives f only what
// is new since the last round, not all of the state again (semi-naive evaluation). With an f
// that is merely monotone it may stop too early.
func FixDelta[L Lattice[L]](f func(L) L, x L) L {
	news := Clone(x)
	for !IsBottom(news) {
		out := f(news)
		news = Delta(x, out)
		x, _ = x.Join(news)
	}
	return x
}

// noCopy makes vet report copies of what embeds it: a copy would share the memory behind it.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}
