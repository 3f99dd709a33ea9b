package crdt

import (
	"iter"
	"slices"

	"github.com/go-calm/calm/internal/elem"
)

// Elements is what the sets of this package have in common: a [Handle] and the reads. All of them
// are snapshot reads, but for what a [GSet] says of its own.
//
// E may be a string, bool, number, time or what else [Codec] lists. Like the [Store] that it belongs to, a set is not safe for concurrent use.
type Elements[E comparable] struct {
	Handle
	codec *elem.Codec[E]
	leaf  shape                        // of an element
	in    func(s *Store, at slot) bool // whether an element that has events is in the set; nil: yes
}

func (s *Elements[E]) putElements(h Handle, leaf kind, in func(*Store, slot) bool) {
	s.Handle, s.codec, s.leaf, s.in = h, typed[E](h.types.key), shape{kind: leaf}, in
}

func setSchema[E comparable](cs codecs, set, leaf kind) *schema {
	c := codecFor[E](cs)
	return &schema{shape: shape{set, c.id}, key: c, all: leafSchema(leaf)}
}

// element returns an element that has events.
func (s *Elements[E]) element(e E) (slot, bool) {
	at, ok := s.find()
	if !ok {
		return 0, false
	}
	return s.store.tree.find(at, s.leaf, keyOf(s.codec, e))
}

// writeEach makes one event at each element, in the place of those that were seen there.
func (s *Elements[E]) writeEach(es []E, payload func(at slot, there bool) (p string, ok bool)) (d Delta) {
	s.store.begin()
	defer func() { d = s.store.end() }() // a codec may panic
	t := s.store.tree
	set, exists := s.find()
	for _, e := range es {
		key := keyOf(s.codec, e)
		h := t.table.hash(set, s.leaf, key) // once, be the element there or not
		at, there := noSlot, false
		if exists {
			at, there = find(t, h, set, s.leaf, key)
		}
		p, ok := payload(at, there)
		switch {
		case !ok:
		case there:
			s.store.write(at, p)
		default:
			if !exists {
				set, exists = s.ensure(), true
				h = t.table.hash(set, s.leaf, key)
			}
			at = t.create(h, set, s.leaf, key)
			s.store.mint(at, p)
		}
	}
	return d
}

// Contains reports whether e is in the set. O(1).
func (s *Elements[E]) Contains(e E) bool {
	at, ok := s.element(e)
	return ok && (s.in == nil || s.in(s.store, at))
}

// Len returns the number of elements. O(1) for [Set] and [GSet], otherwise O(elements
// ever).
func (s *Elements[E]) Len() int {
	at, ok := s.find()
	if !ok {
		return 0
	}
	if s.in == nil {
		return int(s.store.tree.at(at).live())
	}
	n := 0
	for range s.All() {
		n++
	}
	return n
}

// All yields the elements in no particular order. The loop may remove the element that it was just
// given; it must not change the store otherwise.
func (s *Elements[E]) All() iter.Seq[E] {
	return func(yield func(E) bool) {
		s.children(func(at slot, key string, sh shape) bool {
			if sh != s.leaf || s.in != nil && !s.in(s.store, at) {
				return true
			}
			e, ok := keyFrom(s.codec, key)
			return !ok || yield(e)
		})
	}
}

// Sorted returns the elements in ascending order: numbers, strings and bools as Go orders them,
// others by their encoding.
func (s *Elements[E]) Sorted() []E { return slices.SortedFunc(s.All(), s.codec.Compare) }
