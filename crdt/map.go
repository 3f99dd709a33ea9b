package crdt

import (
	"iter"
	"slices"

	"github.com/go-calm/calm/internal/elem"
)

// Map holds a value of type V for each key: a counter, a set, a register, another map. A key is
// there while anything lives in its value, so nothing has to be created, and a value that becomes
// empty is gone. Removing a key removes what the replica has seen in the value, all the way down,
// and leaves nothing behind: what others do there meanwhile survives, and nothing else.
//
// K may be a string, bool, number, time or what else [Codec] lists. A Map belongs to a [Store]; like the store it is not safe for concurrent use.
type Map[K comparable, V Node[V]] struct {
	Handle
	codec *elem.Codec[K]
}

// NewMap makes a replica that is a map. It panics if K or V cannot be encoded.
func NewMap[K comparable, V Node[V]](id ReplicaID) *Map[K, V] { return Open[*Map[K, V]](id) }

func (*Map[K, V]) fresh() *Map[K, V] { return new(Map[K, V]) }

func (m *Map[K, V]) put(h Handle) {
	m.Handle, m.codec = h, typed[K](h.types.key)
}

func (*Map[K, V]) schema(cs codecs, _ bool) *schema {
	c := codecFor[K](cs)
	var v V
	return &schema{shape: shape{kindMap, c.id}, key: c, all: v.fresh().schema(cs, false)}
}

// At returns the value at a key, for reading and for changing. It is empty if the key is not there,
// and the key is there once something is in it.
func (m *Map[K, V]) At(k K) V { return m.at(keyOf(m.codec, k)) }

func (m *Map[K, V]) at(key string) V {
	var none V
	v := none.fresh()
	v.put(Handle{store: m.store, up: &m.Handle, key: key, types: m.types.all})
	return v
}

// Remove removes keys with all that this replica has seen in their values.
func (m *Map[K, V]) Remove(ks ...K) (d Delta) {
	m.store.begin()
	defer func() { d = m.store.end() }() // a codec may panic
	for _, k := range ks {
		if at, ok := m.entry(k); ok {
			m.store.clear(at)
		}
	}
	return d
}

// Clear removes all keys that this replica has seen.
func (m *Map[K, V]) Clear() Delta { return m.clear() }

func (m *Map[K, V]) entry(k K) (slot, bool) {
	at, ok := m.find()
	if !ok {
		return 0, false
	}
	return m.store.tree.find(at, m.types.all.shape, keyOf(m.codec, k))
}

// Contains reports whether a key is there, as this replica sees it now (a snapshot read).
func (m *Map[K, V]) Contains(k K) bool {
	_, ok := m.entry(k)
	return ok
}

// Len returns the number of keys (a snapshot read). O(1).
func (m *Map[K, V]) Len() int {
	at, ok := m.find()
	if !ok {
		return 0
	}
	return int(m.store.tree.at(at).live())
}

// All yields keys and values in no particular order (a snapshot read). The loop may remove the key
// that it was just given or change its value; it must not change the store otherwise.
func (m *Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		m.children(func(_ slot, key string, sh shape) bool {
			k, ok := keyFrom(m.codec, key)
			return !ok || sh != m.types.all.shape || yield(k, m.at(key))
		})
	}
}

// Keys yields the keys in no particular order, under the conditions of [Map.All].
func (m *Map[K, V]) Keys() iter.Seq[K] {
	return func(yield func(K) bool) {
		for k := range m.All() {
			if !yield(k) {
				return
			}
		}
	}
}

// Sorted returns the keys in ascending order: numbers, strings and bools as Go orders them, others
// by their encoding.
func (m *Map[K, V]) Sorted() []K { return slices.SortedFunc(m.Keys(), m.codec.Compare) }
