package main

import (
	"bytes"
	"io"
	"math"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func TestSynthIsTheSameForTheSameSeed(t *testing.T) {
	s := synth{lines: 3000, visitors: 200, pages: 30, seed: 7}
	a, err := io.ReadAll(s.reader())
	require.NoError(t, err)
	b, err := io.ReadAll(iotest.OneByteReader(s.reader()))
	require.NoError(t, err)
	require.Equal(t, a, b)
	require.Equal(t, s.lines, bytes.Count(a, []byte("\n")))

	s.seed++
	c, err := io.ReadAll(s.reader())
	require.NoError(t, err)
	require.NotEqual(t, a, c)
}

func TestSynthIsAnAccessLog(t *testing.T) {
	s := synth{lines: 2*damageEvery + 10, visitors: 300, pages: 40, seed: 1}
	text, err := io.ReadAll(s.reader())
	require.NoError(t, err)
	var bad int
	for l := range bytes.Lines(text) {
		if _, err := parseLine(string(bytes.TrimSuffix(l, []byte("\n")))); err != nil {
			bad++
		}
	}
	require.Equal(t, 2, bad, "one line in %d is damaged on purpose", damageEvery)
}

func TestZipfDrawsWithItsWeights(t *testing.T) {
	const n, s, draws = 50, 1.1, 200_000
	z, rng := newZipf(s, n), rand.New(rand.NewPCG(1, 2))
	var got [n]float64
	for range draws {
		got[z.draw(rng)]++
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
