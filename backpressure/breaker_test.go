package backpressure

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/internal/lincheck"
)

var errBroken = errors.New("broken")

func broken(context.Context) error { return errBroken }
func works(context.Context) error  { return nil }

func TestBreakerOpensByKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBreaker[string](BreakerScope("shard"))
		for range 4 {
			require.ErrorIs(t, b.Do(background, "a", broken), errBroken)
		}
		require.NoError(t, b.Do(background, "a", works), "a success in between")
		require.Empty(t, maps.Collect(b.Available()))
		for range 5 {
			require.ErrorIs(t, b.Do(background, "a", broken), errBroken)
		}
		require.ErrorIs(t, b.Do(background, "b", broken), errBroken)
		never := func(context.Context) error { t.Error("called"); return nil }
		time.Sleep(100 * time.Millisecond)
		err := b.Do(background, "a", never)
		var o *Overload
		require.ErrorAs(t, err, &o)
		require.Equal(t, Overload{Reason: Open, Scope: "shard a", RetryAfter: 900 * time.Millisecond}, *o)
		require.NoError(t, b.Do(background, "c", works))
		require.Equal(t, map[string]bool{"a": false, "b": true}, maps.Collect(b.Available()))
		require.Equal(t, BreakerStats{Known: 2, Open: 1, Done: 12, Failed: 10, Refused: 1}, b.Stats())

		time.Sleep(900 * time.Millisecond)
		require.Equal(t, map[string]bool{"a": true, "b": true}, maps.Collect(b.Available()))
		require.NoError(t, b.Do(background, "a", func(context.Context) error {
			require.ErrorIs(t, b.Do(background, "a", never), ErrOverload, "one probe at a time")
			return nil
		}))
		require.NoError(t, b.Do(background, "a", works))
		require.Equal(t, map[string]bool{"b": true}, maps.Collect(b.Available()))
	})
}

func TestBreakerStaysOpenLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBreaker[int](BreakerFailures(1), BreakerOpen(time.Second, 6*time.Second))
		require.ErrorIs(t, b.Do(background, 1, broken), errBroken)
		for _, wait := range []time.Duration{1, 2, 4, 6, 6} {
			time.Sleep(wait*time.Second - 1)
			require.ErrorIs(t, b.Do(background, 1, broken), ErrOverload)
			time.Sleep(time.Nanosecond)
			require.ErrorIs(t, b.Do(background, 1, broken), errBroken)
		}
		time.Sleep(6 * time.Second)
		require.NoError(t, b.Do(background, 1, works))
		require.ErrorIs(t, b.Do(background, 1, broken), errBroken)
		time.Sleep(time.Second)
		require.NoError(t, b.Do(background, 1, works), "from the beginning")

		b = NewBreaker[int](BreakerFailures(1), BreakerOpen(math.MaxInt64, math.MaxInt64))
		time.Sleep(time.Second)
		require.ErrorIs(t, b.Do(background, 1, broken), errBroken)
		require.ErrorIs(t, b.Do(background, 1, works), ErrOverload, "for good")
	})
}

func TestBreakerCountsWhatBeganSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBreaker[int](BreakerFailures(2))
		late := make(chan error, 1)
		go func() {
			late <- b.Do(background, 1, func(context.Context) error { time.Sleep(500 * time.Millisecond); return nil })
		}()
		synctest.Wait()
		_ = b.Do(background, 1, broken)
		_ = b.Do(background, 1, broken)
		require.NoError(t, <-late)
		require.ErrorIs(t, b.Do(background, 1, works), ErrOverload, "an old success closes nothing")

		time.Sleep(time.Second)
		go func() {
			late <- b.Do(background, 1, func(context.Context) error { time.Sleep(time.Hour); return errBroken })
		}()
		synctest.Wait()
		require.ErrorIs(t, b.Do(background, 1, works), ErrOverload)
		time.Sleep(time.Second)
		require.NoError(t, b.Do(background, 1, works), "a probe that hangs is not waited for")
		require.ErrorIs(t, <-late, errBroken)
		require.NoError(t, b.Do(background, 1, works), "nor is it counted")
		require.Zero(t, b.Stats().Known)

		// A probe is of the time that it was to end, and no other.
		_ = b.Do(background, 1, broken)
		_ = b.Do(background, 1, broken)
		time.Sleep(time.Second)
		go func() {
			late <- b.Do(background, 1, func(context.Context) error { time.Sleep(1500 * time.Millisecond); return nil })
		}()
		synctest.Wait()
		time.Sleep(time.Second)
		require.ErrorIs(t, b.Do(background, 1, broken), errBroken, "the next probe")
		require.NoError(t, <-late)
		require.ErrorIs(t, b.Do(background, 1, works), ErrOverload, "that of the time before closes nothing")
	})
}

