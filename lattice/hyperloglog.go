package lattice

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"math/bits"
	"slices"

	"github.com/go-calm/calm/internal/wire"
)

// HyperLogLog estimates how many different elements were added, in 2^precision bytes however
// many there are, with a standard error of 1.04/√2^precision: 0.8 % for precision 14, which
// is 16 kB. The join is exact: joined sketches are the sketch of all elements of both.
//
// While few elements were added they are kept as a list of their hashes at a precision of 25
// bits, which takes 4 bytes each and counts all but exactly; a list that grows longer than
// 2^precision/8 turns into registers.
//
// The precision is part of the state. Merge refuses a sketch of another one; Join, which has
// no room for an error, goes on at the lower of the two, to which a sketch can be reduced
// exactly. The zero value and nil are bottom, without a precision: what is added to it, it
// counts at [DefaultPrecision]. A nil one answers all reads but cannot be added to.
// A HyperLogLog must not be copied, nor written to while others use it. Adding takes constant
// time, to the list one binary search and a move; merging and estimating take that of the
// registers.
//
// The registers are those of Flajolet, Fusy, Gandouet and Meunier (AofA 2007), the list that of
// Heule, Nunkesser and Hall (EDBT 2013, section 5.3), the estimate that of Ertl ("New
// cardinality estimation algorithms for HyperLogLog sketches", 2017, section 4).
type HyperLogLog struct {
	_      noCopy
	p      uint8    // 0: none yet, and no bound on the list
	sparse []uint32 // ascending: place in 2^25 registers, rank in the low 6 bits
	dense  []uint8  // nil, or 2^p registers
}

// DefaultPrecision is that of a [HyperLogLog] that was given none.
const DefaultPrecision = 14

const (
	minPrecision    = 4
	maxPrecision    = 18
	sparsePrecision = 25
	rankBits        = 6
)

// NewHyperLogLog returns an empty sketch of 2^precision registers; it panics if precision is
// not between 4 and 18.
func NewHyperLogLog(precision int) *HyperLogLog {
	if precision < minPrecision || precision > maxPrecision {
		panic(fmt.Sprintf("lattice: a HyperLogLog's precision of %d is not in [%d, %d]", precision, minPrecision, maxPrecision))
	}
	return &HyperLogLog{p: uint8(precision)}
}

// Add counts an element and reports whether the sketch changed.
func (s *HyperLogLog) Add(element []byte) (grew bool) { return s.AddHash(hashBytes(element)) }

// AddString is Add for a string.
func (s *HyperLogLog) AddString(element string) (grew bool) { return s.AddHash(hashString(element)) }

// AddUint64 is Add for a number.
func (s *HyperLogLog) AddUint64(element uint64) (grew bool) { return s.AddHash(hashUint64(element)) }

// AddHash counts an element by its hash, of which all bits are to be evenly distributed. All
// sketches that are ever merged must hash alike.
func (s *HyperLogLog) AddHash(h uint64) (grew bool) {
	if s.p == 0 {
		s.p = DefaultPrecision
	}
	if s.dense != nil {
		return s.raise(h>>((64-s.p)&63), rankOf(h, s.p))
	}
	if !s.insert(uint32(h>>(64-sparsePrecision))<<rankBits | uint32(rankOf(h, sparsePrecision))) {
		return false
	}
	s.settle()
	return true
}

// rankOf is the place, from 1, of the first 1 in h after its first p bits.
func rankOf(h uint64, p uint8) uint8 {
	return uint8(bits.LeadingZeros64(h<<(p&63)|1<<((p-1)&63))) + 1
}

// raise sets register i to rank if that is higher.
func (s *HyperLogLog) raise(i uint64, rank uint8) (grew bool) {
	if s.dense[i] >= rank {
		return false
	}
	s.dense[i] = rank
	return true
}

// insert puts an entry into the list, or raises the one of its place.
func (s *HyperLogLog) insert(e uint32) (grew bool) {
	i, found := slices.BinarySearchFunc(s.sparse, e, comparePlaces)
	switch {
	case !found:
		s.sparse = slices.Insert(s.sparse, i, e)
	case s.sparse[i] < e:
		s.sparse[i] = e
	default:
		return false
	}
	return true
}

func comparePlaces(a, b uint32) int { return cmp.Compare(a>>rankBits, b>>rankBits) }

