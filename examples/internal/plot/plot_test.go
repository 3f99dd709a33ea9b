package plot

import (
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// elements reads an SVG as XML and counts its elements by name.
func elements(t *testing.T, svg string) map[string]int {
	t.Helper()
	n := map[string]int{}
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return n
		}
		require.NoError(t, err)
		if e, ok := token.(xml.StartElement); ok {
			n[e.Name.Local]++
		}
	}
}

func TestLines(t *testing.T) {
	c := Chart{X: Axis{Label: "workers"}, Y: Axis{Label: "words/s", Log: true}, Series: []Series{
		{Name: "a <b> & c", Points: []Point{{1, 100}, {2, 150}, {4, math.NaN()}, {8, 0}, {16, 120}}},
		{Name: "fit", Style: Smooth, Points: []Point{{1, 100}, {16, 1000}}},
		{Style: Steps, Points: []Point{{1, 100}, {16, 1000}}},
	}}
	n := elements(t, c.SVG())
	require.Equal(t, 3, n["circle"], "two points have no place")
	require.Equal(t, 2, n["rect"], "two of three are in the legend")
	require.NotContains(t, c.SVG(), "NaN")
	require.Equal(t, c.SVG(), c.SVG())
	require.Contains(t, c.SVG(), "M72.0", "the first point is at the left edge")
}

func TestBars(t *testing.T) {
	c := Chart{Bars: true, X: Axis{Names: []string{"one", "two", "three"}}, Series: []Series{
		{Name: "x", Points: []Point{{0, 1}, {1, -2}, {2, 3}}},
		{Name: "y", Points: []Point{{0, 4}, {2, math.Inf(1)}}},
	}}
	n := elements(t, c.SVG())
	require.Equal(t, 4+2, n["rect"])
	require.Contains(t, c.SVG(), ">three</text>")
	d := newDrawing(c)
	require.InDelta(t, d.bottom, d.y.at(-2), 0)
	require.InDelta(t, d.top, d.y.at(4), 0)
}

func TestNothingToDraw(t *testing.T) {
	for _, c := range []Chart{{}, {Bars: true}, {Y: Axis{Log: true}}, {Series: []Series{{Name: "none"}}}} {
		require.NotContains(t, c.SVG(), "NaN")
		require.NotContains(t, c.SVG(), "Inf")
		elements(t, c.SVG())
	}
}

func TestLegendBreaks(t *testing.T) {
	c := Chart{Width: 300, Series: []Series{{Name: strings.Repeat("a", 20)}, {Name: strings.Repeat("b", 20)}, {Name: "c"}}}
	require.Equal(t, [][]int{{0}, {1, 2}}, c.legendRows())
}

func TestScalesAreRound(t *testing.T) {
	for _, c := range []struct {
		values   []float64
		log      bool
		min, max float64
		ticks    int
	}{
		{[]float64{0, 97}, false, 0, 100, 6},
		{[]float64{900, 1000}, false, 900, 1000, 6},
		{[]float64{30, 1000}, false, 0, 1000, 6},
		{[]float64{7}, false, 6.4, 7.6, 7},
		{[]float64{3, 700}, true, 2, 1000, 9},
		{[]float64{1, 1e6}, true, 1, 1e6, 7},
		{[]float64{5}, true, 5, 50, 4},
		{[]float64{1, 8}, true, 1, 10, 4},
	} {
		s := newScale(Axis{Log: c.log}, c.values, 0, 1)
		require.InDelta(t, c.min, s.min, 1e-9, "%v", c)
		require.InDelta(t, c.max, s.max, 1e-6, "%v", c)
		require.Len(t, s.ticks(6), c.ticks, "%v: %v", c, s.ticks(6))
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 1: "1", 1500: "1500", 15_000: "15k", 2_500_000: "2.5M", 3e9: "3G", 0.25: "0.25", 0.002: "2m", 3e-6: "3µ", -20_000: "-20k",
	} {
		require.Equal(t, want, Number(v))
	}
}

func TestPage(t *testing.T) {
	p := Page{Title: "a <title>", Lead: "why & how"}
	p.AddText("Words", "one <two>")
	p.AddTable("Numbers", []string{"name", "n"}, [][]string{{"<x>", "1"}, {"y", "2"}})
	p.Add("Chart", Chart{Note: "see & hear"})
	path := filepath.Join(t.TempDir(), "report.html")
	got, err := p.WriteFile(path)
	require.NoError(t, err)
	require.Equal(t, path, got)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	text := string(b)
	for _, want := range []string{"<h1>a &lt;title&gt;</h1>", "why &amp; how", "one &lt;two&gt;", "<td>&lt;x&gt;</td><td>1</td>", "<svg ", "see &amp; hear"} {
		require.Contains(t, text, want)
	}
	for _, no := range []string{"<script", "http:", "https:", "<link", "url("} {
		require.NotContains(t, text, no)
	}
}

func TestUnitsFollowTheirPrefix(t *testing.T) {
	for v, want := range map[float64]string{0.0001: "100 µs", 0.002: "2 ms", 0.4: "0.4 s", 20_000: "20 ks", 0: "0 s"} {
		require.Equal(t, want, Axis{Unit: "s"}.number(v))
		require.Equal(t, Number(v), Axis{}.number(v))
	}
	svg := Chart{Y: Axis{Unit: "s", Log: true}, Series: []Series{{Name: "wait", Points: []Point{{1, 0.001}, {2, 0.01}}}}}.SVG()
	require.Contains(t, svg, ">1 ms</text>")
	require.Contains(t, svg, "wait: 2, 0.01 s")
}

func TestCheckFindsWhatWouldKeepAPageFromBeingWritten(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, Check(filepath.Join(dir, "page.html")))
	require.ErrorContains(t, Check(dir), "is a directory")
	require.ErrorIs(t, Check(filepath.Join(dir, "none", "page.html")), fs.ErrNotExist)
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.NoError(t, Check(file))
	require.Error(t, Check(filepath.Join(file, "page.html")))
}

func TestImage(t *testing.T) {
	c := Chart{Series: []Series{{Name: "a", Points: []Point{{1, 1}, {2, 2}}}}}
	path := filepath.Join(t.TempDir(), "charts.svg")
	whole, err := WriteSVG(path, c, Chart{Height: 200})
	require.NoError(t, err)
	require.Equal(t, path, whole)
	image, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, 3, elements(t, string(image))["svg"])
	require.Contains(t, string(image), `viewBox="0 0 720 560"`)
}