func TestBreakerTakesPanicsForFailures(t *testing.T) {
	b := NewBreaker[string](BreakerFailures(2))
	require.Panics(t, func() { _ = b.Do(background, "a", func(context.Context) error { panic("oh") }) })
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = b.Do(background, "a", func(context.Context) error { runtime.Goexit(); return nil })
	}()
	<-gone
	require.ErrorIs(t, b.Do(background, "a", works), ErrOverload)
	for range 10 {
		_ = b.Do(background, "b", func(context.Context) error { return context.Canceled })
	}
	require.NoError(t, b.Do(background, "b", works), "that was the caller's doing")
}

func TestBreakerForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBreaker[int](BreakerFailures(2), BreakerKeys(3))
		for range 2 {
			_ = b.Do(background, 0, broken)
		}
		for k := 1; k < 100; k++ {
			time.Sleep(time.Millisecond)
			_ = b.Do(background, k, broken)
			require.LessOrEqual(t, b.Stats().Known, 3)
		}
		require.Equal(t, map[int]bool{0: false, 98: true, 99: true}, maps.Collect(b.Available()), "what is open is kept")
		for range b.Available() {
			break
		}
	})
	b := NewBreaker[string](BreakerKeys(2))
	for _, k := range []string{"a", "b", "a", "c"} {
		_ = b.Do(background, k, broken)
	}
	require.Equal(t, map[string]bool{"a": true, "c": true}, maps.Collect(b.Available()), "b has waited longest")
	require.NoError(t, b.Do(background, "a", works))
	_ = b.Do(background, "d", broken)
	require.Equal(t, map[string]bool{"c": true, "d": true}, maps.Collect(b.Available()), "a is well")
}

// Refusals are made anew when their time is off by a tenth of the wait, so refusing costs next to nothing.
func TestBreakerSaysUntilWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBreaker[string](BreakerFailures(1))
		_ = b.Do(background, "a", broken)
		refused := func() (o *Overload) {
			require.ErrorAs(t, b.Do(background, "a", works), &o)
			return o
		}
		first := refused()
		require.Equal(t, Overload{Reason: Open, Scope: "a", RetryAfter: time.Second}, *first)
		time.Sleep(100 * time.Millisecond)
		require.Same(t, first, refused())
		time.Sleep(time.Millisecond)
		require.Equal(t, 899*time.Millisecond, refused().RetryAfter)
		time.Sleep(899 * time.Millisecond)
		require.ErrorIs(t, b.Do(background, "a", broken), errBroken)
		require.Equal(t, 2*time.Second, refused().RetryAfter)
	})
}

func TestBreakerTellsWhatChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		var b *Breaker[string]
		b = NewBreaker[string](BreakerFailures(2), BreakerChanged(func(key any, open bool) {
			told = append(told, fmt.Sprint(key, " ", open, " ", b.Stats().Open))
		}))
		do := func(key string, fn func(context.Context) error) {
			_ = b.Do(background, key, fn)
		}
		do("a", broken)
		do("a", works)
		do("a", broken)
		do("b", broken)
		require.Empty(t, told)
		do("a", broken)
		do("b", broken)
		do("a", works) // is refused
		require.Equal(t, []string{"a true 1", "b true 2"}, told)
		time.Sleep(time.Second)
		do("a", broken) // stays open
		require.Len(t, told, 2)
		do("b", works)
		time.Sleep(2 * time.Second)
		require.Panics(t, func() { do("a", func(context.Context) error { panic("oh") }) })
		time.Sleep(4 * time.Second)
		do("a", works)
		require.Equal(t, []string{"b false 1", "a false 0"}, told[2:])
	})
}