// sparseLimit is how long a list may be at precision p: half the memory of the registers.
func sparseLimit(p uint8) int {
	if p == 0 {
		return math.MaxInt
	}
	return 1 << p / 8
}

// settle turns a list that is too long into registers. Whether it is depends on the elements
// alone, not on their order, so that equal sketches look the same.
func (s *HyperLogLog) settle() {
	if s.dense != nil || len(s.sparse) <= sparseLimit(s.p) {
		return
	}
	s.dense = s.registers(s.p)
	s.sparse = nil
}

// at returns the register of precision p that an entry of the list belongs to, and its rank there.
func at(e uint32, p uint8) (i uint64, rank uint8) {
	h := uint64(e>>rankBits) << (64 - sparsePrecision)
	if h<<p != 0 {
		return h >> (64 - p), rankOf(h, p)
	}
	return h >> (64 - p), sparsePrecision - p + uint8(e&(1<<rankBits-1))
}

// entryOf returns an entry of the list that belongs to register i of precision p with rank.
func entryOf(i uint64, rank, p uint8) uint32 {
	place := uint32(i) << (sparsePrecision - p)
	if rank <= sparsePrecision-p {
		return (place|1<<(sparsePrecision-p-rank))<<rankBits | 1
	}
	return place<<rankBits | uint32(rank-(sparsePrecision-p))
}

// entries yields the list, or as entries of a list the registers that are not 0.
func (s *HyperLogLog) entries() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		if s == nil {
			return
		}
		for _, e := range s.sparse {
			if !yield(e) {
				return
			}
		}
		for i, rank := range s.dense {
			if rank > 0 && !yield(entryOf(uint64(i), rank, s.p)) {
				return
			}
		}
	}
}

// registers returns the registers of s at precision p, which is not above its own.
func (s *HyperLogLog) registers(p uint8) []uint8 {
	if s != nil && s.dense != nil && s.p == p {
		return slices.Clone(s.dense)
	}
	d := HyperLogLog{p: p, dense: make([]uint8, 1<<p)}
	for e := range s.entries() {
		d.raise(at(e, p))
	}
	return d.dense
}

// reduce lowers the precision.
func (s *HyperLogLog) reduce(p uint8) {
	if s.dense != nil {
		s.dense = s.registers(p)
	}
	s.p = p
	s.settle()
}

// Precision returns the precision, 0 for none. It is a snapshot read: a lower one may come.
func (s *HyperLogLog) Precision() int {
	if s == nil {
		return 0
	}
	return int(s.p)
}

// StdError returns the standard error of the estimate relative to it: 1.04/√2^precision. It
// holds for registers; a list is far more exact. It is a snapshot read, as the precision is.
func (s *HyperLogLog) StdError() float64 {
	p := cmp.Or(s.Precision(), DefaultPrecision)
	return 1.04 / math.Sqrt(float64(uint64(1)<<p))
}

// Estimate returns about how many different elements were added. It is a snapshot read.
func (s *HyperLogLog) Estimate() float64 {
	if s == nil {
		return 0
	}
	var counts [64]int
	p := uint8(sparsePrecision)
	if s.dense != nil {
		p = s.p
		for _, rank := range s.dense {
			counts[rank&63]++ // no rank is higher
		}
	}
	for _, e := range s.sparse {
		counts[e&(1<<rankBits-1)]++
	}
	m, q := 1<<p, 64-int(p)
	counts[0] = m
	for _, n := range counts[1:] {
		counts[0] -= n
	}
	// Registers that are 0, or as high as they go, say less than the others: σ and τ make up
	// for that, so that no range needs a correction of its own.
	z := float64(m) * tau(1-float64(counts[q+1])/float64(m))
	for k := q; k >= 1; k-- {
		z = 0.5 * (z + float64(counts[k]))
	}
	z += float64(m) * sigma(float64(counts[0])/float64(m))
	return float64(m) / (2 * math.Ln2) * float64(m) / z
}

func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	z, y := x, 1.0
	for {
		x *= x
		was := z
		z += x * y
		y += y
		if z == was {
			return z
		}
	}
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	z, y := 1-x, 1.0
	for {
		x = math.Sqrt(x)
		was := z
		y *= 0.5
		z -= (1 - x) * (1 - x) * y
		if z == was {
			return z / 3
		}
	}
}

