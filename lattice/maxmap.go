package lattice

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"

	"github.com/go-calm/calm/internal/wire"
)

// MaxMap gives each integer key the greatest value put under it: a Map[K, Max[T]] in a flat
// table, several times faster to merge and, where T holds no pointers, nothing for the garbage
// collector to look at.
//
// As in a Map, a key that is absent has bottom, the least value of T (see [Max]), and one put
// with just that value stays absent. The zero value and nil are empty; a nil one answers all
// reads but cannot be put to. A MaxMap must not be copied, nor written to while others use it;
// reads alone may be concurrent. Reading and putting take constant time on average, merging
// that of the argument's table.
type MaxMap[K Integer, T cmp.Ordered] struct {
	_     noCopy
	slots []slot[K, T] // none, or a power of two of them, at most three quarters full
	place place
	n     int
}

// slot is empty if its value is bottom, which is never kept.
type slot[K Integer, T cmp.Ordered] struct {
	k K
	v Max[T]
}

func (s *slot[K, T]) empty() bool {
	var bottom T
	return s.v.v == bottom
}

// Put raises the value of k to v, if that is greater, and reports whether it was.
func (m *MaxMap[K, T]) Put(k K, v T) (grew bool) { return m.raise(k, Max[T]{store(v)}) }

func (m *MaxMap[K, T]) raise(k K, v Max[T]) (grew bool) {
	var bottom T
	if v.v == bottom {
		return false
	}
	if m.n >= len(m.slots)/4*3 {
		m.resize(slotsFor(m.n + 1))
	}
	mask := uint(len(m.slots) - 1)
	for i := m.place.of(uint64(k)); ; i++ {
		s := &m.slots[i&mask]
		if s.empty() {
			s.k, s.v = k, v
			m.n++
			return true
		}
		if s.k == k {
			if v.LessEq(s.v) {
				return false
			}
			s.v = v
			return true
		}
	}
}

// resize moves all entries to a new table.
func (m *MaxMap[K, T]) resize(slots int) {
	old := m.slots
	m.slots, m.place = make([]slot[K, T], slots), newPlace(slots)
	mask := uint(slots - 1)
	for j := range old {
		if s := &old[j]; !s.empty() {
			i := m.place.of(uint64(s.k))
			for !m.slots[i&mask].empty() {
				i++
			}
			m.slots[i&mask] = *s
		}
	}
}

// find returns the value of k, bottom if there is none.
func (m *MaxMap[K, T]) find(k K) (v Max[T]) {
	if m == nil || m.n == 0 {
		return v
	}
	mask := uint(len(m.slots) - 1)
	for i := m.place.of(uint64(k)); ; i++ {
		if s := &m.slots[i&mask]; s.k == k || s.empty() {
			return s.v
		}
	}
}

// Get returns the greatest value put under k, the zero T if there is none. It is a snapshot
// read.
func (m *MaxMap[K, T]) Get(k K) T { return m.find(k).Value() }

// Has reports whether a value above bottom was put under k. True is a monotone read, it
// stays; false is a snapshot.
func (m *MaxMap[K, T]) Has(k K) bool { return !IsBottom(m.find(k)) }

// AtLeast reports whether the value of k is v or greater. It is a monotone read: once true,
// it stays true whatever is merged.
func (m *MaxMap[K, T]) AtLeast(k K, v T) bool { return m.find(k).AtLeast(v) }

// Len returns how many keys there are, a snapshot read; that there are at least so many is
// monotone.
func (m *MaxMap[K, T]) Len() int {
	if m == nil {
		return 0
	}
	return m.n
}

// All yields the keys and values in no particular order. Nothing may be put meanwhile. It is a
// snapshot read; that there is such a key, with such a value or more, is monotone.
func (m *MaxMap[K, T]) All() iter.Seq2[K, T] {
	return func(yield func(K, T) bool) {
		if m == nil {
			return
		}
		for i := range m.slots {
			if s := &m.slots[i]; !s.empty() && !yield(s.k, s.v.Value()) {
				return
			}
		}
	}
}

