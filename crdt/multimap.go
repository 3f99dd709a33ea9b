package crdt

import "iter"

// MultiMap holds a set of values for each key: it is a [Map] of [Set], to peers too, with what one
// often does to such in one call. Of an add and a removal that did not see each other, be it of the
// value or of its key, the add wins.
//
// K and V may be what [Codec] lists. Like the [Store] that it belongs to, a MultiMap is not safe for
// concurrent use. Each operation costs O(1) a value.
type MultiMap[K, V comparable] struct{ Map[K, *Set[V]] }

// NewMultiMap makes a replica that is a multimap. It panics if K or V cannot be encoded.
func NewMultiMap[K, V comparable](id ReplicaID) *MultiMap[K, V] { return Open[*MultiMap[K, V]](id) }

func (*MultiMap[K, V]) fresh() *MultiMap[K, V] { return new(MultiMap[K, V]) }

// Add adds values at a key.
func (m *MultiMap[K, V]) Add(k K, vs ...V) Delta { return m.At(k).Add(vs...) }

// Discard removes values at a key, as far as this replica has seen them added; [Map.Remove] removes
// the key with all its values.
func (m *MultiMap[K, V]) Discard(k K, vs ...V) Delta { return m.At(k).Remove(vs...) }

// Has reports whether a value is there at a key, as this replica sees it now (a snapshot read). O(1).
func (m *MultiMap[K, V]) Has(k K, v V) bool { return m.At(k).Contains(v) }

// Values returns the values at a key, ascending as [Elements.Sorted] has them (a snapshot read).
func (m *MultiMap[K, V]) Values(k K) []V { return m.At(k).Sorted() }

// Pairs yields each key with each of its values, in no particular order (a snapshot read), under the
// conditions of [Map.All].
func (m *MultiMap[K, V]) Pairs() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for k, s := range m.All() {
			for v := range s.All() {
				if !yield(k, v) {
					return
				}
			}
		}
	}
}

// CounterMap counts by key: it is a [Map] of [Counter], to peers too, with what one often does to such
// in one call. Removing a key resets its count exactly: see [Counter].
//
// K may be what [Codec] lists. Like the [Store] that it belongs to, a CounterMap is not safe for
// concurrent use.
type CounterMap[K comparable] struct{ Map[K, *Counter] }

// NewCounterMap makes a replica that counts by key. It panics if K cannot be encoded.
func NewCounterMap[K comparable](id ReplicaID) *CounterMap[K] { return Open[*CounterMap[K]](id) }

func (*CounterMap[K]) fresh() *CounterMap[K] { return new(CounterMap[K]) }

// Add adds n at a key; n may be negative.
func (m *CounterMap[K]) Add(k K, n int64) Delta { return m.At(k).Add(n) }

// Value returns the count at a key as this replica sees it now (a snapshot read), 0 if the key is not
// there.
func (m *CounterMap[K]) Value(k K) int64 { return m.At(k).Value() }

// Values yields each key with its count, in no particular order (a snapshot read), under the conditions
// of [Map.All].
func (m *CounterMap[K]) Values() iter.Seq2[K, int64] {
	return func(yield func(K, int64) bool) {
		for k, c := range m.All() {
			if !yield(k, c.Value()) {
				return
			}
		}
	}
}

// Total returns the sum of all counts as this replica sees it now (a snapshot read). O(events held).
func (m *CounterMap[K]) Total() (sum int64) {
	for _, n := range m.Values() {
		sum += n
	}
	return sum
}
