package lattice

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// ErrFrozen is returned by a [Cell] that was frozen, where what was asked for would need it
// to grow further.
var ErrFrozen = errors.New("lattice: the cell is frozen")

// Threshold is a condition that, once a state meets it, all greater states meet: "at least 3
// votes", "contains x". It must look at its argument only, neither change nor keep it, and be
// quick. Package latticetest checks with Threshold that a function is one.
type Threshold[L any] func(L) bool

// AtLeast returns the threshold of all states above or equal to x.
func AtLeast[L Lattice[L]](x L) Threshold[L] {
	return func(state L) bool { return x.LessEq(state) }
}

// Cell is a state shared by goroutines that grows by Put and is waited for by Wait. What a
// Wait can tell is that its threshold was met, which no later Put revokes: so whatever the
// goroutines' order, a program that reads cells by Wait alone gives one result (an LVar, Kuper
// and Newton, FHPC 2013). Freeze ends the growth and returns the state, a snapshot read: which
// it is may depend on who came first, unless all Puts came before.
//
// The zero value is a cell at bottom. All methods may be called concurrently. A Cell must not
// be copied. Put takes the time of a join and of testing what is waited for; if there are
// handlers, it also takes that of finding the delta.
type Cell[L Lattice[L]] struct {
	mu       sync.Mutex
	state    L
	frozen   bool
	waiters  []*waiter[L]
	handlers []*handler[L]
}

type waiter[L any] struct {
	threshold Threshold[L]
	result    chan error // of 1: nil once it is met, or that it never will be
}

// handler is a function that gets all growth. What it has not got yet is joined up, so that a
// slow one gets more at once and nothing queues.
type handler[L any] struct {
	f       func(L)
	pending L
	waiting bool // pending is above bottom
	running bool // some goroutine is at it and will look again
	stopped bool
}

// Put joins x to the state and reports whether it grew. It keeps nothing of x. If the cell is
// frozen and x would make it grow, it returns [ErrFrozen].
//
// The handlers run before Put returns, unless another goroutine, or one of them itself, is
// running them already, which then goes on with what is new.
func (c *Cell[L]) Put(x L) (grew bool, err error) {
	due, grew, err := c.put(x)
	for _, h := range due {
		c.run(h)
	}
	return grew, err
}

func (c *Cell[L]) put(x L) (due []*handler[L], grew bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frozen {
		if !x.LessEq(c.state) {
			return nil, false, ErrFrozen
		}
		return nil, false, nil
	}
	if len(c.handlers) > 0 {
		if delta := Delta(c.state, x); !IsBottom(delta) {
			for _, h := range c.handlers {
				h.pending, _ = h.pending.Join(delta)
				h.waiting = true
			}
			due = slices.Clone(c.handlers)
		}
	}
	if c.state, grew = c.state.Join(x); grew {
		c.waiters = slices.DeleteFunc(c.waiters, func(w *waiter[L]) bool {
			met := w.threshold(c.state)
			if met {
				w.result <- nil
			}
			return met
		})
	}
	return due, grew, nil
}

// Wait waits until the state meets the threshold. It returns an error that wraps the context's
// cause if that is done first, and [ErrFrozen] if the cell was frozen below the threshold, so
// that it never will be met. A threshold that is met counts first: with a context that is done
// already, Wait is a test. It is a monotone read.
func (c *Cell[L]) Wait(ctx context.Context, threshold Threshold[L]) error {
	w, err := c.enlist(threshold)
	if w == nil {
		return err
	}
	select {
	case err := <-w.result:
		return err
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// The two may have come at once.
	if i := slices.Index(c.waiters, w); i >= 0 {
		c.waiters = slices.Delete(c.waiters, i, i+1)
		return fmt.Errorf("lattice: the threshold was not met: %w", context.Cause(ctx))
	}
	return <-w.result
}

// enlist returns a waiter, or none and what is certain already.
func (c *Cell[L]) enlist(threshold Threshold[L]) (*waiter[L], error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case threshold(c.state):
		return nil, nil
	case c.frozen:
		return nil, ErrFrozen
	}
	w := &waiter[L]{threshold, make(chan error, 1)}
	c.waiters = append(c.waiters, w)
	return w, nil
}

// Handle calls f with what the state is, if it is above bottom, and from then on with what it
// grows by, without gaps: the join of all that f was given is the state. Deltas that come
// while f runs are joined to one. f runs in the goroutines of those who put, never twice at
// once, and may put to this and other cells; it must not wait for what they have to put. What
// it is given is its own. Stop ends it; a call that has begun may still be running then.
func (c *Cell[L]) Handle(f func(delta L)) (stop func()) {
	h := &handler[L]{f: f}
	c.mu.Lock()
	c.handlers = append(c.handlers, h)
	h.pending = Clone(c.state)
	h.waiting = !IsBottom(h.pending)
	c.mu.Unlock()
	c.run(h)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		h.stopped = true
		c.handlers = slices.DeleteFunc(c.handlers, func(x *handler[L]) bool { return x == h })
	}
}

// run calls a handler for as long as there is something for it, unless someone else does.
func (c *Cell[L]) run(h *handler[L]) {
	for {
		delta, ok := c.next(h)
		if !ok {
			return
		}
		func() {
			defer func() { // also if f panics, or no one would ever run it again
				c.mu.Lock()
				h.running = false
				c.mu.Unlock()
			}()
			h.f(delta)
		}()
	}
}

func (c *Cell[L]) next(h *handler[L]) (delta L, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.running || h.stopped || !h.waiting {
		return delta, false
	}
	delta = h.pending
	var bottom L
	h.pending, h.waiting, h.running = bottom, false, true
	return delta, true
}

// Freeze ends the growth and returns a copy of the state, which is final: a snapshot read that
// nothing revokes, but which depends on what came before. Frozen again, it returns the same. Those
// who wait for more get [ErrFrozen].
func (c *Cell[L]) Freeze() L {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.frozen {
		c.frozen = true
		for _, w := range c.waiters {
			w.result <- ErrFrozen
		}
		c.waiters = nil
	}
	return Clone(c.state)
}

// Snapshot returns a copy of what the state is now, a snapshot read: for showing, not for
// deciding.
func (c *Cell[L]) Snapshot() L {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Clone(c.state)
}