// Entries returns the keys and values as a new slice, in ascending order of keys. It is a snapshot
// read.
func (m *MaxMap[K, T]) Entries() []Entry[K, T] {
	es := make([]Entry[K, T], 0, m.Len())
	for k, v := range m.All() {
		es = append(es, Entry[K, T]{k, v})
	}
	slices.SortFunc(es, func(a, b Entry[K, T]) int { return cmp.Compare(a.Key, b.Key) })
	return es
}

// Grow makes room for n more keys.
func (m *MaxMap[K, T]) Grow(n int) {
	if slots := slotsFor(m.n + n); slots > len(m.slots) {
		m.resize(slots)
	}
}

// Clone returns a copy that shares nothing with m.
func (m *MaxMap[K, T]) Clone() *MaxMap[K, T] {
	if m == nil {
		return &MaxMap[K, T]{}
	}
	return &MaxMap[K, T]{slots: slices.Clone(m.slots), place: m.place, n: m.n}
}

// Merge joins all of o and reports whether anything grew. It keeps nothing of o.
func (m *MaxMap[K, T]) Merge(o *MaxMap[K, T]) (grew bool) {
	if o.Len() == 0 || m == o {
		return false
	}
	if m.n == 0 {
		m.Grow(o.n)
	}
	// Which slots are empty is a coin toss, and a processor that guesses wrong starts over. So
	// each is taken along, and an empty one is overwritten by the next.
	var batch [ahead]slot[K, T]
	n := 0
	for i := range o.slots {
		s := &o.slots[i]
		if batch[n] = *s; !s.empty() {
			n++
		}
		if n == len(batch) {
			grew = m.raiseAll(batch[:]) || grew
			n = 0
		}
	}
	return m.raiseAll(batch[:n]) || grew
}

// MergeEntries puts all of the entries and reports whether anything grew. A key may be among
// them more than once.
func (m *MaxMap[K, T]) MergeEntries(entries []Entry[K, T]) (grew bool) {
	var batch [ahead]slot[K, T]
	for len(entries) > 0 {
		n := min(len(entries), ahead)
		for i, e := range entries[:n] {
			batch[i] = slot[K, T]{e.Key, Max[T]{store(e.Value)}}
		}
		grew = m.raiseAll(batch[:n]) || grew
		entries = entries[n:]
	}
	return grew
}

// raiseAll raises the values of at most so many keys as are looked up ahead.
func (m *MaxMap[K, T]) raiseAll(batch []slot[K, T]) (grew bool) {
	var at [ahead]uint
	var first [ahead]slot[K, T]
	if slots := m.slots; len(slots) > 0 {
		mask := uint(len(slots) - 1)
		for i := range batch {
			at[i%ahead] = m.place.of(uint64(batch[i].k)) & mask
		}
		for i, j := range at[:len(batch)] {
			first[i] = slots[j]
		}
	}
	for i := range batch {
		s, found := &batch[i], &first[i%ahead]
		if s.k == found.k && s.v.LessEq(found.v) {
			continue
		}
		if m.raise(s.k, s.v) {
			grew = true
		}
	}
	return grew
}

// Join is Merge in the form that [Lattice] asks for: it returns m, or a new map for nil.
func (m *MaxMap[K, T]) Join(o *MaxMap[K, T]) (*MaxMap[K, T], bool) {
	if o.Len() == 0 {
		return m, false
	}
	if m == nil {
		return o.Clone(), true
	}
	return m, m.Merge(o)
}

// LessEq reports whether each value of m is at most o's of the same key.
func (m *MaxMap[K, T]) LessEq(o *MaxMap[K, T]) bool {
	if m.Len() > o.Len() {
		return false
	}
	for k, v := range m.All() {
		if !o.AtLeast(k, v) {
			return false
		}
	}
	return true
}

