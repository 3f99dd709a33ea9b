package clock

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// ErrSkew is what every [*SkewError] matches.
var ErrSkew = errors.New("clock: the clocks of the group disagree")

// SkewError says whose clocks are further from the majority's than allowed.
type SkewError[ID cmp.Ordered] struct {
	Self    bool                 // the local clock is one of them
	Offset  time.Duration        // the majority's time - the local time
	Peers   map[ID]time.Duration // which peers are, and by how much each is ahead of the majority
	Allowed time.Duration
}

// Error names those who are off and their offsets.
func (e *SkewError[ID]) Error() string {
	var b strings.Builder
	b.WriteString("clock: off by more than ")
	b.WriteString(e.Allowed.String())
	sep := ": "
	if e.Self {
		fmt.Fprintf(&b, "%sthis node by %v", sep, -e.Offset)
		sep = ", "
	}
	ids := make([]ID, 0, len(e.Peers))
	for id := range e.Peers {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		fmt.Fprintf(&b, "%s%v by %v", sep, id, e.Peers[id])
		sep = ", "
	}
	return b.String()
}

// Is reports whether target is [ErrSkew].
func (e *SkewError[ID]) Is(target error) bool { return target == ErrSkew }

// Skew estimates how far the clocks of peers are from the local one, from the times that
// requests and replies carry anyway, and tells who is the one that is off: a [Clock] that
// refuses a peer's timestamp cannot know which of the two is wrong, but a majority can.
//
// Create one with [NewSkew]; it needs to be used by one goroutine at a time. Of each peer
// the last 8 exchanges are kept.
//
// Source: Mills, "Network Time Protocol Version 4" (RFC 5905), sections 8, 10 and 11.2.1;
// Marzullo & Owicki, "Maintaining the Time in a Distributed System" (1983).
type Skew[ID cmp.Ordered] struct {
	peers []peer[ID] // ascending by id
}

const skewKept = 8

type peer[ID cmp.Ordered] struct {
	id      ID
	samples [skewKept]sample
	n       int // how many samples there ever were
}

// sample says that the peer's clock was ahead by offset ± err.
type sample struct{ offset, err time.Duration }

// NewSkew returns a Skew without peers.
func NewSkew[ID cmp.Ordered]() *Skew[ID] { return &Skew[ID]{} }

// Sample takes in one exchange with a peer: a request that left here at t0 and arrived there
// at t1, and its reply that left there at t2 and arrived here at t3, each by the clock of
// its place. It reports whether the times are possible; impossible ones are not used.
func (s *Skew[ID]) Sample(id ID, t0, t1, t2, t3 Timestamp) bool {
	there, here := t2.Sub(t1), t3.Sub(t0)
	if here < 0 || there < 0 || there > here {
		return false
	}
	// The true offset is where both ways took no less than nothing.
	lo, hi := int64(t2.Sub(t3)), int64(t1.Sub(t0))
	i, ok := slices.BinarySearchFunc(s.peers, id, func(p peer[ID], id ID) int { return cmp.Compare(p.id, id) })
	if !ok {
		s.peers = slices.Insert(s.peers, i, peer[ID]{id: id})
	}
	p := &s.peers[i]
	p.samples[p.n%skewKept] = sample{time.Duration(lo/2 + hi/2 + (lo%2+hi%2)/2), (here - there + 1) / 2}
	p.n++
	return true
}

// Forget drops what is known of a peer.
func (s *Skew[ID]) Forget(id ID) {
	s.peers = slices.DeleteFunc(s.peers, func(p peer[ID]) bool { return cmp.Compare(p.id, id) == 0 })
}

// best returns the sample that had the quickest exchange: it waited the least in queues,
// which are seldom the same in both directions.
func (p *peer[ID]) best() sample {
	return slices.MinFunc(p.samples[:min(p.n, skewKept)], func(a, b sample) int { return cmp.Compare(a.err, b.err) })
}

// Offset returns how far ahead a peer's clock is, and how wrong that may be; false without
// a sample.
func (s *Skew[ID]) Offset(id ID) (offset, bound time.Duration, ok bool) {
	for p, b := range s.all() {
		if cmp.Compare(p, id) == 0 {
			return b.offset, b.err, true
		}
	}
	return 0, 0, false
}

func (s *Skew[ID]) all() iter.Seq2[ID, sample] {
	return func(yield func(ID, sample) bool) {
		for i := range s.peers {
			if !yield(s.peers[i].id, s.peers[i].best()) {
				return
			}
		}
	}
}

// Majority returns the time, as an offset from the local clock, on which the most clocks
// agree within their errors and the given allowance, and how many do. The local clock is
// one of them, with an offset of 0.
func (s *Skew[ID]) Majority(allowed time.Duration) (offset time.Duration, agree int) {
	type edge struct {
		at   time.Duration
		step int // 1: an interval starts here, -1: it ends
	}
	edges := []edge{{-allowed, 1}, {allowed, -1}}
	for _, b := range s.all() {
		edges = append(edges, edge{b.offset - b.err - allowed, 1}, edge{b.offset + b.err + allowed, -1})
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(b.step, a.step)) })
	open := 0
	for i, e := range edges {
		open += e.step
		if open > agree { // an interval has just started, so another edge follows
			agree = open
			offset = e.at + (edges[i+1].at-e.at)/2
		}
	}
	return offset, agree
}

// Check returns nil if no clock is for certain further than allowed from the time on which
// more than half of all agree, or if there is no such time because too few are known or no
// majority agrees. Otherwise it returns a [*SkewError] that names those who are.
func (s *Skew[ID]) Check(allowed time.Duration) error {
	offset, agree := s.Majority(allowed)
	if 2*agree <= len(s.peers)+1 {
		return nil
	}
	e := &SkewError[ID]{Offset: offset, Peers: map[ID]time.Duration{}, Allowed: allowed}
	e.Self = offset.Abs() > allowed
	for id, b := range s.all() {
		if ahead := b.offset - offset; ahead.Abs() > allowed+b.err {
			e.Peers[id] = ahead
		}
	}
	if !e.Self && len(e.Peers) == 0 {
		return nil
	}
	return e
}
