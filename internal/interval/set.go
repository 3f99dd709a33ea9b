// Package interval holds sets of sequence numbers as runs of consecutive ones.
//
// What a replica has seen of another one is nearly always "everything up to n", now and
// then with gaps; a [Set] costs 16 bytes a run, however long the run is.
package interval

import (
	"math"
	"slices"
	"sort"

	"github.com/go-calm/calm/internal/front"
)

// Range is the numbers from Lo to Hi, both included; Lo ≤ Hi.
type Range struct{ Lo, Hi uint64 }

// Set is a set of uint64 as ascending ranges that neither overlap nor touch, so that equal
// sets are equal slices. The zero value is the empty set. Not safe for concurrent use.
// Methods that look a number up cost O(log runs), those that combine sets O(runs of both). A new run among
// others moves those before it or behind it, whichever are fewer: at 16 bytes a run, that is little.
type Set struct {
	runs  []Range
	front *front.Room[Range] // before runs; nil if nothing has come there
}

// Of returns the set of the given ranges, in any order, overlapping or not.
func Of(ranges ...Range) Set {
	var s Set
	for _, r := range ranges {
		s.AddRange(r.Lo, r.Hi)
	}
	return s
}

// Runs returns the ranges, ascending. The slice belongs to the set: read only.
func (s *Set) Runs() []Range { return s.runs }

// IsEmpty reports whether nothing is in the set.
func (s *Set) IsEmpty() bool { return len(s.runs) == 0 }

// Max returns the greatest number in the set, 0 for an empty one.
func (s *Set) Max() uint64 {
	if len(s.runs) == 0 {
		return 0
	}
	return s.runs[len(s.runs)-1].Hi
}

// Prefix returns the greatest n for which all of 1…n are in the set: its part without gaps.
func (s *Set) Prefix() uint64 {
	if len(s.runs) == 0 || s.runs[0].Lo > 1 {
		return 0
	}
	return s.runs[0].Hi
}

// Count returns how many numbers are in the set, saturating at [math.MaxUint64].
func (s *Set) Count() uint64 {
	var n uint64
	for _, r := range s.runs {
		if d := r.Hi - r.Lo; d == math.MaxUint64 {
			return d
		} else {
			n += d + 1
		}
	}
	return n
}

// Has reports whether n is in the set.
func (s *Set) Has(n uint64) bool {
	// The last run holds most of what is asked for.
	if k := len(s.runs); k > 0 && s.runs[k-1].Lo <= n {
		return n <= s.runs[k-1].Hi
	}
	i := s.search(n)
	return i < len(s.runs) && s.runs[i].Lo <= n
}

// Until reports whether n is in the set, and the last number up to which all are what n is.
func (s *Set) Until(n uint64) (in bool, last uint64) {
	if n > s.Max() { // most of what is asked for
		return false, math.MaxUint64
	}
	switch i := s.search(n); {
	case i == len(s.runs): // 0, in an empty set
		return false, math.MaxUint64
	case s.runs[i].Lo <= n:
		return true, s.runs[i].Hi
	default:
		return false, s.runs[i].Lo - 1
	}
}

// search returns the index of the first run that ends at or after n.
func (s *Set) search(n uint64) int {
	return sort.Search(len(s.runs), func(i int) bool { return s.runs[i].Hi >= n })
}

// Add puts n into the set and reports whether it is new.
func (s *Set) Add(n uint64) bool {
	if k := len(s.runs); k > 0 && s.runs[k-1].Hi < math.MaxUint64 && s.runs[k-1].Hi+1 == n {
		s.runs[k-1].Hi = n
		return true
	}
	if s.Has(n) {
		return false
	}
	s.AddRange(n, n)
	return true
}

// AddRange puts lo…hi into the set; nothing if lo > hi.
func (s *Set) AddRange(lo, hi uint64) {
	if lo > hi {
		return
	}
	if k := len(s.runs); k > 0 && lo > s.runs[k-1].Hi { // what comes last is nearly all of them
		if lo == s.runs[k-1].Hi+1 {
			s.runs[k-1].Hi = hi
		} else {
			s.runs = append(s.runs, Range{lo, hi})
		}
		return
	}
	// Runs i…j-1 overlap or touch the new one and melt into it.
	i := s.search(max(lo, 1) - 1)
	if i < len(s.runs) && lo == 0 && s.runs[i].Lo > 0 && s.runs[i].Hi < lo {
		i++
	}
	j := i
	for j < len(s.runs) && (hi == math.MaxUint64 || s.runs[j].Lo <= hi+1) {
		lo, hi = min(lo, s.runs[j].Lo), max(hi, s.runs[j].Hi)
		j++
	}
	if i == j {
		s.insert(i, Range{lo, hi})
		return
	}
	s.runs[i] = Range{lo, hi}
	s.runs = slices.Delete(s.runs, i+1, j)
}

