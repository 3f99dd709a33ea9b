package lattice_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/internal/lincheck"
	"github.com/go-calm/calm/lattice"
)

type counterCell = lattice.Cell[lattice.Max[uint64]]

func atLeast(n uint64) lattice.Threshold[lattice.Max[uint64]] {
	return lattice.AtLeast(lattice.MaxOf(n))
}

func TestCellWaitsForItsThreshold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counterCell
		var met [4]bool
		var wg sync.WaitGroup
		for n := range met {
			wg.Go(func() {
				require.NoError(t, c.Wait(t.Context(), atLeast(uint64(n))))
				met[n] = true
			})
		}
		synctest.Wait()
		require.Equal(t, [4]bool{true}, met)
		_, err := c.Put(lattice.MaxOf[uint64](2))
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, [4]bool{true, true, true}, met)
		_, err = c.Put(lattice.MaxOf[uint64](9))
		require.NoError(t, err)
		wg.Wait() // a wake-up that is lost leaves the bubble in deadlock
	})
}

func TestCellWaitsForWhatPutsComeTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c lattice.Cell[*lattice.Set[string]]
		done := make(chan error)
		go func() { done <- c.Wait(t.Context(), lattice.AtLeast(lattice.SetOf("a", "b"))) }()
		for _, e := range []string{"a", "b"} {
			synctest.Wait()
			_, err := c.Put(lattice.SetOf(e))
			require.NoError(t, err)
		}
		require.NoError(t, <-done)
	})
}

// A Put that comes between a waiter's look and its enlisting would wake nobody. Here one comes
// while the waiter looks: it has to wait until the waiter is enlisted.
func TestCellLooksAndEnlistsInOneStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counterCell
		var put atomic.Bool
		looked := false
		require.NoError(t, c.Wait(t.Context(), func(state lattice.Max[uint64]) bool {
			if !looked {
				looked = true
				go func() {
					_, err := c.Put(lattice.MaxOf[uint64](1))
					put.Store(true)
					require.NoError(t, err)
				}()
				for i := 0; i < 1000 && !put.Load(); i++ {
					runtime.Gosched() // time enough for the Put, if it could go on
				}
			}
			return state.AtLeast(1)
		}))
	})
}

func TestCellForgetsWhoGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counterCell
		ctx, cancel := context.WithCancel(t.Context())
		looks := 0
		done := make(chan error)
		go func() {
			done <- c.Wait(ctx, func(lattice.Max[uint64]) bool {
				looks++
				return false
			})
		}()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
		_, err := c.Put(lattice.MaxOf[uint64](1))
		require.NoError(t, err)
		require.Equal(t, 1, looks)
	})
}

func TestCellWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counterCell
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		done := make(chan error)
		go func() { done <- c.Wait(ctx, atLeast(5)) }()
		synctest.Wait()
		cancel(cause)
		require.ErrorIs(t, <-done, cause)
		require.ErrorIs(t, c.Wait(ctx, atLeast(5)), cause, "a done context, never met")
		_, err := c.Put(lattice.MaxOf[uint64](5))
		require.NoError(t, err)
		require.NoError(t, c.Wait(ctx, atLeast(5)), "what is met counts before a done context")
	})
}

func TestCellFreezes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counterCell
		_, err := c.Put(lattice.MaxOf[uint64](3))
		require.NoError(t, err)
		waits := make(chan error)
		go func() { waits <- c.Wait(t.Context(), atLeast(4)) }()
		synctest.Wait()
		require.Equal(t, uint64(3), c.Freeze().Value())
		require.ErrorIs(t, <-waits, lattice.ErrFrozen)
		require.ErrorIs(t, c.Wait(t.Context(), atLeast(4)), lattice.ErrFrozen)
		require.NoError(t, c.Wait(t.Context(), atLeast(3)))

		grew, err := c.Put(lattice.MaxOf[uint64](3))
		require.NoError(t, err, "what changes nothing may come late")
		require.False(t, grew)
		_, err = c.Put(lattice.MaxOf[uint64](4))
		require.ErrorIs(t, err, lattice.ErrFrozen)
		require.Equal(t, uint64(3), c.Freeze().Value())
	})
}

func TestCellHandlersGetAllGrowthOnce(t *testing.T) {
	var c lattice.Cell[*lattice.Set[string]]
	put := func(es ...string) {
		t.Helper()
		_, err := c.Put(lattice.SetOf(es...))
		require.NoError(t, err)
	}
	put("a", "b")
	var got []string
	stop := c.Handle(func(delta *lattice.Set[string]) { got = append(got, delta.String()) })
	put("b", "c")
	put("c", "a")
	put("d", "a")
	stop()
	put("e")
	require.Equal(t, []string{"{a, b}", "{c}", "{d}"}, got)
}

