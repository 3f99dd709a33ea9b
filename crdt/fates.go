package crdt

// maxFates is how many fused events a store remembers.
const maxFates = 4096

// fates remember into which events Compact has made the own ones that it fused last, so that
// [Store.Invert] can tell those that still count from those that were over before. The numbers that
// an event says it stands for cannot: they span what was reset, or undone, in between.
type fates struct {
	into  map[uint64]uint64 // a fused event's number: that of the one that stands for it
	order []uint64          // the numbers, a ring once it is full
	next  int               // the oldest
	off   []fate            // taken off in the update that began with the number offAt
	offAt uint64
}

type fate struct{ seq, by uint64 }

// add remembers that an event was fused into another.
func (f *fates) add(seq, by uint64) {
	if f.into == nil {
		f.into = map[uint64]uint64{}
	}
	f.into[seq] = by
	if len(f.order) < maxFates {
		f.order = append(f.order, seq)
		return
	}
	delete(f.into, f.order[f.next])
	f.order[f.next] = seq
	f.next = (f.next + 1) % maxFates
}

// of returns the event that stands for one that was fused: itself fused, perhaps, into another, and so
// on.
func (f *fates) of(seq uint64) (by uint64, ok bool) {
	by, ok = f.into[seq]
	for next := ok; next; {
		var then uint64
		if then, next = f.into[by]; next {
			by = then
		}
	}
	if ok {
		f.into[seq] = by
	}
	return by, ok
}

// takeOff forgets an event because it was undone in the update that began with the number first.
func (f *fates) takeOff(seq, first uint64) {
	if f.offAt != first {
		f.off, f.offAt = f.off[:0], first
	}
	f.off = append(f.off, fate{seq, f.into[seq]})
	delete(f.into, seq)
}

// rollBack takes back what the update did that began with the number first.
func (f *fates) rollBack(first uint64) {
	for seq, by := range f.into {
		if by >= first {
			delete(f.into, seq)
		}
	}
	if f.offAt == first {
		for _, x := range f.off {
			f.into[x.seq] = x.by
		}
		f.off = f.off[:0]
	}
}
