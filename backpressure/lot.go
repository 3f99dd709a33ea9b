package backpressure

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// patience is how long a parked call lets others pass before it is served by hand.
	patience = time.Millisecond
	// unhurried is the time an item takes when nothing is lost by serving in order: about
	// what it costs to wake a goroutine.
	unhurried = 500 * time.Nanosecond
	// courtesy is how many Puts are served by hand before the Get that serves them lets them
	// run. They are ready on its own core, where nobody else may look for them while there is
	// other work, and some would miss their turns.
	courtesy = 4
)

// What lot.need says.
const (
	needWake  = 1 << iota // somebody is parked and no wake-up is under way
	needTurn              // the parked are served in order: who comes now queues up behind them
	needPark              // it was so lately: who has to wait parks at once
	needDrain             // somebody waits for the end of a closed queue
)

// lot is where one side of a queue parks.
//
// A parked call is on the list, and the other side sees it in need, before it looks at the
// queue a last time; the other side changes the queue before it looks at need. So one of
// the two sees the other (Dekker's argument), and no wake-up is lost.
//
// At most one wake-up is under way. The woken call ends it before it looks at the queue,
// and passes the baton on if it leaves something behind. A burst of a hundred items costs
// one wake-up that way, and whoever runs may take what it finds.
//
// That is fast and not fair. So where items come one by one, slower than goroutines wake,
// there is no baton: the parked are served in order, by hand, by the very call that would
// have woken them, and who comes queues up. So is one that others have passed for longer
// than patience, however fast they are.
//
// A wake-up that is under way hides nothing: need says nobody is parked meanwhile, so a call that
// comes now wakes nobody, but the woken one ends the wake-up, under mu, before it looks at the
// queue, so it sees what that call left; and if that is more than it needs, or it has been
// cancelled, it wakes the next. Who is served by hand is off the list and has its item before mu
// is free, so there is no wake-up to lose: only the other side may have waited for what it moved,
// and that is told. A call gives way to those it has served only when all that is done.
type lot[T any] struct {
	need atomic.Uint32

	try    func(w *waiter[T]) outcome // moves items of w; moved only if w has all it waits for
	passed func() uint64              // how many items this side has moved
	notify func()                     // tells the other side that items were moved
	wake   func()                     // wakes the next of this side, if there is something for it

	courtesy int // how many to serve by hand before a yield; 0 for no end

	mu     sync.Mutex
	list   waiter[T] // head of the doubly linked ring of the parked
	count  int
	waking bool
	turn   bool
	handed int       // by wakeFirst, since it last yielded
	at     time.Time // when wakeFirst last looked, and how many had passed by then
	seen   uint64
	thrift thrift

	freeMu sync.Mutex    // of its own: who serves needs mu at once
	free   *waiter[T]    // waiters to use again
	left   atomic.Uint32 // how many calls have left
}

// waiter is a call that may park.
type waiter[T any] struct {
	next, prev *waiter[T]
	signal     chan struct{} // of capacity 1; sent by who takes the waiter off the list, see chosen
	parked     bool          // on the list
	served     bool          // by hand
	n          int           // items moved for it
	items      []T           // what is left to put, or where to put what is got
	one        [1]T          // backs items for a single item
	since      time.Time     // when it began to wait
	mark       uint64        // how many items its side had moved by then
}

// chosen are waiters that were taken off the list under lot.mu and are to be told so: when mu
// is free again and nothing else is left to do. To run a goroutine may take the runtime a while,
// and it runs soonest, on the same core, if who woke it has nothing else to do.
type chosen[T any] struct{ first, last *waiter[T] }

func (c *chosen[T]) add(w *waiter[T]) {
	if c.first == nil {
		c.first = w
	} else {
		c.last.next = w
	}
	c.last = w
}

func (c *chosen[T]) tell() {
	for w := c.first; w != nil; {
		next := w.next
		w.next = nil
		w.signal <- struct{}{} // from here on w is not ours
		w = next
	}
}

// enter returns a waiter for a call that would wait.
func (l *lot[T]) enter() *waiter[T] {
	l.freeMu.Lock()
	w := l.free
	if w != nil {
		l.free, w.next = w.next, nil
	}
	l.freeMu.Unlock()
	if w == nil {
		w = &waiter[T]{signal: make(chan struct{}, 1)}
	}
	w.since, w.mark = time.Now(), l.passed()
	return w
}

// leave takes the waiter back.
func (l *lot[T]) leave(w *waiter[T]) {
	clear(w.one[:])
	w.items, w.served, w.n = nil, false, 0
	l.left.Add(1)
	l.freeMu.Lock()
	w.next, l.free = l.free, w
	l.freeMu.Unlock()
}

