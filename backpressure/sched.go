package backpressure

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// sched is the engine of a queue with more to decide than first come, first served: it does
// everything under one lock. What waits in the queue is one line, the Puts that wait for
// room are another in the same order, and the Gets that wait are a third. An item is handed
// to who waits for it, so nobody is overtaken but by the rules.
//
// While a Get waits there is no item, and while there is none no Put waits: whatever is
// admitted fits into an empty queue.
type sched[T any] struct {
	capacity int64
	config[T]
	timed   bool // whether anything depends on the time
	epoch   time.Time
	refusal *Overload     // for what finds no room
	tooLate *Overload     // for what has its deadline behind it
	end     chan struct{} // closed when the queue is closed and empty

	mu     sync.Mutex
	stock  line[T]
	door   line[*caller[T]]
	gets   line[*caller[T]]
	gone   *entry[T] // dropped, to be reported after unlocking, first to last
	last   *entry[T]
	free   *entry[T]
	calls  *caller[T] // to use again
	closed bool
	done   QueueStats
}

// caller is a call that waits: a Put for room or a Get for an item.
type caller[T any] struct {
	entry entry[*caller[T]]
	items []T // where to put what is got
	one   [1]T
	n     int // how many were got
	err   error
	ready chan struct{} // of capacity 1; sent by who takes the caller out of its line
	next  *caller[T]
}

func newSched[T any](capacity int, c config[T], refusal *Overload) *sched[T] {
	s := &sched[T]{
		capacity: int64(capacity),
		config:   c,
		timed:    c.rules.lifo || c.rules.target > 0 || c.deadline != nil,
		epoch:    time.Now(),
		refusal:  refusal,
		tooLate:  &Overload{Reason: Late},
		end:      make(chan struct{}),
	}
	s.stock.rules = c.rules
	s.stock.drop = s.drop
	s.door.rules = c.rules
	s.door.target = 0 // CoDel is about what waits inside
	s.door.drop = func(e *entry[*caller[T]], _ Reason) { s.turnAway(e.value, s.tooLate) }
	return s
}

// now is called with the lock held, so that it never goes back.
func (s *sched[T]) now() time.Duration {
	if !s.timed {
		return 0
	}
	return time.Since(s.epoch)
}

// describe asks the functions that the options brought. That is not done under the lock: they
// may take their time, use the queue, or panic.
func (s *sched[T]) describe(v T, m *terms) error {
	*m = terms{share: 1, cost: 1, deadline: never}
	if s.weigh != nil {
		// What weighs nothing would be without bound.
		w := s.weigh(v)
		if w < 0 || w > s.capacity {
			return fmt.Errorf("%w: an item weighs %d, the queue holds %d", ErrWeight, w, s.capacity)
		}
		m.cost = max(1, w)
	}
	if s.level != nil {
		m.level = s.level(v)
	}
	if s.tenant != nil {
		if m.tenant, m.share = s.tenant(v); m.share < 1 {
			return fmt.Errorf("%w: a tenant's share is %d", ErrWeight, m.share)
		}
	}
	if s.deadline != nil {
		if t := s.deadline(v); !t.IsZero() {
			m.deadline = t.Sub(s.epoch)
		}
	}
	return nil
}

// put brings v in, and waits for that if need be and wanted.
func (s *sched[T]) put(ctx context.Context, v T, wait bool) error {
	var m terms
	if err := s.describe(v, &m); err != nil {
		return err
	}
	s.mu.Lock()
	now := s.now()
	ok, err := s.admit(v, m, now)
	if !ok && err == nil {
		if wait {
			return s.queueUp(ctx, v, m, now)
		}
		_, err = s.refuse(v, Full)
	}
	s.settle(now)
	s.unlock()
	return err
}

// batch is how many items of a PutAll go in under one lock.
const batch = 16

func (s *sched[T]) putAll(ctx context.Context, vs []T) (n int, err error) {
	for n < len(vs) && err == nil {
		var ms [batch]terms
		k := 0
		for k < min(batch, len(vs)-n) && err == nil {
			if err = s.describe(vs[n+k], &ms[k]); err == nil {
				k++
			}
		}
		put, cut := s.putSome(ctx, vs[n:n+k], ms[:k], len(vs)-n)
		if n += put; cut != nil {
			return n, cut
		}
	}
	return n, err
}

