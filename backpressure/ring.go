package backpressure

import (
	"math/bits"
	"reflect"
	"runtime"
	"sync/atomic"
)

// The two indices of a ring are words: the low bits count what was ever put or taken, and
// two flags sit on top.
const (
	locked    = 1 << 62 // some goroutine is moving this index
	closedBit = 1 << 63 // the producers' index only, and never together with locked
	indexBits = locked - 1
)

// outcome is what an engine answers to a push or a pop.
type outcome uint8

const (
	moved  outcome = iota
	denied         // full for a push, empty for a pop
	over           // closed for a push, closed and drained for a pop
)

// ring is a bounded FIFO. Each index carries its own lock bit: a producer takes the tail by
// one compare-and-swap, writes as many items as it has, and publishes them all by the store
// that moves and unlocks the index; a consumer does the same at the head. One item costs
// two atomic operations, as in Vyukov's bounded queue, but a batch costs the same two.
//
// Full and empty are exact: who holds one index knows that it stands still, and the other
// can only move the answer the other way. An operation takes effect where it unlocks, so
// nothing is ever half there: no slot is claimed but empty.
//
// The lock is held for a copy, never while anything waits. Who finds it taken looks again
// after a pause, and then yields.
type ring[T any] struct {
	buf      []T
	mask     uint64
	capacity uint64
	near     uint64 // how few items or slots are few
	wipe     bool   // T holds pointers, which a slot must not keep alive
	block    uint64 // so many slots are brought over at once, a power of two
	line     uint64 // so many slots share a cache line, at least one

	_    [64]byte
	tail index
	_    [104]byte
	head index
	_    [104]byte
}

// index is one end of a ring.
type index struct {
	word  atomic.Uint64
	far   uint64 // the other end as last seen from here; this and dwell belong to who holds the lock
	dwell int    // how long to hesitate before looking at the other end
}

// Two cores that look at each other's index for every item spend their time passing cache
// lines to and fro. So a side that has nearly caught up with the other hesitates, for so many
// turns of an empty loop (some 0.4 µs at most), finds more there, and looks less often. It
// hesitates longer next time if that has brought an item for every pace turns, and else half
// as long: where items come slowly nobody hesitates.
const (
	few      = 256
	pace     = 256
	minDwell = 16
	maxDwell = 1024
)

// An atomic operation waits for all that its core has read and written before. So large items,
// of a cache line or so each, would be brought over from the other core one after the other. At
// the beginning of a block a side therefore touches all lines of it, which then come together.
const blockBytes = 512

// Who finds an index taken stays away for so many turns of an empty loop, each time twice as
// many.
const (
	minPause = 64
	maxPause = 1024
)

// across looks at the other end, which is ahead by at least base, and hesitates if it is
// ahead by less than near. The lock is held.
func (x *index) across(other *index, base, near uint64) uint64 {
	w := other.word.Load()
	x.far = w & indexBits
	ahead := x.far - base
	if ahead >= near || w >= closedBit {
		return w
	}
	for range x.dwell {
	}
	w = other.word.Load()
	x.far = w & indexBits
	if gain := x.far - base - ahead; gain*pace >= uint64(x.dwell) && gain > 0 {
		x.dwell = min(2*x.dwell, maxDwell)
	} else {
		x.dwell = max(x.dwell/2, minDwell)
	}
	return w
}

func (r *ring[T]) init(capacity int) {
	r.capacity = uint64(capacity)
	r.near = min(few, r.capacity/8)
	r.buf = make([]T, 1<<bits.Len64(r.capacity-1))
	r.mask = uint64(len(r.buf) - 1)
	r.wipe = holdsPointers(reflect.TypeFor[T]())
	size := max(1, uint64(reflect.TypeFor[T]().Size()))
	r.line = max(1, 64/size)
	for r.block = 1; 2*r.block*size <= blockBytes && 8*r.block <= uint64(len(r.buf)); {
		r.block *= 2
	}
}

// push appends *v. Like pop it takes a pointer so that a large item is copied once.
func (r *ring[T]) push(v *T) outcome {
	t := r.tail.word.Load()
	if t >= locked || !r.tail.word.CompareAndSwap(t, t|locked) {
		if t = r.tail.lock(); t >= locked {
			return over
		}
	}
	if t-r.tail.far >= r.capacity {
		if r.tail.across(&r.head, t-r.capacity, r.near); t-r.tail.far >= r.capacity {
			r.tail.word.Store(t)
			return denied
		}
	}
	if t&(r.block-1) == 0 {
		r.claim(t)
	}
	r.buf[t&r.mask] = *v
	r.tail.word.Store(t + 1)
	return moved
}

