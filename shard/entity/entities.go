package entity

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-calm/calm/backpressure"
	"github.com/go-calm/calm/shard"
)

// Entities owns one *S for each key and handles messages M for it, one at a time, in the order in
// which each sender sent them. A key's state comes into being, zero, with its first message. Make
// one with [New], which starts one goroutine a lane; [Entities.Close] ends them.
//
// All methods are safe for concurrent use, but from within a handler only those of its [Turn] may
// be used: Send could wait for the handler's own lane. Each turn is atomic to everyone else.
type Entities[S, M any] struct {
	cfg      config
	handle   func(*Turn[S, M], M) error
	lanes    []*lane[S, M]
	owned    slots
	closed   atomic.Bool
	refusals atomic.Uint64 // grows whenever slots begin to be refused
	moving   sync.Mutex    // one Handoff, Adopt or Close at a time
	done     sync.WaitGroup
	calls    sync.Pool // of *call[S, M], for Ask
	began    time.Time
	never    context.Context // is over: for what is done only if that needs no waiting

	errs, panics, strays atomic.Uint64
}

// envelope is a message on its way. An envelope with call set is for the lane or a state alone.
type envelope[S, M any] struct {
	key  string
	hash uint64
	msg  M
	call *call[S, M]
}

// New starts entities with a handler. The handler gets a turn and a message; if it returns nil, what
// it sent goes out. If it returns an error or panics, nothing goes out, the error is reported, and
// the state stays as the handler left it: change the state last, or undo. Options out of range panic,
// and so does a nil handler.
func New[S, M any](handle func(t *Turn[S, M], m M) error, opts ...Option) *Entities[S, M] {
	if handle == nil {
		panic("entity: there must be a handler")
	}
	e := &Entities[S, M]{cfg: newConfig(opts), handle: handle, began: time.Now()}
	e.owned = make(slots, (e.cfg.slots+63)/64)
	for s := range e.cfg.slots {
		if e.cfg.owns == nil || e.cfg.owns(shard.Slot(s)) {
			e.owned.add(s)
		}
	}
	never, cancel := context.WithCancel(context.Background())
	cancel()
	e.never = never
	e.lanes = make([]*lane[S, M], e.cfg.lanes)
	for i := range e.lanes {
		l := newLane(e)
		e.lanes[i] = l
		e.done.Go(l.run)
	}
	return e
}

func (e *Entities[S, M]) lane(slot int) *lane[S, M] { return e.lanes[e.cfg.lane(slot)] }

// Send delivers a message to the entity of a key. If the mailbox is full it waits for room, which is
// how a busy lane slows its senders down. It does not wait for the message to be handled.
// Errors: [ErrClosed], [ErrNotOwned], ctx.Err(); the message was then not accepted.
func (e *Entities[S, M]) Send(ctx context.Context, key string, m M) error {
	return e.send(ctx, envelope[S, M]{key: key, hash: shard.Hash(key, e.cfg.seed), msg: m})
}

func (e *Entities[S, M]) send(ctx context.Context, v envelope[S, M]) error {
	slot := e.cfg.slot(v.hash)
	l := e.lane(slot)
	for {
		box := l.box.Load() // before it looks, see mailbox
		if !e.admits(slot) {
			return e.refusal()
		}
		if err := box.Put(ctx, v); !replaced(err) {
			return err
		}
	}
}

// TrySend is Send that does not wait: a full mailbox is an error that matches [backpressure.ErrOverload].
func (e *Entities[S, M]) TrySend(key string, m M) error {
	v := envelope[S, M]{key: key, hash: shard.Hash(key, e.cfg.seed), msg: m}
	slot := e.cfg.slot(v.hash)
	l := e.lane(slot)
	for {
		box := l.box.Load()
		if !e.admits(slot) {
			return e.refusal()
		}
		if err := box.TryPut(v); !replaced(err) {
			return err
		}
	}
}

// replaced says whether a mailbox was closed, so that there is another by now.
func replaced(err error) bool { return err != nil && errors.Is(err, backpressure.ErrClosed) }

// admits says whether a message may be put into the mailbox that was loaded before.
func (e *Entities[S, M]) admits(slot int) bool { return e.owned.has(slot) && !e.closed.Load() }

// refusal is why a message was not admitted.
func (e *Entities[S, M]) refusal() error {
	if e.closed.Load() {
		return ErrClosed
	}
	return ErrNotOwned
}

// on runs f on a lane, between two turns; if ctx ends before f is begun, it does not run.
func (e *Entities[S, M]) on(ctx context.Context, l *lane[S, M], f func(*lane[S, M])) error {
	var begun atomic.Bool
	c := newCall[S, M]()
	c.onLane = func(l *lane[S, M]) {
		if begun.CompareAndSwap(false, true) {
			f(l)
		}
	}
	l.push(envelope[S, M]{call: c})
	select {
	case <-c.done:
	case <-ctx.Done():
		if begun.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		<-c.done
	}
	return nil
}

