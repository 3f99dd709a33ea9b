package backpressure

import (
	"context"
	"errors"
	"iter"
	"sync"
)

// Pipe is a bounded stream between two stages of a program. send waits while window items
// are under way; recv yields them in order; cancel ends the stream from either side:
//
//   - cancel(nil) is the regular end: send returns [ErrClosed] from then on, and recv still
//     yields what was sent before, and ends.
//   - cancel(err) breaks off: send returns err, and recv ends without what was not yet
//     received.
//
// A receiver that breaks out of its loop ends the stream as cancel(ErrClosed) does, because
// nobody would take what is sent then. Only the first end counts. send also returns ctx.Err()
// if ctx ends while it waits.
//
// send and cancel may be called concurrently. recv is for one loop at a time, and only
// once. Pipe panics if window is not positive.
func Pipe[T any](window int) (send func(context.Context, T) error, recv iter.Seq[T], cancel func(error)) {
	var (
		q     = NewQueue[T](window)
		once  sync.Once
		mu    sync.Mutex
		cause error
	)
	broken, stop := context.WithCancel(context.Background())
	cancel = func(err error) {
		once.Do(func() {
			mu.Lock()
			cause = err
			mu.Unlock()
			if err != nil {
				stop()
			}
			q.Close()
		})
	}
	send = func(ctx context.Context, v T) error {
		err := q.Put(ctx, v)
		if errors.Is(err, ErrClosed) {
			mu.Lock()
			defer mu.Unlock()
			if cause != nil {
				return cause
			}
		}
		return err
	}
	recv = func(yield func(T) bool) {
		defer stop()
		defer cancel(ErrClosed)
		for v := range q.All(broken) {
			if !yield(v) {
				return
			}
		}
	}
	return send, recv, cancel
}