// claim brings the slots from t on over to this core, if all of their block are free. The tail is
// held, and t begins a block.
func (r *ring[T]) claim(t uint64) {
	if at := t & r.mask; r.block > 1 && t-r.tail.far+r.block <= r.capacity {
		clear(r.buf[at : at+r.block])
	}
}

// fetch does so with items, if all of the block have come. It leaves one of them in *v.
func (r *ring[T]) fetch(h uint64, v *T) {
	if at := h & r.mask; r.head.far-h >= r.block {
		for i := r.line; i < r.block; i += r.line {
			*v = r.buf[at+i]
		}
	}
}

// pushAll appends as much of vs as there is room for, all at once.
func (r *ring[T]) pushAll(vs []T) (int, outcome) {
	t := r.tail.lock()
	if t >= locked {
		return 0, over
	}
	room := r.capacity - (t - r.tail.far)
	if room < uint64(len(vs)) {
		r.tail.across(&r.head, t-r.capacity, r.near)
		if room = r.capacity - (t - r.tail.far); room == 0 {
			r.tail.word.Store(t)
			return 0, denied
		}
	}
	n := copy(r.buf[t&r.mask:], vs[:min(room, uint64(len(vs)))])
	n += copy(r.buf, vs[n:min(room, uint64(len(vs)))])
	r.tail.word.Store(t + uint64(n))
	return n, moved
}

// pop takes the oldest item and leaves *v alone if there is none.
func (r *ring[T]) pop(v *T) outcome {
	h := r.head.word.Load()
	if h >= locked || !r.head.word.CompareAndSwap(h, h|locked) {
		h = r.head.lock()
	}
	if h == r.head.far {
		t := r.head.across(&r.tail, h, r.near)
		if h == r.head.far {
			r.head.word.Store(h)
			if t&closedBit != 0 {
				return over
			}
			return denied
		}
	}
	if h&(r.block-1) == 0 {
		r.fetch(h, v)
	}
	slot := &r.buf[h&r.mask]
	*v = *slot
	if r.wipe {
		var zero T
		*slot = zero
	}
	r.head.word.Store(h + 1)
	return moved
}

// popAll fills dst with the oldest items, all at once.
func (r *ring[T]) popAll(dst []T) (int, outcome) {
	h := r.head.lock()
	stock := r.head.far - h
	if stock < uint64(len(dst)) {
		t := r.head.across(&r.tail, h, r.near)
		if stock = r.head.far - h; stock == 0 {
			r.head.word.Store(h)
			if t&closedBit != 0 {
				return 0, over
			}
			return 0, denied
		}
	}
	from := r.buf[h&r.mask:]
	n := copy(dst[:min(stock, uint64(len(dst)))], from)
	rest := copy(dst[n:min(stock, uint64(len(dst)))], r.buf)
	if r.wipe {
		clear(from[:n])
		clear(r.buf[:rest])
	}
	r.head.word.Store(h + uint64(n+rest))
	return n + rest, moved
}

// close lets no push in any more. A push that holds the tail is let through first.
func (r *ring[T]) close() {
	if t := r.tail.lock(); t < locked {
		r.tail.word.Store(t | closedBit)
	}
}

func (r *ring[T]) puts() uint64 { return r.tail.word.Load() & indexBits }
func (r *ring[T]) gots() uint64 { return r.head.word.Load() & indexBits }

// size is the number of items at one instant during the call.
func (r *ring[T]) size() int {
	for {
		h := r.head.word.Load() & indexBits
		t := r.tail.word.Load() & indexBits
		if h == r.head.word.Load()&indexBits {
			return int(t - h)
		}
	}
}

// drained says that the ring is closed and empty, which it then is for ever.
func (r *ring[T]) drained() bool {
	t := r.tail.word.Load()
	return t&closedBit != 0 && t&indexBits == r.head.word.Load()&indexBits
}

// lock takes the index and returns where it stands; a closed one is returned as it is, with
// closedBit and not taken.
//
// Two cores that take turns at every item pass the index and the items' memory to and fro.
// So who finds it taken stays away for so long that the other gets many items through.
func (x *index) lock() uint64 {
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		w := x.word.Load()
		if w&closedBit != 0 {
			return w
		}
		if w < locked && x.word.CompareAndSwap(w, w|locked) {
			return w
		}
		for range pause {
		}
		if pause == maxPause { // the holder may be off its core
			runtime.Gosched() // no sleep: in a synctest bubble, under a lot's lock, time may stand still
		}
	}
}

// holdsPointers says whether values of type t can keep memory alive.
func holdsPointers(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Array:
		return t.Len() > 0 && holdsPointers(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if holdsPointers(t.Field(i).Type) {
				return true
			}
		}
		return false
	default:
		return t.Kind() > reflect.Complex128
	}
}
