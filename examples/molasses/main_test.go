package main

import (
	"bytes"
	"flag"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == workerArg { // the test is the program that starts itself
		if err := work(os.Stdin, os.Stdout); err != nil {
			panic(err)
		}
		return
	}
	os.Exit(m.Run())
}

// TestCommand runs all of it, on a text of its own.
func TestCommand(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.txt"), bytes.Repeat([]byte("the quick fox and the lazy dog\n"), 5000), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "b.bin"), []byte("\x00binary"), 0o600))
	report := filepath.Join(dir, "report.html")
	var out, stderr bytes.Buffer
	require.NoError(t, command([]string{"-in", dir, "-workers", "3", "-for", "1ms", "-top", "2", "-o", report}, nil, &out, &stderr))
	require.Empty(t, stderr.String(), "no progress where there is no terminal")
	require.Contains(t, out.String(), "35 000 words, 6 different ones; most frequent:  the 10 000  and 5 000\n")
	for _, w := range ways {
		require.Contains(t, out.String(), w.name)
	}
	html, err := os.ReadFile(report)
	require.NoError(t, err)
	require.Equal(t, 3, strings.Count(string(html), "<svg"))
	require.NotContains(t, string(html), "NaN")
}

func TestUsage(t *testing.T) {
	for args, want := range map[string]string{
		"text.txt":             `unexpected "text.txt"`,
		"-mb 0":                "-mb is from 1 to 1024",
		"-workers 0":           "-workers is from 1 to 256",
		"-top 0":               "-top is at least 1",
		"-for 0s":              "-for must be more",
		"-o " + t.TempDir():    "is a directory",
		"-in " + t.TempDir():   "the text is empty",
		"-in /there/is/no/way": "no such",
	} {
		require.ErrorContains(t, command(strings.Fields(args), nil, io.Discard, io.Discard), want, args)
	}
	var help bytes.Buffer
	require.ErrorIs(t, command([]string{"-h"}, nil, &help, io.Discard), flag.ErrHelp)
	require.Contains(t, help.String(), "-workers")
	require.Equal(t, []int{1, 2, 3, 4, 8, 12}, workerCounts(12))
	require.Equal(t, []int{1}, workerCounts(1))
}

// TestAllWaysComeToTheSame: the counts do not depend on how the work was divided.
func TestAllWaysComeToTheSame(t *testing.T) {
	text, err := cut("made up", madeUp(300<<10, 7))
	require.NoError(t, err)
	often := []way{{"every piece", mergedOften(1), 1}, {"every second", processes{every: 2}.run, 1}}
	for _, w := range append(often, ways...) {
		part := text.first(w.part)
		want, err := alone(part, 1)
		require.NoError(t, err)
		for _, workers := range []int{1, 3} {
			got, err := w.run(part, workers)
			require.NoError(t, err)
			require.True(t, maps.Equal(want.counts, got.counts), "%s, %d workers", w.name, workers)
			require.Positive(t, got.took)
			require.NotEmpty(t, got.waits, w.name)
		}
	}
}

func TestWords(t *testing.T) {
	var words []string
	for s := "func f_1(x int) { // größer\n\t}"; ; {
		var w string
		if w, s = nextWord(s); w == "" {
			break
		}
		words = append(words, w)
	}
	require.Equal(t, []string{"func", "f_1", "x", "int", "größer"}, words)
}

func TestTextIsCutAtLines(t *testing.T) {
	b := madeUp(5*pieceSize, 1)
	text, err := cut("made up", b)
	require.NoError(t, err)
	require.Equal(t, string(b), strings.Join(text.pieces, ""))
	require.Greater(t, len(text.pieces), 3)
	for _, p := range text.pieces[:len(text.pieces)-1] {
		require.True(t, strings.HasSuffix(p, "\n"))
	}
	require.ElementsMatch(t, text.pieces, append(text.of(0, 2), text.of(1, 2)...))
	require.Equal(t, b, madeUp(5*pieceSize, 1))
	require.NotEqual(t, b, madeUp(5*pieceSize, 2))
}

func TestStandardInput(t *testing.T) {
	text, err := readText("-", strings.NewReader("one two\nthree"), 7, 1)
	require.NoError(t, err)
	require.Equal(t, []string{"one two"}, text.pieces)
}

// TestFitFindsTheLaw gives the fit speeds that follow the law exactly.
func TestFitFindsTheLaw(t *testing.T) {
	for _, want := range []law{{1e6, 0.1, 0.01, true}, {5, 0, 0, true}, {5, 0.5, 0, true}, {5, 0, 0.2, true}} {
		var speed []float64
		workers := []int{1, 2, 3, 4, 8}
		for _, n := range workers {
			speed = append(speed, want.speed(float64(n)))
		}
		got := fit(workers, speed)
		require.InDelta(t, want.sigma, got.sigma, 1e-9)
		require.InDelta(t, want.kappa, got.kappa, 1e-9)
		if want.kappa > 0.001 {
			peak := got.peak()
			require.Greater(t, got.speed(peak), got.speed(peak*1.1))
			require.Greater(t, got.speed(peak), got.speed(peak/1.1))
		}
	}
	faster := fit([]int{1, 2, 3}, []float64{1, 2.2, 3.5}) // more than n times as fast
	require.Zero(t, faster.sigma)
	require.Zero(t, faster.kappa)
	require.True(t, math.IsInf(faster.peak(), 1))
	flat := fit([]int{1, 2, 3, 4}, []float64{1, 1, 1.4, 1.8}) // best with a κ below zero
	require.Zero(t, flat.kappa)
	require.InDelta(t, 0.497, flat.sigma, 0.001)
	steep := fit([]int{1, 2, 3, 4}, []float64{1, 2, 1.5, 0.8}) // best with a σ below zero
	require.Zero(t, steep.sigma)
	require.InDelta(t, 0.293, steep.kappa, 0.001)
	require.False(t, fit([]int{1, 2}, []float64{1, 2}).ok)
}

func TestJudge(t *testing.T) {
	r := result{workers: []int{1, 2, 4}, speed: []float64{50, 90, 120}}
	r.judge(100)
	require.Equal(t, 4, r.cost)
	require.InDelta(t, 0.5, r.overhead[0], 1e-9)
	r = result{workers: []int{1, 2}, speed: []float64{50, 90}}
	r.judge(100)
	require.Zero(t, r.cost)
	require.Equal(t, "never", costText(r))
}
