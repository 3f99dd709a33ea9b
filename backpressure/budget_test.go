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
		time.Sleep(time.Hour)
		require.False(t, b.Spend())
	})
}

// In no window of ten whole seconds are there more retries than the budget says.
func TestBudgetHoldsInEveryWindow(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ratio := rapid.SampledFrom([]float64{0, 0.1, 0.5, 2}).Draw(rt, "ratio")
		reserve := rapid.SampledFrom([]float64{0, 0.1, 1}).Draw(rt, "perSecond")
		steps := rapid.SliceOfN(rapid.IntRange(0, 20), 1, 200).Draw(rt, "steps")
		synctest.Test(t, func(t *testing.T) {
			b := NewBudget(ratio, reserve)
			var firsts, extras []int // a number for each second
			for _, step := range steps {
				switch {
				case step < 2:
					time.Sleep(time.Duration(1+step) * 700 * time.Millisecond)
				}
				for second := int(time.Since(b.start) / time.Second); len(firsts) <= second; {
					firsts, extras = append(firsts, 0), append(extras, 0)
				}
				last := len(firsts) - 1
				if step < 10 {
					b.Attempt()
					firsts[last]++
				} else if b.Spend() {
					extras[last]++
				}
			}
			for end := range firsts {
				n, r := 0.0, 0.0
				for i := max(0, end-9); i <= end; i++ {
					n += float64(firsts[i])
					r += float64(extras[i])
				}
				require.LessOrEqual(t, r, ratio*n+10*reserve+1e-9)
			}
		})
	})
}
