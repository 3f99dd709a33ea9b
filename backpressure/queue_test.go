package backpressure

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-calm/calm/internal/testenv"
)

var background = context.Background()

func TestNewQueueRefusesMistakes(t *testing.T) {
	for _, capacity := range []int{0, -1} {
		require.PanicsWithError(t, fmt.Sprintf("backpressure: NewQueue: capacity %d is not positive", capacity),
			func() { NewQueue[int](capacity) })
	}
	require.PanicsWithError(t, "backpressure: NewQueue: nil option", func() { NewQueue[int](1, nil) })
	type opts []Option[int]
	note := func(int, Reason) {}
	level := func(int) int { return 0 }
	weight := func(int) int64 { return 1 }
	for want, opts := range map[string]opts{
		"DropOldest and RejectWhenFull exclude each other":             {DropOldest[int](nil), RejectWhenFull[int]()},
		"DropNewest and DropOldest exclude each other":                 {DropNewest[int](nil), Weigh(weight), DropOldest[int](nil), CoDel[int](0, 0)},
		"RejectWhenFull is given twice":                                {RejectWhenFull[int](), RejectWhenFull[int]()},
		"CoDel is given twice":                                         {CoDel[int](1, 2), CoDel[int](1, 2)},
		"OnDrop and the function of DropOldest exclude each other":     {OnDrop(note), DropOldest(note)},
		"OnDrop and the function of DropNewest exclude each other":     {DropNewest(note), OnDrop(note)},
		"OnDrop: with these options nothing is dropped":                {OnDrop(note), RejectWhenFull[int]()},
		"OnDrop: nil function":                                         {OnDrop[int](nil)},
		"Weigh: nil function":                                          {Weigh[int](nil)},
		"Deadline: nil function":                                       {Deadline[int](nil)},
		"Priority: nil function":                                       {Priority[int](nil)},
		"Fair: nil function":                                           {Fair[int, string](nil, nil)},
		"AdaptiveLIFO: -1ns is negative":                               {AdaptiveLIFO[int](-1)},
		"CoDel: target 0s must be positive and interval 1s no shorter": {CoDel[int](0, time.Second)},
		"CoDel: target 2s must be positive and interval 1s no shorter": {CoDel[int](2*time.Second, time.Second)},
		"AdaptiveLIFO and DropNewest exclude each other: one serves first what the other drops": {
			AdaptiveLIFO[int](0), DropNewest[int](nil),
		},
	} {
		require.PanicsWithError(t, "backpressure: NewQueue: "+want, func() { NewQueue(1, opts...) })
	}
	require.PanicsWithError(t, "backpressure: NewQueue: OnDrop: with these options nothing is dropped",
		func() { NewQueue(1, OnDrop(note), Fair(level, nil), Priority(level)) }, "a Put waits")
	// What makes sense together is accepted together.
	NewQueue(1, opts{
		Weigh(weight), Priority(level), Fair(level, nil), CoDel[int](1, 2), AdaptiveLIFO[int](3),
		Deadline(func(int) time.Time { return time.Time{} }), DropOldest[int](nil), OnDrop(note),
	}...)
	NewQueue(1, RejectWhenFull[int](), Priority(level), OnDrop(note))
	NewQueue(1, DropNewest[int](nil), OnDrop(note))
	NewQueue(1, CoDel[int](1, 1))
}

func TestQueueHoldsExactlyItsCapacity(t *testing.T) {
	for _, capacity := range []int{1, 2, 3, 5, 8, 100} {
		q := NewQueue[int](capacity)
		for lap := range 5 {
			for i := range capacity {
				require.NoError(t, q.TryPut(lap*1000+i))
			}
			err := q.TryPut(-1)
			var o *Overload
			require.ErrorAs(t, err, &o)
			require.Equal(t, Overload{Reason: Full, Queued: capacity, Limit: capacity}, *o)
			require.ErrorIs(t, err, ErrOverload)
			require.NotErrorIs(t, err, ErrClosed)
			for i := range capacity {
				v, ok := q.TryGet()
				require.True(t, ok)
				require.Equal(t, lap*1000+i, v)
			}
			_, ok := q.TryGet()
			require.False(t, ok)
		}
		require.Equal(t, QueueStats{Cap: capacity, Put: uint64(5 * capacity), Got: uint64(5 * capacity), Rejected: 5}, q.Stats())
	}
}

