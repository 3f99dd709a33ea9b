package lattice

import (
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"

	"github.com/go-calm/calm/internal/wire"
)

// BoundedSet is a set that gives up counting at a limit: with more elements than that it is
// over, which is its top, and keeps none of them. Where a few matter and many are all the
// same ("which hosts may this rule reach?"), its memory is bounded.
//
// The limit is part of the state: joining sets of different limits gives the smaller one. The
// zero value and nil are bottom, an empty set without a limit; a nil one answers all reads but
// cannot be added to. An element that is not equal to itself (NaN) is left out.
// A BoundedSet must not be copied, nor written to while others use it. All operations take
// the time of a map of at most limit elements.
type BoundedSet[E comparable] struct {
	_     noCopy
	limit int // 0: none
	over  bool
	m     map[E]struct{}
}

// NewBoundedSet returns an empty set of at most limit elements; it panics if limit < 1.
func NewBoundedSet[E comparable](limit int) *BoundedSet[E] {
	if limit < 1 {
		panic("lattice: the limit of a BoundedSet is less than 1")
	}
	return &BoundedSet[E]{limit: limit}
}

// Add puts elements in and reports whether the state changed.
func (s *BoundedSet[E]) Add(es ...E) (grew bool) {
	for _, e := range es {
		if e != e || s.Has(e) {
			continue
		}
		if s.m == nil {
			s.m = make(map[E]struct{})
		}
		s.m[e] = struct{}{}
		s.cut()
		grew = true
	}
	return grew
}

// cut gives up counting if there are too many.
func (s *BoundedSet[E]) cut() {
	if s.limit > 0 && len(s.m) > s.limit {
		s.m, s.over = nil, true
	}
}

// Has reports whether e may be in the set: surely if IsOver is false, and of any e if it is
// true. True is a monotone read, it stays; false is a snapshot.
func (s *BoundedSet[E]) Has(e E) bool {
	if s == nil {
		return false
	}
	_, ok := s.m[e]
	return ok || s.over
}

// IsOver reports whether there were more elements than the limit. True is a monotone read.
func (s *BoundedSet[E]) IsOver() bool { return s != nil && s.over }

// Limit returns the limit, 0 for none. It is a snapshot read: a lower one may come.
func (s *BoundedSet[E]) Limit() int {
	if s == nil {
		return 0
	}
	return s.limit
}

// Len returns how many elements are kept, none if it is over: a snapshot read.
func (s *BoundedSet[E]) Len() int {
	if s == nil {
		return 0
	}
	return len(s.m)
}

// All yields the elements that are kept, in no particular order. It is a snapshot read.
func (s *BoundedSet[E]) All() iter.Seq[E] {
	if s == nil {
		return func(func(E) bool) {}
	}
	return maps.Keys(s.m)
}

// Sorted returns the elements that are kept as a new slice, in the order of [Set.Sorted]. It is a
// snapshot read.
func (s *BoundedSet[E]) Sorted() []E {
	return sorted(slices.AppendSeq(make([]E, 0, s.Len()), s.All()))
}