// insert makes r the i-th run. It moves the shorter side, so that what comes from the last to the first
// costs no more than what comes in order.
func (s *Set) insert(i int, r Range) {
	n := len(s.runs)
	if n < 16 || i >= n/2 {
		s.runs = slices.Insert(s.runs, i, r)
		return
	}
	if s.front == nil {
		s.front = new(front.Room[Range])
	}
	s.runs = s.front.Grow(s.runs, 1)
	copy(s.runs, s.runs[1:i+1])
	s.runs[i] = r
}

// Merge puts all of o into the set. It keeps nothing of o.
func (s *Set) Merge(o Set) {
	switch {
	case len(o.runs) <= 4:
		for _, r := range o.runs {
			s.AddRange(r.Lo, r.Hi)
		}
	case s.Contains(o):
	default:
		all := slices.Concat(s.runs, o.runs)
		slices.SortFunc(all, func(a, b Range) int {
			if a.Lo < b.Lo {
				return -1
			}
			return 1
		})
		out := all[:1]
		for _, r := range all[1:] {
			last := &out[len(out)-1]
			if last.Hi == math.MaxUint64 || r.Lo <= last.Hi+1 {
				last.Hi = max(last.Hi, r.Hi)
			} else {
				out = append(out, r)
			}
		}
		s.runs = out
	}
}

// Contains reports whether all of o is in the set.
func (s *Set) Contains(o Set) bool {
	i := 0
	for _, r := range o.runs {
		for i < len(s.runs) && s.runs[i].Hi < r.Lo {
			i++
		}
		if i == len(s.runs) || s.runs[i].Lo > r.Lo || s.runs[i].Hi < r.Hi {
			return false
		}
	}
	return true
}

// ContainsRange reports whether all of lo…hi is in the set.
func (s *Set) ContainsRange(lo, hi uint64) bool {
	if k := len(s.runs); k > 0 && s.runs[k-1].Lo <= lo {
		return hi <= s.runs[k-1].Hi
	}
	i := s.search(lo)
	return i < len(s.runs) && s.runs[i].Lo <= lo && hi <= s.runs[i].Hi
}

// Minus returns what is in the set but not in o, as a new set.
func (s *Set) Minus(o Set) Set {
	var out []Range
	j := 0
	for _, r := range s.runs {
		lo, done := r.Lo, false
		for j < len(o.runs) && o.runs[j].Hi < lo {
			j++
		}
		for k := j; k < len(o.runs) && o.runs[k].Lo <= r.Hi; k++ {
			if o.runs[k].Lo > lo {
				out = append(out, Range{lo, o.runs[k].Lo - 1})
			}
			if o.runs[k].Hi >= r.Hi {
				done = true
				break
			}
			lo = o.runs[k].Hi + 1
		}
		if !done {
			out = append(out, Range{lo, r.Hi})
		}
	}
	return Set{runs: out}
}

// Equal reports whether both sets hold the same numbers.
func (s *Set) Equal(o Set) bool { return slices.Equal(s.runs, o.runs) }

// Clear empties the set and keeps its memory for what comes.
func (s *Set) Clear() { s.runs = s.runs[:0] }

// Clone returns a copy that shares nothing with s.
func (s *Set) Clone() Set { return Set{runs: slices.Clone(s.runs)} }

// Push appends a range that lies above all that is in the set and reports whether it did:
// a decoder builds a set with it and refuses ranges that touch, overlap or go back.
func (s *Set) Push(r Range) bool {
	if r.Lo > r.Hi {
		return false
	}
	if k := len(s.runs); k > 0 && (s.runs[k-1].Hi >= r.Lo || s.runs[k-1].Hi+1 == r.Lo) {
		return false
	}
	s.runs = append(s.runs, r)
	return true
}
