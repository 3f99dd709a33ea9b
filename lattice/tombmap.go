package lattice

import (
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"maps"

	"github.com/go-calm/calm/internal/wire"
)

// TombMap is a [Map] whose keys can be removed for ever: a removed key has no value, and none
// that is merged later, however often, brings it back. Key by key it is bottom, then a value
// that grows, then removed, its top.
//
// What was removed is remembered: integers as runs of consecutive ones, so that ids that are
// removed more or less in order take next to nothing, but ids in no order a search and 16
// bytes each, and inserting one in the middle moves those behind it; other keys as a set of
// them. A removal that may be undone is a matter of package crdt.
//
// The zero value and nil are empty; a nil one answers all reads but cannot be written to. A
// key that is not equal to itself (NaN) is left out. A TombMap must not be copied, nor written
// to while others use it. Operations take the time of a map and of a search among the runs;
// merging takes that of the argument.
type TombMap[K comparable, V Lattice[V]] struct {
	_    noCopy
	live Map[K, V]
	dead graveyard[K]
}

// Put joins v to the value of k, unless k was removed, and reports whether that grew. It
// keeps nothing of v.
func (m *TombMap[K, V]) Put(k K, v V) (grew bool) {
	return !m.dead.has(k) && m.live.Put(k, v)
}

// Remove removes keys for ever, whether they were there or not, and reports whether any of
// them was not removed before.
func (m *TombMap[K, V]) Remove(ks ...K) (grew bool) {
	for _, k := range ks {
		if k == k && m.dead.add(k) {
			delete(m.live.m, k)
			grew = true
		}
	}
	return grew
}

// Get returns the value of k, to be read only: bottom if there is none. It is a snapshot read.
func (m *TombMap[K, V]) Get(k K) V { return m.values().Get(k) }

// Has reports whether k has a value above bottom and was not removed. It is a snapshot read
// either way.
func (m *TombMap[K, V]) Has(k K) bool { return m.values().Has(k) }

// Removed reports whether k was removed. True is a monotone read, it stays; false is a
// snapshot.
func (m *TombMap[K, V]) Removed(k K) bool { return m != nil && m.dead.has(k) }

// Len returns how many keys have a value, a snapshot read.
func (m *TombMap[K, V]) Len() int { return m.values().Len() }

// All yields the keys that have a value in no particular order; the values are to be read only. It
// is a snapshot read.
func (m *TombMap[K, V]) All() iter.Seq2[K, V] { return m.values().All() }

// SortedKeys returns the keys that have a value as a new slice, in the order of [Set.Sorted]. It is
// a snapshot read.
func (m *TombMap[K, V]) SortedKeys() []K { return m.values().SortedKeys() }

// values are those that were not removed.
func (m *TombMap[K, V]) values() *Map[K, V] {
	if m == nil {
		return nil
	}
	return &m.live
}

// Clone returns a copy that shares no changeable memory with m.
func (m *TombMap[K, V]) Clone() *TombMap[K, V] {
	c := &TombMap[K, V]{}
	c.Merge(m)
	return c
}

// Merge joins all of o and reports whether anything changed. It keeps nothing of o.
func (m *TombMap[K, V]) Merge(o *TombMap[K, V]) (grew bool) {
	if o == nil || m == o {
		return false
	}
	if fresh := o.dead.minus(&m.dead); fresh.len() > 0 {
		m.dead.merge(&fresh)
		m.bury(&fresh)
		grew = true
	}
	for k, v := range o.live.m {
		grew = m.Put(k, v) || grew
	}
	return grew
}

// bury drops the values of keys that died: by the shorter of the two lists.
func (m *TombMap[K, V]) bury(fresh *graveyard[K]) {
	if fresh.len() < uint64(m.live.Len()) {
		for k := range fresh.all() {
			delete(m.live.m, k)
		}
		return
	}
	maps.DeleteFunc(m.live.m, func(k K, _ V) bool { return fresh.has(k) })
}

// Join is Merge in the form that [Lattice] asks for: it returns m, or a new map for nil.
func (m *TombMap[K, V]) Join(o *TombMap[K, V]) (*TombMap[K, V], bool) {
	if m == nil && o != nil {
		m = &TombMap[K, V]{}
	}
	return m, m.Merge(o)
}

// LessEq reports whether o removed all that m removed, and each value of m is below or equal
// to o's of the same key or removed there.
func (m *TombMap[K, V]) LessEq(o *TombMap[K, V]) bool {
	if m == nil {
		return true
	}
	var none TombMap[K, V]
	if o == nil {
		o = &none
	}
	if !m.dead.lessEq(&o.dead) {
		return false
	}
	for k, v := range m.live.m {
		if !o.dead.has(k) && !v.LessEq(o.Get(k)) {
			return false
		}
	}
	return true
}

