package clock

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWaitSleepsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		begin := time.Now()
		target := At(begin.Add(40*time.Second + 200*time.Millisecond))
		require.NoError(t, c.Wait(t.Context(), target))
		require.Equal(t, 40*time.Second+200*time.Millisecond+1, time.Since(begin))
		require.Greater(t, c.Now(), target)

		begin = time.Now()
		require.NoError(t, c.Wait(t.Context(), target))
		require.NoError(t, c.Witness(At(begin.Add(100*time.Millisecond))))
		require.NoError(t, c.Wait(t.Context(), At(begin.Add(100*time.Millisecond))))
		require.Equal(t, begin, time.Now(), "waited for the past")

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, c.Wait(ctx, MaxTimestamp), context.DeadlineExceeded)
		require.Less(t, c.Last(), At(time.Now()))
		require.NoError(t, c.Wait(ctx, target), "there is nothing to wait for")
	})
}

// countingSource says how often it was asked.
type countingSource struct {
	Source
	n int
}

func (s *countingSource) Now() int64 { s.n++; return s.Source.Now() }

func TestWaitDoesNotPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &countingSource{Source: fixed(0)}
		c := New(WithSource(src))
		require.NoError(t, c.Wait(t.Context(), At(time.Now().Add(200*time.Millisecond))))
		require.Equal(t, 2, src.n)

		// A source that stands still is asked once a second.
		fake := &countingSource{Source: NewFake(noon)}
		c = New(WithSource(fake))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		require.ErrorIs(t, c.Wait(ctx, noon.Add(time.Hour)), context.DeadlineExceeded)
		require.InDelta(t, 10, fake.n, 1)

		// And so it is after a moment when it stands just before what is waited for.
		fake.n = 0
		ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		require.ErrorIs(t, c.Wait(ctx, noon.Add(100*time.Microsecond)), context.DeadlineExceeded)
		require.Less(t, fake.n, 40)
	})
}

func TestLeftHasNoHoles(t *testing.T) {
	require.EqualValues(t, 1, left(5, 5))
	require.EqualValues(t, 0, left(5, 6))
	require.Equal(t, int64(math.MaxInt64), left(math.MaxInt64, math.MinInt64))
	require.Equal(t, int64(math.MaxInt64-1), left(math.MaxInt64, 1))
	require.EqualValues(t, 2, left(math.MinInt64+2, math.MinInt64+1))
}

func TestIntervalIsWiderWhileTheClockRunsAhead(t *testing.T) {
	src := NewFake(noon)
	c := New(WithSource(src))
	src.SetBound(10*time.Millisecond, nil)
	e, l, err := c.Interval()
	require.NoError(t, err)
	require.Equal(t, []Timestamp{noon.Add(-10 * time.Millisecond), noon.Add(10 * time.Millisecond)}, []Timestamp{e, l})
	require.NoError(t, c.Witness(noon.Add(300*time.Millisecond)))
	e, l, err = c.Interval()
	require.NoError(t, err)
	require.Equal(t, []Timestamp{noon.Add(-10 * time.Millisecond), noon.Add(300 * time.Millisecond)}, []Timestamp{e, l})

	src.SetBound(0, ErrUnsynchronized)
	_, _, err = c.Interval()
	require.ErrorIs(t, err, ErrUnsynchronized)
	_, err = c.Commit(t.Context())
	require.ErrorIs(t, err, ErrUnsynchronized)
	_, _, err = New().Interval()
	require.ErrorIs(t, err, ErrUnbounded)
	_, err = New().Commit(t.Context())
	require.ErrorIs(t, err, ErrUnbounded)
	require.Panics(t, func() { Fixed(-1) })
}

func TestCommitWaitsOutTheUncertainty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const e = 7 * time.Millisecond
		c := New(WithSource(Fixed(e)))
		// Another clock, as wrong as allowed in the other direction.
		other := New(WithSource(offset{Fixed(e), -e}))
		begin := time.Now()
		first, err := c.Commit(t.Context())
		require.NoError(t, err)
		require.Greater(t, first, At(begin.Add(e)))
		require.InDelta(t, 2*e, time.Since(begin), 10)
		second, err := other.Commit(t.Context())
		require.NoError(t, err)
		require.Greater(t, second, first, "not externally consistent")

		ctx, cancel := context.WithTimeout(t.Context(), e)
		defer cancel()
		_, err = c.Commit(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestCommitNoticesThatTheBoundIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := NewFake(noon)
		src.SetBound(time.Second, nil)
		c := New(WithSource(src))
		boom := errors.New("boom")
		go func() {
			time.Sleep(time.Second)
			src.SetBound(time.Second, boom)
		}()
		_, err := c.Commit(t.Context())
		require.ErrorIs(t, err, boom)
	})
}

// offset is a source that is off by d and knows nothing of it.
type offset struct {
	Bounded
	d time.Duration
}

func (o offset) Now() int64 { return o.Bounded.Now() + int64(o.d) }

func (o offset) Bound() (int64, int64, error) {
	e, l, err := o.Bounded.Bound()
	return e + int64(o.d), l + int64(o.d), err
}