// Merge joins o and reports whether s changed. If the two have different precisions it
// returns a *[MismatchError] and changes nothing; to go on at the lower one, use Join.
func (s *HyperLogLog) Merge(o *HyperLogLog) (grew bool, err error) {
	if o != nil && s.p != 0 && o.p != 0 && s.p != o.p {
		return false, &MismatchError{"precision", uint64(s.p), uint64(o.p)}
	}
	_, grew = s.Join(o)
	return grew, nil
}

// Join joins o, at the lower precision of the two, and returns s, or a new sketch for nil.
func (s *HyperLogLog) Join(o *HyperLogLog) (*HyperLogLog, bool) {
	if IsBottom(o) || s == o {
		return s, false
	}
	if s == nil {
		s = &HyperLogLog{}
	}
	grew := false
	if p := uint8(tighter(int(s.p), int(o.p))); p != s.p {
		if grew = true; s.p == 0 && s.sparse == nil {
			s.p, s.sparse, s.dense = o.p, slices.Clone(o.sparse), slices.Clone(o.dense)
			return s, true
		}
		s.reduce(p)
	}
	if o.dense != nil && s.dense == nil {
		s.dense, s.sparse, grew = s.registers(s.p), nil, true
	}
	switch {
	case s.dense == nil:
		grew = s.mergeLists(o.sparse) || grew
		s.settle()
	case o.dense != nil && o.p == s.p:
		grew = maxBytes(s.dense, o.dense) || grew
	default:
		for e := range o.entries() {
			grew = s.raise(at(e, s.p)) || grew
		}
	}
	return s, grew
}

// mergeLists merges o into the list of s.
func (s *HyperLogLog) mergeLists(o []uint32) (grew bool) {
	// Nothing new is the common case, and then nothing is allocated.
	missing := 0
	for i, j := 0, 0; j < len(o); j++ {
		for i < len(s.sparse) && comparePlaces(s.sparse[i], o[j]) < 0 {
			i++
		}
		if i == len(s.sparse) || comparePlaces(s.sparse[i], o[j]) > 0 {
			missing++
		} else if s.sparse[i] < o[j] {
			s.sparse[i], grew = o[j], true
		}
	}
	if missing == 0 {
		return grew
	}
	// From the back, each entry moves once and the list needs no second one.
	i := len(s.sparse) - 1
	s.sparse = slices.Grow(s.sparse, missing)[:len(s.sparse)+missing]
	for to, j := len(s.sparse)-1, len(o)-1; j >= 0; to-- {
		switch {
		case i < 0 || comparePlaces(s.sparse[i], o[j]) < 0:
			s.sparse[to] = o[j]
			j--
		default:
			if comparePlaces(s.sparse[i], o[j]) == 0 {
				j--
			}
			s.sparse[to] = s.sparse[i]
			i--
		}
	}
	return true
}

// maxBytes raises each byte of a to that of b and reports whether any rose. There are 16 or
// more, a power of two. Mostly none rises: so it writes only where one does.
func maxBytes(a, b []uint8) (grew bool) {
	b = b[:len(a)]
	for i := 0; i+16 <= len(a); i += 16 {
		x, y := (*[16]uint8)(a[i:]), (*[16]uint8)(b[i:])
		low, lowTo := binary.LittleEndian.Uint64(x[:8]), binary.LittleEndian.Uint64(y[:8])
		high, highTo := binary.LittleEndian.Uint64(x[8:]), binary.LittleEndian.Uint64(y[8:])
		if below(low, lowTo)|below(high, highTo) != 0 {
			binary.LittleEndian.PutUint64(x[:8], greater(low, lowTo))
			binary.LittleEndian.PutUint64(x[8:], greater(high, highTo))
			grew = true
		}
	}
	return grew
}

// below returns the top bit of each of 8 bytes where that of x is below that of y. They are
// below 128 themselves, so that a difference tells it by its top bit.
func below(x, y uint64) uint64 {
	const top = 0x8080808080808080
	return ^((x | top) - y) & top
}

// greater returns the greater of each of 8 bytes below 128.
func greater(x, y uint64) uint64 {
	rises := below(x, y)
	mask := rises<<1 - rises>>7
	return x&^mask | y&mask
}

// LessEq reports whether joining s to o would leave o as it is.
func (s *HyperLogLog) LessEq(o *HyperLogLog) bool {
	if s == nil || s == o {
		return true
	}
	if o == nil {
		o = &HyperLogLog{}
	}
	if tighter(int(s.p), int(o.p)) != int(o.p) || s.dense != nil && o.dense == nil {
		return false
	}
	for e := range s.entries() {
		if o.dense != nil {
			if i, rank := at(e, o.p); o.dense[i] < rank {
				return false
			}
		} else if i, found := slices.BinarySearchFunc(o.sparse, e, comparePlaces); !found || o.sparse[i] < e {
			return false
		}
	}
	return true
}

