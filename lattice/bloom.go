package lattice

import (
	"encoding/binary"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"math/bits"
	"slices"

	"github.com/go-calm/calm/internal/wire"
)

// Bloom is a set that may take a stranger for a member but never a member for a stranger, in
// about ten bits an element for an error of 1 %. The join is exact: joined filters are the
// filter of all elements of both.
//
// Its number of bits and of hashes are part of the state. Merge refuses a filter of others;
// Join, which has no room for an error, then gives the top, a filter that takes everyone for
// a member: useless, but never wrong. The zero value and nil are bottom, without parameters:
// what is added to it goes into a filter for [DefaultBloomElements] at
// [DefaultBloomError]. A nil one answers all reads but cannot be added to. A Bloom must not be
// copied, nor written to while others use it. Adding and asking take time for each hash,
// merging that of the bits.
//
// It is that of Bloom (CACM 13, 1970), with the positions of Kirsch and Mitzenmacher ("Less
// hashing, same performance", 2008).
type Bloom struct {
	_     noCopy
	k     uint8    // how many bits an element sets; 0: no parameters yet
	full  bool     // the top; then there is nothing else
	words []uint64 // the bits
}

// What a [Bloom] is made for that was given no parameters.
const (
	DefaultBloomElements = 10_000
	DefaultBloomError    = 0.01
)

const (
	maxBloomHashes = 64
	maxBloomWords  = math.MaxInt32 / 8
)

// NewBloom returns an empty filter that, with as many elements as given, takes a stranger for
// a member in the given part of cases: its rate of false positives. It panics unless elements ≥ 1 and 0 < part < 1.
func NewBloom(elements int, part float64) *Bloom {
	if elements < 1 || !(part > 0 && part < 1) {
		panic(fmt.Sprintf("lattice: no Bloom filter of %d elements and an error of %v", elements, part))
	}
	perElement := -math.Log(part) / (math.Ln2 * math.Ln2)
	words := min(math.Ceil(float64(elements)*perElement/64), maxBloomWords)
	k := min(max(math.Round(words*64/float64(elements)*math.Ln2), 1), maxBloomHashes)
	return &Bloom{k: uint8(k), words: make([]uint64, int(words))}
}

// Add puts an element in and reports whether the filter changed.
func (b *Bloom) Add(element []byte) (grew bool) { return b.AddHash(hashBytes(element)) }

// AddString is Add for a string.
func (b *Bloom) AddString(element string) (grew bool) { return b.AddHash(hashString(element)) }

// AddUint64 is Add for a number.
func (b *Bloom) AddUint64(element uint64) (grew bool) { return b.AddHash(hashUint64(element)) }

// AddHash puts an element in by its hash, of which all bits are to be evenly distributed. All
// filters that are ever merged must hash alike.
func (b *Bloom) AddHash(h uint64) (grew bool) {
	if b.full {
		return false
	}
	if b.k == 0 {
		d := NewBloom(DefaultBloomElements, DefaultBloomError)
		b.k, b.words = d.k, d.words
	}
	step := stepOf(h)
	for range b.k {
		i, bit := b.at(h)
		grew = grew || b.words[i]&bit == 0
		b.words[i] |= bit
		h += step
	}
	return grew
}

// stepOf returns by how much the positions of an element lie apart, scaled to 64 bits.
func stepOf(h uint64) uint64 { return fold(h, mulB) | 1 }

func (b *Bloom) at(h uint64) (word, bit uint64) {
	i, _ := bits.Mul64(h, uint64(len(b.words))*64)
	return i / 64, 1 << (i % 64)
}

// Has reports whether the element may have been added. False means that it was not, to this
// filter; true means that it was, or is taken for one that was, and is a monotone read: it
// stays, while false is a snapshot.
func (b *Bloom) Has(element []byte) bool { return b.HasHash(hashBytes(element)) }

// HasString is [Bloom.Has] for a string.
func (b *Bloom) HasString(element string) bool { return b.HasHash(hashString(element)) }

