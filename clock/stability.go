package clock

import (
	"cmp"
	"iter"
	"slices"
)

// Stability tracks what every member of a group has seen. Such events are causally stable:
// nobody will ever again send something that does not know of them, so that whatever is
// kept for the sake of those who do not (tombstones, logs, entries of vectors) can go.
//
// Create one with [NewStability]; it needs to be used by one goroutine at a time. What is
// stable never becomes unstable. One member that is silent holds everything up, and only
// the group can decide that it is gone.
//
// Source: Baquero, Almeida & Shoker, "Making Operation-based CRDTs Operation-based" (2014),
// section 5.
type Stability[ID cmp.Ordered] struct {
	members []ID // ascending
	seen    []Vector[ID]
	stable  Vector[ID]
	dirty   bool
}

// NewStability returns the tracker of a group whose members have seen nothing yet. With no
// members nothing becomes stable.
func NewStability[ID cmp.Ordered](members ...ID) *Stability[ID] {
	s := &Stability[ID]{members: slices.Compact(slices.Sorted(slices.Values(members)))}
	s.seen = make([]Vector[ID], len(s.members))
	return s
}

// Saw notes that a member has seen all that v counts, as its last message or
// acknowledgment says; they may come in any order. It reports whether that is news. Of
// someone who is no member it takes no notice.
func (s *Stability[ID]) Saw(member ID, v Vector[ID]) bool {
	i, ok := slices.BinarySearch(s.members, member)
	if !ok || !s.seen[i].Merge(v) {
		return false
	}
	s.dirty = true
	return true
}

// Join adds a member that has seen all that v counts: at least what is stable, or it might
// send something that does not know of it. It reports whether it was added.
func (s *Stability[ID]) Join(member ID, v Vector[ID]) bool {
	i, ok := slices.BinarySearch(s.members, member)
	stable := s.current()
	if ok || stable.Compare(v)&After != 0 {
		return false
	}
	s.members = slices.Insert(s.members, i, member)
	s.seen = slices.Insert(s.seen, i, v.Clone())
	s.dirty = true
	return true
}

// Retire removes a member that will never send again, and reports whether it was one. If
// it does send again, what it sends is to be refused: it has to Join anew.
func (s *Stability[ID]) Retire(member ID) bool {
	i, ok := slices.BinarySearch(s.members, member)
	if !ok {
		return false
	}
	s.members, s.seen = slices.Delete(s.members, i, i+1), slices.Delete(s.seen, i, i+1)
	s.dirty = true
	return true
}

// Stable returns what every member has seen. It is computed anew when news have come since
// the last call, in O(members · nodes).
func (s *Stability[ID]) Stable() Vector[ID] {
	v := s.current()
	return v.Clone()
}

func (s *Stability[ID]) current() Vector[ID] {
	if s.dirty && len(s.members) > 0 {
		low := s.seen[0].Clone()
		for _, v := range s.seen[1:] {
			low.Meet(v)
		}
		s.stable.Merge(low)
		s.dirty = false
	}
	return s.stable
}

// Has reports whether event d is stable.
func (s *Stability[ID]) Has(d Dot[ID]) bool { return s.current().Has(d) }

// Members iterates over the members and what each has seen, ascending. The vectors belong
// to the tracker: read only.
func (s *Stability[ID]) Members() iter.Seq2[ID, Vector[ID]] {
	return func(yield func(ID, Vector[ID]) bool) {
		for i, id := range s.members {
			if !yield(id, s.seen[i]) {
				return
			}
		}
	}
}
