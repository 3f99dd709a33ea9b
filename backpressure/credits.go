package backpressure

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
)

// ErrCredits is returned when a number of credits makes no sense.
var ErrCredits = errors.New("backpressure: bad number of credits")

// Credits counts how much a sender may still send. The receiver grants, the sender spends,
// and waits when nothing is left: demand, as in Reactive Streams (github.com/reactive-streams/reactive-streams-jvm,
// version 1.0.4, from which the numbers of rules are), where Grant is request and Cancel is cancel.
// Grants add up (§3.8). A sum that reaches [math.MaxInt64] stands for no bound and is not used up
// any more (§3.17). Never more is spent than was granted (§1.1).
//
// The zero value holds no credits and is ready to use; it must not be copied after that. All
// methods may be called concurrently. Those who wait are served in the order in which they
// came, so a large request is not starved by small ones. Where nobody waits, Grant and Spend
// take one lock and allocate nothing. Grant and Cancel never wait (§3.4, §3.5).
type Credits struct {
	mu    sync.Mutex
	left  int64
	first *claim // who waits, in order
	last  *claim
	err   error // set by Cancel
}

// claim is a waiting spender.
type claim struct {
	next  *claim
	n     int64
	upTo  bool
	given int64
	err   error
	ready chan struct{}
}

// NewCredits makes Credits that hold initial credits, or none if that is negative.
func NewCredits(initial int64) *Credits { return &Credits{left: max(0, initial)} }

// Grant adds n credits. It returns an error that matches [ErrCredits] if n is not positive
// (§3.9). After Cancel it changes nothing (§3.6).
func (c *Credits) Grant(n int64) error {
	if n <= 0 {
		return fmt.Errorf("%w: grant of %d", ErrCredits, n)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil
	}
	if c.left > math.MaxInt64-n {
		c.left = math.MaxInt64
	} else {
		c.left += n
	}
	c.serve()
	return nil
}

// serve serves those who wait, in order, as far as the credits go. mu is held.
func (c *Credits) serve() {
	for w := c.first; w != nil && c.take(w); w = c.first {
		c.first, w.next = w.next, nil
		close(w.ready)
	}
	if c.first == nil {
		c.last = nil
	}
}

// Spend takes n credits, all at once, and waits until there are so many. It returns the
// error of [Credits.Cancel], ctx.Err() if it has to wait and ctx ends first, and an error that
// matches [ErrCredits] if n is negative. With an error nothing was taken. Of no credits, n being 0,
// there are always enough until Cancel.
func (c *Credits) Spend(ctx context.Context, n int64) error {
	_, err := c.spend(ctx, &claim{n: n})
	return err
}

// SpendUpTo takes as many credits as there are, n at most, and waits until there is one. It
// returns how many, or an error as Spend does.
func (c *Credits) SpendUpTo(ctx context.Context, n int64) (int64, error) {
	return c.spend(ctx, &claim{n: n, upTo: true})
}

func (c *Credits) spend(ctx context.Context, w *claim) (int64, error) {
	if w.n < 0 {
		return 0, fmt.Errorf("%w: spending %d", ErrCredits, w.n)
	}
	c.mu.Lock()
	switch {
	case c.err != nil:
		defer c.mu.Unlock()
		return 0, c.err
	case w.n == 0 || c.first == nil && c.take(w):
		c.mu.Unlock()
		return w.given, nil
	}
	// A copy, so that the claim of a call that does not wait stays on its stack.
	q := &claim{n: w.n, upTo: w.upTo, ready: make(chan struct{})}
	if c.first == nil {
		c.first = q
	} else {
		c.last.next = q
	}
	c.last = q
	c.mu.Unlock()

	select {
	case <-q.ready:
		return q.given, q.err
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-q.ready: // served at the last moment
		return q.given, q.err
	default:
	}
	c.leave(q)
	return 0, ctx.Err()
}

// take serves w if there are enough credits. mu is held.
func (c *Credits) take(w *claim) bool {
	n := w.n
	if w.upTo {
		n = min(n, c.left)
	}
	if n > c.left || n == 0 {
		return false
	}
	if c.left != math.MaxInt64 {
		c.left -= n
	}
	w.given = n
	return true
}

// leave takes q off the line, and serves those who stood behind it if they can be. mu is
// held.
func (c *Credits) leave(q *claim) {
	var before *claim
	for w := c.first; w != q; w = w.next {
		before = w
	}
	if before == nil {
		c.first = q.next
	} else {
		before.next = q.next
	}
	if c.last == q {
		c.last = before
	}
	c.serve()
}

// Cancel ends the flow: whoever spends or waits gets err, or [ErrClosed] if err is nil. Only
// the first call counts (§3.5, §3.7). What is left stays, for [Credits.Left] to tell.
func (c *Credits) Cancel(err error) {
	if err == nil {
		err = ErrClosed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = err
	for w := c.first; w != nil; w = w.next {
		w.err = err
		close(w.ready)
	}
	c.first, c.last = nil, nil
}

// Left returns how many credits there are now.
func (c *Credits) Left() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left
}
