package backpressure

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestNilBudgetAllowsEverything(t *testing.T) {
	var b *Budget
	b.Attempt()
	require.True(t, b.Spend())
	require.Zero(t, b.Stats())
}

func TestNewBudgetRefusesNonsense(t *testing.T) {
	for _, x := range []float64{-1, math.NaN(), math.Inf(1)} {
		require.Panics(t, func() { NewBudget(x, 1) })
		require.Panics(t, func() { NewBudget(1, x) })
	}
}

func TestBudgetForgetsAfterTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(0.5, 0)
		require.False(t, b.Spend())
		for range 4 {
			b.Attempt()
		}
		time.Sleep(9 * time.Second)
		require.True(t, b.Spend())
		require.True(t, b.Spend())
		require.False(t, b.Spend(), "two retries for four attempts")
		time.Sleep(time.Second)
		b.Attempt()
		b.Attempt()
		require.False(t, b.Spend(), "the attempts are forgotten, the retries are not")
		time.Sleep(15 * time.Second)
		require.False(t, b.Spend(), "nothing is left of those attempts")
		b.Attempt()
		b.Attempt()
		require.True(t, b.Spend(), "nor of those retries")
		require.Equal(t, BudgetStats{Attempts: 8, Retries: 3, Refused: 4}, b.Stats())
		b.Attempt()
	})
}

// A retry is let through if, with it, there are no more than the budget says in the ten seconds that
// end with it, and only then. So retries never add up to more than their share of all attempts.
func TestBudgetHoldsInEveryWindow(t *testing.T) {
	type step struct{ Later, Attempts, Retries int }
	drawn := rapid.Custom(func(t *rapid.T) step {
		return step{
			Later:    rapid.IntRange(0, 3000).Draw(t, "later"), // ms
			Attempts: rapid.IntRange(0, 5).Draw(t, "attempts"),
			Retries:  rapid.IntRange(0, 5).Draw(t, "retries"),
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		ratio := rapid.SampledFrom([]float64{0, 0.1, 0.5, 2}).Draw(rt, "ratio")
		reserve := rapid.SampledFrom([]float64{0, 0.1, 1}).Draw(rt, "perSecond")
		steps := rapid.SliceOfN(drawn, 1, 40).Draw(rt, "steps")
		synctest.Test(t, func(t *testing.T) {
			b := NewBudget(ratio, reserve)
			firsts, extras := map[int]int{}, map[int]int{} // by second
			window := func(end int) (allowed, spent float64) {
				n, r := 0, 0
				for second := end - 9; second <= end; second++ {
					n += firsts[second]
					r += extras[second]
				}
				return ratio*float64(n) + 10*reserve + 1e-9, float64(r)
			}
			last := 0
			for _, s := range steps {
				time.Sleep(time.Duration(s.Later) * time.Millisecond)
				last = int(time.Since(b.start) / time.Second)
				for range s.Attempts {
					b.Attempt()
					firsts[last]++
				}
				for range s.Retries {
					allowed, spent := window(last)
					ok := b.Spend()
					if ok {
						extras[last]++
					}
					require.Equal(t, spent+1 <= allowed, ok)
				}
			}
			// Windows that end with a retry each, and do not overlap, hold all retries.
			n, r := 0, 0
			for second := range last + 1 {
				n += firsts[second]
				r += extras[second]
			}
			windows := math.Ceil(float64(last+1) / 10)
			require.LessOrEqual(t, float64(r), ratio*float64(n)+10*reserve*windows+1e-9)
		})
	})
}
