package lattice

import (
	"encoding/binary"
	"encoding/json"
	"iter"
	"log/slog"
	"math"
	"slices"

	"github.com/go-calm/calm/internal/wire"
)

// IntSet is a set of 64-bit numbers in a flat table: a Set[uint64] that is several times
// faster to merge and nothing for the garbage collector to look at. Hashes, ids and the like
// belong here; small dense numbers belong in [Bits].
//
// The zero value and nil are the empty set; a nil one answers all reads but cannot be added
// to. An IntSet must not be copied, nor written to while others use it; reads alone may be
// concurrent. Adding and asking take constant time on average, merging that of the argument's
// table. The binary form holds the gaps between the numbers: dense ones take a byte each.
type IntSet struct {
	_     noCopy
	slots []uint64 // 0 is an empty slot
	place place
	n     int
	zero  bool // 0 itself is in
}

// IntSetOf returns a new set of the given numbers.
func IntSetOf(ns ...uint64) *IntSet {
	s := &IntSet{}
	s.Add(ns...)
	return s
}

// Add puts numbers in and reports whether any of them is new.
func (s *IntSet) Add(ns ...uint64) (grew bool) {
	for _, n := range ns {
		if s.add(n) {
			grew = true
		}
	}
	return grew
}

func (s *IntSet) add(n uint64) (grew bool) {
	if n == 0 {
		grew = !s.zero
		s.zero = true
		return grew
	}
	if s.n >= len(s.slots)/4*3 {
		s.resize(slotsFor(s.n + 1))
	}
	mask := uint(len(s.slots) - 1)
	for i := s.place.of(n); ; i++ {
		switch at := &s.slots[i&mask]; *at {
		case n:
			return false
		case 0:
			*at = n
			s.n++
			return true
		}
	}
}

func (s *IntSet) resize(slots int) {
	old := s.slots
	s.slots, s.place = make([]uint64, slots), newPlace(slots)
	mask := uint(slots - 1)
	for _, n := range old {
		if n != 0 {
			i := s.place.of(n)
			for s.slots[i&mask] != 0 {
				i++
			}
			s.slots[i&mask] = n
		}
	}
}

// Has reports whether n is in the set. True is a monotone read, it stays; false is a snapshot.
func (s *IntSet) Has(n uint64) bool {
	if s == nil || len(s.slots) == 0 || n == 0 {
		return s != nil && s.zero && n == 0
	}
	mask := uint(len(s.slots) - 1)
	for i := s.place.of(n); ; i++ {
		switch s.slots[i&mask] {
		case n:
			return true
		case 0:
			return false
		}
	}
}

// Len returns how many numbers there are, a snapshot read; that there are at least so many is
// monotone.
func (s *IntSet) Len() int {
	if s == nil {
		return 0
	}
	if s.zero {
		return s.n + 1
	}
	return s.n
}

// All yields the numbers in no particular order. Nothing may be added meanwhile. Each stays in,
// a monotone read; that there are no others is a snapshot.
func (s *IntSet) All() iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		if s == nil || s.zero && !yield(0) {
			return
		}
		for _, n := range s.slots {
			if n != 0 && !yield(n) {
				return
			}
		}
	}
}

// Sorted returns the numbers as a new slice, ascending. It is a snapshot read.
func (s *IntSet) Sorted() []uint64 {
	all := slices.AppendSeq(make([]uint64, 0, s.Len()), s.All())
	slices.Sort(all)
	return all
}

// Grow makes room for n more numbers.
func (s *IntSet) Grow(n int) {
	if slots := slotsFor(s.n + n); slots > len(s.slots) {
		s.resize(slots)
	}
}

// Clone returns a copy that shares nothing with s.
func (s *IntSet) Clone() *IntSet {
	if s == nil {
		return &IntSet{}
	}
	return &IntSet{slots: slices.Clone(s.slots), place: s.place, n: s.n, zero: s.zero}
}

// Merge puts all of o in and reports whether any of it is new. It keeps nothing of o.
func (s *IntSet) Merge(o *IntSet) (grew bool) {
	if o.Len() == 0 || s == o {
		return false
	}
	if s.n == 0 {
		s.Grow(o.n)
	}
	if o.zero {
		grew = s.add(0)
	}
	var batch [ahead]uint64 // see [MaxMap.Merge]
	k := 0
	for _, n := range o.slots {
		if batch[k] = n; n != 0 {
			k++
		}
		if k == len(batch) {
			grew = s.addAll(batch[:]) || grew
			k = 0
		}
	}
	return s.addAll(batch[:k]) || grew
}

