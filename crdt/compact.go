package crdt

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/go-calm/calm/internal/interval"
)

// Compact makes this replica's events at each counter in a [Map] or at a name into one, as far as
// they are stable, and returns how many events that took away. What it changes is told to those that
// called [Store.OnUpdate]. Counts stay as they are, here and everywhere, and a reset that is under
// way still resets what its maker saw.
//
// Stable is the [Digest.Meet] of one digest of each replica that has a part in the state, taken at
// any time. A replica that is new makes no changes before it has merged a whole state of one of
// them. Were this not so, replicas would still become equal, but a count may lose additions.
//
// Each counter that is compacted costs an event that all replicas are told of, so call it now and
// then, not after each change. It must not be called inside [Store.Update]. O(counters changed
// since the last time); O(events made here) the first time after a start.
func (s *Store) Compact(stable Digest) (fused int) {
	// The rule. A replica's oldest dots d1 < … < dk at a counter are fused if each replica has had all
	// of them live at one moment, so that every reset of any of them is, or will be, one of all: before
	// that moment there was none, and since then whoever resets one sees all. The new dot dn brings
	// the sum and says "d1 to dk".
	//
	//  - A reset that saw dk but not dn must take dn along: it finds dn by dk (merger.checkLane). If
	//    it came first, then dk is seen and over where dn arrives, and dn is dead on arrival.
	//  - Where dn arrives, its replica's dots from d1 to dk at the counter are over.
	//  - dn and the end of dk are told in one delta, always (Store.together); so a delta that tells
	//    that dk is over and is silent about dn is the reset of one who did not know dn.
	//
	// TestFusingNeverChangesACount executes every schedule of a small world.
	if s.tx.depth > 0 {
		panic("crdt: Compact inside Update")
	}
	if s.own < 0 {
		return 0
	}
	live := stable.lane(s.self).live
	if live.IsEmpty() {
		return 0
	}
	if !s.tallies.complete {
		own := &s.lanes[s.own]
		for _, at := range own.slots {
			if at != noSlot && s.tree.at(at).shape.kind.isTally() {
				s.tallies.add(at)
			}
		}
		s.tallies.complete = true
	}
	s.begin()
	s.tallies.tidy()
	s.tallies.slots = slices.DeleteFunc(s.tallies.slots, func(at slot) bool {
		took, left := s.fuse(at, live.Has)
		fused += took
		return left < 2
	})
	s.end()
	if s.refused != nil {
		return 0
	}
	return fused
}

// fuse makes the own events at a counter that are stable, and that no unstable one is older than,
// into one. It returns how many less there are and how many own ones are left.
func (s *Store) fuse(at slot, stable func(seq uint64) bool) (took, left int) {
	if int(at) >= int(s.tree.count) || !s.tree.at(at).shape.kind.isTally() {
		return 0, 0 // the counter is gone
	}
	var own []dot
	s.tree.dots(at, func(d dot) {
		if int(d.lane) == s.own {
			own = append(own, d)
		}
	})
	slices.SortFunc(own, func(a, b dot) int { return cmp.Compare(a.seq, b.seq) })
	n := 0
	for n < len(own) && stable(own[n].seq) {
		n++
	}
	if n < 2 {
		return 0, len(own)
	}
	s.remember(at, func(d dot) bool { return int(d.lane) == s.own && d.seq <= own[n-1].seq })
	by := s.tx.next
	s.mint(at, fusedPayload(s.tree.at(at).shape.kind, own[:n]))
	mark := len(s.tx.removed)
	for _, d := range own[:n] {
		s.tallies.fates.add(d.seq, by)
		s.tx.removed = append(s.tx.removed, located{s.own, d.seq})
	}
	s.over(mark)
	return n - 1, len(own) - n + 1
}

// fusedPayload is the payload of the event that absorbs ds, which are ascending.
func fusedPayload(k kind, ds []dot) string {
	var b []byte
	if k == kindCounter {
		sum := int64(0)
		for _, d := range ds {
			v, _ := binary.Varint([]byte(d.payload))
			sum += v
		}
		b = binary.AppendVarint(b, sum)
	} else {
		sum := uint64(0)
		for _, d := range ds {
			v, _ := binary.Uvarint([]byte(d.payload))
			sum = saturate(sum, v)
		}
		b = binary.AppendUvarint(b, sum)
	}
	first, last := ds[0].seq, ds[len(ds)-1].seq
	return string(binary.AppendUvarint(binary.AppendUvarint(b, first), last-first))
}

