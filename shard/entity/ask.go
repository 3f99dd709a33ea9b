package entity

import (
	"context"
	"sync/atomic"

	"github.com/go-calm/calm/shard"
)

// Ask runs f on the state of a key, as a turn of its own, and returns its result. f must not keep the
// state nor wait for the entities. If ctx ends first, f may still run. It allocates room for the result.
// Errors: those of [Entities.Send]; a [*PanicError] if f panics.
func Ask[S, M, R any](ctx context.Context, e *Entities[S, M], key string, f func(*S) R) (R, error) {
	// The question is for this Ask alone, so that an answer that comes too late is seen by nobody. The
	// call is used again, by the one of asker and lane who leaves it last.
	q := &question[S, R]{f: f}
	var none R
	c, _ := e.calls.Get().(*call[S, M])
	if c == nil {
		c = newCall[S, M]()
		c.pool = &e.calls
	}
	c.onState = q
	if err := e.send(ctx, envelope[S, M]{key: key, hash: shard.Hash(key, e.cfg.seed), call: c}); err != nil {
		c.release()
		return none, err
	}
	if over := ctx.Done(); over == nil {
		<-c.done
	} else {
		select {
		case <-c.done:
		case <-over:
			if c.abandon() {
				return none, ctx.Err()
			}
			<-c.done
		}
	}
	err := c.err
	c.release()
	if err != nil {
		return none, err
	}
	return q.r, nil
}

// question is a function to run on a state, and room for its result.
type question[S, R any] struct {
	f func(*S) R
	r R
}

func (q *question[S, R]) ask(s *S) { q.r = q.f(s) }

// call is something other than a message that a lane is to do.
type call[S, M any] struct {
	onState interface{ ask(*S) }
	onLane  func(*lane[S, M])
	err     error
	done    chan struct{} // of capacity 1: told once
	left    atomic.Bool   // one of asker and lane has left it to the other
	pool    interface{ Put(any) }
}

func newCall[S, M any]() *call[S, M] { return &call[S, M]{done: make(chan struct{}, 1)} }

// answer tells the asker that it is done, if the asker still waits.
func (c *call[S, M]) answer(err error) {
	c.err = err
	if c.left.Swap(true) {
		c.release()
		return
	}
	c.done <- struct{}{}
}

// abandon leaves the call to the lane, unless it is answered.
func (c *call[S, M]) abandon() bool { return !c.left.Swap(true) }

// abandoned says, to the lane, that nobody waits any more.
func (c *call[S, M]) abandoned() bool { return c.left.Load() }

// release gives the call back.
func (c *call[S, M]) release() {
	c.onState, c.err = nil, nil
	c.left.Store(false)
	if c.pool != nil {
		c.pool.Put(c)
	}
}
