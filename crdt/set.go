package crdt

import (
	"iter"
	"slices"

	"github.com/go-calm/calm/internal/elem"
)

// Set is an observed-remove set: of an add and a remove that did not see each other, the add wins.
// A remove takes away what its replica has seen, leaves no tombstone, and never comes undone by an
// old message (Bieniusa et al., "An optimized conflict-free replicated set", 2012).
//
// E may be a string, bool, number, an array of those, or a type with AppendBinary and
// UnmarshalBinary. Each operation costs O(1) an element. A Set belongs to a [Store]; like the
// store it is not safe for concurrent use.
type Set[E comparable] struct {
	Handle
	codec elem.Codec[E]
}

// NewSet makes a replica that is a set. It panics if E cannot be encoded.
func NewSet[E comparable](id ReplicaID) *Set[E] { return Open[*Set[E]](id) }

func (*Set[E]) fresh() *Set[E] { return new(Set[E]) }

func (s *Set[E]) put(h Handle) { s.Handle, s.codec = h, codec[E]() }

func (s *Set[E]) schema(bool) *schema {
	c := codec[E]()
	return &schema{shape: shape{kindSet, c.ID()}, key: check(c), all: elemSchema}
}

// Add adds elements. Adding one that is there makes it survive removes that have not seen this add.
func (s *Set[E]) Add(es ...E) Delta {
	s.store.begin()
	if len(es) > 0 {
		at := s.ensure()
		for _, e := range es {
			s.store.write(s.store.tree.ensure(at, elemSchema.shape, keyOf(s.codec, e)), "")
		}
	}
	return s.store.end()
}

// Remove removes elements as far as this replica has seen them added.
func (s *Set[E]) Remove(es ...E) Delta {
	s.store.begin()
	for _, e := range es {
		if at, ok := s.element(e); ok {
			s.store.clear(at)
		}
	}
	return s.store.end()
}

// Clear removes all elements that this replica has seen.
func (s *Set[E]) Clear() Delta { return s.clear() }

func (s *Set[E]) element(e E) (slot, bool) {
	at, ok := s.find()
	if !ok {
		return 0, false
	}
	return s.store.tree.find(at, elemSchema.shape, keyOf(s.codec, e))
}

// Contains reports whether e is in the set, as this replica sees it now (a snapshot read).
func (s *Set[E]) Contains(e E) bool {
	_, ok := s.element(e)
	return ok
}

// Len returns the number of elements (a snapshot read). O(1).
func (s *Set[E]) Len() int {
	at, ok := s.find()
	if !ok {
		return 0
	}
	return int(s.store.tree.at(at).live)
}

// All yields the elements in no particular order (a snapshot read). The loop may remove the element
// that it was just given; it must not change the store otherwise.
func (s *Set[E]) All() iter.Seq[E] {
	return func(yield func(E) bool) {
		s.children(func(key string, _ shape) bool {
			e, ok := keyFrom(s.codec, key)
			return !ok || yield(e)
		})
	}
}

// Sorted returns the elements in ascending order: numbers, strings and bools as Go orders them,
// others by their encoding.
func (s *Set[E]) Sorted() []E { return slices.SortedFunc(s.All(), s.codec.Compare) }
