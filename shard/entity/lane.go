package entity

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-calm/calm/backpressure"
)

// mailbox is where senders put messages for a lane. Who sends loads the lane's mailbox, looks whether
// the slot is owned, and puts the message there; who stops owning a slot says so, gives the lane a new
// mailbox and closes the old one. So either the message is in the old one, and will be handled, or
// the old one is closed, and the sender looks again. Sending takes no lock for that and leaves no mark.
type mailbox[S, M any] = backpressure.Queue[envelope[S, M]]

// lane serves a range of slots on one goroutine. Messages from outside come through the mailbox,
// which is bounded; what turns and timers send, and calls, come through inner, which never makes
// anyone wait: two full lanes that send to each other go on. While more wait in inner than a
// mailbox holds, the mailbox is left alone, so that it fills and outside senders slow down.
type lane[S, M any] struct {
	e       *Entities[S, M]
	box     atomic.Pointer[mailbox[S, M]]
	nothing *call[S, M]
	_       [64]byte // senders read the line above, and the lane does not write it

	mu     sync.Mutex
	boxes  []*mailbox[S, M] // box is the last; those before it are closed, and emptied first
	inner  []envelope[S, M]
	asleep bool // waits, or is about to wait, on an empty mailbox
	ended  bool
	timers map[*time.Timer]struct{} // nil once stopped
	slow   []Slow

	// The lane's own; count and the size of the table are published after each batch.
	table   table[S]
	turn    Turn[S, M]
	from    *mailbox[S, M] // the first of boxes
	spare   []envelope[S, M]
	rest    []envelope[S, M] // of the batch under way: what is not handled yet
	ahead   [64]*S           // states of the messages that are next, nil where unknown
	seen    uint64           // the changes of the table when they were found
	least   time.Duration    // what a turn must take to be noted
	count   uint64           // handled
	handled atomic.Uint64
	keys    atomic.Int64
}

const (
	sampled = 64 // one message in so many is timed
	slowest = 8  // so many keys are noted
)

func newLane[S, M any](e *Entities[S, M]) *lane[S, M] {
	l := &lane[S, M]{e: e, nothing: &call[S, M]{}, timers: map[*time.Timer]struct{}{}, least: -1}
	l.turn.lane = l
	l.renew()
	l.from = l.boxes[0]
	return l
}

// renew gives the lane a new mailbox; mu is held, save by newLane, and all before the last are empty.
func (l *lane[S, M]) renew() {
	if n := len(l.boxes); n > 2 {
		l.boxes = slices.Delete(l.boxes, 1, n-1)
	}
	l.boxes = append(l.boxes, backpressure.NewQueue[envelope[S, M]](l.e.cfg.depth))
	l.box.Store(l.boxes[len(l.boxes)-1])
}

// refuse does what makes senders look again, gives the lane a new mailbox and waits until it has taken
// everything out of those before. One at a time.
func (l *lane[S, M]) refuse(ctx context.Context, what func()) error {
	l.mu.Lock()
	boxes := slices.Clone(l.boxes)
	l.mu.Unlock()
	last := len(boxes) - 1
	for _, box := range boxes[:last] { // others have given up: a stuck lane is not given a mailbox each time
		if err := box.Drain(ctx); err != nil {
			return err
		}
	}
	l.mu.Lock()
	what()
	l.renew()
	l.mu.Unlock()
	return boxes[last].Drain(ctx)
}

// push adds to inner, if it is a call or its slot is owned.
func (l *lane[S, M]) push(v envelope[S, M]) bool {
	l.mu.Lock()
	ok, wake := l.add(v)
	l.mu.Unlock()
	if wake {
		l.wake()
	}
	return ok
}

// add is push for who holds mu, who has to wake the lane afterwards if wake is true.
func (l *lane[S, M]) add(v envelope[S, M]) (ok, wake bool) {
	if v.call == nil && !l.e.owned.has(l.e.cfg.slot(v.hash)) {
		return false, false
	}
	l.inner = append(l.inner, v)
	wake = l.asleep
	l.asleep = false
	return true, wake
}

