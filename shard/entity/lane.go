package entity

import (
	"context"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-calm/calm/backpressure"
)

// lane serves a range of slots on one goroutine. Messages from outside come through the mailbox,
// which is bounded; what turns and timers send, and calls, come through inner, which never makes
// anyone wait: two full lanes that send to each other go on. While more wait in inner than a
// mailbox holds, the mailbox is left alone, so that it fills and outside senders slow down.
type lane[S, M any] struct {
	gate  gate // of senders, turns and timers on their way to box or inner
	e     *Entities[S, M]
	box   *backpressure.Queue[envelope[S, M]]
	table table[S]
	turn  Turn[S, M]

	mu     sync.Mutex
	inner  []envelope[S, M]
	asleep bool // waits, or is about to wait, on an empty mailbox
	ended  bool
	timers map[*time.Timer]struct{} // nil once stopped
	slow   []Slow

	// The lane's own; count and the size of the table are published after each batch.
	spare   []envelope[S, M]
	rest    []envelope[S, M] // of the batch under way: what is not handled yet
	ahead   [64]*S           // states of the messages that are next, nil where unknown
	seen    uint64           // the changes of the table when they were found
	touched uint64           // makes the compiler load what look touches
	taken   uint64           // out of box
	count   uint64           // handled
	handled atomic.Uint64
	keys    atomic.Int64
}

const sampled = 64 // one message in so many is timed

func newLane[S, M any](e *Entities[S, M]) *lane[S, M] {
	l := &lane[S, M]{
		e: e, box: backpressure.NewQueue[envelope[S, M]](e.cfg.depth),
		timers: map[*time.Timer]struct{}{},
	}
	l.turn.lane = l
	return l
}

// push adds to inner and wakes the lane. The wake-up is an empty envelope in the mailbox; a mailbox
// without room for it does not let the lane sleep.
func (l *lane[S, M]) push(vs ...envelope[S, M]) {
	l.mu.Lock()
	l.inner = append(l.inner, vs...)
	wake := l.asleep
	l.asleep = false
	l.mu.Unlock()
	if wake {
		_ = l.box.TryPut(envelope[S, M]{})
	}
}

func (l *lane[S, M]) end() {
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	l.box.Close()
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

		switch {
		case len(inner) > l.e.cfg.depth:
		case len(inner) > 0:
			if v, ok := l.box.TryGet(); ok {
				batch[0] = v
				l.taken++
				l.serve(batch[:1])
				clear(batch[:1])
			}
		default:
			n, err := l.box.GetBatch(context.Background(), batch)
			if err != nil {
				over = true
				return
			}
			l.mu.Lock()
			l.asleep = false
			l.mu.Unlock()
			l.taken += uint64(n)
			l.serve(batch[:n])
			clear(batch[:n])
		}
	}
}

// serve handles a batch. A panic ends one message only.
func (l *lane[S, M]) serve(batch []envelope[S, M]) {
	for l.rest = batch; len(l.rest) > 0; {
		n := l.look(l.rest)
		for i := 0; i < n; {
			k := l.some(l.rest[:n-i], l.ahead[i:n])
			i += k
			l.rest = l.rest[k:]
		}
	}
	l.publish()
}

// look finds the states of the messages up to the next call, or some of them, and returns how many
// messages those are, with the call. States are far from each other in memory: one handler after the
// other would wait for each, while here the waits overlap.
func (l *lane[S, M]) look(batch []envelope[S, M]) (n int) {
	batch = batch[:min(len(batch), len(l.ahead))]
	if mask := len(l.table.entries) - 1; mask >= 0 {
		// No branch depends on these loads, so that they are all under way at once.
		sum := uint64(0)
		for i := range batch {
			sum += l.table.entries[int(batch[i].hash)&mask].hash
		}
		l.touched = sum
	}
	for n < len(batch) {
		v, at := &batch[n], n
		n++
		if v.call != nil || v.isWakeUp() {
			l.ahead[at] = nil
			break
		}
		l.ahead[at] = l.table.get(v.hash, v.key)
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
		if v.call != nil {
			v.call.err = err
		}
		l.e.panics.Add(1)
		l.finish(v, err)
	}()
	for n < len(batch) {
		v := &batch[n]
		switch {
		case v.isWakeUp():
		case v.call != nil && v.call.onLane != nil:
			v.call.onLane(l)
			l.publish()
			close(v.call.done)
		default:
			l.finish(v, l.one(v, states[n]))
		}
		n++
	}
	return n
}

// one handles one message; state is that of its key unless the table has changed since.
func (l *lane[S, M]) one(v *envelope[S, M], state *S) error {
	if state == nil || l.seen != l.table.changes {
		state = l.table.get(v.hash, v.key)
	}
	if v.call != nil {
		v.call.onState(state)
		return nil
	}
	t := &l.turn
	t.Key, t.State, t.forget = v.key, state, false
	if l.count%sampled != 0 {
		return l.e.handle(t, v.msg)
	}
	start := time.Now()
	err := l.e.handle(t, v.msg)
	l.note(v.key, time.Since(start))
	return err
}

// finish sends out what a turn sent, or reports its error, and lets go of the message.
func (l *lane[S, M]) finish(v *envelope[S, M], err error) {
	l.count++
	if v.call != nil {
		close(v.call.done)
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
	if len(t.out) > 0 {
		clear(t.out)
		t.out, t.later = t.out[:0], t.later[:0]
	}
	t.State = nil
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

// deliver takes a message from a turn or a timer to its lane.
func (l *lane[S, M]) deliver(v envelope[S, M]) {
	slot := l.e.cfg.slot(v.hash)
	to := l.e.lane(slot)
	side := to.gate.enter()
	owned := l.e.slots[slot].Load()
	if owned {
		to.push(v)
	}
	to.gate.leave(side)
	if !owned {
		l.e.strays.Add(1)
		if f := l.e.cfg.stray; f != nil {
			l.report(func(key string, _ error) { f(key, v.msg) }, v.key, nil)
		}
	}
}

// after starts a timer for a message.
func (l *lane[S, M]) after(d time.Duration, v envelope[S, M]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timers == nil {
		return
	}
	var t *time.Timer
	t = time.AfterFunc(d, func() {
		// Inside, so that Close, which stops the timers first, waits for a message on its way.
		side := l.gate.enter()
		defer l.gate.leave(side)
		l.mu.Lock()
		_, live := l.timers[t]
		delete(l.timers, t)
		l.mu.Unlock()
		if live {
			l.deliver(v)
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
	i := slices.IndexFunc(l.slow, func(s Slow) bool { return s.Key == key })
	switch {
	case i >= 0:
		l.slow[i].Took = max(l.slow[i].Took, took)
	case len(l.slow) < 8:
		l.slow = append(l.slow, Slow{key, took})
	default:
		least := 0
		for j := range l.slow {
			if l.slow[j].Took < l.slow[least].Took {
				least = j
			}
		}
		if l.slow[least].Took < took {
			l.slow[least] = Slow{key, took}
		}
	}
}
