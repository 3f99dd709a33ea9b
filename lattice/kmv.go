package lattice

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"slices"

	"github.com/go-calm/calm/internal/wire"
)

// KMV estimates how many different elements were added, and how many two sketches have in
// common, from the k smallest hashes: the k-th one says how densely hashes lie. Its standard
// error is 1/√(k−2), 1.6 % for k = 4096, and up to k elements it counts exactly. It takes 8
// bytes a hash, more than a [HyperLogLog] of the same error, which cannot tell intersections.
// The join is exact: joined sketches are the sketch of all elements of both.
//
// The number k is part of the state. Merge refuses a sketch of another one; Join, which has no
// room for an error, goes on with the lower of the two. The zero value and nil are bottom,
// without a k: what is added to it, it counts with [DefaultK]. A nil one answers all reads but
// cannot be added to. A KMV must not be copied, nor written to while others use it. Adding
// takes constant time for a hash that is not among the smallest, which soon are most, and
// O(k) for others; merging and comparing take O(k).
//
// It is the sketch of Bar-Yossef and others (RANDOM 2002), with the unbiased estimate of Beyer
// and others (SIGMOD 2007); the estimates over two are those of theta sketches (Dasgupta,
// Lang, Rhodes, Thaler, ICDT 2016).
type KMV struct {
	_  noCopy
	k  int      // 0: none yet, and no bound
	hs []uint64 // ascending, at most k
}

// DefaultK is the number of hashes of a [KMV] that was given none.
const DefaultK = 4096

// NewKMV returns an empty sketch of k hashes; it panics if k < 3.
func NewKMV(k int) *KMV {
	if k < 3 {
		panic("lattice: a KMV of less than 3 hashes")
	}
	return &KMV{k: k}
}

// Add counts an element and reports whether the sketch changed.
func (s *KMV) Add(element []byte) (grew bool) { return s.AddHash(hashBytes(element)) }

// AddString is Add for a string.
func (s *KMV) AddString(element string) (grew bool) { return s.AddHash(hashString(element)) }

// AddUint64 is Add for a number.
func (s *KMV) AddUint64(element uint64) (grew bool) { return s.AddHash(hashUint64(element)) }

// AddHash counts an element by its hash, of which all bits are to be evenly distributed. All
// sketches that are ever merged must hash alike.
func (s *KMV) AddHash(h uint64) (grew bool) {
	if s.k == 0 {
		s.k = DefaultK
	}
	if s.isFull() && h >= s.hs[len(s.hs)-1] {
		return false
	}
	i, found := slices.BinarySearch(s.hs, h)
	if found {
		return false
	}
	s.hs = slices.Insert(s.hs, i, h)
	s.cut()
	return true
}

func (s *KMV) cut() {
	if s.k > 0 && len(s.hs) > s.k {
		s.hs = s.hs[:s.k]
	}
}

// isFull reports whether there may have been more elements than there are hashes.
func (s *KMV) isFull() bool { return s != nil && s.k > 0 && len(s.hs) == s.k }

func (s *KMV) hashes() []uint64 {
	if s == nil {
		return nil
	}
	return s.hs
}

// K returns how many hashes are kept at most, 0 for none yet. It is a snapshot read: a lower one
// may come.
func (s *KMV) K() int {
	if s == nil {
		return 0
	}
	return s.k
}

// StdError returns the standard error of the estimate relative to it: 1/√(k−2). It is a snapshot
// read, as k is.
func (s *KMV) StdError() float64 { return 1 / math.Sqrt(float64(cmp.Or(s.K(), DefaultK)-2)) }

// theta returns below which part of all hashes the sketch has all that were added.
func (s *KMV) theta() float64 {
	if !s.isFull() {
		return 1
	}
	return (float64(s.hs[len(s.hs)-1]) + 1) / (1 << 64)
}

// Estimate returns about how many different elements were added; up to k−1, exactly. It is a
// snapshot read.
func (s *KMV) Estimate() float64 {
	if !s.isFull() {
		return float64(len(s.hashes()))
	}
	return float64(len(s.hs)-1) / s.theta()
}

