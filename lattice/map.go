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

// Map gives each key a value that only grows; the join joins the values key by key.
//
// A key that is absent has bottom, and a value that is bottom is not kept: the two are the
// same state. The zero value and nil are the empty map; a nil one answers all reads but cannot
// be put to. A key that is not equal to itself (NaN) cannot be found again and is left out.
// A Map must not be copied, nor written to while others use it; reads alone may be concurrent.
// Reading and putting take the time of a Go map, merging that of the argument, whatever the
// size of the receiver; merging into keys that are there allocates nothing beyond what the
// values do. [MaxMap] is faster where keys are integers and values Max.
type Map[K comparable, V Lattice[V]] struct {
	_ noCopy
	m map[K]V
}

// Entry is a key and its value: maps take deltas as slices of these, which are walked faster
// than maps are.
type Entry[K, V any] struct {
	Key   K
	Value V
}

// Put joins v to the value of k and reports whether that grew. It keeps nothing of v.
func (m *Map[K, V]) Put(k K, v V) (grew bool) {
	if k != k {
		return false
	}
	joined, grew := m.m[k].Join(v)
	if grew {
		if m.m == nil {
			m.m = make(map[K]V)
		}
		m.m[k] = joined
	}
	return grew
}

// Get returns the value of k, bottom if there is none. A value that is a pointer is the one
// in the map: read it only, and grow it by Put. It is a snapshot read; that it is at least
// some value is monotone.
func (m *Map[K, V]) Get(k K) V {
	if m == nil {
		var bottom V
		return bottom
	}
	return m.m[k]
}

// Has reports whether k has a value above bottom. True is a monotone read, it stays; false is
// a snapshot.
func (m *Map[K, V]) Has(k K) bool {
	if m == nil {
		return false
	}
	_, ok := m.m[k]
	return ok
}

// Len returns how many keys have a value above bottom, a snapshot read; that there are at
// least so many is monotone.
func (m *Map[K, V]) Len() int {
	if m == nil {
		return 0
	}
	return len(m.m)
}

// All yields the keys and values in no particular order; the values are to be read only, as
// with Get. As with a Go map, what is put meanwhile may or may not be seen. It is
// a snapshot read; that there is such a key, with such a value or more, is monotone.
func (m *Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		if m == nil {
			return
		}
		for k, v := range m.m {
			if !yield(k, v) {
				return
			}
		}
	}
}

// SortedKeys returns the keys as a new slice, in the order of [Set.Sorted]. It is a snapshot read.
func (m *Map[K, V]) SortedKeys() []K { return sorted(m.keys()) }

func (m *Map[K, V]) keys() []K {
	keys := make([]K, 0, m.Len())
	for k := range m.All() {
		keys = append(keys, k)
	}
	return keys
}

// Grow makes room for n more keys.
func (m *Map[K, V]) Grow(n int) {
	bigger := make(map[K]V, len(m.m)+n)
	maps.Copy(bigger, m.m)
	m.m = bigger
}

// Clone returns a copy that shares no changeable memory with m.
func (m *Map[K, V]) Clone() *Map[K, V] {
	c := &Map[K, V]{}
	c.Merge(m)
	return c
}

// Merge joins all of o and reports whether anything grew. It keeps nothing of o.
func (m *Map[K, V]) Merge(o *Map[K, V]) (grew bool) {
	if o.Len() == 0 || m == o {
		return false
	}
	if m.m == nil {
		m.m = make(map[K]V, len(o.m))
	}
	// Walking one map and looking up in another at once, a processor waits for memory twice an
	// entry; in turns of a few entries, it waits for many at a time.
	var batch [16]Entry[K, V]
	n := 0
	for k, v := range o.m {
		batch[n] = Entry[K, V]{k, v}
		if n++; n == len(batch) {
			grew = m.MergeEntries(batch[:]) || grew
			n = 0
		}
	}
	return m.MergeEntries(batch[:n]) || grew
}

// MergeEntries puts all of the entries and reports whether anything grew. A key may be among
// them more than once. It keeps nothing of them.
func (m *Map[K, V]) MergeEntries(entries []Entry[K, V]) (grew bool) {
	for i := range entries {
		if m.Put(entries[i].Key, entries[i].Value) {
			grew = true
		}
	}
	return grew
}

