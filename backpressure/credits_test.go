package backpressure

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/internal/lincheck"
	"github.com/go-calm/calm/internal/testenv"
)

// past returns a context that is over, for calls that shall not wait.
func past() context.Context {
	ctx, cancel := context.WithCancel(background)
	cancel()
	return ctx
}

func TestGrantsAddUpAndSaturate(t *testing.T) { // §3.8, §3.17
	c := NewCredits(-5)
	require.Zero(t, c.Left())
	require.NoError(t, c.Grant(3))
	require.NoError(t, c.Grant(4))
	require.EqualValues(t, 7, c.Left())
	require.NoError(t, c.Spend(background, 5))
	require.EqualValues(t, 2, c.Left())
	require.NoError(t, c.Grant(math.MaxInt64-1))
	require.Equal(t, int64(math.MaxInt64), c.Left())
	require.NoError(t, c.Spend(background, 1<<40))
	require.Equal(t, int64(math.MaxInt64), c.Left(), "no bound is not used up")
}

func TestCreditsRefuseNonsense(t *testing.T) {
	var c Credits
	for _, n := range []int64{0, -1, math.MinInt64} { // §3.9
		require.ErrorIs(t, c.Grant(n), ErrCredits)
	}
	require.ErrorIs(t, c.Spend(background, -1), ErrCredits)
	n, err := c.SpendUpTo(background, -1)
	require.ErrorIs(t, err, ErrCredits)
	require.Zero(t, n)
	n, err = c.SpendUpTo(past(), 1)
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, n)
	n, err = c.SpendUpTo(background, 0)
	require.NoError(t, err)
	require.Zero(t, n)
	require.NoError(t, c.Spend(background, 0))
	require.Zero(t, c.Left())
}

func TestCreditsAreGivenInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Credits
		var served, sum atomic.Int64
		for _, n := range []int64{5, 1, 2} {
			go func() {
				require.NoError(t, c.Spend(background, n))
				served.Add(1)
				sum.Add(n)
			}()
			synctest.Wait()
		}
		require.NoError(t, c.Grant(4))
		synctest.Wait()
		require.Zero(t, served.Load(), "the small ones wait behind the large one")
		require.EqualValues(t, 4, c.Left())
		require.NoError(t, c.Grant(2))
		synctest.Wait()
		require.EqualValues(t, 6, sum.Load(), "five and one")
		require.NoError(t, c.Grant(2))
		synctest.Wait()
		require.EqualValues(t, 3, served.Load())
		require.Zero(t, c.Left())

		go func() {
			n, err := c.SpendUpTo(background, 10)
			require.NoError(t, err)
			sum.Add(n)
		}()
		synctest.Wait()
		require.NoError(t, c.Grant(3))
		synctest.Wait()
		require.EqualValues(t, 11, sum.Load())
	})
}

// Who leaves the line lets those behind it pass.
func TestCancelledSpendTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCredits(3)
		ctx, cancel := context.WithTimeout(background, time.Second)
		defer cancel()
		var served, refused atomic.Int32
		go func() {
			require.ErrorIs(t, c.Spend(ctx, 5), context.DeadlineExceeded)
			refused.Add(1)
		}()
		synctest.Wait()
		for range 2 {
			go func() {
				require.NoError(t, c.Spend(background, 1))
				served.Add(1)
			}()
		}
		long, stop := context.WithCancel(background)
		synctest.Wait()
		go func() {
			require.ErrorIs(t, c.Spend(long, 9), context.Canceled)
			refused.Add(1)
		}()
		synctest.Wait()
		require.Zero(t, served.Load())
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.EqualValues(t, 2, served.Load())
		require.EqualValues(t, 1, c.Left())
		stop()
		synctest.Wait()
		require.EqualValues(t, 2, refused.Load())
		require.Nil(t, c.first)
		require.Nil(t, c.last)
		require.NoError(t, c.Spend(background, 1))
	})
}

// Who comes after the last in line has left is not lost.
func TestCreditsLineCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Credits
		var served atomic.Int32
		spend := func(ctx context.Context) {
			go func() {
				if c.Spend(ctx, 1) == nil {
					served.Add(1)
				}
			}()
			synctest.Wait()
		}
		ctx, cancel := context.WithCancel(background)
		spend(background)
		spend(ctx)
		cancel()
		synctest.Wait()
		spend(background)
		require.NoError(t, c.Grant(2))
		synctest.Wait()
		require.EqualValues(t, 2, served.Load())
	})
}

func TestCreditsEndOnce(t *testing.T) { // §3.5, §3.6, §3.7
	synctest.Test(t, func(t *testing.T) {
		c := NewCredits(1)
		why := errors.New("gone")
		var refused atomic.Int32
		for range 3 {
			go func() {
				require.Equal(t, why, c.Spend(background, 2))
				refused.Add(1)
			}()
		}
		synctest.Wait()
		c.Cancel(why)
		c.Cancel(nil)
		synctest.Wait()
		require.EqualValues(t, 3, refused.Load())
		require.NoError(t, c.Grant(10), "does nothing")
		require.EqualValues(t, 1, c.Left())
		n, err := c.SpendUpTo(background, 1)
		require.Zero(t, n)
		require.Equal(t, why, err)

		var d Credits
		d.Cancel(nil)
		require.ErrorIs(t, d.Spend(background, 1), ErrClosed)
	})
}

func TestCreditsDoNotAllocate(t *testing.T) {
	if testenv.Race {
		t.Skip("the race detector allocates")
	}
	var c Credits
	require.Zero(t, testing.AllocsPerRun(100, func() {
		_ = c.Grant(2)
		_ = c.Spend(background, 1)
		_, _ = c.SpendUpTo(background, 1)
	}))
}

func TestCreditsAreLinearizable(t *testing.T) {
	type in struct {
		Do string
		N  int64
	}
	type out struct {
		N   int64
		Err string
	}
	model := lincheck.Model[int64, in, out]{ // the state: what is left, or -1 once cancelled
		Step: func(left int64, in in, out out) (int64, bool) {
			switch {
			case out.Err == "cancelled":
				return left, true
			case in.Do == "cancel":
				return -1, true
			case in.Do == "grant":
				if left < 0 {
					return left, true
				}
				return left + in.N, true
			case out.Err == "closed":
				return left, left < 0
			case in.Do == "spend":
				return left - in.N, left >= in.N
			}
			return left - out.N, left > 0 && out.N == min(left, in.N)
		},
		Init: func() int64 { return 2 },
		Hash: func(left int64) uint64 { return uint64(left) },
	}
	model.Run(t, 1000, func(seed uint64) lincheck.History[in, out] {
		c := NewCredits(2)
		return lincheck.Record(4, seed, func(cl *lincheck.Client[in, out]) {
			rng := cl.Rand()
			// The odd ones never wait: their context is over already.
			over := past()
			for range 12 {
				n := 1 + rng.Int64N(3)
				switch k := rng.IntN(40); {
				case k == 0:
					cl.Do(in{"cancel", 0}, func() out { c.Cancel(nil); return out{} })
				case k < 16:
					cl.Do(in{"grant", n}, func() out { _ = c.Grant(n); return out{} })
				case k < 28:
					cl.Do(in{"spend", n}, func() out { return out{n, verdict(c.Spend(over, n))} })
				default:
					cl.Do(in{"some", n}, func() out {
						got, err := c.SpendUpTo(over, n)
						return out{got, verdict(err)}
					})
				}
			}
		})
	})
}
