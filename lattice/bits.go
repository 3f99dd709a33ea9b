package lattice

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"math/bits"
	"slices"

	"github.com/go-calm/calm/internal/wire"
)

// Bits is a set of small numbers, one bit each; the join is "or", 64 numbers at a time.
//
// The zero value and nil are the empty set; a nil one answers all reads but cannot be added
// to. A Bits takes memory for all numbers up to its greatest: for large and sparse ones use
// [IntSet]. It must not be copied, nor written to while others use it. Adding and asking take
// constant time, merging that of the argument.
type Bits struct {
	_     noCopy
	words []uint64 // the last one is not 0
}

// BitsOf returns a new set of the given numbers.
func BitsOf(is ...uint) *Bits {
	b := &Bits{}
	b.Add(is...)
	return b
}

// Add puts numbers in and reports whether any of them is new.
func (b *Bits) Add(is ...uint) (grew bool) {
	for _, i := range is {
		w, bit := i/64, uint64(1)<<(i%64)
		if w >= uint(len(b.words)) {
			b.words = append(b.words, make([]uint64, w+1-uint(len(b.words)))...)
		}
		grew = grew || b.words[w]&bit == 0
		b.words[w] |= bit
	}
	return grew
}

// Has reports whether i is in the set. True is a monotone read, it stays; false is a snapshot.
func (b *Bits) Has(i uint) bool {
	return b != nil && i/64 < uint(len(b.words)) && b.words[i/64]>>(i%64)&1 == 1
}

// Len returns how many numbers there are, a snapshot read; that there are at least so many is
// monotone. It takes the time to count all bits.
func (b *Bits) Len() int {
	n := 0
	for _, w := range b.all() {
		n += bits.OnesCount64(w)
	}
	return n
}

func (b *Bits) all() []uint64 {
	if b == nil {
		return nil
	}
	return b.words
}

// All yields the numbers, ascending. Each stays in, a monotone read; that there are no others
// is a snapshot.
func (b *Bits) All() iter.Seq[uint] {
	return func(yield func(uint) bool) {
		for i, w := range b.all() {
			for ; w != 0; w &= w - 1 {
				if !yield(uint(i)*64 + uint(bits.TrailingZeros64(w))) {
					return
				}
			}
		}
	}
}

// Clone returns a copy that shares nothing with b.
func (b *Bits) Clone() *Bits { return &Bits{words: slices.Clone(b.all())} }

// Merge puts all of o in and reports whether any of it is new. It keeps nothing of o.
func (b *Bits) Merge(o *Bits) (grew bool) {
	from := o.all()
	if n := len(from) - len(b.words); n > 0 {
		b.words = append(b.words, make([]uint64, n)...)
	}
	return orWords(b.words, from)
}

// orWords puts all bits of from into the words of into, which has as many or more, and reports
// whether any of them is new. Mostly none is: so it looks at eight words, and writes to them
// only if it has to.
func orWords(into, from []uint64) (grew bool) {
	into = into[:len(from)]
	i := 0
	for ; i+8 <= len(from); i += 8 {
		x, y := (*[8]uint64)(into[i:]), (*[8]uint64)(from[i:])
		if y[0]&^x[0] != 0 || y[1]&^x[1] != 0 || y[2]&^x[2] != 0 || y[3]&^x[3] != 0 ||
			y[4]&^x[4] != 0 || y[5]&^x[5] != 0 || y[6]&^x[6] != 0 || y[7]&^x[7] != 0 {
			x[0], x[1], x[2], x[3] = x[0]|y[0], x[1]|y[1], x[2]|y[2], x[3]|y[3]
			x[4], x[5], x[6], x[7] = x[4]|y[4], x[5]|y[5], x[6]|y[6], x[7]|y[7]
			grew = true
		}
	}
	for ; i < len(from); i++ {
		grew = grew || from[i]&^into[i] != 0
		into[i] |= from[i]
	}
	return grew
}