// Bounds returns between which numbers the estimate's truth lies, give or take so many
// standard errors: with 2 of them in 95 of 100 cases. It is a snapshot read.
func (s *KMV) Bounds(errors float64) (low, high float64) {
	n := s.Estimate()
	if !s.isFull() {
		return n, n
	}
	spread := errors * n * s.StdError()
	return max(n-spread, float64(len(s.hs))), n + spread
}

// Intersection returns about how many elements were added to both, and the standard error of
// that number. It is a snapshot read. The smaller the part that both have in common, the
// greater the error relative to it.
func (s *KMV) Intersection(o *KMV) (n, stdError float64) {
	theta := min(s.theta(), o.theta())
	common := 0
	forBoth(s.below(theta), o.below(theta), func(_ uint64, inS, inO bool) {
		if inS && inO {
			common++
		}
	})
	n = float64(common) / theta
	return n, math.Sqrt(n * (1 - theta) / theta)
}

// Similarity returns about how large the part of elements added to both is among those added
// to either: Jaccard's index, between 0 and 1. It is a snapshot read.
func (s *KMV) Similarity(o *KMV) float64 {
	theta := min(s.theta(), o.theta())
	common, all := 0, 0
	forBoth(s.below(theta), o.below(theta), func(_ uint64, inS, inO bool) {
		all++
		if inS && inO {
			common++
		}
	})
	if all == 0 {
		return 0
	}
	return float64(common) / float64(all)
}

// below returns the hashes below theta. Below the k-th hash lie k−1, a number that the sketch
// did not choose: with the k-th itself, the estimate would be too high.
func (s *KMV) below(theta float64) []uint64 {
	hs := s.hashes()
	if theta == 1 {
		return hs
	}
	n, _ := slices.BinarySearchFunc(hs, theta, func(h uint64, theta float64) int {
		return cmp.Compare((float64(h)+1)/(1<<64), theta)
	})
	return hs[:n]
}

// forBoth walks two ascending lists at once.
func forBoth(a, b []uint64, each func(h uint64, inA, inB bool)) {
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0] < b[0]:
			each(a[0], true, false)
			a = a[1:]
		case len(a) == 0 || b[0] < a[0]:
			each(b[0], false, true)
			b = b[1:]
		default:
			each(a[0], true, true)
			a, b = a[1:], b[1:]
		}
	}
}

// Merge joins o and reports whether s changed. If the two have a different k it returns a
// *[MismatchError] and changes nothing; to go on with the lower one, use Join.
func (s *KMV) Merge(o *KMV) (grew bool, err error) {
	if o != nil && s.k != 0 && o.k != 0 && s.k != o.k {
		return false, &MismatchError{"k", uint64(s.k), uint64(o.k)}
	}
	_, grew = s.Join(o)
	return grew, nil
}

// Join joins o, with the lower k of the two, and returns s, or a new sketch for nil.
func (s *KMV) Join(o *KMV) (*KMV, bool) {
	if IsBottom(o) || s == o {
		return s, false
	}
	if s == nil {
		s = &KMV{}
	}
	grew := false
	if k := tighter(s.k, o.k); k != s.k {
		s.k, grew = k, true
		s.cut()
	}
	news := o.missing(s, s.k)
	if len(news) == 0 {
		return s, grew
	}
	// From the back, each hash moves once and the list needs no second one.
	i := len(s.hs) - 1
	s.hs = slices.Grow(s.hs, len(news))[:len(s.hs)+len(news)]
	for to, j := len(s.hs)-1, len(news)-1; j >= 0; to-- {
		if i >= 0 && s.hs[i] > news[j] {
			s.hs[to] = s.hs[i]
			i--
		} else {
			s.hs[to] = news[j]
			j--
		}
	}
	s.cut()
	return s, true
}

// missing returns the hashes of s that have lacks and that are among the k smallest of both.
func (s *KMV) missing(have *KMV, k int) (news []uint64) {
	n := 0
	forBoth(s.hashes(), have.hashes(), func(h uint64, inS, inHave bool) {
		if n++; inS && !inHave && (k == 0 || n <= k) {
			news = append(news, h)
		}
	})
	return news
}