// putSome puts the items of vs, of a batch of which left are left.
func (s *sched[T]) putSome(ctx context.Context, vs []T, ms []terms, left int) (n int, err error) {
	s.mu.Lock()
	for n < len(vs) && err == nil {
		var ok bool
		now := s.now()
		if ok, err = s.admit(vs[n], ms[n], now); !ok && err == nil {
			if s.gets.size > 0 {
				s.settle(now) // what was let in is waited for, and that makes room
				continue
			}
			err = s.queueUp(ctx, vs[n], ms[n], now)
			s.mu.Lock()
		}
		if err == nil {
			n++
		} else if s.full == reject && !s.closed {
			s.done.Rejected += uint64(left - n - 1)
		}
	}
	s.settle(s.now())
	s.unlock()
	return n, err
}

// admit lets v in if that can be done at once, and if not says why, or nothing if it may
// wait. A queue that drops admits everything, if only to drop it. The lock is held, as for
// all in lower case below.
func (s *sched[T]) admit(v T, m terms, now time.Duration) (ok bool, err error) {
	switch {
	case s.closed:
		return false, ErrClosed
	case m.deadline <= now:
		return s.refuse(v, Late)
	case s.door.size == 0 && s.fits(m.cost):
		s.bring(v, m, now)
		return true, nil
	case s.full == block:
		if s.deadline == nil || s.door.size > 0 {
			return false, nil
		}
		if s.stock.expireAll(now); !s.fits(m.cost) {
			return false, nil
		}
		s.bring(v, m, now)
		return true, nil
	}
	e := s.entry(v, m, now)
	if s.stock.makeRoom(e, s.capacity, now, s.full == dropOldest, s.full == dropOldest) {
		s.done.Put++
		s.stock.add(e)
		return true, nil
	}
	s.recycle(e)
	return s.refuse(v, Full)
}

func (s *sched[T]) refuse(v T, why Reason) (bool, error) {
	switch {
	case s.full <= reject && why == Late:
		s.done.Rejected++
		return false, s.tooLate
	case s.full <= reject:
		s.done.Rejected++
		return false, s.refusal
	case s.full == dropOldest || why == Late:
		s.done.Put++ // it came in and was dropped at once
	}
	s.drop(s.entry(v, terms{}, 0), why)
	return true, nil
}

func (s *sched[T]) fits(cost int64) bool { return cost <= s.capacity-s.stock.cost }

func (s *sched[T]) bring(v T, m terms, now time.Duration) {
	s.done.Put++
	s.stock.add(s.entry(v, m, now))
}

// queueUp waits at the door. The lock is held and given back.
func (s *sched[T]) queueUp(ctx context.Context, v T, m terms, now time.Duration) error {
	if err := ctx.Err(); err != nil {
		s.unlock()
		return err
	}
	w := s.call()
	w.one[0] = v
	w.entry.terms, w.entry.at = m, now
	s.door.add(&w.entry)
	s.settle(now)
	s.unlock()
	s.await(ctx, w, &s.door)
	return s.leave(w)
}

// get takes up to len(dst) items, and waits for the first.
func (s *sched[T]) get(ctx context.Context, dst []T) (n int, err error) {
	s.mu.Lock()
	if n, err = s.fill(dst); n > 0 || err != nil {
		s.unlock()
		return n, err
	}
	w := s.call()
	w.items = dst
	s.linger(ctx, w)
	n = w.n
	return n, s.leave(w)
}

// getOne is get for one item. It needs no memory of the caller's.
func (s *sched[T]) getOne(ctx context.Context) (v T, err error) {
	var one [1]T
	s.mu.Lock()
	if n, err := s.fill(one[:]); n > 0 || err != nil {
		s.unlock()
		return one[0], err
	}
	w := s.call()
	w.items = w.one[:]
	s.linger(ctx, w)
	v = w.one[0]
	return v, s.leave(w)
}

func (s *sched[T]) tryGet() (v T, ok bool) {
	var one [1]T
	s.mu.Lock()
	n, _ := s.fill(one[:])
	s.unlock()
	return one[0], n > 0
}

// fill takes what is there. If there is nothing it returns ErrClosed, or nil if more may come.
func (s *sched[T]) fill(dst []T) (n int, err error) {
	now := s.now()
	for n = s.serve(dst, now); ; n = s.serve(dst, now) {
		s.settle(now)
		if n > 0 || s.stock.size == 0 { // if all were dropped, others came in
			break
		}
	}
	if n == 0 && s.closed {
		err = ErrClosed
	}
	return n, err
}

