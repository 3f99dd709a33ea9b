package shard

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/go-calm/calm/internal/testenv"
	"github.com/stretchr/testify/require"
)

func TestHashBytesAgrees(t *testing.T) {
	s := strings.Repeat("0123456789abcdef", 20)
	for n := range len(s) {
		require.Equal(t, Hash(s[:n], 5), HashBytes([]byte(s[:n]), 5))
	}
}

// Every byte and every bit matters, at every length.
func TestHashAvalanche(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 47, 48, 49, 64, 96, 97, 100, 145, 200} {
		flips, trials := 0, 0
		for range 20 {
			key := make([]byte, n)
			for i := range key {
				key[i] = byte(rnd.Uint32())
			}
			h := HashBytes(key, 1)
			for bit := range 8 * n {
				key[bit/8] ^= 1 << (bit % 8)
				d := bits.OnesCount64(h ^ HashBytes(key, 1))
				require.NotZero(t, d, "bit %d of %d bytes", bit, n)
				flips, trials = flips+d, trials+64
				key[bit/8] ^= 1 << (bit % 8)
			}
			require.NotEqual(t, h, HashBytes(key, 2))
		}
		require.InDelta(t, 0.5, float64(flips)/float64(trials), 0.03, "%d bytes", n)
	}
	// Lengths are told apart even where the bytes are all zero.
	seen := map[uint64]int{}
	for n := range 300 {
		h := HashBytes(make([]byte, n), 0)
		require.NotContains(t, seen, h)
		seen[h] = n
	}
}

func TestGumbelNeverDecreases(t *testing.T) {
	l := newLogs()
	rnd := rand.New(rand.NewPCG(3, 4))
	edges := []uint64{0, 1, 2, 1<<63 - 1, 1 << 63, 1<<63 + 1, math.MaxUint64 - 2, math.MaxUint64 - 1, math.MaxUint64}
	for range testenv.Checks(200_000) {
		u := rnd.Uint64() >> rnd.IntN(64)
		if rnd.IntN(2) == 0 {
			u = ^u
		}
		v := u + rnd.Uint64()>>rnd.IntN(64)
		if rnd.IntN(100) == 0 {
			u, v = edges[rnd.IntN(len(edges))], edges[rnd.IntN(len(edges))]
		}
		if u > v {
			u, v = v, u
		}
		require.LessOrEqual(t, l.gumbel(u), l.gumbel(v), "%x %x", u, v)
	}
	for i := range edges[1:] {
		require.LessOrEqual(t, l.gumbel(edges[i]), l.gumbel(edges[i+1]))
	}
}

func TestGumbelIsAccurate(t *testing.T) {
	l := newLogs()
	rnd := rand.New(rand.NewPCG(5, 6))
	for range testenv.Checks(100_000) {
		u := rnd.Uint64()
		want := -math.Log2(-math.Log(float64(u) / (1 << 64)))
		if d := ^u; d < 1<<60 { // where the quotient would round
			want = -math.Log2(-math.Log1p(-float64(d) / (1 << 64)))
		}
		require.InDelta(t, want, float64(l.gumbel(u))/one, 1e-6, "%x", u)
	}
	for _, w := range []float64{1, 2, 3, 0.1, 1e-300, 1e300, math.SmallestNonzeroFloat64, math.MaxFloat64} {
		require.InDelta(t, math.Log2(w), float64(l.ofWeight(w))/one, 1e-6)
	}
}
