package crdt

import (
	"slices"
	"sort"

	"github.com/go-calm/calm/internal/front"
	"github.com/go-calm/calm/internal/interval"
)

// maxSeq is the highest sequence number that is accepted; no replica gets there by counting.
const maxSeq = 1 << 62

// lane is what a store knows of one replica's dots: all that it has seen, and which of them live
// where. Dots are ascending, so two replicas compare a lane by walking along it, without hashing.
type lane struct {
	id    ReplicaID
	seen  interval.Set
	seqs  []uint64 // ascending
	slots []slot   // beside seqs; noSlot marks a dead one
	dead  int
	front *rooms // nil if nothing has come before the first
	// living is the sum over the live dots of mix(replica, number): see Store.Fingerprint.
	living uint64
	fused  absorptions
}

// rooms are those before seqs and slots.
type rooms struct {
	seqs  front.Room[uint64]
	slots front.Room[slot]
}

// retreat makes room for n entries before all others.
func (l *lane) retreat(n int) {
	if l.front == nil {
		l.front = new(rooms)
	}
	l.seqs, l.slots = l.front.seqs.Grow(l.seqs, n), l.front.slots.Grow(l.slots, n)
}

// find returns the index of the first entry of seqs that is ≥ seq, at or after from. It gallops,
// so a walk over k entries of n costs O(k·log(n/k)).
func (l *lane) find(seq uint64, from int) int {
	if n := len(l.seqs); n == 0 || l.seqs[n-1] < seq { // what is new lies past the end
		return n
	}
	step := 1
	hi := from
	for hi < len(l.seqs) && l.seqs[hi] < seq {
		from = hi + 1
		hi += step
		step *= 2
	}
	hi = min(hi, len(l.seqs))
	return from + sort.Search(hi-from, func(i int) bool { return l.seqs[from+i] >= seq })
}

// dense returns the end of the entries from the live one at from on, before to, whose numbers follow one
// another; all of them live.
func (l *lane) dense(from, to int) int {
	if l.dead == 0 { // numbers ascend: if the last one is as far as it is long, none is left out between
		return from + sort.Search(to-from, func(i int) bool { return l.seqs[from+i] != l.seqs[from]+uint64(i) })
	}
	i := from + 1
	for i < to && l.slots[i] != noSlot && l.seqs[i] == l.seqs[i-1]+1 {
		i++
	}
	return i
}

// lookup returns the index of a live dot.
func (l *lane) lookup(seq uint64) (int, bool) {
	i := l.last(seq)
	return i, i < len(l.seqs) && l.seqs[i] == seq && l.slots[i] != noSlot
}

// last is find from 0, quick for what lies at the end.
func (l *lane) last(seq uint64) int {
	if n := len(l.seqs); n > 0 && l.seqs[n-1] <= seq {
		if l.seqs[n-1] == seq {
			return n - 1
		}
		return n
	}
	return l.find(seq, 0)
}

// insert records that the dot seq lives at s. A dot is inserted once: after it has died it is seen.
func (l *lane) insert(seq uint64, s slot) {
	i := l.last(seq)
	l.grow(1)
	if i == len(l.seqs) {
		l.seqs, l.slots = append(l.seqs, seq), append(l.slots, s)
		return
	}
	l.seqs = slices.Insert(l.seqs, i, seq)
	l.slots = slices.Insert(l.slots, i, s)
}

// grow makes room for n more entries. What grows one by one doubles, a big one by half: append's
// quarter would have every entry copied four times.
func (l *lane) grow(n int) {
	if have := len(l.seqs); have+n > cap(l.seqs) || have+n > cap(l.slots) {
		if have > 1<<16 {
			have /= 2
		}
		n = max(n, have)
		l.seqs, l.slots = slices.Grow(l.seqs, n), slices.Grow(l.slots, n)
	}
}

// kill forgets a live dot and returns where it lived.
func (l *lane) kill(seq uint64) slot {
	i, ok := l.lookup(seq)
	if !ok {
		panic("crdt: internal error: killed a dot that does not live")
	}
	s := l.slots[i]
	l.slots[i] = noSlot
	if l.dead++; l.dead > 16 && 2*l.dead > len(l.seqs) {
		l.compact()
	}
	return s
}

func (l *lane) compact() {
	n := 0
	for i, s := range l.slots {
		if s != noSlot {
			l.seqs[n], l.slots[n] = l.seqs[i], s
			n++
		}
	}
	l.seqs, l.slots, l.dead = l.seqs[:n], l.slots[:n], 0
	if cap(l.seqs) > 4*n+64 || l.front != nil {
		l.front = nil
		l.seqs, l.slots = slices.Clone(l.seqs), slices.Clone(l.slots)
	}
}

// live returns the sequence numbers of the live dots.
func (l *lane) live() interval.Set {
	var s interval.Set
	for i, seq := range l.seqs {
		if l.slots[i] != noSlot {
			s.Add(seq)
		}
	}
	return s
}