// HasUint64 is [Bloom.Has] for a number.
func (b *Bloom) HasUint64(element uint64) bool { return b.HasHash(hashUint64(element)) }

// HasHash is [Bloom.Has] for an element's hash.
func (b *Bloom) HasHash(h uint64) bool {
	if b == nil || b.k == 0 {
		return b.IsFull()
	}
	step := stepOf(h)
	for range b.k {
		if i, bit := b.at(h); b.words[i]&bit == 0 {
			return false
		}
		h += step
	}
	return true
}

// IsFull reports whether filters of different parameters were joined, so that everyone is
// taken for a member. True is a monotone read, it stays.
func (b *Bloom) IsFull() bool { return b != nil && b.full }

// Bits returns the number of bits, a multiple of 64, and of hashes: 0 if there are none yet. It is
// a snapshot read.
func (b *Bloom) Bits() (n uint64, hashes int) {
	if b == nil {
		return 0, 0
	}
	return uint64(len(b.words)) * 64, int(b.k)
}

// ones counts the bits that are set.
func (b *Bloom) ones() (n int) {
	for _, w := range b.bits() {
		n += bits.OnesCount64(w)
	}
	return n
}

func (b *Bloom) bits() []uint64 {
	if b == nil {
		return nil
	}
	return b.words
}

// Estimate returns about how many different elements were added, +Inf if it is full. It is a
// snapshot read. (Swamidass and Baldi, 2007)
func (b *Bloom) Estimate() float64 {
	n, k := b.Bits()
	if n == 0 {
		if b.IsFull() {
			return math.Inf(1)
		}
		return 0
	}
	return -float64(n) / float64(k) * math.Log1p(-float64(b.ones())/float64(n))
}

// Error returns in which part of cases a stranger is taken for a member by now. It is a
// snapshot read.
func (b *Bloom) Error() float64 {
	n, k := b.Bits()
	if n == 0 {
		if b.IsFull() {
			return 1
		}
		return 0
	}
	return math.Pow(float64(b.ones())/float64(n), float64(k))
}

// mismatch returns how the parameters of two filters differ, nil if they do not.
func (b *Bloom) mismatch(o *Bloom) *MismatchError {
	n, k := b.Bits()
	m, l := o.Bits()
	switch {
	case k == 0 || l == 0:
		return nil
	case n != m:
		return &MismatchError{"bits", n, m}
	case k != l:
		return &MismatchError{"hashes", uint64(k), uint64(l)}
	}
	return nil
}

// Merge joins o and reports whether b changed. If the two have different parameters it returns
// a *[MismatchError] and changes nothing.
func (b *Bloom) Merge(o *Bloom) (grew bool, err error) {
	if m := b.mismatch(o); m != nil {
		return false, m
	}
	_, grew = b.Join(o)
	return grew, nil
}

// Join joins o and returns b, or a new filter for nil: the top if their parameters differ.
func (b *Bloom) Join(o *Bloom) (*Bloom, bool) {
	if IsBottom(o) || b.IsFull() {
		return b, false
	}
	if b == nil {
		b = &Bloom{}
	}
	switch {
	case o.full || b.mismatch(o) != nil:
		b.k, b.full, b.words = 0, true, nil
		return b, true
	case b.k == 0:
		b.k, b.words = o.k, slices.Clone(o.words)
		return b, true
	}
	return b, orWords(b.words, o.words)
}

// LessEq reports whether joining b to o would leave o as it is.
func (b *Bloom) LessEq(o *Bloom) bool {
	if b == nil || o.IsFull() || !b.full && b.k == 0 {
		return true
	}
	if b.full || o == nil || o.k == 0 || b.mismatch(o) != nil {
		return false
	}
	for i, w := range b.words {
		if w&^o.words[i] != 0 {
			return false
		}
	}
	return true
}