// Delta returns what s has and have lacks, as a list of entries, one for each register that
// rises. Of two sketches that differ widely this is larger than the sketch itself.
func (s *HyperLogLog) Delta(have *HyperLogLog) *HyperLogLog {
	d := &HyperLogLog{}
	if s.LessEq(have) {
		return d
	}
	if have == nil {
		have = d
	}
	p := uint8(tighter(int(s.p), int(have.p)))
	if p != have.p {
		d.p = s.p
	}
	var missing []uint32 // entries of s that a list of have lacks
	places := 0          // of these, those whose place is not in it
	for e := range s.entries() {
		if i, found := slices.BinarySearchFunc(have.sparse, e, comparePlaces); !found || have.sparse[i] < e {
			missing = append(missing, e)
			if !found {
				places++
			}
		}
	}
	if s.dense == nil && have.dense == nil && len(have.sparse)+places <= sparseLimit(p) {
		d.sparse = missing
		return d
	}
	// Together they have registers: of the entries that raise one, the first of the highest
	// will do. The others are of use only if the list of have would still be short enough.
	was := HyperLogLog{p: p, dense: have.registers(p)}
	goal := HyperLogLog{p: p, dense: s.registers(p)}
	var raising, rest []uint32
	length := len(have.sparse)
	for e := range s.entries() {
		_, known := slices.BinarySearchFunc(have.sparse, e, comparePlaces)
		i, rank := at(e, p)
		switch {
		case rank == goal.dense[i] && was.raise(i, rank):
			raising = append(raising, e)
			if !known {
				length++
			}
		case !known:
			rest = append(rest, e)
		}
	}
	if short := sparseLimit(p) + 1 - length; have.dense == nil && short > 0 {
		if s.dense != nil {
			d.p, d.dense = s.p, make([]uint8, len(s.dense))
		} else {
			raising = append(raising, rest[:short]...)
		}
	}
	for _, e := range raising {
		d.addEntry(e)
	}
	return d
}

// addEntry adds an entry to a delta, which is a list or has registers already.
func (s *HyperLogLog) addEntry(e uint32) {
	if s.dense != nil {
		s.raise(at(e, s.p))
		return
	}
	s.insert(e)
	s.settle()
}

// Decompose yields a sketch for the precision, with registers if s has them, and one without a
// precision for each entry of the list or register above 0.
func (s *HyperLogLog) Decompose() iter.Seq[*HyperLogLog] {
	return func(yield func(*HyperLogLog) bool) {
		if s.Precision() > 0 {
			empty := &HyperLogLog{p: s.p}
			if s.dense != nil {
				empty.dense = make([]uint8, len(s.dense))
			}
			if !yield(empty) {
				return
			}
		}
		for e := range s.entries() {
			if !yield(&HyperLogLog{sparse: []uint32{e}}) {
				return
			}
		}
	}
}

// Clone returns a copy that shares nothing with s.
func (s *HyperLogLog) Clone() *HyperLogLog {
	c := &HyperLogLog{}
	c.Join(s)
	return c
}

// String returns the estimate and its standard error, as ≈1234 ± 10.
func (s *HyperLogLog) String() string {
	n := s.Estimate()
	return fmt.Sprintf("≈%.0f ± %.0f", n, n*s.StdError())
}

// LogValue returns the estimate.
func (s *HyperLogLog) LogValue() slog.Value { return slog.Float64Value(math.Round(s.Estimate())) }

// MarshalJSON returns an object of the estimate and the sketch itself.
func (s *HyperLogLog) MarshalJSON() ([]byte, error) { return marshalSketch(s, s.Estimate()) }

// UnmarshalJSON replaces s by what MarshalJSON wrote.
func (s *HyperLogLog) UnmarshalJSON(b []byte) error { return decodeSketch(b, s.take) }

// AppendBinary appends the canonical binary form of s to b: equal states have equal bytes.
func (s *HyperLogLog) AppendBinary(b []byte) ([]byte, error) { return appendForm(b, s) }

// MarshalBinary returns the canonical binary form of s.
func (s *HyperLogLog) MarshalBinary() ([]byte, error) { return s.AppendBinary(nil) }

