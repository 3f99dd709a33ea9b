package backpressure

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestGateIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g, key := NewGate(rapid.String().Draw(t, "name")), rapid.String().Draw(t, "key")
		shares := rapid.SliceOf(rapid.Float64Range(0, 1)).Draw(t, "shares")
		in, out := 2.0, -1.0 // the least share at which it is in, and the greatest at which it is not
		for _, share := range append(shares, 0, 1) {
			g.Set(share)
			require.Equal(t, share, g.Share())
			if g.On(key) {
				in = min(in, share)
			} else {
				out = max(out, share)
			}
		}
		require.Less(t, out, in)
		require.Positive(t, in, "nobody is in at 0")
		require.LessOrEqual(t, in, 1.0, "all are in at 1")
	})
}

func TestGateLetsItsShareIn(t *testing.T) {
	const n = 100_000
	count := func(g *Gate, key string) (in int) {
		for i := range n {
			if g.On(fmt.Sprint(key, i)) {
				in++
			}
		}
		return in
	}
	a, b := NewGate("a"), NewGate("b")
	for _, share := range []float64{0.001, 0.1, 0.5, 0.9} {
		a.Set(share)
		require.InDelta(t, share*n, count(a, "user "), 5*math.Sqrt(n*share*(1-share)))
		require.InDelta(t, share*n, count(a, ""), 5*math.Sqrt(n*share*(1-share)), "numbers, too")
	}
	a.Set(0.5)
	b.Set(0.5)
	both := 0
	for i := range n {
		if a.On(fmt.Sprint(i)) && b.On(fmt.Sprint(i)) {
			both++
		}
	}
	require.InDelta(t, n/4, both, 1000, "gates choose independently")
	for _, share := range []float64{-1, math.NaN(), math.Inf(-1)} {
		a.Set(share)
		require.Zero(t, a.Share())
	}
	a.Set(math.Inf(1))
	require.Equal(t, 1.0, a.Share())
}

func TestGateRamps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate("ramp")
		asked := 0
		well := true
		healthy := func() bool { asked++; g.On("x"); return well }
		g.Set(0.1)
		g.Ramp(0.6, time.Hour, healthy)
		require.Equal(t, 0.1, g.Share())
		time.Sleep(30 * time.Minute)
		require.InDelta(t, 0.35, g.Share(), 1e-9)
		require.Equal(t, 1, asked, "by those who come, and not more often than there are steps")
		require.InDelta(t, 0.35, g.Share(), 1e-9)
		require.Equal(t, 1, asked)
		last := 0.0
		for range 2000 {
			time.Sleep(time.Second)
			s := g.Share()
			require.GreaterOrEqual(t, s, last)
			last = s
		}
		require.Equal(t, 0.6, g.Share())
		done := asked
		time.Sleep(time.Hour)
		require.Equal(t, 0.6, g.Share())
		require.Equal(t, done, asked, "it is over")

		g.Ramp(1, time.Hour, healthy)
		time.Sleep(45 * time.Minute)
		require.InDelta(t, 0.9, g.Share(), 1e-9)
		well = false
		time.Sleep(time.Minute)
		g.On("anybody")
		require.InDelta(t, 0.6, g.Share(), 1e-9, "back to where it was")
		well = true
		time.Sleep(time.Hour)
		require.InDelta(t, 0.6, g.Share(), 1e-9)

		g.Set(0)
		g.Ramp(1, 100*time.Second, nil)
		time.Sleep(time.Second - 1)
		require.Zero(t, g.Share())
		time.Sleep(time.Nanosecond)
		require.Equal(t, 0.01, g.Share(), "by the hundredth")

		g.Set(0.6)
		g.Ramp(0, time.Minute, nil)
		time.Sleep(30 * time.Second)
		require.InDelta(t, 0.3, g.Share(), 1e-9, "down, too")
		g.Set(0.7)
		time.Sleep(time.Minute)
		require.Equal(t, 0.7, g.Share(), "Set ends it")
		g.Set(0)
		g.Ramp(1, time.Minute, nil)
		require.False(t, g.On("anybody"))
		time.Sleep(time.Minute)
		require.True(t, g.On("anybody"), "On is enough to move it on")
		g.Ramp(0.2, 0, nil)
		require.Equal(t, 0.2, g.Share())
		require.Panics(t, func() {
			g.Ramp(1, time.Minute, func() bool { panic("oh") })
			time.Sleep(time.Minute)
			g.On("anybody")
		}, "whoever asks sees what healthy did")
		require.Equal(t, 0.2, g.Share(), "which ended the ramp")
		g.Ramp(math.NaN(), time.Minute, nil)
		time.Sleep(time.Minute)
		require.Zero(t, g.Share())
		g.Ramp(1, time.Minute, func() bool { g.Set(0); return true })
		time.Sleep(time.Minute)
		require.Zero(t, g.Share(), "whoever sets it meanwhile wins")
	})
}

func TestGateDark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate("dark")
		var ran atomic.Int64
		run := func(context.Context) { ran.Add(1); time.Sleep(time.Second) }
		g.Dark("k", background, run)
		synctest.Wait()
		require.Zero(t, ran.Load(), "the gate is shut")
		g.Set(1)
		for range 100 {
			g.Dark("k", background, run)
		}
		synctest.Wait()
		require.EqualValues(t, 16, ran.Load())
		require.Equal(t, GateStats{Share: 1, Dark: 16, Skipped: 84}, g.Stats())
		time.Sleep(time.Second)
		synctest.Wait()
		g.Dark("k", background, func(context.Context) { panic("no harm") })
		synctest.Wait()
		g.Dark("k", background, func(context.Context) { runtime.Goexit() })
		synctest.Wait()
		g.Dark("k", background, nil)
		synctest.Wait()
		ctx, cancel := context.WithCancel(background)
		g.Dark("k", ctx, func(ctx context.Context) { <-ctx.Done() })
		cancel()
		synctest.Wait()
		require.Equal(t, GateStats{Share: 1, Dark: 20, Skipped: 84, Panicked: 2}, g.Stats())
		require.Empty(t, g.dark)
	})
}

func TestGateAllocations(t *testing.T) {
	g := NewGate("a")
	g.Set(0.5)
	require.Zero(t, testing.AllocsPerRun(100, func() { g.On("somebody") }))
}

func TestGateIsTheSameEverywhere(t *testing.T) {
	g := NewGate("checkout")
	g.Set(0.5)
	in := ""
	for i := range 20 {
		if g.On(fmt.Sprint("user ", i)) {
			in += fmt.Sprint(i, " ")
		}
	}
	require.Equal(t, goldenGate, in)
}

// goldenGate pins the hash: a release must not shuffle who is in.
const goldenGate = "0 2 5 6 7 9 10 11 13 14 17 "

// TestGateRampsToTheVeryEnd: no rounding leaves anybody out.
func TestGateRampsToTheVeryEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate("all")
		for i := range 1000 {
			g.Set(float64(i) / 1009)
			g.Ramp(1, time.Second, nil)
			time.Sleep(time.Second)
			require.Equal(t, 1.0, g.Share(), "from %d/1009", i)
		}
		// Nobody may ask for years, which are more hundredths of the ramp than an int holds.
		g.Set(0)
		g.Ramp(1, time.Nanosecond, nil)
		const years = 365 * 24 * time.Hour
		time.Sleep(100 * years)
		require.Equal(t, 1.0, g.Share())
		// Nor may it take so long that a hundred times as much is no duration.
		g.Set(0)
		g.Ramp(1, 40*years, nil)
		time.Sleep(10 * years)
		require.InDelta(t, 0.25, g.Share(), 1e-9)
	})
}