// tighter returns the smaller of two limits, where 0 is none.
func tighter(a, b int) int {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// Merge joins o and reports whether s changed. It keeps nothing of o.
func (s *BoundedSet[E]) Merge(o *BoundedSet[E]) (grew bool) {
	if o == nil || s == o {
		return false
	}
	if limit := tighter(s.limit, o.limit); limit != s.limit {
		s.limit, grew = limit, true
		s.cut()
	}
	if o.over && !s.over {
		s.m, s.over, grew = nil, true, true
	}
	for e := range o.m {
		if s.over {
			break
		}
		grew = s.Add(e) || grew
	}
	return grew
}

// Join is Merge in the form that [Lattice] asks for: it returns s, or a new set for nil.
func (s *BoundedSet[E]) Join(o *BoundedSet[E]) (*BoundedSet[E], bool) {
	if s == nil && o != nil {
		s = &BoundedSet[E]{}
	}
	return s, s.Merge(o)
}

// LessEq reports whether o's limit is as small or smaller, and all of s is in o or o is over.
func (s *BoundedSet[E]) LessEq(o *BoundedSet[E]) bool {
	if tighter(s.Limit(), o.Limit()) != o.Limit() || s.IsOver() && !o.IsOver() {
		return false
	}
	for e := range s.All() {
		if !o.Has(e) {
			return false
		}
	}
	return true
}

// Delta returns of s what have lacks: its limit if it is smaller, and as many of the missing
// elements as have does not have too many without.
func (s *BoundedSet[E]) Delta(have *BoundedSet[E]) *BoundedSet[E] {
	d := &BoundedSet[E]{}
	limit := tighter(s.Limit(), have.Limit())
	if limit != have.Limit() {
		d.limit = limit
	}
	if have.IsOver() || limit > 0 && have.Len() > limit {
		return d
	}
	if s.IsOver() {
		d.Merge(s)
		return d
	}
	for e := range s.All() {
		if limit > 0 && have.Len()+d.Len() > limit {
			break
		}
		if !have.Has(e) {
			d.Add(e)
		}
	}
	return d
}

// Decompose yields a set without elements for the limit, and one without a limit for each
// element; a set that is over is one part.
func (s *BoundedSet[E]) Decompose() iter.Seq[*BoundedSet[E]] {
	return func(yield func(*BoundedSet[E]) bool) {
		if s.IsOver() {
			yield(Clone(s))
			return
		}
		if s.Limit() > 0 && !yield(NewBoundedSet[E](s.limit)) {
			return
		}
		for e := range s.All() {
			part := &BoundedSet[E]{}
			part.Add(e)
			if !yield(part) {
				return
			}
		}
	}
}

// String returns the elements in order and the limit, as {a, b} of 3, or "⊤ of 3".
func (s *BoundedSet[E]) String() string {
	text := "⊤"
	if !s.IsOver() {
		text = braced(s.Sorted())
	}
	if s.Limit() > 0 {
		text += fmt.Sprintf(" of %d", s.limit)
	}
	return text
}

// LogValue returns the number of elements and the limit.
func (s *BoundedSet[E]) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("len", s.Len()), slog.Int("limit", s.Limit()), slog.Bool("over", s.IsOver()))
}

type boundedJSON[E any] struct {
	Limit    int  `json:"limit,omitempty"`
	Over     bool `json:"over,omitempty"`
	Elements []E  `json:"elements,omitempty"`
}

// MarshalJSON returns an object of limit, elements, and over.
func (s *BoundedSet[E]) MarshalJSON() ([]byte, error) {
	return json.Marshal(boundedJSON[E]{s.limit, s.over, s.Sorted()})
}

// UnmarshalJSON replaces s by what MarshalJSON wrote.
func (s *BoundedSet[E]) UnmarshalJSON(b []byte) error {
	var j boundedJSON[E]
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	if j.Limit < 0 || j.Over && (j.Limit == 0 || len(j.Elements) > 0) {
		return fmt.Errorf("lattice: %w: no bounded set: %s", ErrMalformed, b)
	}
	s.limit, s.over, s.m = j.Limit, j.Over, nil
	s.Add(j.Elements...)
	return nil
}

// AppendBinary appends the canonical binary form of s to b: equal states have equal bytes.
// Its error matches [ErrUnsupported].
func (s *BoundedSet[E]) AppendBinary(b []byte) ([]byte, error) { return appendForm(b, s) }

// MarshalBinary returns the canonical binary form of s.
func (s *BoundedSet[E]) MarshalBinary() ([]byte, error) { return s.AppendBinary(nil) }

// UnmarshalBinary replaces s by what AppendBinary wrote, keeping nothing of b; its errors
// match [ErrMalformed] or [ErrUnsupported] and leave s as it was.
func (s *BoundedSet[E]) UnmarshalBinary(b []byte) error { return decodeTo(b, s.take) }

func (s *BoundedSet[E]) take(x *BoundedSet[E]) { s.limit, s.over, s.m = x.limit, x.over, x.m }

func (s *BoundedSet[E]) shape(dst []byte) ([]byte, error) {
	return shapeOfElement[E](append(dst, kindBoundedSet))
}

func (s *BoundedSet[E]) put(dst []byte) ([]byte, error) {
	dst = appendCount(dst, s.Limit())
	if s.IsOver() {
		return append(dst, 1), nil
	}
	return putElements(append(dst, 0), slices.AppendSeq(make([]E, 0, s.Len()), s.All())), nil
}

func (s *BoundedSet[E]) get(r *wire.Reader) *BoundedSet[E] {
	x := &BoundedSet[E]{limit: getInt(r), over: element[bool]().Get(r)}
	if x.over {
		if x.limit == 0 {
			r.Fail("over no limit")
		}
		return x
	}
	getElements(r, func(n int) { x.m = make(map[E]struct{}, n) }, func(e E) { x.m[e] = struct{}{} })
	if x.limit > 0 && len(x.m) > x.limit {
		r.Fail("%d elements are over the limit of %d", len(x.m), x.limit)
	}
	return x
}