func TestRejectWhenFull(t *testing.T) {
	q := NewQueue(2, RejectWhenFull[int]())
	n, err := q.PutAll(background, []int{1, 2, 3, 4})
	require.Equal(t, 2, n)
	require.ErrorIs(t, err, ErrOverload)
	require.ErrorIs(t, q.Put(background, 5), ErrOverload)
	require.EqualValues(t, 3, q.Stats().Rejected)
	q.Close()
	require.ErrorIs(t, q.Put(background, 5), ErrClosed)
}

func TestDropOldestKeepsTheLastOnes(t *testing.T) {
	var dropped []int
	q := NewQueue(3, DropOldest(func(v int, r Reason) {
		require.Equal(t, Full, r)
		dropped = append(dropped, v)
	}))
	n, err := q.PutAll(background, []int{1, 2, 3, 4})
	require.NoError(t, err)
	require.Equal(t, 4, n)
	require.NoError(t, q.Put(background, 5))
	require.NoError(t, q.TryPut(6))
	require.Equal(t, []int{1, 2, 3}, dropped)
	require.Equal(t, QueueStats{Len: 3, Cap: 3, Cost: 3, Put: 6, Dropped: 3}, q.Stats())
	dst := make([]int, 5)
	n, err = q.GetBatch(background, dst)
	require.NoError(t, err)
	require.Equal(t, []int{4, 5, 6}, dst[:n])
	q.Close()
	require.ErrorIs(t, q.TryPut(7), ErrClosed)
	_, err = q.Get(background)
	require.ErrorIs(t, err, ErrClosed)
}

func TestDropNewestKeepsTheFirstOnes(t *testing.T) {
	var dropped []int
	q := NewQueue(2, DropNewest(func(v int, r Reason) {
		require.Equal(t, Full, r)
		dropped = append(dropped, v)
	}))
	n, err := q.PutAll(background, []int{1, 2, 3})
	require.NoError(t, err)
	require.Equal(t, 3, n)
	require.NoError(t, q.Put(background, 4))
	require.NoError(t, q.TryPut(5))
	require.Equal(t, []int{3, 4, 5}, dropped)
	require.Equal(t, QueueStats{Len: 2, Cap: 2, Cost: 2, Put: 2, Dropped: 3}, q.Stats())
	require.NoError(t, NewQueue(1, DropNewest[int](nil)).Put(background, 1))
}

// onDrop may use the queue it is called by.
func TestOnDropMayUseTheQueue(t *testing.T) {
	var q *Queue[int]
	q = NewQueue(1, DropOldest(func(v int, _ Reason) {
		if v < 3 {
			_ = q.Put(background, v+10)
		}
	}))
	require.NoError(t, q.Put(background, 1))
	require.NoError(t, q.Put(background, 20))
	v, ok := q.TryGet()
	require.True(t, ok)
	require.Equal(t, 11, v)
}

func TestContextIsLookedAtOnlyWhenWaiting(t *testing.T) {
	over, cancel := context.WithCancel(background)
	cancel()
	bothEngines(t, func(t *testing.T, opts ...Option[int]) {
		q := NewQueue(1, opts...)
		require.NoError(t, q.Put(over, 1), "there was room")
		require.ErrorIs(t, q.Put(over, 2), context.Canceled)
		n, err := q.PutAll(over, []int{3, 4})
		require.Zero(t, n)
		require.ErrorIs(t, err, context.Canceled)
		v, err := q.Get(over)
		require.NoError(t, err)
		require.Equal(t, 1, v)
		_, err = q.Get(over)
		require.ErrorIs(t, err, context.Canceled)
		_, err = q.GetBatch(over, make([]int, 2))
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestEmptyBatches(t *testing.T) {
	q := NewQueue[int](1)
	n, err := q.GetBatch(background, nil)
	require.Zero(t, n)
	require.NoError(t, err)
	q.Close()
	n, err = q.PutAll(background, nil)
	require.Zero(t, n)
	require.NoError(t, err)
}

func TestCloseAndDrain(t *testing.T) {
	for name, opts := range map[string][]Option[int]{"ring": nil, "sched": {DropOldest[int](nil)}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := NewQueue(2, opts...)
				require.NoError(t, q.Put(background, 1))
				require.NoError(t, q.Put(background, 2))
				over, cancel := context.WithCancel(background)
				cancel()
				require.ErrorIs(t, q.Drain(over), context.Canceled)
				q.Close() // twice is harmless
				n, err := q.PutAll(background, []int{3})
				require.Zero(t, n)
				require.ErrorIs(t, err, ErrClosed)

				var drained atomic.Int32
				for range 2 {
					go func() {
						require.NoError(t, q.Drain(background))
						drained.Add(1)
					}()
				}
				for i := range 2 {
					synctest.Wait()
					require.Zero(t, drained.Load())
					v, err := q.Get(background)
					require.NoError(t, err)
					require.Equal(t, i+1, v)
				}
				synctest.Wait()
				require.EqualValues(t, 2, drained.Load())
				require.NoError(t, q.Drain(over), "nothing to wait for")
				_, err = q.Get(background)
				require.ErrorIs(t, err, ErrClosed)
			})
		})
	}
}

func TestCloseWakesEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		empty, full := NewQueue[int](2), NewQueue[int](1)
		require.NoError(t, full.Put(background, 0))
		var refused atomic.Int32
		for range 5 {
			go func() {
				_, err := empty.Get(background)
				require.ErrorIs(t, err, ErrClosed)
				_, err = empty.GetBatch(background, make([]int, 3))
				require.ErrorIs(t, err, ErrClosed)
				refused.Add(1)
			}()
			go func() {
				require.ErrorIs(t, full.Put(background, 1), ErrClosed)
				n, err := full.PutAll(background, []int{1, 2})
				require.Zero(t, n)
				require.ErrorIs(t, err, ErrClosed)
				refused.Add(1)
			}()
		}
		synctest.Wait()
		require.Zero(t, refused.Load())
		empty.Close()
		full.Close()
		synctest.Wait()
		require.EqualValues(t, 10, refused.Load())
	})
}

func TestPutAllReportsWhatItPut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue[int](2)
		ctx, cancel := context.WithTimeout(background, time.Second)
		defer cancel()
		result := make(chan int)
		go func() {
			n, err := q.PutAll(ctx, []int{1, 2, 3, 4, 5})
			require.ErrorIs(t, err, context.DeadlineExceeded)
			result <- n
		}()
		synctest.Wait()
		v, err := q.Get(background)
		require.NoError(t, err)
		require.Equal(t, 1, v)
		require.Equal(t, 3, <-result)
		require.Equal(t, 2, q.Stats().Len)
	})
}

func TestAllEndsWithTheQueueOrTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue[int](4)
		_, err := q.PutAll(background, []int{1, 2, 3})
		require.NoError(t, err)
		for v := range q.All(background) {
			require.Equal(t, 1, v)
			break
		}
		ctx, cancel := context.WithCancel(background)
		time.AfterFunc(time.Second, cancel)
		var got []int
		for v := range q.All(ctx) {
			got = append(got, v)
		}
		require.Equal(t, []int{2, 3}, got)
		require.NoError(t, q.Put(background, 4))
		for range q.All(ctx) {
			t.Fatal("the context was over")
		}
		q.Close()
		for v := range q.All(background) {
			got = append(got, v)
		}
		require.Equal(t, []int{2, 3, 4}, got)
	})
}

// Every scenario must end with nobody left: a bubble whose goroutines all sleep for ever is
// a lost wake-up, and synctest reports it as a deadlock.
func TestNoWakeUpIsLost(t *testing.T) {
	for seed := range uint64(testenv.Checks(150)) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			capacity := 1 + rng.IntN(3)
			producers, consumers := 1+rng.IntN(4), 1+rng.IntN(4)
			each := 1 + rng.IntN(30)
			q := NewQueue[int](capacity)
			var put, got atomic.Int64
			var ps, cs sync.WaitGroup
			for range producers {
				seed := rng.Uint64()
				ps.Go(func() {
					rng := rand.New(rand.NewPCG(seed, 1))
					for range each {
						ctx, cancel := background, context.CancelFunc(func() {})
						if rng.IntN(3) == 0 {
							ctx, cancel = context.WithTimeout(ctx, time.Duration(rng.IntN(3))*time.Millisecond)
						}
						if rng.IntN(3) == 0 {
							n, _ := q.PutAll(ctx, make([]int, rng.IntN(4)))
							put.Add(int64(n))
						} else if q.Put(ctx, 1) == nil {
							put.Add(1)
						}
						if rng.IntN(4) == 0 {
							time.Sleep(time.Duration(rng.IntN(3)) * time.Millisecond)
						}
						cancel()
					}
				})
			}
			for range consumers {
				seed := rng.Uint64()
				cs.Go(func() {
					rng := rand.New(rand.NewPCG(seed, 2))
					for {
						ctx, cancel := background, context.CancelFunc(func() {})
						if rng.IntN(3) == 0 {
							ctx, cancel = context.WithTimeout(ctx, time.Duration(rng.IntN(3))*time.Millisecond)
						}
						n, err := 1, error(nil)
						if rng.IntN(3) == 0 {
							n, err = q.GetBatch(ctx, make([]int, 1+rng.IntN(3)))
						} else {
							_, err = q.Get(ctx)
						}
						cancel()
						if errors.Is(err, ErrClosed) {
							return
						}
						if err == nil {
							got.Add(int64(n))
						}
						if rng.IntN(4) == 0 {
							time.Sleep(time.Duration(rng.IntN(3)) * time.Millisecond)
						}
					}
				})
			}
			ps.Wait()
			require.NoError(t, q.Drain(background))
			cs.Wait()
			require.Equal(t, put.Load(), got.Load())
			s := q.Stats()
			require.Equal(t, s.Put, s.Got)
			require.Zero(t, q.puts.count)
			require.Zero(t, q.gets.count)
		})
	}
}