// linger waits for an item. The lock is held and given back.
func (s *sched[T]) linger(ctx context.Context, w *caller[T]) {
	if w.err = ctx.Err(); w.err != nil {
		s.unlock()
		return
	}
	w.entry.terms = terms{share: 1, cost: 1, deadline: never}
	s.gets.add(&w.entry)
	s.unlock()
	s.await(ctx, w, &s.gets)
}

// await waits until w is taken out of its line, or ctx is done and takes it out.
func (s *sched[T]) await(ctx context.Context, w *caller[T], l *line[*caller[T]]) {
	select {
	case <-w.ready:
	case <-ctx.Done():
		s.mu.Lock()
		if w.entry.flow == nil { // it was served at the last moment
			s.mu.Unlock()
			<-w.ready
			return
		}
		l.remove(&w.entry)
		w.err = ctx.Err()
		s.settle(s.now()) // the next may need less room
		s.unlock()
	}
}

// settle brings together what waits for each other.
func (s *sched[T]) settle(now time.Duration) {
	for {
		for s.gets.size > 0 && s.stock.size > 0 {
			w := s.gets.peek(0).value
			if w.n = s.serve(w.items, now); w.n > 0 {
				s.gets.remove(&w.entry)
				w.ready <- struct{}{}
			}
		}
		e := s.door.peek(now)
		if e == nil || !s.fits(e.cost) {
			return
		}
		s.door.take(now)
		s.bring(e.value.one[0], e.terms, now)
		e.value.ready <- struct{}{}
	}
}

// turnAway answers a call that was taken out of its line.
func (s *sched[T]) turnAway(w *caller[T], err error) {
	if !errors.Is(err, ErrClosed) {
		s.done.Rejected++
	}
	w.err = err
	w.ready <- struct{}{}
}

// serve fills dst with the items that are next.
func (s *sched[T]) serve(dst []T, now time.Duration) (n int) {
	for n < len(dst) {
		e := s.stock.take(now)
		if e == nil {
			break
		}
		dst[n] = e.value
		n++
		s.done.Got++
		s.recycle(e)
	}
	return n
}

func (s *sched[T]) close() {
	s.mu.Lock()
	s.closed = true
	for _, l := range []*line[*caller[T]]{&s.door, &s.gets} {
		for l.size > 0 {
			s.turnAway(l.take(0).value, ErrClosed)
		}
	}
	s.unlock()
}

// drop notes that e, which is in no line, is dropped.
func (s *sched[T]) drop(e *entry[T], why Reason) {
	switch why {
	case Shed:
		s.done.Shed++
	case Late:
		s.done.Late++
	default:
		s.done.Dropped++
	}
	if s.onDrop == nil {
		s.recycle(e)
		return
	}
	e.why, e.next = why, nil
	if s.gone == nil {
		s.gone = e
	} else {
		s.last.next = e
	}
	s.last = e
}

// unlock reports what was dropped meanwhile, without the lock.
func (s *sched[T]) unlock() {
	gone := s.gone
	s.gone, s.last = nil, nil
	if s.closed && s.stock.size == 0 {
		select {
		case <-s.end:
		default:
			close(s.end)
		}
	}
	s.mu.Unlock()
	if gone == nil {
		return
	}
	for e := gone; e != nil; e = e.next {
		s.onDrop(e.value, e.why)
	}
	s.mu.Lock()
	for gone != nil {
		e := gone
		gone = e.next
		s.recycle(e)
	}
	s.mu.Unlock()
}

func (s *sched[T]) entry(v T, m terms, now time.Duration) *entry[T] {
	e := s.free
	if e == nil {
		e = new(entry[T])
	} else {
		s.free = e.next
	}
	e.value, e.terms, e.at, e.next = v, m, now, nil
	return e
}

func (s *sched[T]) recycle(e *entry[T]) {
	var zero T
	e.value, e.next = zero, s.free // keep nothing alive
	s.free = e
}

func (s *sched[T]) call() *caller[T] {
	w := s.calls
	if w == nil {
		w = &caller[T]{ready: make(chan struct{}, 1)}
		w.entry.value = w
	} else {
		s.calls = w.next
	}
	return w
}

// leave gives w back and returns its error.
func (s *sched[T]) leave(w *caller[T]) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := w.err
	clear(w.one[:])
	w.items, w.n, w.err = nil, 0, nil
	w.next, s.calls = s.calls, w
	return err
}

func (s *sched[T]) stats() QueueStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.done
	st.Len, st.Cap, st.Cost = s.stock.size, int(s.capacity), s.stock.cost
	return st
}