// Delta returns what m has and have lacks, as a new map.
func (m *TombMap[K, V]) Delta(have *TombMap[K, V]) *TombMap[K, V] {
	d := &TombMap[K, V]{}
	if m == nil {
		return d
	}
	if have == nil {
		d.Merge(m)
		return d
	}
	d.dead = m.dead.minus(&have.dead)
	for k, v := range m.live.m {
		if !have.dead.has(k) {
			d.Put(k, Delta(have.Get(k), v))
		}
	}
	return d
}

// Decompose yields a map of one key for each part of each value, and one for each removed key.
func (m *TombMap[K, V]) Decompose() iter.Seq[*TombMap[K, V]] {
	return func(yield func(*TombMap[K, V]) bool) {
		for k, v := range m.All() {
			for part := range Decompose(v) {
				if !yield(&TombMap[K, V]{live: Map[K, V]{m: map[K]V{k: part}}}) {
					return
				}
			}
		}
		if m == nil {
			return
		}
		for k := range m.dead.all() {
			part := &TombMap[K, V]{}
			part.Remove(k)
			if !yield(part) {
				return
			}
		}
	}
}

// String returns the keys in order with their values, and how many were removed, as
// {a: 1, b: 2} − 5.
func (m *TombMap[K, V]) String() string { return m.values().String() + m.removedText() }

func (m *TombMap[K, V]) removedText() string {
	if m == nil || m.dead.len() == 0 {
		return ""
	}
	return fmt.Sprintf(" − %d", m.dead.len())
}

// LogValue returns the number of keys and of removed ones.
func (m *TombMap[K, V]) LogValue() slog.Value {
	removed := uint64(0)
	if m != nil {
		removed = m.dead.len()
	}
	return slog.GroupValue(slog.Int("len", m.Len()), slog.Uint64("removed", removed))
}

type tombJSON[K comparable, V any] struct {
	Live    map[K]V `json:"live"`
	Removed []K     `json:"removed"`
}

// MarshalJSON returns an object of what is live and what was removed, one by one: runs of
// removed integers, which the binary form keeps short, are written out.
func (m *TombMap[K, V]) MarshalJSON() ([]byte, error) {
	return json.Marshal(tombJSON[K, V]{m.live.m, m.dead.sorted()})
}

// UnmarshalJSON replaces m by what MarshalJSON wrote.
func (m *TombMap[K, V]) UnmarshalJSON(b []byte) error {
	var j tombJSON[K, V]
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	maps.DeleteFunc(j.Live, func(k K, v V) bool { return k != k || IsBottom(v) })
	m.live.m, m.dead = j.Live, graveyard[K]{}
	m.Remove(j.Removed...)
	return nil
}

// AppendBinary appends the canonical binary form of m to b: equal states have equal bytes.
// Its error matches [ErrUnsupported] or is that of a value's own AppendBinary.
func (m *TombMap[K, V]) AppendBinary(b []byte) ([]byte, error) { return appendForm(b, m) }

// MarshalBinary returns the canonical binary form of m.
func (m *TombMap[K, V]) MarshalBinary() ([]byte, error) { return m.AppendBinary(nil) }

// UnmarshalBinary replaces m by what AppendBinary wrote, keeping nothing of b; its errors
// match [ErrMalformed] or [ErrUnsupported] and leave m as it was.
func (m *TombMap[K, V]) UnmarshalBinary(b []byte) error { return decodeTo(b, m.take) }

func (m *TombMap[K, V]) take(x *TombMap[K, V]) { m.live.m, m.dead = x.live.m, x.dead }

func (m *TombMap[K, V]) shape(dst []byte) ([]byte, error) {
	return shapes(append(dst, kindTombMap), shapeOfElement[K], shapeOf[V])
}

func (m *TombMap[K, V]) put(dst []byte) ([]byte, error) {
	var dead graveyard[K]
	if m != nil {
		dead = m.dead
	}
	return m.values().put(dead.put(dst))
}

func (m *TombMap[K, V]) get(r *wire.Reader) *TombMap[K, V] {
	x := &TombMap[K, V]{dead: getGraveyard[K](r)}
	x.live.m = x.live.get(r).m
	x.checkGraves(r)
	return x
}

func (m *TombMap[K, V]) checkGraves(r *wire.Reader) {
	for k := range m.live.m {
		if r.Err() == nil && m.dead.has(k) {
			r.Fail("a removed key has a value")
		}
	}
}
