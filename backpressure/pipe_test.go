package backpressure

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestPipeIsBoundedAndInOrder(t *testing.T) { // §1.1, and the rest in TestPipeKeepsTheRules
	synctest.Test(t, func(t *testing.T) {
		send, recv, cancel := Pipe[int](3)
		var sent atomic.Int32
		go func() {
			for i := range 100 {
				require.NoError(t, send(background, i))
				sent.Add(1)
			}
			cancel(nil)
			cancel(errors.New("late")) // only the first end counts
			require.ErrorIs(t, send(background, 100), ErrClosed)
		}()
		synctest.Wait()
		require.EqualValues(t, 3, sent.Load())
		next := 0
		for v := range recv {
			require.Equal(t, next, v)
			next++
			synctest.Wait()
			require.LessOrEqual(t, int(sent.Load()), next+3)
		}
		require.Equal(t, 100, next)
	})
}

func TestPipeBreaksOffFromEitherSide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		send, recv, _ := Pipe[int](1)
		done := make(chan error)
		go func() {
			for i := 0; ; i++ {
				if err := send(background, i); err != nil {
					done <- err
					return
				}
			}
		}()
		for v := range recv {
			if v == 2 {
				break
			}
		}
		require.ErrorIs(t, <-done, ErrClosed)

		send, recv, cancel := Pipe[int](4)
		require.NoError(t, send(background, 1))
		why := errors.New("source failed")
		cancel(why)
		require.Equal(t, why, send(background, 2))
		for range recv {
			t.Fatal("nothing is left")
		}

		send, recv, cancel = Pipe[int](1)
		go func() {
			for range recv {
				cancel(why)
			}
			done <- nil
		}()
		require.NoError(t, send(background, 1))
		require.NoError(t, <-done)
		require.Equal(t, why, send(background, 2))

		send, _, _ = Pipe[int](1)
		require.NoError(t, send(background, 1))
		over, stop := context.WithCancel(background)
		stop()
		require.ErrorIs(t, send(over, 2), context.Canceled)
		require.PanicsWithValue(t, "backpressure: Pipe: window 0 is not positive", func() { Pipe[int](0) })
		require.Panics(t, func() { Pipe[int](-1) })
	})
}
