package clock

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"

	"github.com/go-calm/calm/internal/wire"
)

// Siblings holds the values of one key that were written without knowledge of each other,
// and the causal past that lets later writes replace them: a dotted version vector set.
// Its size is that of the values and of one counter for each node that coordinates writes,
// not for each client; and unlike version vectors with client writes, two writes through
// one node that did not know of each other are kept apart.
//
// A client reads [Siblings.Values] and [Siblings.Context], and hands the context back with
// what it writes.
//
// The zero value holds nothing, ready to use. Reads may run concurrently; a change needs
// the set for itself. An assignment is no copy: use [Siblings.Clone].
//
// Source: Preguiça, Baquero, Almeida, Fonte & Gonçalves, "Brief Announcement: Efficient
// Causality Tracking in Distributed Storage Systems with Dotted Version Vectors" (PODC
// 2012); Almeida et al., "Scalable and Accurate Causality Tracking for Eventually
// Consistent Stores" (2014).
type Siblings[ID cmp.Ordered, V any] struct {
	entries []sibling[ID, V] // ascending by node
}

// sibling is the n events known of one node. The values are those of the last len(values)
// of them, the newest first; the values of those before were replaced.
type sibling[ID cmp.Ordered, V any] struct {
	node   ID
	n      uint64
	values []V
}

func (s *Siblings[ID, V]) find(id ID) (int, bool) {
	return slices.BinarySearchFunc(s.entries, id, func(e sibling[ID, V], id ID) int { return cmp.Compare(e.node, id) })
}

// Put writes a value through a node: it replaces the values that seen counts and stands
// beside the others. seen is the context the writer has read, the empty vector if it has
// read nothing. Only the node itself may call it with its id. It returns the write's dot.
func (s *Siblings[ID, V]) Put(seen Vector[ID], node ID, v V) Dot[ID] {
	s.Discard(seen)
	i, ok := s.find(node)
	if !ok {
		s.entries = slices.Insert(s.entries, i, sibling[ID, V]{node: node})
	}
	e := &s.entries[i]
	e.n++
	e.values = slices.Insert(e.values, 0, v)
	return Dot[ID]{node, e.n}
}

// Discard drops the values that seen counts and remembers that they were there: a deletion
// by someone who has read them. It reports whether anything changed.
func (s *Siblings[ID, V]) Discard(seen Vector[ID]) bool {
	changed := false
	for id, n := range seen.All() {
		i, ok := s.find(id)
		if !ok {
			s.entries = slices.Insert(s.entries, i, sibling[ID, V]{node: id})
		}
		if s.entries[i].replace(n) {
			changed = true
		}
	}
	return changed
}

// replace drops the values of events up to n.
func (e *sibling[ID, V]) replace(n uint64) bool {
	if n > e.n {
		e.n, e.values = n, nil
		return true
	}
	keep := e.n - n
	if keep >= uint64(len(e.values)) {
		return false
	}
	clear(e.values[keep:])
	e.values = e.values[:keep]
	return true
}

// Merge takes in what another replica of the key holds: values that one of the two has
// replaced go, all others stay. It reports whether s changed and keeps nothing of o but the
// values.
func (s *Siblings[ID, V]) Merge(o Siblings[ID, V]) bool {
	changed := false
	for _, e := range o.entries {
		i, ok := s.find(e.node)
		if !ok {
			e.values = slices.Clone(e.values)
			s.entries = slices.Insert(s.entries, i, e)
			changed = true
			continue
		}
		if s.entries[i].merge(e) {
			changed = true
		}
	}
	return changed
}

func (e *sibling[ID, V]) merge(o sibling[ID, V]) bool {
	// Each side has replaced what lies below its values; what is left is the longer
	// history's values above both bases.
	base := max(e.n-uint64(len(e.values)), o.n-uint64(len(o.values)))
	if o.n <= e.n {
		return e.replace(min(base, e.n))
	}
	e.n = o.n
	e.values = slices.Clone(o.values[:o.n-min(base, o.n)])
	return true
}

// Compare returns how the knowledge of s relates to that of o: [Before] if o knows of all
// writes and replacements that s knows of, and more.
func (s *Siblings[ID, V]) Compare(o Siblings[ID, V]) Order {
	var ord Order
	i, j := 0, 0
	for i < len(s.entries) || j < len(o.entries) {
		var a, b sibling[ID, V]
		c := 1
		if i < len(s.entries) {
			c = -1
			if j < len(o.entries) {
				c = cmp.Compare(s.entries[i].node, o.entries[j].node)
			}
		}
		if c <= 0 {
			a = s.entries[i]
			i++
		}
		if c >= 0 {
			b = o.entries[j]
			j++
		}
		ord |= compareCount(a.n, b.n) | compareCount(a.n-uint64(len(a.values)), b.n-uint64(len(b.values)))
	}
	return ord
}

