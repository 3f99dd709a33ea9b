package accesslog

import (
	"bytes"
	"io"
	"math"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func TestMadeIsTheSameForTheSameSeed(t *testing.T) {
	s := Made{Lines: 3000, Visitors: 200, Pages: 30, Seed: 7}
	a, err := io.ReadAll(s.reader())
	require.NoError(t, err)
	b, err := io.ReadAll(iotest.OneByteReader(s.reader()))
	require.NoError(t, err)
	require.Equal(t, a, b)
	require.Equal(t, s.Lines, bytes.Count(a, []byte("\n")))

	s.Seed++
	c, err := io.ReadAll(s.reader())
	require.NoError(t, err)
	require.NotEqual(t, a, c)
}

func TestMadeIsAnAccessLog(t *testing.T) {
	s := Made{Lines: 2*damageEvery + 10, Visitors: 300, Pages: 40, Seed: 1}
	text, err := io.ReadAll(s.reader())
	require.NoError(t, err)
	var bad int
	for l := range bytes.Lines(text) {
		if _, err := Parse(string(bytes.TrimSuffix(l, []byte("\n")))); err != nil {
			bad++
		}
	}
	require.Equal(t, 2, bad, "one line in %d is damaged on purpose", damageEvery)
}

func TestZipfDrawsWithItsWeights(t *testing.T) {
	const n, s, draws = 50, 1.1, 200_000
	z, rng := NewZipf(s, n), rand.New(rand.NewPCG(1, 2))
	var got [n]float64
	for range draws {
		got[z.Draw(rng)]++
	}
	var sum, chi float64
	for i := range n {
		sum += math.Pow(float64(i+1), -s)
	}
	for i := range n {
		want := draws * math.Pow(float64(i+1), -s) / sum
		chi += (got[i] - want) * (got[i] - want) / want
	}
	require.Less(t, chi, 85.4, "chi-square of 49 degrees of freedom is above this once in 1000 seeds")
}
