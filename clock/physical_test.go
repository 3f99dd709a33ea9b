package clock

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// wall is a wall clock that can be set while the monotonic one goes on.
type wall struct {
	mu     sync.Mutex
	offset time.Duration
	delay  time.Duration // what a reading takes
}

func (w *wall) set(offset, delay time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.offset, w.delay = offset, delay
}

func (w *wall) now() time.Time {
	w.mu.Lock()
	offset, delay := w.offset, w.delay
	w.mu.Unlock()
	if delay > 0 {
		time.Sleep(delay)
	}
	return time.Now().Add(offset)
}

// withWall replaces the wall clock of the system.
func withWall(w *wall) Option { return func(c *Clock) { c.read = w.now } }

func TestAStepIsNoticedWithinAMillisecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var steps []time.Duration
		w := &wall{}
		c := New(withWall(w), OnStep(func(by time.Duration) { steps = append(steps, by) }))
		last := c.Now()
		for _, by := range []time.Duration{3 * time.Hour, -3 * time.Hour, 2 * time.Millisecond, -time.Second, 24 * time.Hour} {
			w.set(w.offset+by, 0)
			time.Sleep(time.Millisecond)
			now := c.Now()
			require.Greater(t, now, last)
			last = now
			require.Equal(t, by, steps[len(steps)-1])
			require.Equal(t, At(time.Now().Add(w.offset)), c.Physical())
			require.Equal(t, by, c.Stats().LastStep)
		}
		require.EqualValues(t, 5, c.Stats().Steps)

		// Slewing is none.
		for range 1000 {
			w.set(w.offset+500*time.Nanosecond, 0)
			time.Sleep(time.Millisecond)
			c.Now()
		}
		require.EqualValues(t, 5, c.Stats().Steps)
		require.Len(t, steps, 5)
		require.Equal(t, At(time.Now().Add(w.offset)), c.Physical())
	})
}

func TestASlowReadingOfTheWallClockIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wall{}
		c := New(withWall(w))
		w.set(0, 5*time.Millisecond) // the reader loses its processor each time
		time.Sleep(time.Millisecond)
		c.Now()
		require.Zero(t, c.Stats().Steps)
		w.set(time.Hour, 5*time.Millisecond)
		time.Sleep(time.Millisecond)
		c.Now()
		require.Zero(t, c.Stats().Steps)
		w.set(time.Hour, 0)
		time.Sleep(time.Millisecond)
		c.Now()
		require.Equal(t, time.Hour, c.Stats().LastStep)
	})
}

func TestPhysicalFollowsTheSystemClock(t *testing.T) {
	c := New()
	for range 1000 {
		before := time.Now().Add(-time.Millisecond)
		now := c.Now().Time()
		require.False(t, now.Before(before), "%v is behind %v", now, before)
	}
}

func TestCoarse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(WithCoarse())
		first := c.Now()
		require.Equal(t, first+1, c.Now())
		require.Less(t, At(time.Now()).Sub(first), 66*time.Microsecond)
		for range 100 {
			time.Sleep(1500 * time.Microsecond)
			synctest.Wait()
			require.LessOrEqual(t, At(time.Now()).Sub(c.Now()), time.Millisecond+66*time.Microsecond)
			require.LessOrEqual(t, At(time.Now()).Sub(c.Physical()), time.Millisecond)
		}
		ts, err := c.Observe(At(time.Now()).Add(100 * time.Millisecond))
		require.NoError(t, err)
		require.Equal(t, ts+1, c.Reserve(5))
		require.ErrorIs(t, c.Witness(At(time.Now()).Add(time.Second)), ErrDrift)
		require.NoError(t, c.Close()) // or the bubble would not end
		time.Sleep(time.Second)
		require.Less(t, At(time.Now()).Sub(c.Now()), 66*time.Microsecond, "a closed clock reads exactly")
	})
}

func TestCoarseAllocations(t *testing.T) {
	c := New(WithCoarse())
	defer c.Close()
	noAllocs(t, "Now", func() { c.Now() })
	noAllocs(t, "Reserve", func() { c.Reserve(3) })
}

func TestSystemSourcesAreReadTheFastWay(t *testing.T) {
	require.Nil(t, New(WithSource(Fixed(time.Millisecond))).source)
	require.NotNil(t, New(WithSource(Fixed(time.Millisecond))).bound)
	require.Nil(t, New(WithSource(nil)).source)
	require.Nil(t, New(WithSource(NewFake(1)), WithSource(nil)).bound)
}