// wait parks w until it has what it waits for, the queue ends, or ctx is done. With an
// error w.n may still say that some items were moved.
func (l *lot[T]) wait(ctx context.Context, w *waiter[T]) (outcome, error) {
	for woken := false; ; woken = true {
		before := w.n
		l.mu.Lock()
		if woken {
			l.waking = false
		}
		l.link(w, woken)
		o, others, ready := denied, false, chosen[T]{}
		if l.turn && l.list.next != w {
			others = l.serve(&ready)
		} else if o = l.try(w); o != denied { // under mu, for nobody may serve w meanwhile
			l.unlink(w)
		}
		got := w.n > before
		l.mu.Unlock()
		if got || others {
			l.notify()
		}
		ready.tell()
		if o != denied {
			if woken {
				l.wake()
			}
			return o, nil
		}

		select {
		case <-w.signal:
			if w.served {
				return moved, nil
			}
		case <-ctx.Done():
			l.mu.Lock()
			if w.parked {
				l.unlink(w)
				l.mu.Unlock()
				return denied, ctx.Err()
			}
			l.mu.Unlock()
			<-w.signal // it was chosen at the last moment
			if w.served {
				return moved, nil
			}
			l.mu.Lock()
			l.waking = false
			l.publish()
			l.mu.Unlock()
			l.wake()
			return denied, ctx.Err()
		}
	}
}

// wakeFirst wakes who has waited longest, or serves by hand. If it has served somebody, it may give
// way: with polite only as far as that is cheap.
func (l *lot[T]) wakeFirst(polite bool) {
	l.mu.Lock()
	now, passed, served, ready := time.Now(), l.passed(), false, chosen[T]{}
	l.turn = now.Sub(l.at) >= unhurried*time.Duration(passed-l.seen)
	l.at, l.seen = now, passed
	if l.turn {
		served = l.serve(&ready)
	} else if l.count > 0 && !l.waking {
		w := l.list.next
		if w.mark != passed && now.Sub(w.since) > patience {
			served = l.serveOne(&ready)
		} else {
			l.waking = true
			l.unlink(w)
			ready.add(w)
		}
	}
	yield := false
	if l.turn && served {
		if l.handed++; l.handed == l.courtesy {
			l.handed, yield = 0, true
		}
	}
	polite = polite && served && l.thrift.may(now)
	l.publish()
	l.mu.Unlock()
	if served {
		l.notify()
	}
	left := l.left.Load()
	ready.tell()
	switch {
	case polite:
		now = time.Now() // to wake took its time, too, but that is no matter of giving way
		runtime.Gosched()
		if l.left.Load() == left { // now and then the runtime lets who gave way go on first
			runtime.Gosched()
		}
		took := time.Since(now)
		l.mu.Lock()
		l.thrift.spent(now, took)
		l.mu.Unlock()
	case yield:
		runtime.Gosched()
	}
}

// serve serves the parked in order, as far as the queue allows, and says whether that moved
// any item. mu is held, as for all that follows.
func (l *lot[T]) serve(ready *chosen[T]) (progress bool) {
	for l.count > 0 {
		first := l.list.next
		progress = l.serveOne(ready) || progress
		if l.list.next == first {
			break
		}
	}
	return progress
}

// serveOne does the first one's work for it.
func (l *lot[T]) serveOne(ready *chosen[T]) (progress bool) {
	w := l.list.next
	before := w.n
	o := l.try(w)
	progress = w.n > before
	if o != denied {
		w.served = o == moved
		l.unlink(w)
		ready.add(w)
	}
	return progress
}

// watch makes the other side look for the end of a closed queue after each operation.
func (l *lot[T]) watch() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.need.Store(l.need.Load() | needDrain)
}

// wakeAll wakes everybody, at the end.
func (l *lot[T]) wakeAll() {
	var all chosen[T]
	l.mu.Lock()
	for l.count > 0 {
		w := l.list.next
		l.unlink(w)
		all.add(w)
	}
	l.mu.Unlock()
	all.tell()
}

// link puts w on the list, at the front if it has been there before.
func (l *lot[T]) link(w *waiter[T], front bool) {
	if l.list.next == nil {
		l.list.next, l.list.prev = &l.list, &l.list
	}
	at := l.list.prev
	if front {
		at = &l.list
	}
	w.prev, w.next = at, at.next
	w.prev.next, w.next.prev = w, w
	w.parked = true
	l.count++
	l.publish()
}

func (l *lot[T]) unlink(w *waiter[T]) {
	w.prev.next, w.next.prev = w.next, w.prev
	w.next, w.prev, w.parked = nil, nil, false
	l.count--
	l.publish()
}

// publish tells the other side's fast path whether it has to look here.
func (l *lot[T]) publish() {
	need := l.need.Load() & needDrain
	if l.count > 0 && !l.waking {
		need |= needWake
	}
	if l.turn {
		need |= needPark
		if l.count > 0 {
			need |= needTurn
		}
	}
	if need != l.need.Load() {
		l.need.Store(need)
	}
}