// addAll adds at most so many numbers, none of them 0, as are looked up ahead.
func (s *IntSet) addAll(batch []uint64) (grew bool) {
	var at [ahead]uint
	var first [ahead]uint64
	if slots := s.slots; len(slots) > 0 {
		mask := uint(len(slots) - 1)
		for i, n := range batch {
			at[i%ahead] = s.place.of(n) & mask
		}
		for i, j := range at[:len(batch)] {
			first[i] = slots[j]
		}
	}
	for i, n := range batch {
		if n != first[i%ahead] && s.add(n) {
			grew = true
		}
	}
	return grew
}

// Join is Merge in the form that [Lattice] asks for: it returns s, or a new set for nil.
func (s *IntSet) Join(o *IntSet) (*IntSet, bool) {
	if o.Len() == 0 {
		return s, false
	}
	if s == nil {
		return o.Clone(), true
	}
	return s, s.Merge(o)
}

// LessEq reports whether all of s is in o.
func (s *IntSet) LessEq(o *IntSet) bool {
	if s.Len() > o.Len() {
		return false
	}
	for n := range s.All() {
		if !o.Has(n) {
			return false
		}
	}
	return true
}

// Delta returns what s has and have lacks, as a new set.
func (s *IntSet) Delta(have *IntSet) *IntSet {
	d := &IntSet{}
	for n := range s.All() {
		if !have.Has(n) {
			d.add(n)
		}
	}
	return d
}

// Decompose yields a set of one number for each number.
func (s *IntSet) Decompose() iter.Seq[*IntSet] {
	return func(yield func(*IntSet) bool) {
		for n := range s.All() {
			if !yield(IntSetOf(n)) {
				return
			}
		}
	}
}

// String returns the numbers in order, as {1, 2, 3}.
func (s *IntSet) String() string { return braced(s.Sorted()) }

// LogValue returns how many numbers there are.
func (s *IntSet) LogValue() slog.Value { return slog.GroupValue(slog.Int("len", s.Len())) }

// MarshalJSON returns the numbers as an array, ascending.
func (s *IntSet) MarshalJSON() ([]byte, error) { return json.Marshal(s.Sorted()) }

// UnmarshalJSON replaces s by what MarshalJSON wrote.
func (s *IntSet) UnmarshalJSON(b []byte) error {
	var ns []uint64
	if err := json.Unmarshal(b, &ns); err != nil {
		return err
	}
	s.slots, s.n, s.zero = nil, 0, false
	s.Add(ns...)
	return nil
}

// AppendBinary appends the canonical binary form of s to b: equal states have equal bytes.
func (s *IntSet) AppendBinary(b []byte) ([]byte, error) { return appendForm(b, s) }

// MarshalBinary returns the canonical binary form of s.
func (s *IntSet) MarshalBinary() ([]byte, error) { return s.AppendBinary(nil) }

// UnmarshalBinary replaces s by what AppendBinary wrote, keeping nothing of b; its errors
// match [ErrMalformed] and leave s as it was.
func (s *IntSet) UnmarshalBinary(b []byte) error { return decodeTo(b, s.take) }

func (s *IntSet) take(x *IntSet) { s.slots, s.place, s.n, s.zero = x.slots, x.place, x.n, x.zero }

func (s *IntSet) shape(dst []byte) ([]byte, error) { return append(dst, kindIntSet), nil }

// put appends how many numbers there are, the first one, and of each other one how many
// numbers lie between it and the one before.
func (s *IntSet) put(dst []byte) ([]byte, error) {
	dst = appendCount(dst, s.Len())
	var next uint64
	for _, n := range s.Sorted() {
		dst = binary.AppendUvarint(dst, n-next)
		next = n + 1
	}
	return dst, nil
}

func (s *IntSet) get(r *wire.Reader) *IntSet {
	x := &IntSet{}
	n := r.Count(1)
	if n > 0 {
		x.Grow(n)
	}
	var next uint64
	for i := range n {
		gap := r.Uvarint()
		if i > 0 && next == 0 || gap > math.MaxUint64-next {
			r.Fail("a number exceeds 64 bits")
		}
		if r.Err() != nil {
			break
		}
		x.add(next + gap)
		next += gap + 1
	}
	return x
}
