package backpressure

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// What other queues were found to do wrong, each asked of this one, with and without the
// engine that has a lock.

func bothEngines(t *testing.T, test func(t *testing.T, opts ...Option[int])) {
	t.Run("ring", func(t *testing.T) { test(t) })
	t.Run("sched", func(t *testing.T) { test(t, Weigh(func(int) int64 { return 1 })) })
}

// github.com/puzpuzpuz/xsync: a half-full queue is reported to be full, or empty, when others
// are at work on it.
func TestAHalfFullQueueIsNeitherFullNorEmpty(t *testing.T) {
	bothEngines(t, func(t *testing.T, opts ...Option[int]) {
		const clients, capacity = 4, 16
		q := NewQueue(capacity, opts...)
		for i := range capacity / 2 {
			require.NoError(t, q.TryPut(i))
		}
		var wrong atomic.Int32
		var wg sync.WaitGroup
		for range clients { // each holds one item at most, so between 4 and 8 are there
			wg.Go(func() {
				for i := range 20_000 {
					if i%64 == 0 {
						runtime.Gosched()
					}
					v, ok := q.TryGet()
					if !ok {
						wrong.Add(1)
						continue
					}
					if q.TryPut(v) != nil {
						wrong.Add(1)
					}
				}
			})
		}
		wg.Wait()
		require.Zero(t, wrong.Load())
		require.Equal(t, capacity/2, q.Stats().Len)
	})
}

// github.com/rigtorp/MPMCQueue issue 41: a push after a pop, which has made room, fails.
func TestAPutAfterAGetFindsRoom(t *testing.T) {
	bothEngines(t, func(t *testing.T, opts ...Option[int]) {
		q := NewQueue(2, opts...)
		require.NoError(t, q.TryPut(0))
		require.NoError(t, q.TryPut(0))
		popped, pushed := make(chan bool), make(chan error)
		go func() {
			for range popped {
				pushed <- q.TryPut(0)
			}
			close(pushed)
		}()
		for range 2000 {
			_, ok := q.TryGet()
			require.True(t, ok)
			popped <- true
			require.NoError(t, <-pushed)
		}
		close(popped)
		<-pushed
	})
}

// github.com/hayabusa-cloud/lfq: now and then an item is lost for ever, and its consumer waits
// for ever.
func TestNoItemIsLostInALongRun(t *testing.T) {
	bothEngines(t, func(t *testing.T, opts ...Option[int]) {
		const items = 50_000
		q := NewQueue(64, opts...)
		go func() {
			for i := range items {
				_ = q.Put(background, i)
			}
			_ = q.Drain(background)
		}()
		next := 0
		for v := range q.All(background) {
			require.Equal(t, next, v)
			next++
		}
		require.Equal(t, items, next)
	})
}

// github.com/Workiva/go-datastructures: to dispose of a queue loses what is in it, or what is
// just being put.
func TestPutDuringCloseIsAcceptedOrRefused(t *testing.T) {
	bothEngines(t, func(t *testing.T, opts ...Option[int]) {
		rounds := 300
		if runtime.GOMAXPROCS(0) == 1 { // a turn may take ten milliseconds there
			rounds = 20
		}
		for round := range rounds {
			q := NewQueue(1+round%8, opts...)
			var accepted, got atomic.Int64
			var producers, consumers sync.WaitGroup
			for p := range 3 {
				producers.Go(func() {
					for i := 0; ; i++ {
						n, err := 1, error(nil)
						switch (i + p) % 3 {
						case 0:
							n, err = q.PutAll(background, []int{i, i, i})
						case 1:
							err = q.Put(background, i)
						default:
							if err = q.TryPut(i); errors.Is(err, ErrOverload) {
								continue
							}
						}
						if err == nil || n > 1 || (i+p)%3 == 0 {
							accepted.Add(int64(n))
						}
						if err != nil {
							if !errors.Is(err, ErrClosed) {
								panic(err)
							}
							return
						}
					}
				})
			}
			for range 2 {
				consumers.Go(func() {
					for range q.All(background) {
						got.Add(1)
					}
				})
			}
			for range round % 50 {
				runtime.Gosched()
			}
			q.Close()
			q.Close()
			producers.Wait()
			require.NoError(t, q.Drain(background))
			consumers.Wait()
			require.Equal(t, accepted.Load(), got.Load())
			require.EqualValues(t, got.Load(), q.Stats().Put)
		}
	})
}

// github.com/Workiva/go-datastructures issue 150: who waits at an empty queue burns a core. In
// a bubble, Wait returns only when everybody sleeps.
func TestWhoWaitsSleeps(t *testing.T) {
	bothEngines(t, func(t *testing.T, opts ...Option[int]) {
		synctest.Test(t, func(t *testing.T) {
			q := NewQueue(2, opts...)
			for range 8 {
				go func() {
					_, err := q.Get(background)
					require.ErrorIs(t, err, ErrClosed)
				}()
			}
			synctest.Wait()
			q.Close()
			synctest.Wait()

			q = NewQueue(1, opts...)
			require.NoError(t, q.Put(background, 0))
			ctx, cancel := context.WithCancel(background)
			for range 8 {
				go func() { require.ErrorIs(t, q.Put(ctx, 1), context.Canceled) }()
			}
			synctest.Wait()
			cancel()
			synctest.Wait()
			require.Equal(t, 1, q.Stats().Len)
		})
	})
}

// A channel panics when it is closed twice, or used after; eapache/channels keeps a goroutine
// for each queue.
func TestAQueueIsNoChannel(t *testing.T) {
	before := runtime.NumGoroutine()
	bothEngines(t, func(t *testing.T, opts ...Option[int]) {
		var qs []*Queue[int]
		for range 100 {
			qs = append(qs, NewQueue(1, opts...))
		}
		require.Less(t, runtime.NumGoroutine(), before+50)
		for _, q := range qs {
			q.Close()
			q.Close()
			require.ErrorIs(t, q.Put(background, 1), ErrClosed)
			require.ErrorIs(t, q.TryPut(1), ErrClosed)
			n, err := q.PutAll(background, []int{1, 2})
			require.Equal(t, "0 backpressure: closed", fmt.Sprint(n, " ", err))
		}
	})
}