// LessEq reports whether joining s to o would leave o as it is.
func (s *KMV) LessEq(o *KMV) bool {
	if tighter(s.K(), o.K()) != o.K() {
		return false
	}
	i, have := 0, o.hashes()
	for _, h := range s.hashes() {
		for i < len(have) && have[i] < h {
			i++
		}
		if i == len(have) {
			return o.isFull() // what follows is too great to matter
		}
		if have[i] != h {
			return false
		}
	}
	return true
}

// Delta returns of s what have lacks: its k if it is smaller, and the hashes that are among
// the smallest of both.
func (s *KMV) Delta(have *KMV) *KMV {
	d := &KMV{}
	k := tighter(s.K(), have.K())
	if k != have.K() {
		d.k = k
	}
	d.hs = s.missing(have, k)
	return d
}

// Decompose yields an empty sketch for k, and one without a k for each hash.
func (s *KMV) Decompose() iter.Seq[*KMV] {
	return func(yield func(*KMV) bool) {
		if s.K() > 0 && !yield(&KMV{k: s.k}) {
			return
		}
		for _, h := range s.hashes() {
			if !yield(&KMV{hs: []uint64{h}}) {
				return
			}
		}
	}
}

// Clone returns a copy that shares nothing with s.
func (s *KMV) Clone() *KMV { return &KMV{k: s.K(), hs: slices.Clone(s.hashes())} }

// String returns the estimate and its standard error, as ≈1234 ± 10.
func (s *KMV) String() string {
	n := s.Estimate()
	low, _ := s.Bounds(1)
	return fmt.Sprintf("≈%.0f ± %.0f", n, n-low)
}

// LogValue returns the estimate.
func (s *KMV) LogValue() slog.Value { return slog.Float64Value(math.Round(s.Estimate())) }

// MarshalJSON returns an object of the estimate and the sketch itself.
func (s *KMV) MarshalJSON() ([]byte, error) { return marshalSketch(s, s.Estimate()) }

// UnmarshalJSON replaces s by what MarshalJSON wrote.
func (s *KMV) UnmarshalJSON(b []byte) error { return decodeSketch(b, s.take) }

// AppendBinary appends the canonical binary form of s to b: equal states have equal bytes.
func (s *KMV) AppendBinary(b []byte) ([]byte, error) { return appendForm(b, s) }

// MarshalBinary returns the canonical binary form of s.
func (s *KMV) MarshalBinary() ([]byte, error) { return s.AppendBinary(nil) }

// UnmarshalBinary replaces s by what AppendBinary wrote, keeping nothing of b; its errors
// match [ErrMalformed] and leave s as it was.
func (s *KMV) UnmarshalBinary(b []byte) error { return decodeTo(b, s.take) }

func (s *KMV) take(x *KMV) { s.k, s.hs = x.k, x.hs }

func (s *KMV) shape(dst []byte) ([]byte, error) { return append(dst, kindKMV), nil }

// put appends k and the hashes as gaps between them, which saves a byte or two of eight.
func (s *KMV) put(dst []byte) ([]byte, error) {
	dst = appendCount(appendCount(dst, s.K()), len(s.hashes()))
	var last uint64
	for _, h := range s.hashes() {
		dst = binary.AppendUvarint(dst, h-last)
		last = h
	}
	return dst, nil
}

func (s *KMV) get(r *wire.Reader) *KMV {
	x := &KMV{k: getInt(r)}
	n := r.Count(1)
	if x.k > 0 && (x.k < 3 || n > x.k) {
		r.Fail("%d hashes for a k of %d", n, x.k)
	}
	if r.Err() != nil || n == 0 {
		return x
	}
	x.hs = make([]uint64, 0, n)
	var last uint64
	for i := range n {
		h := last + r.Uvarint()
		if r.Err() == nil && i > 0 && h <= last {
			r.Fail("hashes are not ascending")
		}
		if r.Err() != nil {
			return x
		}
		x.hs = append(x.hs, h)
		last = h
	}
	return x
}
