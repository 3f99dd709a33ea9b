package backpressure

import (
	"context"
	"iter"
	"runtime"
	"sync"
	"sync/atomic"
)

// yields is how often a call that has to wait lets others run before it parks. Under load
// the other side is about to run anyway, and parking costs ten times as much.
const yields = 4

// Queue is a bounded queue between any number of producers and consumers: first in, first
// out, and when it is full Put waits, unless an [Option] says otherwise. Make one with
// [NewQueue]; the zero value is not ready to use. All methods may be called concurrently.
//
// It is linearizable: each operation takes effect at one instant during its call, a batch
// as the sequence of its items. In particular a refusal is exact: the queue was full, or
// empty, at an instant during the call.
//
// A context costs nothing unless the call has to wait: it is not looked at before. So an
// operation that can be done at once is done even if its context is over already; one that
// would wait returns ctx.Err() at once. A cancelled operation has had no effect, apart from
// what PutAll reports.
//
// A call that has to wait yields a few times and then parks; parked calls use no processor
// time. Where items come slower than goroutines wake, the parked are served in the order in
// which they came. Where items come faster, a running goroutine may overtake a parked one,
// for a millisecond at most and then no longer.
//
// A Put or PutAll that finds a Get parked hands it the item and lets it run, as
// [runtime.Gosched] does, so the item is under way for half a microsecond and not until the
// producer next waits. That takes a sixteenth of the producers' time at most, and next to
// none where it does not pay. TryPut does not do so.
//
// Put and Get take two atomic operations each and allocate nothing. PutAll and GetBatch
// take the same two for a whole batch, which makes them the fastest way through. Memory for
// all the items is allocated by NewQueue. Options other than [RejectWhenFull] and
// [DropNewest] need more than that: the queue then works under one lock, costs two to
// five times as much as a channel, serves strictly in the order its options say, and takes
// memory as it fills, which it keeps for use again.
//
// A queue is the wrong tool where items must be selected among several sources: that is
// what channels and select are for.
type Queue[T any] struct {
	ring  ring[T]
	sched *sched[T] // if not nil, it is used instead of the ring

	full    policy
	onDrop  func(T, Reason)
	refusal *Overload // what a full queue answers: made once, so that refusing allocates nothing
	cap     int

	_        [64]byte
	puts     lot[T]
	_        [64]byte
	gets     lot[T]
	_        [64]byte
	rejected atomic.Uint64
	dropped  atomic.Uint64

	endMu sync.Mutex
	end   chan struct{} // closed when a closed queue is empty; made by the first Drain
}

// NewQueue makes a queue for capacity items. It panics if capacity is not positive or if
// the options contradict each other: that is a mistake in the program.
func NewQueue[T any](capacity int, opts ...Option[T]) *Queue[T] {
	var c config[T]
	for _, o := range opts {
		if o == nil {
			panic(errNilOption)
		}
		o(&c)
	}
	if err := c.check(capacity); err != nil {
		panic(err)
	}
	q := &Queue[T]{full: c.full, onDrop: c.onDrop, cap: capacity}
	q.refusal = &Overload{Reason: Full, Queued: capacity, Limit: capacity}
	if c.scheduled() {
		q.sched = newSched(capacity, c, q.refusal)
		return q
	}
	q.ring.init(capacity)
	q.puts.passed, q.gets.passed = q.ring.puts, q.ring.gots
	q.puts.try, q.gets.try = q.tryPut, q.tryGet
	stocked := func() { q.stocked(false) }
	q.puts.notify, q.gets.notify = stocked, q.vacated
	q.puts.wake, q.gets.wake = q.vacated, stocked
	q.puts.courtesy = courtesy
	return q
}

// Put appends v. When there is no room it waits for it, or does what the queue's policy
// says. It returns [ErrClosed] if the queue is or becomes closed, ctx.Err() if ctx ends
// first, an [*Overload] if the policy is [RejectWhenFull] and the queue is full or if v's
// [Deadline] is over, and an error that matches [ErrWeight] if v could never be let in.
func (q *Queue[T]) Put(ctx context.Context, v T) error {
	if q.sched != nil {
		return q.sched.put(ctx, v, true)
	}
	if q.puts.need.Load()&needTurn != 0 {
		return q.putSlow(ctx, v, denied)
	}
	if o := q.ring.push(&v); o != moved {
		return q.putSlow(ctx, v, o)
	}
	if q.gets.need.Load()&needWake != 0 {
		q.stocked(true)
	}
	return nil
}

func (q *Queue[T]) putSlow(ctx context.Context, v T, o outcome) error {
	if o != over && q.full != block {
		return q.refuse(v)
	}
	if o == denied {
		if err := ctx.Err(); err != nil {
			return err
		}
		o = q.yieldPut(&v)
	}
	if o == denied {
		var err error
		w := q.puts.enter()
		w.one[0] = v
		w.items = w.one[:]
		o, err = q.puts.wait(ctx, w)
		q.puts.leave(w)
		if err != nil {
			return err
		}
	}
	if o == over {
		return ErrClosed
	}
	return nil
}

