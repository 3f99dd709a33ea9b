package shard

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestNumberedBucketsOnlyMoveToTheNewOne(t *testing.T) {
	for name, f := range map[string]func(uint64, int) int{"Jump": Jump, "JumpBack": JumpBack} {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			key := rapid.Uint64().Draw(t, "key")
			n := rapid.IntRange(1, 5000).Draw(t, "n")
			before, after := f(key, n), f(key, n+1)
			require.Less(t, before, n)
			require.GreaterOrEqual(t, before, 0)
			if after != before {
				require.Equal(t, n, after)
			}
		}))
		t.Run(name+" is even", func(t *testing.T) {
			for _, n := range []int{2, 3, 7, 64, 100, 1000} {
				hits := make([]float64, n)
				for i := range 100_000 {
					hits[f(HashUint64(uint64(i), 1), n)]++
				}
				require.True(t, chiSquareFits(hits, 100_000), "%d buckets", n)
			}
		})
		t.Run(name+" needs a bucket", func(t *testing.T) {
			require.Panics(t, func() { f(1, 0) })
			require.Panics(t, func() { f(1, -1) })
			if most := math.MaxInt32; most != math.MaxInt { // where an int holds more
				require.Panics(t, func() { f(1, most+1) })
			}
			b := f(math.MaxUint64, math.MaxInt32)
			require.True(t, b >= 0 && b < math.MaxInt32, b)
		})
	}
}

func TestJumpBackLargeBuckets(t *testing.T) {
	for i := range 10_000 {
		h := HashUint64(uint64(i), 3)
		for _, n := range []int{math.MaxInt32, 1<<30 + 1, 1 << 30, 1<<30 - 1} {
			b := JumpBack(h, n)
			require.Less(t, b, n)
			// The bucket was the newest at some time, and another one before.
			require.Equal(t, b, JumpBack(h, b+1))
			if b > 0 {
				require.Less(t, JumpBack(h, b), b)
			}
		}
	}
}