// wake wakes the lane with a call of nothing; a mailbox without room for it does not let it sleep, nor
// does one that is closed.
func (l *lane[S, M]) wake() { _ = l.box.Load().TryPut(envelope[S, M]{call: l.nothing}) }

func (l *lane[S, M]) end() {
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	l.box.Load().Close()
}

func (l *lane[S, M]) run() {
	over := false
	defer func() {
		if !over { // a handler called runtime.Goexit: another goroutine goes on after its message
			l.e.done.Go(l.run)
		}
	}()
	l.turn, l.spare = Turn[S, M]{lane: l}, nil // what was left may be of another turn, or in use as inner
	l.serve(l.rest)
	batch := make([]envelope[S, M], min(l.e.cfg.depth, 256))
	for {
		l.mu.Lock()
		inner := l.inner
		l.inner = l.spare[:0]
		l.asleep = len(inner) == 0
		l.mu.Unlock()
		l.serve(inner)
		clear(inner)
		l.spare = inner[:0]

		ctx, most := context.Background(), len(batch)
		if len(inner) > 0 {
			ctx, most = l.e.never, 1
		}
		if len(inner) > l.e.cfg.depth {
			most = 0
		}
		n, err := l.from.GetBatch(ctx, batch[:most])
		if errors.Is(err, backpressure.ErrClosed) && !l.next() {
			over = true
			return
		}
		if len(inner) == 0 {
			l.mu.Lock()
			l.asleep = false
			l.mu.Unlock()
		}
		l.serve(batch[:n])
		clear(batch[:n])
	}
}

// next goes on to the next mailbox, if there is one.
func (l *lane[S, M]) next() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.boxes) == 1 {
		return false
	}
	l.boxes = l.boxes[1:]
	l.from = l.boxes[0]
	return true
}

// serve handles a batch. A panic ends one message only.
func (l *lane[S, M]) serve(batch []envelope[S, M]) {
	if len(batch) == 0 {
		return
	}
	for l.rest = batch; len(l.rest) > 0; {
		n := l.look(l.rest)
		for i := 0; i < n; {
			k := l.some(l.rest[:n-i], l.ahead[i:n])
			i += k
			l.rest = l.rest[k:]
		}
	}
	l.turn.Key, l.turn.State = "", nil
	l.publish()
}

// look finds the states of the messages up to the next call, or some of them, and returns how many
// messages those are, with the call. States are far from each other in memory: one handler after the
// other would wait for each, while here the waits overlap.
func (l *lane[S, M]) look(batch []envelope[S, M]) (n int) {
	batch = batch[:min(len(batch), len(l.ahead))]
	index, entries, ahead := l.table.index, l.table.entries, l.ahead[:len(batch)]
next:
	for n < len(batch) {
		v, at := &batch[n], n
		n++
		if v.call != nil {
			ahead[at] = nil
			break
		}
		for i := int(v.hash >> placeBits); ; i++ {
			if i &= len(index) - 1; uint(i) >= uint(len(index)) {
				break
			}
			w := index[i]
			if w == 0 {
				break
			}
			if e := &entries[uint32(w)]; (w^v.hash)>>placeBits == 0 && e.key == v.key {
				_ = *e.state // touches it, and nothing waits for that
				ahead[at] = e.state
				continue next
			}
		}
		ahead[at] = l.table.get(v.hash, v.key)
		index, entries = l.table.index, l.table.entries
	}
	l.seen = l.table.changes
	return n
}

// publish makes the lane's figures known.
func (l *lane[S, M]) publish() {
	l.handled.Store(l.count)
	l.keys.Store(int64(l.table.n))
}

// some handles a batch, whose states are given, up to its end or a panic and returns how many that
// were. One deferred function serves for all of them.
func (l *lane[S, M]) some(batch []envelope[S, M], states []*S) (n int) {
	defer func() {
		if n == len(batch) {
			return
		}
		err := &PanicError{Value: recover(), Stack: debug.Stack()}
		if err.Value == nil {
			err.Value = "runtime.Goexit was called"
			defer func() { l.rest = l.rest[n:] }() // for the next goroutine
		}
		v := &batch[n]
		n++
		l.e.panics.Add(1)
		l.finish(v, err)
	}()
	t := &l.turn
	for n < len(batch) {
		v, state := &batch[n], states[n]
		if state == nil || l.seen != l.table.changes || l.count%sampled == 0 {
			l.one(v)
		} else {
			t.Key, t.State = v.key, state
			if err := l.e.handle(t, v.msg); err != nil || len(t.out) > 0 || t.forget {
				l.finish(v, err)
			} else {
				l.count++
			}
		}
		n++
	}
	return n
}