func TestCellHandlersMayPut(t *testing.T) {
	var c lattice.Cell[*lattice.Set[uint64]]
	c.Handle(func(delta *lattice.Set[uint64]) {
		for n := range delta.All() {
			if n < 100 {
				_, err := c.Put(lattice.SetOf(n+1, n+2))
				require.NoError(t, err)
			}
		}
		delta.Add(1000) // it is the handler's own
	})
	_, err := c.Put(lattice.SetOf[uint64](0))
	require.NoError(t, err)
	require.Equal(t, 102, c.Freeze().Len())
}

func TestCellHandlersGetAtOnceWhatCameMeanwhile(t *testing.T) {
	var c lattice.Cell[*lattice.Set[string]]
	var got []string
	c.Handle(func(delta *lattice.Set[string]) {
		got = append(got, delta.String())
		if len(got) == 1 {
			for _, e := range []string{"b", "c"} {
				_, err := c.Put(lattice.SetOf(e))
				require.NoError(t, err)
			}
		}
	})
	_, err := c.Put(lattice.SetOf("a"))
	require.NoError(t, err)
	require.Equal(t, []string{"{a}", "{b, c}"}, got)
}

func TestCellHandlerThatPanicsIsRunAgain(t *testing.T) {
	var c counterCell
	calls := 0
	c.Handle(func(lattice.Max[uint64]) {
		if calls++; calls == 1 {
			panic("once")
		}
	})
	require.Panics(t, func() { _, _ = c.Put(lattice.MaxOf[uint64](1)) })
	_, err := c.Put(lattice.MaxOf[uint64](2))
	require.NoError(t, err)
	require.Equal(t, 2, calls)
}

func TestCellDeltasOfManyGoroutinesJoinToTheState(t *testing.T) {
	var c lattice.Cell[*lattice.Set[int]]
	var mu sync.Mutex
	sum, count := lattice.SetOf[int](), 0
	c.Handle(func(delta *lattice.Set[int]) {
		mu.Lock()
		defer mu.Unlock()
		sum.Merge(delta)
		count += delta.Len()
	})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 200 {
				if _, err := c.Put(lattice.SetOf(i, g*1000+i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.True(t, lattice.Equal(c.Freeze(), sum))
	require.Equal(t, sum.Len(), count, "something was delivered twice")
}

// A cell of Max is a register that only grows: its specification is the greatest value put.
func TestCellIsLinearizable(t *testing.T) {
	type in struct {
		Op string
		N  uint64
	}
	type out struct {
		N  uint64
		OK bool
	}
	type register struct {
		N      uint64
		Frozen bool
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	model := lincheck.Model[register, in, out]{
		Step: func(s register, in in, o out) (register, bool) {
			switch in.Op {
			case "put":
				grows := in.N > s.N
				if grows && s.Frozen {
					return s, o == out{}
				}
				if grows {
					s.N = in.N
				}
				want := out{OK: true}
				if grows {
					want.N = 1
				}
				return s, o == want
			case "test":
				return s, o.OK == (s.N >= in.N)
			case "wait":
				return s, o.OK && s.N >= in.N || !o.OK && s.Frozen && s.N < in.N
			case "freeze":
				s.Frozen = true
			}
			return s, o.N == s.N
		},
	}
	model.Run(t, 500, func(seed uint64) lincheck.History[in, out] {
		var c counterCell
		return lincheck.Record(4, seed, func(cl *lincheck.Client[in, out]) {
			rng := cl.Rand()
			for i := range 12 {
				n := 1 + rand.New(rng).Uint64N(8)
				switch {
				case cl.ID() == 0 && i == 11: // so that every wait ends
					cl.Do(in{"freeze", 0}, func() out { return out{N: c.Freeze().Value()} })
				case cl.ID() == 0 || n%4 == 0:
					cl.Do(in{"put", n}, func() out {
						grew, err := c.Put(lattice.MaxOf(n))
						o := out{OK: err == nil}
						if grew {
							o.N = 1
						}
						return o
					})
				case n%4 == 1:
					cl.Do(in{"snapshot", 0}, func() out { return out{N: c.Snapshot().Value()} })
				case n%4 == 2:
					cl.Do(in{"test", n}, func() out { return out{OK: c.Wait(done, atLeast(n)) == nil} })
				default:
					cl.Do(in{"wait", n}, func() out { return out{OK: c.Wait(t.Context(), atLeast(n)) == nil} })
				}
			}
		})
	})
}