// However many keys are open, only so many are remembered, and they are listed as they came.
func TestBreakerForgetsWhatIsOpen(t *testing.T) {
	for _, most := range []int{1, 3} {
		b := NewBreaker[int](BreakerFailures(1), BreakerKeys(most))
		for k := range 10 {
			_ = b.Do(background, k, broken)
			require.Equal(t, min(k+1, most), b.Stats().Open)
		}
		k := 10 - most
		for key, ok := range b.Available() {
			require.Equal(t, k, key)
			require.False(t, ok)
			k++
		}
		require.Equal(t, 10, k)
	}
	b := NewBreaker[int]()
	for k := range 10_001 {
		_ = b.Do(background, k, broken)
	}
	k := 1 // the first is forgotten
	for key, ok := range b.Available() {
		require.Equal(t, k, key)
		require.True(t, ok)
		k++
	}
	require.Equal(t, 10_001, k)
}

// A key that cannot be found again is not remembered.
func TestBreakerOfNaN(t *testing.T) {
	b := NewBreaker[float64](BreakerKeys(2))
	for range 100 {
		require.Equal(t, errBroken, b.Do(background, math.NaN(), broken))
	}
	require.Zero(t, b.Stats().Known)
}

func TestBreakerOptionsThatMakeNoSense(t *testing.T) {
	for _, o := range []BreakerOption{BreakerFailures(0), BreakerOpen(0, 1), BreakerOpen(2, 1), BreakerKeys(0), BreakerFailed(nil)} {
		require.Panics(t, func() { NewBreaker[int](o) })
	}
}

func TestBreakerAllocations(t *testing.T) {
	b := NewBreaker[string](BreakerOpen(time.Hour, time.Hour))
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = b.Do(background, "a", works) }))
	for range 5 {
		_ = b.Do(background, "a", broken)
	}
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = b.Do(background, "a", works) }), "refused")
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = b.Do(background, "b", works) }))
}

// TestBreakerIsLinearizable has clients begin and end calls of two keys, with a clock that stands
// still: what is open stays open.
func TestBreakerIsLinearizable(t *testing.T) {
	type input struct {
		Key string
		Do  string // begin, fail, succeed
	}
	type state struct{ failures int } // in a row; 3 or more: open
	model := lincheck.Model[state, input, bool]{
		Key: func(in input) string { return in.Key },
		Step: func(s state, in input, ok bool) (state, bool) {
			open := s.failures >= 3
			switch {
			case in.Do == "begin":
				return s, ok == !open
			case open: // it began before
			case in.Do == "fail":
				s.failures++
			default:
				s.failures = 0
			}
			return s, true
		},
		Hash: func(s state) uint64 { return uint64(s.failures) },
	}
	model.Run(t, 3000, func(seed uint64) lincheck.History[input, bool] {
		b := NewBreaker[string](BreakerFailures(3), BreakerOpen(time.Hour, time.Hour))
		return lincheck.Record(4, seed, func(c *lincheck.Client[input, bool]) {
			for range 8 {
				key := fmt.Sprint(c.Rand().IntN(2))
				var round uint64
				if c.Do(input{key, "begin"}, func() (ok bool) {
					var o *Overload
					round, o = b.enter(key)
					return o == nil
				}) {
					if c.Rand().IntN(3) > 0 {
						c.Do(input{key, "fail"}, func() bool { b.leave(key, round, true); return true })
					} else {
						c.Do(input{key, "succeed"}, func() bool { b.leave(key, round, false); return true })
					}
				}
			}
		})
	})
}