// Join is Merge in the form that [Lattice] asks for: it returns b, or a new set for nil.
func (b *Bits) Join(o *Bits) (*Bits, bool) {
	if len(o.all()) == 0 {
		return b, false
	}
	if b == nil {
		return o.Clone(), true
	}
	return b, b.Merge(o)
}

// LessEq reports whether all of b is in o.
func (b *Bits) LessEq(o *Bits) bool {
	words, in := b.all(), o.all()
	if len(words) > len(in) {
		return false
	}
	for i, w := range words {
		if w&^in[i] != 0 {
			return false
		}
	}
	return true
}

// Delta returns what b has and have lacks, as a new set.
func (b *Bits) Delta(have *Bits) *Bits {
	d := b.Clone()
	for i, w := range have.all() {
		if i == len(d.words) {
			break
		}
		d.words[i] &^= w
	}
	for len(d.words) > 0 && d.words[len(d.words)-1] == 0 {
		d.words = d.words[:len(d.words)-1]
	}
	return d
}

// Decompose yields a set of one number for each number.
func (b *Bits) Decompose() iter.Seq[*Bits] {
	return func(yield func(*Bits) bool) {
		for i := range b.All() {
			if !yield(BitsOf(i)) {
				return
			}
		}
	}
}

// String returns the numbers, as {1, 2, 3}.
func (b *Bits) String() string { return braced(slices.Collect(b.All())) }

// LogValue returns how many numbers there are.
func (b *Bits) LogValue() slog.Value { return slog.GroupValue(slog.Int("len", b.Len())) }

// MarshalJSON returns an array of the numbers.
func (b *Bits) MarshalJSON() ([]byte, error) {
	return json.Marshal(slices.AppendSeq([]uint{}, b.All()))
}

// UnmarshalJSON replaces b by what MarshalJSON wrote. It refuses few numbers that are large, which would
// take memory out of proportion: the binary form holds those.
func (b *Bits) UnmarshalJSON(j []byte) error {
	var is []uint
	if err := json.Unmarshal(j, &is); err != nil {
		return err
	}
	// Each of the first 256 numbers stands for 32 kB, and each more for 128 bytes. It is the numbers that
	// count and not how they are written, so that what is read can be read again once written.
	slices.Sort(is)
	is = slices.Compact(is)
	if n := len(is); n > 0 && is[n-1]/64 >= uint(4096*min(n, 256)+16*n) {
		return fmt.Errorf("lattice: %w: %d among %d bits; use the binary form", ErrMalformed, is[n-1], n)
	}
	b.words = nil
	b.Add(is...)
	return nil
}

// AppendBinary appends the canonical binary form of b to dst: equal states have equal bytes.
func (b *Bits) AppendBinary(dst []byte) ([]byte, error) { return appendForm(dst, b) }

// MarshalBinary returns the canonical binary form of b.
func (b *Bits) MarshalBinary() ([]byte, error) { return b.AppendBinary(nil) }

// UnmarshalBinary replaces b by what AppendBinary wrote, keeping nothing of data; its errors
// match [ErrMalformed] and leave b as it was.
func (b *Bits) UnmarshalBinary(data []byte) error { return decodeTo(data, b.take) }

func (b *Bits) take(x *Bits) { b.words = x.words }

func (b *Bits) shape(dst []byte) ([]byte, error) { return append(dst, kindBits), nil }

func (b *Bits) put(dst []byte) ([]byte, error) {
	dst = appendCount(dst, len(b.all()))
	for _, w := range b.all() {
		dst = binary.BigEndian.AppendUint64(dst, w)
	}
	return dst, nil
}

func (b *Bits) get(r *wire.Reader) *Bits {
	x := &Bits{}
	if n := r.Count(8); n > 0 {
		x.words = make([]uint64, n)
		for i := range x.words {
			x.words[i] = r.Uint64()
		}
		if x.words[n-1] == 0 {
			r.Fail("the last word is 0")
		}
	}
	return x
}
