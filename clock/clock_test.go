package clock

import (
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/internal/testenv"
)

// noon is a round time with a logical part of 0.
var noon = At(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)).Physical()

func TestNowFollowsThePhysicalClockAndNeverGoesBack(t *testing.T) {
	src := NewFake(noon)
	c := New(WithSource(src))
	require.Equal(t, Timestamp(0), c.Last())
	require.Equal(t, noon, c.Now())
	require.Equal(t, noon+1, c.Now())
	src.Advance(time.Second)
	require.Equal(t, noon.Add(time.Second).Physical(), c.Now())
	last := c.Last()
	src.Advance(-time.Hour)
	for range 3 << tickBits { // a stopped clock: the counter carries into the time
		now := c.Now()
		require.Equal(t, last+1, now)
		last = now
	}
	require.Equal(t, noon.Add(-time.Hour+time.Second), c.Physical())
}

func TestObserveIsAboveBoth(t *testing.T) {
	src := NewFake(noon)
	c := New(WithSource(src))
	got, err := c.Observe(noon.Add(100 * time.Millisecond))
	require.NoError(t, err)
	require.Equal(t, noon.Add(100*time.Millisecond)+1, got)
	got, err = c.Observe(5) // old ones are welcome
	require.NoError(t, err)
	require.Equal(t, noon.Add(100*time.Millisecond)+2, got)
	got, err = c.Observe(MinTimestamp)
	require.NoError(t, err)
	require.Equal(t, noon.Add(100*time.Millisecond)+3, got)
	src.Advance(time.Second)
	got, err = c.Observe(noon.Add(200 * time.Millisecond))
	require.NoError(t, err)
	require.Equal(t, noon.Add(time.Second).Physical(), got)

	require.NoError(t, c.Witness(noon.Add(1200*time.Millisecond)))
	require.Equal(t, noon.Add(1200*time.Millisecond), c.Last())
	require.NoError(t, c.Witness(3))
	require.Equal(t, noon.Add(1200*time.Millisecond), c.Last())
	require.Equal(t, noon.Add(1200*time.Millisecond)+1, c.Now())
}

func TestWhatIsTooFarAheadIsRefused(t *testing.T) {
	src := NewFake(noon)
	c := New(WithSource(src), WithMaxDrift(time.Second))
	require.NoError(t, c.Witness(noon.Add(time.Second))) // exactly at the limit
	before := c.Last()

	// The limit is about physical time, not about the last timestamp.
	for _, remote := range []Timestamp{noon.Add(time.Second) + 1, noon.Add(3 * time.Hour), MaxTimestamp} {
		_, err := c.Observe(remote)
		var drift *DriftError
		require.ErrorAs(t, err, &drift)
		require.ErrorIs(t, err, ErrDrift)
		require.Equal(t, DriftError{Remote: remote, Local: noon, Max: time.Second}, *drift)
		require.ErrorIs(t, c.Witness(remote), ErrDrift)
		require.Equal(t, before, c.Last(), "the clock has moved")
	}
	_, err := c.Observe(noon.Add(3 * time.Hour))
	require.EqualError(t, err, "clock: timestamp 2026-11-21T14:59:59.999967232Z is 3h0m0s ahead of the physical clock; the limit is 1s")
	require.Equal(t, 3*time.Hour, func() *DriftError { var d *DriftError; errors.As(err, &d); return d }().Ahead())
}

func TestTheEndOfTimeIsNotReached(t *testing.T) {
	src := NewFake(MaxTimestamp)
	c := New(WithSource(src), WithMaxDrift(math.MaxInt64))
	last := c.Now()
	require.Equal(t, Timestamp(maxPhysical).Physical(), last)
	require.ErrorIs(t, c.Witness(MaxTimestamp), ErrDrift)
	require.NoError(t, c.Witness(maxPhysical))
	require.Greater(t, c.Now(), last)
	require.Greater(t, c.Reserve(MaxReserve), last)
}

func TestBeforeTheEpochTheClockCountsFromZero(t *testing.T) {
	c := New(WithSource(NewFake(MinTimestamp)))
	require.Equal(t, Timestamp(1), c.Now())
	require.Equal(t, Timestamp(2), c.Now())
	require.ErrorIs(t, c.Witness(3), ErrDrift)
}

func TestReserve(t *testing.T) {
	src := NewFake(noon)
	c := New(WithSource(src))
	require.Equal(t, noon, c.Reserve(10))
	require.Equal(t, noon+10, c.Now())
	require.Equal(t, noon+11, c.Reserve(1))
	require.Equal(t, noon+12, c.Reserve(100))
	src.Advance(time.Second)
	next := noon.Add(time.Second).Physical()
	require.Equal(t, next, c.Reserve(3))
	require.Equal(t, next+3, c.Now())
	for _, n := range []int{-1, 0, MaxReserve + 1} {
		require.Panics(t, func() { c.Reserve(n) })
	}
	require.Panics(t, func() { WithMaxDrift(-1) })
	require.PanicsWithValue(t, "clock: nil option", func() { New(nil) })
	require.PanicsWithValue(t, "clock: Open: nil store; New makes a clock without one", func() { _, _ = Open(t.Context(), nil) })
}

func TestClockAllocations(t *testing.T) {
	c := New(WithMaxDrift(math.MaxInt64))
	noAllocs(t, "Now", func() { c.Now() })
	noAllocs(t, "Reserve", func() { c.Reserve(5) })
	noAllocs(t, "Last", func() { c.Last() })
	noAllocs(t, "Observe", func() { _, _ = c.Observe(5) })
	noAllocs(t, "Observe ahead", func() { _, _ = c.Observe(c.Last().Add(time.Microsecond)) })
	noAllocs(t, "Witness", func() { _ = c.Witness(5) })
	noAllocs(t, "Witness ahead", func() { _ = c.Witness(c.Last().Add(time.Microsecond)) })
	if !testenv.Race {
		strict := New()
		far := strict.Now().Add(time.Hour)
		require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _ = strict.Witness(far) }), 1.0, "refusal")
	}
}

// Every reading here finds a new tick, and two readings find the same one: goroutines that move the
// clock on at once neither issue a timestamp twice nor take it back.
func TestTicksAreTakenOnce(t *testing.T) {
	var readings atomic.Int64
	c := New(WithSource(sourceFunc(func() int64 { return readings.Add(1) / 2 << 16 })))
	const each = 50_000
	issued := make([][]Timestamp, 4)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for g := range issued {
		wg.Go(func() {
			<-start
			for range each {
				issued[g] = append(issued[g], c.Now())
			}
		})
	}
	close(start)
	wg.Wait()
	for _, ts := range issued {
		require.True(t, slices.IsSorted(ts))
	}
	all := slices.Concat(issued...)
	slices.Sort(all)
	require.Len(t, slices.Compact(all), len(issued)*each)
}

type sourceFunc func() int64

func (f sourceFunc) Now() int64 { return f() }