// Where items come slowly the parked are served in the order in which they came.
func TestParkedAreServedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue[int](1)
		require.NoError(t, q.Put(background, -1))
		for i := range 10 {
			go func() { require.NoError(t, q.Put(background, i)) }()
			synctest.Wait()
		}
		for i := range 11 {
			time.Sleep(time.Millisecond)
			v, err := q.Get(background)
			require.NoError(t, err)
			require.Equal(t, i-1, v)
		}
		var order []int
		for i := range 10 {
			go func() {
				v, err := q.Get(background)
				require.NoError(t, err)
				require.Equal(t, i, v)
				order = append(order, v)
			}()
			synctest.Wait()
		}
		for i := range 10 {
			time.Sleep(time.Millisecond)
			require.NoError(t, q.Put(background, i))
			synctest.Wait()
		}
		require.Len(t, order, 10)
	})
}

// A parked Put that others keep passing is served by hand after a millisecond.
func TestNobodyIsPassedForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, late := range []bool{false, true} {
			q := NewQueue[int](1)
			require.NoError(t, q.Put(background, 0))
			w := q.puts.enter()
			w.one[0] = 1
			w.items = w.one[:]
			q.puts.mu.Lock()
			q.puts.link(w, false)
			q.puts.mu.Unlock()
			if late {
				time.Sleep(2 * patience)
			}
			v := 0
			require.Equal(t, moved, q.ring.pop(&v))
			require.Equal(t, moved, q.ring.push(&v)) // overtakes
			require.Equal(t, moved, q.ring.pop(&v))
			q.puts.fastFlow()
			q.vacated()
			require.Len(t, w.signal, 1)
			require.Equal(t, late, w.served)
		}
	})
}

// Who is served by hand has moved an item, and the other side may be waiting for it.
func TestServedByHandTellsTheOtherSide(t *testing.T) {
	q := NewQueue[int](1)
	p, g := q.puts.enter(), q.gets.enter()
	p.one[0] = 7
	p.items, g.items = p.one[:], g.one[:]
	q.puts.mu.Lock()
	q.puts.link(p, false)
	q.puts.mu.Unlock()
	q.gets.mu.Lock()
	q.gets.link(g, false)
	q.gets.mu.Unlock()
	q.vacated()
	require.True(t, p.served)
	require.True(t, g.served)
	require.Equal(t, 7, g.one[0])
}

// fastFlow makes a lot wake and not serve, as when items come fast. Time stands still in a
// bubble, so the next items will look fast, too.
func (l *lot[T]) fastFlow() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn, l.at, l.seen = false, time.Now().Add(time.Hour), 0
	l.publish()
}

func TestBatonIsPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue[int](4)
		var got atomic.Int32
		for range 4 {
			go func() {
				_, err := q.Get(background)
				require.NoError(t, err)
				got.Add(1)
			}()
		}
		synctest.Wait()
		q.gets.fastFlow()
		_, err := q.PutAll(background, []int{1, 2, 3, 4})
		require.NoError(t, err)
		synctest.Wait()
		require.EqualValues(t, 4, got.Load())
	})
}

func TestCancelledCallPassesTheBatonOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue[int](4)
		ctx, cancel := context.WithCancel(background)
		var got, cancelled atomic.Int32
		go func() {
			_, err := q.Get(ctx)
			require.ErrorIs(t, err, context.Canceled)
			cancelled.Add(1)
		}()
		synctest.Wait()
		go func() {
			_, err := q.Get(background)
			require.NoError(t, err)
			got.Add(1)
		}()
		synctest.Wait()
		q.gets.fastFlow()
		// The first is cancelled and, before it can leave the list, chosen.
		q.gets.mu.Lock()
		first := q.gets.list.next
		cancel()
		_, o := q.ring.pushAll([]int{1})
		require.Equal(t, moved, o)
		q.gets.waking = true
		q.gets.unlink(first)
		first.signal <- struct{}{}
		q.gets.mu.Unlock()
		synctest.Wait()
		require.EqualValues(t, 1, cancelled.Load())
		require.EqualValues(t, 1, got.Load())
	})
}

func TestBurstCostsOneWakeUp(t *testing.T) {
	q := NewQueue[int](128)
	first, second := q.gets.enter(), q.gets.enter()
	q.gets.mu.Lock()
	q.gets.at = time.Now() // a fast flow
	q.gets.link(first, false)
	q.gets.link(second, false)
	q.gets.mu.Unlock()
	for range 100 {
		_, o := q.ring.pushAll([]int{1})
		require.Equal(t, moved, o)
		q.gets.mu.Lock()
		q.gets.at = time.Now().Add(time.Hour)
		q.gets.mu.Unlock()
		q.stocked(false)
	}
	require.Len(t, first.signal, 1)
	require.False(t, first.served)
	require.True(t, second.parked)
}

func TestQueueKeepsNothingAlive(t *testing.T) {
	for _, opts := range [][]Option[*[64]int]{nil, {DropOldest[*[64]int](nil)}} {
		q := NewQueue(4, opts...)
		var freed atomic.Int32
		for range 3 {
			v := new([64]int)
			runtime.AddCleanup(v, func(int) { freed.Add(1) }, 0)
			require.NoError(t, q.Put(background, v))
		}
		_, err := q.Get(background)
		require.NoError(t, err)
		_, err = q.GetBatch(background, make([]*[64]int, 2))
		require.NoError(t, err)
		for i := 0; i < 100 && freed.Load() < 3; i++ {
			runtime.GC()
			runtime.Gosched()
		}
		require.EqualValues(t, 3, freed.Load())
		runtime.KeepAlive(q)
	}
}

func TestHoldsPointers(t *testing.T) {
	require.False(t, NewQueue[struct {
		a int
		b [3]float64
	}](1).ring.wipe)
	require.False(t, NewQueue[[0]*int](1).ring.wipe)
	require.True(t, NewQueue[struct {
		a int
		b []int
	}](1).ring.wipe)
	require.True(t, NewQueue[any](1).ring.wipe)
	require.True(t, NewQueue[string](1).ring.wipe)
	require.True(t, NewQueue[[2]*int](1).ring.wipe)
	require.True(t, NewQueue[func()](1).ring.wipe)
}

func TestQueueDoesNotAllocate(t *testing.T) {
	if testenv.Race {
		t.Skip("the race detector allocates")
	}
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	batch := make([]int, 16)
	for name, fn := range map[string]func() func(){
		"Put+Get": func() func() {
			q := NewQueue[int](4)
			return func() { _ = q.Put(ctx, 1); _, _ = q.Get(ctx) }
		},
		"PutAll+GetBatch": func() func() {
			q := NewQueue[int](16)
			return func() { _, _ = q.PutAll(ctx, batch); _, _ = q.GetBatch(ctx, batch) }
		},
		"refusal": func() func() {
			q := NewQueue(1, RejectWhenFull[int]())
			return func() { _ = q.Put(ctx, 1); _ = q.TryPut(1) }
		},
		"DropOldest": func() func() {
			q := NewQueue(1, DropOldest(func(int, Reason) {}))
			return func() { _ = q.Put(ctx, 1) }
		},
		"DropNewest": func() func() {
			q := NewQueue(1, DropNewest(func(int, Reason) {}))
			return func() { _ = q.Put(ctx, 1) }
		},
	} {
		require.Zero(t, testing.AllocsPerRun(100, fn()), name)
	}
	// Parking uses its waiters again.
	there, back := NewQueue[int](1), NewQueue[int](1)
	go func() {
		for v := range there.All(ctx) {
			_ = back.Put(ctx, v)
		}
	}()
	require.Zero(t, testing.AllocsPerRun(200, func() {
		_ = there.Put(ctx, 1)
		_, _ = back.Get(ctx)
	}))
	there.Close()
}

