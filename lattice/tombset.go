package lattice

import (
	"encoding/json"
	"iter"
	"log/slog"
	"slices"

	"github.com/go-calm/calm/internal/wire"
)

// TombSet is a [Set] whose elements can be removed for ever: once removed, an element is not
// added again, whatever is merged later. It suits what is used once: ids of sessions, of jobs,
// of invitations. A removal that may be undone is a matter of package crdt.
//
// What was removed is remembered: integers as runs of consecutive ones, so that ids that are
// removed more or less in order take next to nothing (see [TombMap] for the others), other
// elements as a set of them.
//
// The zero value and nil are empty; a nil one answers all reads but cannot be written to. An
// element that is not equal to itself (NaN) is left out. A TombSet must not be copied, nor
// written to while others use it. Operations take the time of a map and of a search among the
// runs; merging takes that of the argument.
type TombSet[E comparable] struct {
	m TombMap[E, Any]
}

// Add puts in those of the elements that were not removed and reports whether any is new.
func (s *TombSet[E]) Add(es ...E) (grew bool) {
	for _, e := range es {
		grew = s.m.Put(e, Any{true}) || grew
	}
	return grew
}

// Remove removes elements for ever, whether they were there or not, and reports whether any
// of them was not removed before.
func (s *TombSet[E]) Remove(es ...E) (grew bool) { return s.m.Remove(es...) }

// tombs returns the map behind s, nil for nil.
func (s *TombSet[E]) tombs() *TombMap[E, Any] {
	if s == nil {
		return nil
	}
	return &s.m
}

// Has reports whether e is in the set. It is a snapshot read either way.
func (s *TombSet[E]) Has(e E) bool { return s.tombs().Has(e) }

// Removed reports whether e was removed. True is a monotone read, it stays; false is a
// snapshot.
func (s *TombSet[E]) Removed(e E) bool { return s.tombs().Removed(e) }

// Len returns how many elements there are, a snapshot read.
func (s *TombSet[E]) Len() int { return s.tombs().Len() }

// All yields the elements in no particular order. It is a snapshot read.
func (s *TombSet[E]) All() iter.Seq[E] { return slices.Values(s.tombs().values().keys()) }

// Sorted returns the elements as a new slice, in the order of [Set.Sorted]. It is a snapshot read.
func (s *TombSet[E]) Sorted() []E { return s.tombs().SortedKeys() }

// Clone returns a copy that shares nothing with s.
func (s *TombSet[E]) Clone() *TombSet[E] {
	c := &TombSet[E]{}
	c.Merge(s)
	return c
}

// Merge joins o and reports whether s changed. It keeps nothing of o.
func (s *TombSet[E]) Merge(o *TombSet[E]) (grew bool) { return s.m.Merge(o.tombs()) }

// Join is Merge in the form that [Lattice] asks for: it returns s, or a new set for nil.
func (s *TombSet[E]) Join(o *TombSet[E]) (*TombSet[E], bool) {
	if o == nil {
		return s, false
	}
	if s == nil {
		s = &TombSet[E]{}
	}
	return s, s.Merge(o)
}

// LessEq reports whether o removed all that s removed, and all of s is in o or removed there.
func (s *TombSet[E]) LessEq(o *TombSet[E]) bool { return s.tombs().LessEq(o.tombs()) }

// Delta returns what s has and have lacks, as a new set.
func (s *TombSet[E]) Delta(have *TombSet[E]) *TombSet[E] {
	d := s.tombs().Delta(have.tombs())
	return wrapTombs[E](d)
}

func wrapTombs[E comparable](m *TombMap[E, Any]) *TombSet[E] {
	s := &TombSet[E]{}
	s.m.take(m)
	return s
}

// Decompose yields a set of one element for each element, and one for each removed one.
func (s *TombSet[E]) Decompose() iter.Seq[*TombSet[E]] {
	return func(yield func(*TombSet[E]) bool) {
		for part := range s.tombs().Decompose() {
			if !yield(wrapTombs[E](part)) {
				return
			}
		}
	}
}

// String returns the elements in order, and how many were removed, as {a, b} − 5.
func (s *TombSet[E]) String() string { return braced(s.Sorted()) + s.tombs().removedText() }

// LogValue returns the number of elements and of removed ones.
func (s *TombSet[E]) LogValue() slog.Value { return s.tombs().LogValue() }

type tombSetJSON[E any] struct {
	Live    []E `json:"live"`
	Removed []E `json:"removed"`
}

// MarshalJSON returns an object of what is live and what was removed, one by one: runs of
// removed integers, which the binary form keeps short, are written out.
func (s *TombSet[E]) MarshalJSON() ([]byte, error) {
	return json.Marshal(tombSetJSON[E]{s.Sorted(), s.m.dead.sorted()})
}

// UnmarshalJSON replaces s by what MarshalJSON wrote.
func (s *TombSet[E]) UnmarshalJSON(b []byte) error {
	var j tombSetJSON[E]
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	s.m.live.m, s.m.dead = nil, graveyard[E]{}
	s.Add(j.Live...)
	s.Remove(j.Removed...)
	return nil
}

// AppendBinary appends the canonical binary form of s to b: equal states have equal bytes.
// Its error matches [ErrUnsupported].
func (s *TombSet[E]) AppendBinary(b []byte) ([]byte, error) { return appendForm(b, s) }

// MarshalBinary returns the canonical binary form of s.
func (s *TombSet[E]) MarshalBinary() ([]byte, error) { return s.AppendBinary(nil) }

// UnmarshalBinary replaces s by what AppendBinary wrote, keeping nothing of b; its errors
// match [ErrMalformed] or [ErrUnsupported] and leave s as it was.
func (s *TombSet[E]) UnmarshalBinary(b []byte) error { return decodeTo(b, s.take) }

func (s *TombSet[E]) take(x *TombSet[E]) { s.m.take(&x.m) }

func (s *TombSet[E]) shape(dst []byte) ([]byte, error) {
	return shapeOfElement[E](append(dst, kindTombSet))
}

func (s *TombSet[E]) put(dst []byte) ([]byte, error) {
	var dead graveyard[E]
	if s != nil {
		dead = s.m.dead
	}
	return putElements(dead.put(dst), s.tombs().values().keys()), nil
}

func (s *TombSet[E]) get(r *wire.Reader) *TombSet[E] {
	x := &TombSet[E]{}
	x.m.dead = getGraveyard[E](r)
	getElements(r, func(n int) { x.m.live.m = make(map[E]Any, n) }, func(e E) { x.m.live.m[e] = Any{true} })
	x.m.checkGraves(r)
	return x
}