// Handoff stops owning a slot, waits until all that was accepted for it is handled, and returns the
// states of its keys, which are the caller's from then on. From its start, sends to the slot get
// [ErrNotOwned], those that wait for room too; messages that turns send to it, and timers, are strays:
// see [OnStray]. If ctx ends first the slot stays owned, and sends are accepted again.
//
// It gives the lane a new mailbox; until the lane has emptied the one before, it has both.
// Errors: [ErrSlot], [ErrNotOwned], [ErrClosed], ctx.Err().
func (e *Entities[S, M]) Handoff(ctx context.Context, s shard.Slot) (iter.Seq2[string, *S], error) {
	if uint64(s) >= uint64(e.cfg.slots) {
		return nil, ErrSlot
	}
	e.moving.Lock()
	defer e.moving.Unlock()
	switch {
	case e.closed.Load():
		return nil, ErrClosed
	case !e.owned.has(int(s)):
		return nil, ErrNotOwned
	}
	states, err := e.drain(ctx, e.lane(int(s)), int(s))
	if err != nil {
		e.owned.add(int(s))
		return nil, err
	}
	return func(yield func(string, *S) bool) {
		for _, x := range states {
			if !yield(x.key, x.state) {
				return
			}
		}
	}, nil
}

// drain stops owning a slot, waits until its lane has handled all that was accepted for it, and takes
// the states of its keys out.
func (e *Entities[S, M]) drain(ctx context.Context, l *lane[S, M], slot int) (states []entry[S], err error) {
	err = l.refuse(ctx, func() {
		e.owned.remove(slot)
		e.refusals.Add(1)
	})
	if err != nil {
		return nil, err
	}
	// What was in the mailbox is handled, or in the batch under way; what turns and timers have sent is
	// in inner. All of it comes before this call.
	err = e.on(ctx, l, func(l *lane[S, M]) {
		states = l.table.take(func(hash uint64) bool { return e.cfg.slot(hash) == slot })
	})
	return states, err
}

// Adopt starts owning a slot with states from its last owner, which are the entities' from then on; nil
// are none. Sends to the slot are accepted when it returns.
// Errors: [ErrSlot], [ErrOwned], [ErrClosed], or [ErrNotOwned] if a key is not of the slot; then
// nothing changes.
func (e *Entities[S, M]) Adopt(s shard.Slot, states iter.Seq2[string, *S]) error {
	if uint64(s) >= uint64(e.cfg.slots) {
		return ErrSlot
	}
	if states == nil {
		states = func(func(string, *S) bool) {}
	}
	var all []entry[S]
	var hashes []uint64
	for key, state := range states {
		h := shard.Hash(key, e.cfg.seed)
		if e.cfg.slot(h) != int(s) {
			return ErrNotOwned
		}
		if state != nil {
			all, hashes = append(all, entry[S]{key, state}), append(hashes, h)
		}
	}
	e.moving.Lock()
	defer e.moving.Unlock()
	switch {
	case e.closed.Load():
		return ErrClosed
	case e.owned.has(int(s)):
		return ErrOwned
	}
	// Nothing ends this context, so there is no error.
	_ = e.on(context.Background(), e.lane(int(s)), func(l *lane[S, M]) {
		for i, x := range all {
			l.table.put(hashes[i], x.key, x.state)
		}
	})
	e.owned.add(int(s))
	return nil
}

// Close refuses further messages, stops the timers, waits until everything accepted is handled,
// with all that it leads to, and ends the lanes. If ctx ends first it returns ctx.Err(), the rest
// goes on being handled, and Close may be called again. After a Close that succeeded it returns nil.
func (e *Entities[S, M]) Close(ctx context.Context) error {
	e.closed.Store(true)
	e.refusals.Add(1)
	e.moving.Lock()
	defer e.moving.Unlock()
	for _, l := range e.lanes {
		if l.stopTimers() {
			return nil // closed before
		}
	}
	for _, l := range e.lanes {
		if err := l.refuse(ctx, func() {}); err != nil {
			return err
		}
	}
	// Nothing comes from outside any more, and what came is taken. Lanes may still send to each other, as
	// part of handling something: if between two rounds to all lanes nothing was handled, there is
	// nothing left. What was in inner at the first round comes before the call of the second.
	for last, again := uint64(0), false; ; again = true {
		handled := uint64(0)
		for _, l := range e.lanes {
			if err := e.on(ctx, l, func(l *lane[S, M]) { handled += l.count }); err != nil {
				return err
			}
		}
		if again && handled == last {
			break
		}
		last = handled
		runtime.Gosched()
	}
	for _, l := range e.lanes {
		l.end()
	}
	e.done.Wait()
	return nil
}