// TestQueueConserves drives one queue by one caller through whatever can be done without
// waiting, against a slice.
func TestQueueConserves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.IntRange(1, 17).Draw(t, "capacity")
		full := rapid.SampledFrom([]policy{block, reject, dropOldest, dropNewest}).Draw(t, "policy")
		var dropped, wantDropped []int
		note := func(v int, _ Reason) { dropped = append(dropped, v) }
		var q *Queue[int]
		switch full {
		case block:
			q = NewQueue[int](capacity)
		case reject:
			q = NewQueue(capacity, RejectWhenFull[int]())
		case dropOldest:
			q = NewQueue(capacity, DropOldest(note))
		case dropNewest:
			q = NewQueue(capacity, DropNewest(note))
		}
		var (
			model         []int
			closed        bool
			put, got, ref uint64
			next          int
		)
		over, cancel := context.WithCancel(background)
		cancel()
		offer := func(err error, v int) {
			switch {
			case closed:
				require.ErrorIs(t, err, ErrClosed)
			case len(model) < capacity:
				require.NoError(t, err)
				model = append(model, v)
				put++
			case full == dropOldest:
				require.NoError(t, err)
				wantDropped = append(wantDropped, model[0])
				model = append(model[1:], v)
				put++
			case full == dropNewest:
				require.NoError(t, err)
				wantDropped = append(wantDropped, v)
			default:
				require.Error(t, err)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				next++
				err := q.Put(over, next)
				if !closed && full == reject && len(model) == capacity {
					ref++
				}
				offer(err, next)
			},
			"try": func(t *rapid.T) {
				next++
				err := q.TryPut(next)
				if !closed && full <= reject && len(model) == capacity {
					ref++
					require.ErrorIs(t, err, ErrOverload)
				}
				offer(err, next)
			},
			"all": func(t *rapid.T) {
				vs := make([]int, rapid.IntRange(1, 7).Draw(t, "n"))
				for i := range vs {
					next++
					vs[i] = next
				}
				n, err := q.PutAll(over, vs)
				require.Equal(t, n == len(vs), err == nil)
				if full == reject && !closed {
					ref += uint64(len(vs) - n)
				}
				for i, v := range vs {
					if i < n {
						offer(nil, v)
					} else {
						offer(err, v)
					}
				}
			},
			"get": func(t *rapid.T) {
				v, err := q.Get(over)
				if len(model) == 0 {
					require.Equal(t, closed, errors.Is(err, ErrClosed))
					require.Error(t, err)
					return
				}
				require.NoError(t, err)
				require.Equal(t, model[0], v)
				model = model[1:]
				got++
			},
			"batch": func(t *rapid.T) {
				dst := make([]int, rapid.IntRange(1, 7).Draw(t, "n"))
				n, err := q.GetBatch(over, dst)
				require.Equal(t, len(model) == 0, err != nil)
				require.Equal(t, min(len(dst), len(model)), n)
				if n > 0 {
					require.Equal(t, model[:n], dst[:n])
				}
				model = model[n:]
				got += uint64(n)
			},
			"close": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "really") == 0 {
					q.Close()
					closed = true
				}
			},
			"": func(t *rapid.T) {
				require.Equal(t, wantDropped, dropped)
				require.Equal(t, QueueStats{
					Len: len(model), Cap: capacity, Cost: int64(len(model)), Put: put, Got: got, Rejected: ref, Dropped: uint64(len(dropped)),
				}, q.Stats())
			},
		})
	})
}

// What is brought over in blocks of several cache lines is neither lost nor taken for something else.
func TestLargeItemsKeepTheirOrder(t *testing.T) {
	type large [7]int
	rng := rand.New(rand.NewPCG(1, 2))
	for _, capacity := range []int{3, 8, 13, 16, 40, 64, 200} {
		q := NewQueue[large](capacity)
		put, got := 0, 0
		for range 2000 {
			for range rng.IntN(capacity + 1) {
				if q.TryPut(large{put, 1, 2, 3, 4, 5, put}) == nil {
					put++
				}
			}
			for range rng.IntN(capacity + 1) {
				if v, ok := q.TryGet(); ok {
					require.Equal(t, large{got, 1, 2, 3, 4, 5, got}, v)
					got++
				}
			}
			require.Equal(t, put-got, q.Stats().Len)
		}
	}
}