// Join is Merge in the form that [Lattice] asks for: it returns m, or a new map for nil.
func (m *Map[K, V]) Join(o *Map[K, V]) (*Map[K, V], bool) {
	if o.Len() == 0 {
		return m, false
	}
	if m == nil {
		m = &Map[K, V]{}
	}
	return m, m.Merge(o)
}

// LessEq reports whether each value of m is below or equal to o's of the same key.
func (m *Map[K, V]) LessEq(o *Map[K, V]) bool {
	if m.Len() > o.Len() {
		return false
	}
	for k, v := range m.All() {
		if !v.LessEq(o.Get(k)) {
			return false
		}
	}
	return true
}

// Delta returns what m has and have lacks, key by key, as a new map.
func (m *Map[K, V]) Delta(have *Map[K, V]) *Map[K, V] {
	d := &Map[K, V]{}
	for k, v := range m.All() {
		if part := Delta(have.Get(k), v); !IsBottom(part) {
			if d.m == nil {
				d.m = make(map[K]V)
			}
			d.m[k] = part
		}
	}
	return d
}

// Decompose yields a map of one key for each part of each value.
func (m *Map[K, V]) Decompose() iter.Seq[*Map[K, V]] {
	return func(yield func(*Map[K, V]) bool) {
		for k, v := range m.All() {
			for part := range Decompose(v) {
				if !yield(&Map[K, V]{m: map[K]V{k: part}}) {
					return
				}
			}
		}
	}
}

// String returns the keys in order with their values, as {a: 1, b: 2}.
func (m *Map[K, V]) String() string {
	var b strings.Builder
	for i, k := range m.SortedKeys() {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%v: %v", k, m.m[k])
	}
	return "{" + b.String() + "}"
}

// LogValue returns the number of keys.
func (m *Map[K, V]) LogValue() slog.Value { return slog.GroupValue(slog.Int("len", m.Len())) }

// MarshalJSON returns an object. The keys are to be strings, integers or have MarshalText,
// and the values to have a JSON form, as encoding/json asks.
func (m *Map[K, V]) MarshalJSON() ([]byte, error) {
	if m.Len() == 0 {
		return []byte("{}"), nil
	}
	return json.Marshal(m.m)
}

// UnmarshalJSON replaces m by what MarshalJSON wrote.
func (m *Map[K, V]) UnmarshalJSON(b []byte) error {
	var raw map[K]V
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	maps.DeleteFunc(raw, func(k K, v V) bool { return k != k || IsBottom(v) })
	m.m = raw
	return nil
}

// AppendBinary appends the canonical binary form of m to b: equal maps have equal bytes.
// Its error matches [ErrUnsupported] or is that of a value's own AppendBinary.
func (m *Map[K, V]) AppendBinary(b []byte) ([]byte, error) { return appendForm(b, m) }

// MarshalBinary returns the canonical binary form of m.
func (m *Map[K, V]) MarshalBinary() ([]byte, error) { return m.AppendBinary(nil) }

// UnmarshalBinary replaces m by what AppendBinary wrote, keeping nothing of b; its errors
// match [ErrMalformed] or [ErrUnsupported], and leave m as it was.
func (m *Map[K, V]) UnmarshalBinary(b []byte) error { return decodeTo(b, m.take) }

func (m *Map[K, V]) take(x *Map[K, V]) { m.m = x.m }

func (m *Map[K, V]) shape(dst []byte) ([]byte, error) {
	return shapes(append(dst, kindMap), shapeOfElement[K], shapeOf[V])
}

func (m *Map[K, V]) put(dst []byte) ([]byte, error) {
	keys, values := element[K](), valuesOf[V]()
	all := m.keys()
	slices.SortFunc(all, keys.Compare)
	dst = appendCount(dst, len(all))
	for _, k := range all {
		var err error
		if dst, err = values.put(keys.Put(dst, k), m.m[k]); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func (m *Map[K, V]) get(r *wire.Reader) *Map[K, V] {
	keys, values := element[K](), valuesOf[V]()
	x := &Map[K, V]{}
	n := r.Count(2)
	if n > 0 {
		x.m = make(map[K]V, n)
	}
	var last K
	for i := range n {
		k := keys.Get(r)
		if r.Err() == nil && i > 0 && keys.Compare(last, k) >= 0 {
			r.Fail("keys are not ascending")
		}
		v := values.get(r)
		if r.Err() == nil && IsBottom(v) {
			r.Fail("bottom is kept")
		}
		if r.Err() != nil {
			break
		}
		x.m[k] = v
		last = k
	}
	return x
}