// Delta returns what m has and have lacks, as a new map.
func (m *MaxMap[K, T]) Delta(have *MaxMap[K, T]) *MaxMap[K, T] {
	d := &MaxMap[K, T]{}
	for k, v := range m.All() {
		if !have.AtLeast(k, v) {
			d.Put(k, v)
		}
	}
	return d
}

// Decompose yields a map of one key for each key.
func (m *MaxMap[K, T]) Decompose() iter.Seq[*MaxMap[K, T]] {
	return func(yield func(*MaxMap[K, T]) bool) {
		for k, v := range m.All() {
			part := &MaxMap[K, T]{}
			part.Put(k, v)
			if !yield(part) {
				return
			}
		}
	}
}

// String returns the keys in order with their values, as {1: 5, 2: 3}.
func (m *MaxMap[K, T]) String() string {
	var b strings.Builder
	for i, e := range m.Entries() {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%v: %v", e.Key, e.Value)
	}
	return "{" + b.String() + "}"
}

// LogValue returns the number of keys.
func (m *MaxMap[K, T]) LogValue() slog.Value { return slog.GroupValue(slog.Int("len", m.Len())) }

// MarshalJSON returns an object of keys and values.
func (m *MaxMap[K, T]) MarshalJSON() ([]byte, error) {
	plain := make(map[K]T, m.n)
	for k, v := range m.All() {
		plain[k] = v
	}
	return json.Marshal(plain)
}

// UnmarshalJSON replaces m by what MarshalJSON wrote.
func (m *MaxMap[K, T]) UnmarshalJSON(b []byte) error {
	var plain map[K]T
	if err := json.Unmarshal(b, &plain); err != nil {
		return err
	}
	m.slots, m.n = nil, 0
	for k, v := range plain {
		m.Put(k, v)
	}
	return nil
}

// AppendBinary appends the canonical binary form of m to b: equal states have equal bytes.
// Its error matches [ErrUnsupported].
func (m *MaxMap[K, T]) AppendBinary(b []byte) ([]byte, error) { return appendForm(b, m) }

// MarshalBinary returns the canonical binary form of m.
func (m *MaxMap[K, T]) MarshalBinary() ([]byte, error) { return m.AppendBinary(nil) }

// UnmarshalBinary replaces m by what AppendBinary wrote, keeping nothing of b; its errors
// match [ErrMalformed] or [ErrUnsupported] and leave m as it was.
func (m *MaxMap[K, T]) UnmarshalBinary(b []byte) error { return decodeTo(b, m.take) }

func (m *MaxMap[K, T]) take(x *MaxMap[K, T]) { m.slots, m.place, m.n = x.slots, x.place, x.n }

func (m *MaxMap[K, T]) shape(dst []byte) ([]byte, error) {
	return shapes(append(dst, kindMaxMap), shapeOfElement[K], shapeOfElement[T])
}

func (m *MaxMap[K, T]) put(dst []byte) ([]byte, error) {
	keys, values := element[K](), element[T]()
	es := m.Entries()
	dst = appendCount(dst, len(es))
	for _, e := range es {
		dst = values.Put(keys.Put(dst, e.Key), e.Value)
	}
	return dst, nil
}

func (m *MaxMap[K, T]) get(r *wire.Reader) *MaxMap[K, T] {
	keys, values := element[K](), element[T]()
	x := &MaxMap[K, T]{}
	n := r.Count(2)
	if n > 0 {
		x.Grow(n)
	}
	var last K
	for i := range n {
		k, v := keys.Get(r), values.Get(r)
		if r.Err() == nil && i > 0 && k <= last {
			r.Fail("keys are not ascending")
		}
		if r.Err() == nil && !x.Put(k, v) {
			r.Fail("bottom is kept")
		}
		if r.Err() != nil {
			break
		}
		last = k
	}
	return x
}