// yieldPut lets others run and tries again a few times.
func (q *Queue[T]) yieldPut(v *T) outcome {
	if q.puts.need.Load()&needPark != 0 {
		return denied
	}
	for range yields {
		runtime.Gosched()
		if o := q.ring.push(v); o != denied {
			q.stocked(false)
			return o
		}
	}
	return denied
}

// refuse answers a Put into a full queue that does not wait.
func (q *Queue[T]) refuse(v T) error {
	if q.full == dropNewest {
		q.dropped.Add(1)
		q.drop(v, Full)
		return nil
	}
	q.rejected.Add(1)
	return q.refusal
}

// TryPut appends v if that is possible without waiting. It returns an [*Overload] with
// reason [Full] if the queue was full at an instant during the call, [ErrClosed] if it is
// closed. A queue that drops takes v as Put does.
func (q *Queue[T]) TryPut(v T) error {
	if q.sched != nil {
		return q.sched.put(context.Background(), v, false)
	}
	switch q.ring.push(&v) {
	case denied:
		return q.refuse(v)
	case over:
		return ErrClosed
	}
	q.stocked(false)
	return nil
}

// PutAll appends the items of vs in order and returns how many it put; it keeps nothing of
// vs. It takes all the room there is at once and waits for more as Put does, so items of
// other producers may come in between. If it is cut short, err says why and vs[n:] was not
// put. A queue that drops takes them all: n is then len(vs).
func (q *Queue[T]) PutAll(ctx context.Context, vs []T) (n int, err error) {
	if q.sched != nil {
		return q.sched.putAll(ctx, vs)
	}
	for spin := 0; n < len(vs); spin++ {
		k, o := 0, denied
		if q.puts.need.Load()&needTurn == 0 {
			if k, o = q.ring.pushAll(vs[n:]); k > 0 {
				n, spin = n+k, 0
				q.stocked(true)
				continue
			}
		}
		switch {
		case o == over:
			return n, ErrClosed
		case q.full == reject:
			q.rejected.Add(uint64(len(vs) - n))
			return n, q.refusal
		case q.full == dropNewest:
			for _, v := range vs[n:] {
				_ = q.refuse(v)
			}
			return len(vs), nil
		}
		if err := ctx.Err(); err != nil {
			return n, err
		}
		if spin < yields && q.puts.need.Load()&needPark == 0 {
			runtime.Gosched()
			continue
		}
		w := q.puts.enter()
		w.items = vs[n:]
		o, err = q.puts.wait(ctx, w)
		n += w.n
		q.puts.leave(w)
		if err == nil && o == over {
			err = ErrClosed
		}
		return n, err
	}
	return n, nil
}

// Get takes the oldest item and waits for one if there is none. It returns [ErrClosed] once
// the queue is closed and empty, and ctx.Err() if ctx ends first.
func (q *Queue[T]) Get(ctx context.Context) (v T, err error) {
	if q.sched != nil {
		return q.sched.getOne(ctx)
	}
	if q.gets.need.Load()&needTurn != 0 {
		return q.getSlow(ctx, denied)
	}
	if o := q.ring.pop(&v); o != moved {
		return q.getSlow(ctx, o)
	}
	if q.puts.need.Load()&(needWake|needDrain) != 0 {
		q.vacated()
	}
	return v, nil
}

func (q *Queue[T]) getSlow(ctx context.Context, o outcome) (v T, err error) {
	if o == denied {
		if err := ctx.Err(); err != nil {
			return v, err
		}
		o = q.yieldGet(&v)
	}
	if o == denied {
		w := q.gets.enter()
		w.items = w.one[:]
		o, err = q.gets.wait(ctx, w)
		v = w.one[0]
		q.gets.leave(w)
		if err != nil {
			return v, err
		}
	}
	if o == over {
		return v, ErrClosed
	}
	return v, nil
}

func (q *Queue[T]) yieldGet(v *T) outcome {
	if q.gets.need.Load()&needPark != 0 {
		return denied
	}
	for range yields {
		runtime.Gosched()
		if o := q.ring.pop(v); o != denied {
			q.vacated()
			return o
		}
	}
	return denied
}

// TryGet takes the oldest item if there is one. It returns false if the queue was empty at
// an instant during the call.
func (q *Queue[T]) TryGet() (v T, ok bool) {
	if q.sched != nil {
		return q.sched.tryGet()
	}
	if q.ring.pop(&v) != moved {
		return v, false
	}
	q.vacated()
	return v, true
}