// Delta returns a filter of the bits that b has and have lacks. It is as large as b, but
// mostly 0.
func (b *Bloom) Delta(have *Bloom) *Bloom {
	d := &Bloom{}
	if b.LessEq(have) {
		return d
	}
	d.k, d.full = b.k, b.full
	if d.words = make([]uint64, len(b.words)); b.mismatch(have) != nil {
		return d // parameters alone are enough to contradict
	}
	for i, w := range b.words {
		if d.words[i] = w; have != nil && have.k != 0 {
			d.words[i] &^= have.words[i]
		}
	}
	return d
}

// Decompose yields a filter for each bit, or one without any for the parameters alone.
func (b *Bloom) Decompose() iter.Seq[*Bloom] {
	return func(yield func(*Bloom) bool) {
		if b.ones() == 0 {
			one(Clone(b))(yield)
			return
		}
		for i, w := range b.words {
			for ; w != 0; w &= w - 1 {
				part := &Bloom{k: b.k, words: make([]uint64, len(b.words))}
				part.words[i] = w & -w
				if !yield(part) {
					return
				}
			}
		}
	}
}

// Clone returns a copy that shares nothing with b.
func (b *Bloom) Clone() *Bloom {
	c := &Bloom{}
	c.Join(b)
	return c
}

// String returns about how many elements there are and the error by now, as ≈100 (0.01%).
func (b *Bloom) String() string {
	if b.IsFull() {
		return "⊤"
	}
	return fmt.Sprintf("≈%.0f (%.2g%%)", b.Estimate(), 100*b.Error())
}

// LogValue returns about how many elements there are, and the error by now.
func (b *Bloom) LogValue() slog.Value {
	return slog.GroupValue(slog.Float64("estimate", math.Round(b.Estimate())), slog.Float64("error", b.Error()))
}

// MarshalJSON returns an object of the estimate, 0 for a full one, and the filter itself.
func (b *Bloom) MarshalJSON() ([]byte, error) { return marshalSketch(b, b.Estimate()) }

// UnmarshalJSON replaces b by what MarshalJSON wrote.
func (b *Bloom) UnmarshalJSON(data []byte) error { return decodeSketch(data, b.take) }

// AppendBinary appends the canonical binary form of b to dst: equal states have equal bytes.
func (b *Bloom) AppendBinary(dst []byte) ([]byte, error) { return appendForm(dst, b) }

// MarshalBinary returns the canonical binary form of b.
func (b *Bloom) MarshalBinary() ([]byte, error) { return b.AppendBinary(nil) }

// UnmarshalBinary replaces b by what AppendBinary wrote, keeping nothing of data; its errors
// match [ErrMalformed] and leave b as it was.
func (b *Bloom) UnmarshalBinary(data []byte) error { return decodeTo(data, b.take) }

func (b *Bloom) take(x *Bloom) { b.k, b.full, b.words = x.k, x.full, x.words }

func (b *Bloom) shape(dst []byte) ([]byte, error) { return append(dst, kindBloom), nil }

// put appends whether it is full, the number of hashes and all words. Leaving out words that
// are 0 would let a few bytes ask for any amount of memory.
func (b *Bloom) put(dst []byte) ([]byte, error) {
	dst = element[bool]().Put(dst, b.IsFull())
	if b.IsFull() {
		return dst, nil
	}
	_, k := b.Bits()
	dst = appendCount(append(dst, byte(k)), len(b.bits()))
	for _, w := range b.bits() {
		dst = binary.BigEndian.AppendUint64(dst, w)
	}
	return dst, nil
}

func (b *Bloom) get(r *wire.Reader) *Bloom {
	x := &Bloom{full: element[bool]().Get(r)}
	if x.full {
		return x
	}
	x.k = r.Byte()
	n := r.Count(8)
	if x.k > maxBloomHashes || n > maxBloomWords || (x.k == 0) != (n == 0) {
		r.Fail("%d words for %d hashes", n, x.k)
	}
	if r.Err() != nil || n == 0 {
		return x
	}
	x.words = make([]uint64, n)
	for i := range x.words {
		x.words[i] = r.Uint64()
	}
	return x
}
