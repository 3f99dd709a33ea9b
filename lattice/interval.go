package lattice

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"

	"github.com/go-calm/calm/internal/wire"
)

// Interval is the range from the least to the greatest value put in: the join is the least
// interval around both.
//
// The zero value is bottom, the empty interval. NaN is left out and −0 is 0. It is a plain
// value; all methods take constant time. That a value between the bounds was put in, it does
// not say: only that it lies between two that were.
type Interval[T cmp.Ordered] struct {
	lo, hi T
	set    bool
}

// IntervalOf returns the least interval around the given values.
func IntervalOf[T cmp.Ordered](vs ...T) Interval[T] {
	var i Interval[T]
	var zero T
	for _, v := range vs {
		if v == zero {
			v = zero // −0 becomes 0
		}
		switch {
		case v != v:
		case !i.set:
			i = Interval[T]{v, v, true}
		default:
			i.lo, i.hi = min(i.lo, v), max(i.hi, v)
		}
	}
	return i
}

// Bounds returns the least and the greatest value, and whether there is any. It is a snapshot
// read.
func (i Interval[T]) Bounds() (lo, hi T, ok bool) { return i.lo, i.hi, i.set }

// Contains reports whether v lies in the interval. True is a monotone read, it stays; false
// is a snapshot.
func (i Interval[T]) Contains(v T) bool { return i.set && i.lo <= v && v <= i.hi }

// Join returns the least interval around both.
func (i Interval[T]) Join(o Interval[T]) (Interval[T], bool) {
	switch {
	case o.LessEq(i):
		return i, false
	case !i.set:
		return o, true
	}
	return Interval[T]{min(i.lo, o.lo), max(i.hi, o.hi), true}, true
}

// LessEq reports whether i lies within o.
func (i Interval[T]) LessEq(o Interval[T]) bool {
	return !i.set || o.set && o.lo <= i.lo && i.hi <= o.hi
}

// Delta returns those of the bounds of i that lie beyond have's.
func (i Interval[T]) Delta(have Interval[T]) Interval[T] {
	below, above := i.set && i.lo < have.lo, i.set && i.hi > have.hi
	switch {
	case !have.set || below && above:
		return i
	case below:
		return Interval[T]{i.lo, i.lo, true}
	case above:
		return Interval[T]{i.hi, i.hi, true}
	}
	return Interval[T]{}
}

// Decompose yields the bounds, each as an interval of one value.
func (i Interval[T]) Decompose() iter.Seq[Interval[T]] {
	return func(yield func(Interval[T]) bool) {
		if i.set && yield(Interval[T]{i.lo, i.lo, true}) && i.lo != i.hi {
			yield(Interval[T]{i.hi, i.hi, true})
		}
	}
}

// String returns the bounds, as [lo, hi], "⊥" for bottom.
func (i Interval[T]) String() string {
	if !i.set {
		return "⊥"
	}
	return fmt.Sprintf("[%v, %v]", i.lo, i.hi)
}

// LogValue returns the bounds, nil for bottom.
func (i Interval[T]) LogValue() slog.Value {
	if !i.set {
		return slog.AnyValue(nil)
	}
	return slog.GroupValue(slog.Any("lo", i.lo), slog.Any("hi", i.hi))
}

// MarshalJSON returns an array of both bounds, null for bottom.
func (i Interval[T]) MarshalJSON() ([]byte, error) {
	if !i.set {
		return []byte("null"), nil
	}
	return json.Marshal([2]T{i.lo, i.hi})
}

// UnmarshalJSON replaces i by what MarshalJSON wrote.
func (i *Interval[T]) UnmarshalJSON(b []byte) error {
	bounds, ok, err := fromJSON[[2]T](b)
	if err != nil {
		return err
	}
	*i = Interval[T]{}
	if ok {
		*i = IntervalOf(bounds[:]...)
	}
	return nil
}

// AppendBinary appends the canonical binary form of i to b.
// Its error matches [ErrUnsupported].
func (i Interval[T]) AppendBinary(b []byte) ([]byte, error) { return appendForm(b, i) }

// MarshalBinary returns the canonical binary form of i.
func (i Interval[T]) MarshalBinary() ([]byte, error) { return i.AppendBinary(nil) }

// UnmarshalBinary replaces i by what AppendBinary wrote, keeping nothing of b; its errors
// match [ErrMalformed] or [ErrUnsupported] and leave i as it was.
func (i *Interval[T]) UnmarshalBinary(b []byte) error { return decode(b, i) }

func (i Interval[T]) shape(dst []byte) ([]byte, error) {
	return shapeOfElement[T](append(dst, kindInterval))
}

func (i Interval[T]) put(dst []byte) ([]byte, error) {
	c := element[T]()
	dst = putOption(dst, c, i.lo, i.set)
	if i.set {
		dst = c.Put(dst, i.hi)
	}
	return dst, nil
}

func (i Interval[T]) get(r *wire.Reader) Interval[T] {
	c := element[T]()
	lo, ok := getOption(r, c)
	if !ok {
		return Interval[T]{}
	}
	hi := c.Get(r)
	if r.Err() == nil && hi < lo {
		r.Fail("the bounds are swapped")
	}
	return Interval[T]{lo, hi, true}
}
