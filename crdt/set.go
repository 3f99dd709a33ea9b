package crdt

// Set is an observed-remove set: of an add and a remove that did not see each other, the add wins.
// A remove takes away what its replica has seen, leaves no tombstone, and never comes undone by an
// old message (Bieniusa et al., "An optimized conflict-free replicated set", 2012).
//
// For E, the reads and concurrency see [Elements]. Each operation costs O(1) an element.
type Set[E comparable] struct{ Elements[E] }

// NewSet makes a replica that is a set. It panics if E cannot be encoded.
func NewSet[E comparable](id ReplicaID) *Set[E] { return Open[*Set[E]](id) }

func (*Set[E]) fresh() *Set[E] { return new(Set[E]) }

func (s *Set[E]) put(h Handle) { s.putElements(h, kindElem, nil) }

func (*Set[E]) schema(cs codecs, _ bool) *schema { return setSchema[E](cs, kindSet, kindElem) }

// Add adds elements. Adding one that is there makes it survive removes that have not seen this add.
func (s *Set[E]) Add(es ...E) Delta { return s.writeEach(es, always("")) }

// Remove removes elements as far as this replica has seen them added.
func (s *Set[E]) Remove(es ...E) (d Delta) {
	s.store.begin()
	defer func() { d = s.store.end() }() // a codec may panic
	for _, e := range es {
		if at, ok := s.element(e); ok {
			s.store.clear(at)
		}
	}
	return d
}

// Clear removes all elements that this replica has seen.
func (s *Set[E]) Clear() Delta { return s.clear() }

// always is a payload that every element gets.
func always(payload string) func(slot, bool) (string, bool) {
	return func(slot, bool) (string, bool) { return payload, true }
}

// GSet is a set that only grows. At the root ([NewGSet]) Contains is a monotone read where it
// says true, and so is AtLeast: they may be acted on without coordination. In a [Map] or at a name
// of a [Store], removing the whole set removes what was seen of it.
//
// For E, the other reads and concurrency see [Elements]. Each operation costs O(1) an element.
type GSet[E comparable] struct{ Elements[E] }

// NewGSet makes a replica that is a grow-only set. It panics if E cannot be encoded.
func NewGSet[E comparable](id ReplicaID) *GSet[E] { return Open[*GSet[E]](id) }

func (*GSet[E]) fresh() *GSet[E] { return new(GSet[E]) }

func (s *GSet[E]) put(h Handle) { s.putElements(h, kindGElem, nil) }

func (*GSet[E]) schema(cs codecs, _ bool) *schema { return setSchema[E](cs, kindGSet, kindGElem) }

// Add adds elements. Adding one that is there changes nothing.
func (s *GSet[E]) Add(es ...E) Delta {
	return s.writeEach(es, func(_ slot, there bool) (string, bool) { return "", !there })
}

// AtLeast reports whether the set has reached n elements.
func (s *GSet[E]) AtLeast(n int) bool { return s.Len() >= n }

// TwoPhaseSet is a set from which an element is removed once and for all: it cannot be added again,
// anywhere. A removed element leaves a tombstone. Use it where elements are used once, as ids are,
// and must not come back; otherwise use [Set].
//
// For E, the reads and concurrency see [Elements]. Adding and removing cost O(1) an element.
type TwoPhaseSet[E comparable] struct{ Elements[E] }

// NewTwoPhaseSet makes a replica that is a two-phase set. It panics if E cannot be encoded.
func NewTwoPhaseSet[E comparable](id ReplicaID) *TwoPhaseSet[E] { return Open[*TwoPhaseSet[E]](id) }

func (*TwoPhaseSet[E]) fresh() *TwoPhaseSet[E] { return new(TwoPhaseSet[E]) }

func (s *TwoPhaseSet[E]) put(h Handle) { s.putElements(h, kindTwoPhaseElem, unlessRemoved) }

func (*TwoPhaseSet[E]) schema(cs codecs, _ bool) *schema {
	return setSchema[E](cs, kindTwoPhaseSet, kindTwoPhaseElem)
}

// Add adds elements but for those that were removed before.
func (s *TwoPhaseSet[E]) Add(es ...E) Delta {
	return s.writeEach(es, func(at slot, there bool) (string, bool) {
		return added, !there || unlessRemoved(s.store, at)
	})
}

// Remove removes elements for ever, be they in the set or not.
func (s *TwoPhaseSet[E]) Remove(es ...E) Delta { return s.writeEach(es, always(removed)) }

// RWSet is a set in which, of an add and a remove that did not see each other, the remove wins. A
// removed element leaves a tombstone until it is added again.
//
// For E, the reads and concurrency see [Elements]. Adding and removing cost O(1) an element.
type RWSet[E comparable] struct{ Elements[E] }

// NewRWSet makes a replica that is a remove-wins set. It panics if E cannot be encoded.
func NewRWSet[E comparable](id ReplicaID) *RWSet[E] { return Open[*RWSet[E]](id) }

func (*RWSet[E]) fresh() *RWSet[E] { return new(RWSet[E]) }

func (s *RWSet[E]) put(h Handle) { s.putElements(h, kindRWElem, unlessRemoved) }

func (*RWSet[E]) schema(cs codecs, _ bool) *schema { return setSchema[E](cs, kindRWSet, kindRWElem) }

// Add adds elements. It undoes the removes that this replica has seen.
func (s *RWSet[E]) Add(es ...E) Delta { return s.writeEach(es, always(added)) }

// Remove removes elements, be they in the set or not: adds that have not seen it do not count.
func (s *RWSet[E]) Remove(es ...E) Delta { return s.writeEach(es, always(removed)) }

// The payloads of elements that can be removed by an event.
const (
	removed = "\x00"
	added   = "\x01"
)

// unlessRemoved reports whether none of the events at an element is a remove.
func unlessRemoved(s *Store, at slot) bool {
	in := true
	s.tree.dots(at, func(d dot) { in = in && d.payload != removed })
	return in
}