// UnmarshalBinary replaces s by what AppendBinary wrote, keeping nothing of b; its errors
// match [ErrMalformed] and leave s as it was.
func (s *HyperLogLog) UnmarshalBinary(b []byte) error { return decodeTo(b, s.take) }

func (s *HyperLogLog) take(x *HyperLogLog) { s.p, s.sparse, s.dense = x.p, x.sparse, x.dense }

func (s *HyperLogLog) shape(dst []byte) ([]byte, error) { return append(dst, kindHyperLogLog), nil }

// put appends the precision, whether there are registers, and the list: its length, and as
// bits the gaps between places in Rice's code and the ranks in unary, of which half are 1. Or
// the lowest register and of each how much it lies above, in 4 bits; what those have more that
// lie 15 or more above follows, in order.
func (s *HyperLogLog) put(dst []byte) ([]byte, error) {
	if s == nil {
		return append(dst, 0, 0, 0, 0), nil
	}
	dst = append(dst, s.p)
	if s.dense == nil {
		var w bitWriter
		k, next := riceFor(len(s.sparse), sparsePrecision), uint64(0)
		for _, e := range s.sparse {
			w.rice(uint64(e>>rankBits)-next, k)
			w.unary(uint64(e&(1<<rankBits-1)) - 1)
			next = uint64(e>>rankBits) + 1
		}
		dst = wire.AppendBytes(appendCount(append(dst, 0), len(s.sparse)), w.b)
		return dst, nil
	}
	base := slices.Min(s.dense)
	dst = append(slices.Grow(dst, len(s.dense)/2+2), 1, base)
	var high []byte
	nibble := func(rank uint8) uint8 {
		above := rank - base
		if above < 15 {
			return above
		}
		high = append(high, above-15)
		return 15
	}
	for i := 0; i < len(s.dense); i += 2 {
		first := nibble(s.dense[i])
		dst = append(dst, first<<4|nibble(s.dense[i+1]))
	}
	return append(dst, high...), nil
}

func (s *HyperLogLog) get(r *wire.Reader) *HyperLogLog {
	x := &HyperLogLog{p: r.Byte()}
	if x.p != 0 && x.p < minPrecision || x.p > maxPrecision {
		r.Fail("a precision of %d", x.p)
	}
	dense := element[bool]().Get(r)
	if dense && x.p == 0 {
		r.Fail("registers without a precision")
	}
	switch {
	case r.Err() != nil:
	case dense:
		x.getDense(r)
	default:
		x.getSparse(r)
	}
	return x
}

func (s *HyperLogLog) getSparse(r *wire.Reader) {
	n, in := r.Uvarint(), bitReader{b: r.Bytes(), ok: true}
	if n > uint64(sparseLimit(s.p)) || n > 4*uint64(len(in.b)) { // an entry takes two bits or more
		r.Fail("a list of %d", n)
	}
	if r.Err() != nil {
		return
	}
	k, next := riceFor(int(n), sparsePrecision), uint64(0)
	if n > 0 {
		s.sparse = make([]uint32, 0, n)
	}
	for range n {
		place := next + in.rice(k)
		rank := in.unary() + 1
		if !in.ok || place >= 1<<sparsePrecision || rank > 64-sparsePrecision+1 {
			r.Fail("no place %d in a list, or no rank %d", place, rank)
			return
		}
		s.sparse = append(s.sparse, uint32(place)<<rankBits|uint32(rank))
		next = place + 1
	}
	if !in.done() {
		r.Fail("a list is too long")
	}
}

func (s *HyperLogLog) getDense(r *wire.Reader) {
	base := r.Byte()
	nibbles := r.Take(1 << s.p / 2)
	if nibbles == nil {
		return
	}
	highest := 64 - s.p + 1
	s.dense = make([]uint8, 1<<s.p)
	for i := range s.dense {
		above := nibbles[i/2] >> 4
		if i%2 == 1 {
			above = nibbles[i/2] & 15
		}
		if above == 15 {
			more := r.Byte()
			if more > highest {
				r.Fail("a rank of %d", more)
				return
			}
			above += more
		}
		if base > highest || base+above > highest {
			r.Fail("a rank of %d", int(base)+int(above))
			return
		}
		s.dense[i] = base + above
	}
	if slices.Min(s.dense) != base {
		r.Fail("no register is the lowest")
	}
}