// Values iterates over the concurrent values, with the dots of their writes: by node, the
// newest of each first. The set must not be changed meanwhile.
func (s *Siblings[ID, V]) Values() iter.Seq2[Dot[ID], V] {
	return func(yield func(Dot[ID], V) bool) {
		for _, e := range s.entries {
			for k, v := range e.values {
				if !yield(Dot[ID]{e.node, e.n - uint64(k)}, v) {
					return
				}
			}
		}
	}
}

// Len returns how many concurrent values there are.
func (s *Siblings[ID, V]) Len() int {
	n := 0
	for _, e := range s.entries {
		n += len(e.values)
	}
	return n
}

// Context returns what a reader of the values has seen.
func (s *Siblings[ID, V]) Context() Vector[ID] {
	var v Vector[ID]
	for _, e := range s.entries {
		if e.n > 0 {
			v.ids, v.n = append(v.ids, e.node), append(v.n, e.n)
		}
	}
	return v
}

// Reconcile replaces all values by one, written through a node, that pick makes of them.
// It does nothing if there are fewer than two.
func (s *Siblings[ID, V]) Reconcile(node ID, pick func(values iter.Seq2[Dot[ID], V]) V) {
	if s.Len() > 1 {
		s.Put(s.Context(), node, pick(s.Values()))
	}
}

// Clone returns a copy; the values are copied by assignment.
func (s *Siblings[ID, V]) Clone() Siblings[ID, V] {
	c := Siblings[ID, V]{slices.Clone(s.entries)}
	for i := range c.entries {
		c.entries[i].values = slices.Clone(c.entries[i].values)
	}
	return c
}

// Append appends the binary form, with each value as appendValue writes it: a version byte,
// the number of nodes, and for each, ascending, its id, its counter, the number of its
// values, and these, each behind its length. Equal sets have equal bytes if equal values
// have. Its errors are those of appendValue, and for counters above 2⁶³-1.
func (s *Siblings[ID, V]) Append(dst []byte, appendValue func([]byte, V) ([]byte, error)) ([]byte, error) {
	start := len(dst)
	dst = binary.AppendUvarint(append(dst, version), uint64(len(s.entries)))
	var buf []byte
	for _, e := range s.entries {
		if e.n > maxCount {
			return dst[:start], errCount("siblings", e.node, e.n)
		}
		dst = binary.AppendUvarint(appendID(dst, e.node), e.n)
		dst = binary.AppendUvarint(dst, uint64(len(e.values)))
		for _, v := range e.values {
			var err error
			if buf, err = appendValue(buf[:0], v); err != nil {
				return dst[:start], fmt.Errorf("clock: siblings: %w", err)
			}
			dst = wire.AppendBytes(dst, buf)
		}
	}
	return dst, nil
}

// ParseSiblings reads what [Siblings.Append] wrote. parseValue may keep nothing of its
// argument; its errors, and all others, match [ErrMalformed].
func ParseSiblings[ID cmp.Ordered, V any](b []byte, parseValue func([]byte) (V, error)) (Siblings[ID, V], error) {
	var s Siblings[ID, V]
	r := wire.NewReader(b)
	readVersion(&r)
	for range r.Count(idSize[ID]() + 2) {
		id := readID[ID](&r)
		e := sibling[ID, V]{node: id, n: readCount(&r)}
		if k := len(s.entries); k > 0 && cmp.Compare(s.entries[k-1].node, id) >= 0 {
			r.Fail("node ids not ascending")
		}
		count := r.Count(1)
		if uint64(count) > e.n {
			r.Fail("%d values of %d events", count, e.n)
		}
		for range count {
			p := r.Bytes()
			if r.Err() != nil {
				break
			}
			v, err := parseValue(p)
			if err != nil {
				r.Fail("value: %v", err)
				break
			}
			e.values = append(e.values, v)
		}
		if r.Err() != nil {
			break
		}
		s.entries = append(s.entries, e)
	}
	if err := r.Done(); err != nil {
		return Siblings[ID, V]{}, fmt.Errorf("clock: siblings: %w", err)
	}
	return s, nil
}