// one handles one message of which nothing is known, or which is timed.
func (l *lane[S, M]) one(v *envelope[S, M]) {
	switch {
	case v.call == l.nothing:
	case v.call != nil && v.call.onLane != nil:
		v.call.onLane(l)
		l.publish()
		v.call.answer(nil)
	case v.call != nil:
		if !v.call.abandoned() {
			v.call.onState.ask(l.table.get(v.hash, v.key))
		}
		l.finish(v, nil)
	default:
		t := &l.turn
		t.Key, t.State = v.key, l.table.get(v.hash, v.key)
		if l.count%sampled != 0 {
			l.finish(v, l.e.handle(t, v.msg))
			return
		}
		start := time.Since(l.e.began) // half of what time.Now costs
		err := l.e.handle(t, v.msg)
		if took := time.Since(l.e.began) - start; took > l.least {
			l.note(v.key, took)
		}
		l.finish(v, err)
	}
}

// finish sends out what a turn sent, or reports its error, and lets go of the message.
func (l *lane[S, M]) finish(v *envelope[S, M], err error) {
	l.count++
	if v.call != nil {
		v.call.answer(err)
		return
	}
	t := &l.turn
	if err != nil {
		l.e.errs.Add(1)
		if f := l.e.cfg.onError; f != nil {
			l.report(f, v.key, err)
		}
	} else {
		if len(t.out) > 0 {
			t.commit()
		}
		if t.forget {
			l.table.remove(v.hash, v.key)
		}
	}
	clear(t.out)
	t.out, t.later, t.forget = t.out[:0], t.later[:0], false
}

// report keeps a panic in the error handler from ending the lane; it counts as one more.
func (l *lane[S, M]) report(f func(string, error), key string, err error) {
	defer func() {
		if recover() != nil {
			l.e.panics.Add(1)
		}
	}()
	f(key, err)
}

// deliver takes a message from a turn to its lane.
func (l *lane[S, M]) deliver(v envelope[S, M]) {
	to := l.e.lane(l.e.cfg.slot(v.hash))
	if !to.push(v) {
		l.stray(v)
	}
}

func (l *lane[S, M]) stray(v envelope[S, M]) {
	l.e.strays.Add(1)
	if f := l.e.cfg.stray; f != nil {
		l.report(func(key string, _ error) { f(key, v.msg) }, v.key, nil)
	}
}

// after starts a timer for a message to a key of this lane.
func (l *lane[S, M]) after(d time.Duration, v envelope[S, M]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timers == nil {
		return
	}
	var t *time.Timer
	t = time.AfterFunc(d, func() {
		l.mu.Lock()
		_, live := l.timers[t]
		if !live {
			l.mu.Unlock()
			return
		}
		delete(l.timers, t)
		l.e.done.Add(1) // Close, which stops the timers first, waits for what is under way
		defer l.e.done.Done()
		ok, wake := l.add(v)
		l.mu.Unlock()
		if wake {
			l.wake()
		}
		if !ok {
			l.stray(v)
		}
	})
	l.timers[t] = struct{}{}
}

// stopTimers stops the timers and reports whether the lane has ended.
func (l *lane[S, M]) stopTimers() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for t := range l.timers {
		t.Stop()
	}
	l.timers = nil
	return l.ended
}

// note keeps the slowest keys seen.
func (l *lane[S, M]) note(key string, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.IndexFunc(l.slow, func(s Slow) bool { return s.Key == key }); i >= 0 {
		l.slow[i].Took = max(l.slow[i].Took, took)
	} else {
		l.slow = append(l.slow, Slow{key, took})
	}
	slices.SortFunc(l.slow, slower)
	l.slow = l.slow[:min(len(l.slow), slowest)]
	if len(l.slow) == slowest {
		l.least = l.slow[slowest-1].Took
	}
}
