package backpressure

import (
	"context"
	"errors"
	"fmt"
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
// nobody would take what is sent then; and so does one that panics. Only the first end counts. send
// also returns ctx.Err() if ctx ends while it waits. The loop does not tell the ends apart: who
// has to know why it ended keeps the error that was given to cancel, as errgroup does.
//
// send and cancel may be called concurrently, in the loop, too, and as often as you like. recv is for
// one loop at a time, and only once. An item costs what it costs a [Queue], and waits for nobody
// but the window. Pipe panics if window is not positive.
//
// These are the rules of Reactive Streams (github.com/reactive-streams) that concern both sides, §1.1
// to §1.8 and §2.6 to §2.13, with the window for a demand that is renewed by each item received.
func Pipe[T any](window int) (send func(context.Context, T) error, recv iter.Seq[T], cancel func(error)) {
	if window < 1 {
		panic(fmt.Sprintf("backpressure: Pipe: window %d is not positive", window))
	}
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
