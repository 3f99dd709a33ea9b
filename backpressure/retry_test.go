package backpressure

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var errFull = fmt.Errorf("call: %w", &Overload{Reason: Full})

// failing returns a function that fails n times with err, and a count of its calls.
func failing(n int, err error) (func(context.Context) error, *int) {
	calls := new(int)
	return func(context.Context) error {
		if *calls++; *calls <= n {
			return err
		}
		return nil
	}, calls
}

func TestTransient(t *testing.T) {
	for _, r := range []Reason{Full, Shed, Throttled, Open} {
		require.True(t, Transient(fmt.Errorf("x: %w", &Overload{Reason: r})), r)
	}
	for _, r := range []Reason{Late, Spent, Closed} {
		require.False(t, Transient(&Overload{Reason: r}), r)
	}
	require.True(t, Transient(os.ErrDeadlineExceeded), "a timeout of the network")
	_, dial := (&net.Dialer{Timeout: time.Nanosecond}).Dial("tcp", "127.0.0.1:1")
	require.ErrorIs(t, dial, context.DeadlineExceeded, "so it says")
	require.True(t, Transient(fmt.Errorf("x: %w", dial)), "a timeout of the network, and nobody's context")
	require.False(t, Transient(&net.DNSError{IsNotFound: true}), "there is no such host")
	for _, end := range []error{context.DeadlineExceeded, context.Canceled} {
		require.False(t, Transient(end))
		require.False(t, Transient(fmt.Errorf("%w: %w", end, errFull)), "there is no time left to try again")
		require.False(t, Transient(fmt.Errorf("%w: %w", errFull, &url.Error{Err: end})))
	}
	require.False(t, Transient(nil))
	require.False(t, Transient(ErrClosed))
	require.False(t, Transient(errors.New("other")))
}

func TestRetryUntilItSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fn, calls := failing(3, errFull)
		require.NoError(t, Retry{}.Do(background, fn))
		require.Equal(t, 4, *calls)

		fn, calls = failing(4, errFull)
		require.Equal(t, errFull, Retry{}.Do(background, fn), "four is enough")
		require.Equal(t, 4, *calls)

		fn, calls = failing(1, errFull)
		require.Equal(t, errFull, Retry{Attempts: 1}.Do(background, fn))
		require.Equal(t, 1, *calls)

		fn, calls = failing(1, ErrClosed)
		require.Equal(t, ErrClosed, Retry{}.Do(background, fn))
		require.Equal(t, 1, *calls)

		fn, calls = failing(1, ErrClosed)
		require.NoError(t, Retry{Retryable: func(error) bool { return true }}.Do(background, fn))
		require.Equal(t, 2, *calls, "success is not tried again")
		fn, calls = failing(1, errFull)
		require.Equal(t, errFull, Retry{Attempts: -1}.Do(background, fn))
		require.Equal(t, 1, *calls)
		require.Panics(t, func() { _ = Retry{}.Do(background, func(context.Context) error { panic("oh") }) })

		n := 0
		v, err := DoValue(background, Retry{}, func(context.Context) (int, error) {
			if n++; n < 3 {
				return 0, errFull
			}
			return n, nil
		})
		require.NoError(t, err)
		require.Equal(t, 3, v)
	})
}

// Waits end at the longest there is: what is far too long does not become none.
func TestRetryWaitsDoNotOverflow(t *testing.T) {
	forever := Retry{Base: math.MaxInt64/2 + 1, Cap: math.MaxInt64}
	for n := range 100 {
		require.Greater(t, forever.wait(n+1, errFull, 0.5), 24*365*time.Hour, n)
	}
	o := &Overload{Reason: Full, RetryAfter: math.MaxInt64}
	require.Equal(t, time.Duration(math.MaxInt64), Retry{}.wait(1, o, 0.5))
}

func TestRetryEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := &Overload{Reason: Full, RetryAfter: time.Minute}
		ctx, cancel := context.WithCancel(background)
		time.AfterFunc(time.Second, cancel)
		fn, calls := failing(9, away)
		start := time.Now()
		err := Retry{}.Do(ctx, fn)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, ErrOverload)
		require.Equal(t, 1, *calls)
		require.Equal(t, time.Second, time.Since(start))

		ctx, cancel = context.WithTimeout(background, time.Second)
		defer cancel()
		start = time.Now()
		require.Equal(t, away, Retry{}.Do(ctx, fn), "it does not wait in vain")
		require.Zero(t, time.Since(start))

		// A deadline far away does no harm; one that comes as the wait ends would leave no time.
		fn, calls = failing(2, errFull)
		require.NoError(t, Retry{}.Do(ctx, fn))
		require.Equal(t, 3, *calls)
		ctx, cancel = context.WithTimeout(background, time.Minute)
		defer cancel()
		fn, calls = failing(1, away)
		require.Equal(t, away, Retry{Base: 1, Cap: 1}.Do(ctx, fn))
		require.Equal(t, 1, *calls)

		over, cancel := context.WithCancel(background)
		cancel()
		fn, calls = failing(9, errFull)
		require.Equal(t, errFull, Retry{}.Do(over, fn))
		require.Equal(t, 1, *calls)
	})
}

func TestRetryKeepsToItsBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := Retry{Budget: NewBudget(0.1, 0), Attempts: 10}
		calls := 0
		for range 100 {
			err := r.Do(background, func(context.Context) error { calls++; return errFull })
			require.ErrorIs(t, err, ErrOverload)
			var o *Overload
			require.ErrorAs(t, err, &o)
			require.Equal(t, Spent, o.Reason)
		}
		require.Equal(t, 110, calls)
		require.Equal(t, BudgetStats{Attempts: 100, Retries: 10, Refused: 100}, r.Budget.Stats())
	})
}

func TestRetryWaitsWithFullJitter(t *testing.T) {
	r := Retry{Base: 100 * time.Millisecond, Cap: time.Second}
	for n, most := range map[int]time.Duration{
		1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 4: 800 * time.Millisecond, 5: time.Second, 1000: time.Second,
	} {
		require.Zero(t, r.wait(n, errFull, 0))
		require.InDelta(t, float64(most), float64(r.wait(n, errFull, 0.999999)), float64(time.Millisecond), n)
	}
	require.Zero(t, r.wait(1, &Overload{RetryAfter: -time.Hour}, 0))
	require.Less(t, Retry{Base: 1, Cap: 1}.wait(9, errFull, 0.9), time.Microsecond)
	away := &Overload{RetryAfter: 3 * time.Second}
	require.Equal(t, 3*time.Second, r.wait(1, away, 0))
	require.Equal(t, 3*time.Second+50*time.Millisecond, r.wait(1, away, 0.5))
	require.Equal(t, 50*time.Millisecond, Retry{}.wait(1, errFull, 0.5))
	require.Equal(t, 5*time.Second, Retry{}.wait(99, errFull, 0.5))
}
