package lattice

import (
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/go-calm/calm/internal/wire"
)

// Set is a set that only grows; the join is the union.
//
// The zero value and nil are the empty set; a nil one answers all reads but cannot be added
// to. An element that is not equal to itself (NaN) cannot be found again and is left out.
// A Set must not be copied, nor written to while others use it; reads alone may be concurrent.
// Adding and asking take the time of a map, merging that of the argument, whatever the size of
// the receiver. For integers, [IntSet] is several times faster, and [Bits] if they are dense.
type Set[E comparable] struct {
	_ noCopy
	m map[E]struct{}
}

// SetOf returns a new set of the given elements.
func SetOf[E comparable](es ...E) *Set[E] {
	s := &Set[E]{}
	s.Add(es...)
	return s
}

// Add puts elements in and reports whether any of them is new.
func (s *Set[E]) Add(es ...E) (grew bool) {
	before := len(s.m)
	if s.m == nil && len(es) > 0 {
		s.m = make(map[E]struct{}, len(es))
	}
	for _, e := range es {
		if e == e {
			s.m[e] = struct{}{}
		}
	}
	return len(s.m) > before
}

// Has reports whether e is in the set. True is a monotone read, it stays; false is a snapshot.
func (s *Set[E]) Has(e E) bool {
	if s == nil {
		return false
	}
	_, ok := s.m[e]
	return ok
}

// Len returns how many elements there are, a snapshot read; that there are at least so many
// is monotone.
func (s *Set[E]) Len() int {
	if s == nil {
		return 0
	}
	return len(s.m)
}

// All yields the elements in no particular order. As with a map, what is added meanwhile may
// or may not be seen. Each stays in, a monotone read; that there are no others is a snapshot.
func (s *Set[E]) All() iter.Seq[E] {
	return func(yield func(E) bool) {
		if s == nil {
			return
		}
		for e := range s.m {
			if !yield(e) {
				return
			}
		}
	}
}

// Sorted returns the elements as a new slice: numbers, strings and bools in their natural
// order, others by their encoded or else their printed form. It is a snapshot read.
func (s *Set[E]) Sorted() []E {
	return sorted(slices.AppendSeq(make([]E, 0, s.Len()), s.All()))
}

// Grow makes room for n more elements.
func (s *Set[E]) Grow(n int) {
	m := make(map[E]struct{}, len(s.m)+n)
	maps.Copy(m, s.m)
	s.m = m
}

// Clone returns a copy that shares nothing with s.
func (s *Set[E]) Clone() *Set[E] {
	c := &Set[E]{}
	if s.Len() > 0 {
		c.m = maps.Clone(s.m)
	}
	return c
}

// Merge puts all of o in and reports whether any of it is new. It keeps nothing of o.
func (s *Set[E]) Merge(o *Set[E]) (grew bool) {
	if o.Len() == 0 || s == o {
		return false
	}
	if s.m == nil {
		s.m = maps.Clone(o.m)
		return true
	}
	before := len(s.m)
	for e := range o.m {
		s.m[e] = struct{}{}
	}
	return len(s.m) > before
}

// Join is Merge in the form that [Lattice] asks for: it returns s, or a new set for nil.
func (s *Set[E]) Join(o *Set[E]) (*Set[E], bool) {
	if s == nil && o.Len() > 0 {
		return o.Clone(), true
	}
	return s, o.Len() > 0 && s.Merge(o)
}

// LessEq reports whether all of s is in o.
func (s *Set[E]) LessEq(o *Set[E]) bool {
	if s.Len() > o.Len() {
		return false
	}
	for e := range s.All() {
		if !o.Has(e) {
			return false
		}
	}
	return true
}

// Delta returns what s has and have lacks, as a new set.
func (s *Set[E]) Delta(have *Set[E]) *Set[E] {
	d := &Set[E]{}
	for e := range s.All() {
		if !have.Has(e) {
			d.Add(e)
		}
	}
	return d
}

// Decompose yields a set of one element for each element.
func (s *Set[E]) Decompose() iter.Seq[*Set[E]] {
	return func(yield func(*Set[E]) bool) {
		for e := range s.All() {
			if !yield(SetOf(e)) {
				return
			}
		}
	}
}

// String returns the elements in order, as {a, b, c}.
func (s *Set[E]) String() string { return braced(s.Sorted()) }

func braced[E any](es []E) string {
	var b strings.Builder
	for i, e := range es {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprint(&b, e)
	}
	return "{" + b.String() + "}"
}

// LogValue returns the number of elements.
func (s *Set[E]) LogValue() slog.Value { return slog.GroupValue(slog.Int("len", s.Len())) }

// MarshalJSON returns the elements as an array, in order.
func (s *Set[E]) MarshalJSON() ([]byte, error) { return json.Marshal(s.Sorted()) }

// UnmarshalJSON replaces s by what MarshalJSON wrote.
func (s *Set[E]) UnmarshalJSON(b []byte) error {
	var es []E
	if err := json.Unmarshal(b, &es); err != nil {
		return err
	}
	s.m = nil
	s.Add(es...)
	return nil
}

// AppendBinary appends the canonical binary form of s to b: equal sets have equal bytes.
// Its error matches [ErrUnsupported].
func (s *Set[E]) AppendBinary(b []byte) ([]byte, error) { return appendForm(b, s) }

// MarshalBinary returns the canonical binary form of s.
func (s *Set[E]) MarshalBinary() ([]byte, error) { return s.AppendBinary(nil) }

// UnmarshalBinary replaces s by what AppendBinary wrote, keeping nothing of b; its errors
// match [ErrMalformed] or [ErrUnsupported], and leave s as it was.
func (s *Set[E]) UnmarshalBinary(b []byte) error { return decodeTo(b, s.take) }

func (s *Set[E]) take(x *Set[E]) { s.m = x.m }

func (s *Set[E]) shape(dst []byte) ([]byte, error) { return shapeOfElement[E](append(dst, kindSet)) }

func (s *Set[E]) put(dst []byte) ([]byte, error) {
	return putElements(dst, slices.AppendSeq(make([]E, 0, s.Len()), s.All())), nil
}

func (s *Set[E]) get(r *wire.Reader) *Set[E] {
	x := &Set[E]{}
	getElements(r, func(n int) { x.m = make(map[E]struct{}, n) }, func(e E) { x.m[e] = struct{}{} })
	return x
}