// isTally reports whether nodes of the kind are counters whose events add up and may be fused.
func (k kind) isTally() bool { return k == kindCounter || k == kindGCounter }

// absorbed returns the first and the last event that one with this payload has absorbed. It is empty
// (Hi is 0) if there is none.
func absorbed[P string | []byte](k kind, payload P) interval.Range {
	if !k.isTally() {
		return interval.Range{}
	}
	i := 0
	for i < len(payload) && payload[i] >= 0x80 {
		i++
	}
	if i+1 >= len(payload) { // nothing after the sum
		return interval.Range{}
	}
	tail := []byte(payload[i+1:])
	first, n := binary.Uvarint(tail)
	more, _ := binary.Uvarint(tail[n:])
	return interval.Range{Lo: first, Hi: first + more}
}

// tallies are the counters that may have several own events: candidates for Compact. Some may be
// gone, or listed twice.
type tallies struct {
	slots    []slot
	room     int  // how many to have before those listed twice are dropped
	complete bool // false: there may be others
	fates    fates
}

func (t *tallies) add(at slot) {
	if n := len(t.slots); n > 0 && t.slots[n-1] == at {
		return
	}
	if len(t.slots) >= t.room {
		t.tidy()
	}
	t.slots = append(t.slots, at)
}

func (t *tallies) tidy() {
	slices.Sort(t.slots)
	t.slots = slices.Compact(t.slots)
	t.room = 2*len(t.slots) + 64
}

// absorption tells that an event, by, stands for its replica's events at its counter up to another.
type absorption struct{ upto, by uint64 }

// absorptions are those of one lane. Some are perhaps of events that are over; it is sorted when it is
// asked.
type absorptions struct {
	list   []absorption
	sorted int // how many at the start of list are in order
	room   int // how long list may be before it is tidied
}

// absorb records that an event that lives has absorbed others.
func (l *lane) absorb(upto, by uint64) {
	a := &l.fused
	if len(a.list) >= a.room {
		l.tidy()
		a.room = 2*len(a.list) + 16
	}
	if n := len(a.list); a.sorted == n && (n == 0 || a.list[n-1].upto < upto) {
		a.sorted++
	}
	a.list = append(a.list, absorption{upto, by})
}

// tidy sorts the absorptions and drops those of events that are over.
func (l *lane) tidy() {
	a := &l.fused
	a.list = slices.DeleteFunc(a.list, func(x absorption) bool {
		_, lives := l.lookup(x.by)
		return !lives
	})
	slices.SortFunc(a.list, func(x, y absorption) int {
		return cmp.Or(cmp.Compare(x.upto, y.upto), cmp.Compare(x.by, y.by))
	})
	a.sorted = len(a.list)
}

// absorbers calls f for each live event that absorbed one of lo…hi, and with the last that it
// absorbed.
func (l *lane) absorbers(lo, hi uint64, f func(upto, by uint64)) {
	a := &l.fused
	if len(a.list) == 0 {
		return
	}
	if a.sorted < len(a.list) {
		l.tidy()
	}
	i, _ := slices.BinarySearchFunc(a.list, lo, func(x absorption, lo uint64) int { return cmp.Compare(x.upto, lo) })
	for ; i < len(a.list) && a.list[i].upto <= hi; i++ {
		if _, lives := l.lookup(a.list[i].by); lives {
			f(a.list[i].upto, a.list[i].by)
		}
	}
}

// together makes a part of a delta tell of an event and of the last one that it absorbed both or
// neither.
func (s *Store) together(p *part) {
	l := &s.lanes[p.lane]
	if len(l.fused.list) == 0 {
		return
	}
	var alone []uint64
	for _, r := range slices.Clone(p.seen.Runs()) {
		l.absorbers(r.Lo, r.Hi, func(_, by uint64) {
			if p.seen.Add(by) {
				alone = append(alone, by)
			}
		})
	}
	for _, by := range alone {
		i, _ := l.lookup(by)
		p.spans = append(p.spans, span{i, i + 1})
	}
	if len(alone) > 0 {
		slices.SortFunc(p.spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	}
	for _, sp := range p.spans {
		for i := sp.from; i < sp.to; i++ {
			if l.slots[i] == noSlot {
				continue
			}
			if n := s.tree.at(l.slots[i]); n.leaf() != 0 && n.shape.kind.isTally() {
				d := s.tree.dot(l.slots[i], uint32(p.lane), l.seqs[i])
				if took := absorbed(n.shape.kind, d.payload); took.Hi > 0 {
					p.seen.Add(took.Hi)
				}
			}
		}
	}
}