// GetBatch waits until there is an item and then takes as many of the oldest as it finds and
// dst holds, at once. It returns how many, with an error only if there are none:
// [ErrClosed] or ctx.Err(), as Get does. For an empty dst it returns 0 and no error.
func (q *Queue[T]) GetBatch(ctx context.Context, dst []T) (n int, err error) {
	if len(dst) == 0 {
		return 0, nil
	}
	if q.sched != nil {
		return q.sched.get(ctx, dst)
	}
	for spin := 0; ; spin++ {
		o := denied
		if q.gets.need.Load()&needTurn == 0 {
			if n, o = q.ring.popAll(dst); n > 0 {
				q.vacated()
				return n, nil
			}
		}
		if o == over {
			return 0, ErrClosed
		}
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if spin == yields || q.gets.need.Load()&needPark != 0 {
			break
		}
		runtime.Gosched()
	}
	w := q.gets.enter()
	w.items = dst
	o, err := q.gets.wait(ctx, w)
	n = w.n
	q.gets.leave(w)
	if err == nil && o == over {
		err = ErrClosed
	}
	return n, err
}

// All takes items one by one until the queue is closed and empty, or ctx is done. Several
// loops may share a queue; a loop that breaks off leaves everything it was not given.
func (q *Queue[T]) All(ctx context.Context) iter.Seq[T] {
	return func(yield func(T) bool) {
		for ctx.Err() == nil {
			v, err := q.Get(ctx)
			if err != nil || !yield(v) {
				return
			}
		}
	}
}

// Close lets nothing in any more: a Put from now on, or one that waits, returns
// [ErrClosed]. What was put before is still there to be got, and then Get returns
// ErrClosed. A Put that runs at the same time either returns nil, and its item will be got,
// or returns ErrClosed. Closing twice is harmless.
func (q *Queue[T]) Close() {
	if q.sched != nil {
		q.sched.close()
		return
	}
	q.ring.close()
	q.puts.wakeAll()
	q.gets.wakeAll()
}

// Drain closes the queue and waits until everything in it was got. It returns ctx.Err() if
// ctx ends first; the queue then stays closed and can still be emptied.
func (q *Queue[T]) Drain(ctx context.Context) error {
	q.Close()
	end := q.ended()
	select {
	case <-end:
		return nil
	default:
	}
	select {
	case <-end:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ended returns what is closed when the closed queue is empty.
func (q *Queue[T]) ended() <-chan struct{} {
	if q.sched != nil {
		return q.sched.end
	}
	q.endMu.Lock()
	if q.end == nil {
		q.end = make(chan struct{})
	}
	end := q.end
	q.endMu.Unlock()

	q.puts.watch() // before looking, for the last Get looks after taking
	q.finish()
	return end
}

// finish ends every Drain if the queue is closed and empty.
func (q *Queue[T]) finish() {
	if !q.ring.drained() {
		return
	}
	q.endMu.Lock()
	defer q.endMu.Unlock()
	select {
	case <-q.end:
	default:
		close(q.end)
	}
}

// QueueStats is what a queue has done so far. The numbers are read one after the other, so
// while it is in use they may be some operations apart; with options that need a lock they
// are of one instant.
//
// All that was offered is in Put or Rejected, but for what DropNewest dropped. All that came
// in, Put, is in Got, Len, Shed, Late, or, with [DropOldest], in Dropped.
type QueueStats struct {
	Len, Cap int
	Cost     int64  // what fills Cap: the weight of all items with [Weigh], else their number
	Put      uint64 // items that came in
	Got      uint64 // items that were taken out
	Rejected uint64 // items refused because the queue was full, or they were late
	Dropped  uint64 // items dropped by DropOldest, which had come in, or DropNewest, which had not
	Shed     uint64 // items dropped by CoDel, or for others worth more
	Late     uint64 // items dropped because their deadline was over
}

// Stats returns what the queue has done so far.
func (q *Queue[T]) Stats() QueueStats {
	if q.sched != nil {
		return q.sched.stats()
	}
	n := q.ring.size()
	return QueueStats{
		Len:      n,
		Cap:      q.cap,
		Cost:     int64(n),
		Put:      q.puts.passed(),
		Got:      q.gets.passed(),
		Rejected: q.rejected.Load(),
		Dropped:  q.dropped.Load(),
	}
}

func (q *Queue[T]) drop(v T, r Reason) {
	if q.onDrop != nil {
		q.onDrop(v, r)
	}
}

// The rest ties the ring to the two lots.

// tryPut and tryGet do a waiter's work as far as possible.
func (q *Queue[T]) tryPut(w *waiter[T]) outcome {
	n, o := q.ring.pushAll(w.items)
	w.n += n
	w.items = w.items[n:]
	if o == moved && len(w.items) > 0 {
		return denied
	}
	return o
}

func (q *Queue[T]) tryGet(w *waiter[T]) outcome {
	n, o := q.ring.popAll(w.items)
	w.n = n
	return o
}

// stocked is called after items came in, by a call that may give way if polite; vacated after
// items went out.
func (q *Queue[T]) stocked(polite bool) {
	if q.gets.need.Load()&needWake != 0 && q.ring.size() > 0 {
		q.gets.wakeFirst(polite)
	}
}

func (q *Queue[T]) vacated() {
	need := q.puts.need.Load()
	if need&needWake != 0 && q.ring.size() < q.cap {
		q.puts.wakeFirst(false)
	}
	if need&needDrain != 0 {
		q.finish()
	}
}
