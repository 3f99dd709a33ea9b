package plot

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// Point is one value of a series.
type Point struct{ X, Y float64 }

// Style is how a series is drawn.
type Style uint8

// The styles.
const (
	Line   Style = iota // a line with a mark at each point
	Smooth              // a line without marks, for what is computed rather than measured
	Dashed              // the same, dashed
	Dots                // marks alone
	Steps               // a line that stays until it changes
)

// Series is a number of points that belong together. Points that have no finite place on the axes
// (not a number, or not above zero on a logarithmic axis) leave a gap.
type Series struct {
	Name   string // for the legend; none if empty
	Points []Point
	Style  Style
	// Color is one of the palette, counted from 1, so that series of several charts can look alike;
	// 0 takes the next one.
	Color int
}

// Axis is one of the two.
type Axis struct {
	Label    string
	Unit     string // of the numbers, behind each, with its prefix: "s" for 1 ms
	Log      bool
	Min, Max float64  // of what is shown; if equal, they come from the points
	Names    []string // instead of numbers: the name of x = 0, 1, 2, …
	Whole    bool     // only whole numbers are marked
}

// Chart is a diagram with an X and a Y axis. The zero value draws empty axes.
type Chart struct {
	X, Y   Axis
	Series []Series
	// Bars draws the series beside each other as bars that stand on zero (or on the axis, if that is
	// logarithmic), rather than as lines.
	Bars   bool
	Note   string // what to see in it, under the chart
	Width  int    // 720 if zero
	Height int    // 360 if zero
}

// palette is told apart by those who see no red or no green as well (Okabe and Ito), on light and
// on dark.
var palette = [...]string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f"}

// SVG returns the chart as an svg element that takes its text color from the page.
func (c Chart) SVG() string {
	d := newDrawing(c)
	d.axes()
	if c.Bars {
		d.bars()
	} else {
		for i, s := range c.Series {
			d.line(s, d.color(i))
		}
	}
	d.legend()
	d.printf("</svg>\n")
	return d.String()
}

// drawing is a chart being drawn.
type drawing struct {
	strings.Builder
	Chart
	x, y                     scale
	left, right, top, bottom float64 // of the area between the axes
}

func newDrawing(c Chart) *drawing {
	if c.Width == 0 {
		c.Width = 720
	}
	if c.Height == 0 {
		c.Height = 360
	}
	d := &drawing{Chart: c, left: 72, right: float64(c.Width) - 16, top: 30, bottom: float64(c.Height) - 46}
	d.top += 18 * float64(len(d.legendRows())-1)
	xs, ys := c.extent()
	if c.Bars && !c.Y.Log {
		ys = append(ys, 0)
	}
	if len(c.X.Names) > 0 || c.Bars {
		n := float64(max(len(c.X.Names), 1))
		for _, x := range xs {
			n = max(n, x+1)
		}
		d.x = scale{min: -0.5, max: n - 0.5, from: d.left, to: d.right}
	} else {
		d.x = newScale(c.X, xs, d.left, d.right)
	}
	d.y = newScale(c.Y, ys, d.bottom, d.top)
	d.printf(`<svg viewBox="0 0 %d %d" width="%d" role="img" font-family="system-ui, sans-serif" font-size="12" fill="currentColor">`+"\n",
		c.Width, c.Height, c.Width)
	return d
}

// extent returns the coordinates that are shown.
func (c Chart) extent() (xs, ys []float64) {
	for _, s := range c.Series {
		for _, p := range s.Points {
			if c.X.shows(p.X) && c.Y.shows(p.Y) {
				xs, ys = append(xs, p.X), append(ys, p.Y)
			}
		}
	}
	return xs, ys
}

// shows reports whether v has a place on the axis.
func (a Axis) shows(v float64) bool {
	return !math.IsNaN(v) && !math.IsInf(v, 0) && (!a.Log || v > 0)
}

func (d *drawing) printf(format string, args ...any) { fmt.Fprintf(d, format, args...) }

func (d *drawing) color(i int) string {
	if c := d.Series[i].Color; c > 0 {
		i = c - 1
	}
	return palette[i%len(palette)]
}

func (d *drawing) axes() {
	for _, t := range d.y.ticks(6) {
		y := d.y.at(t)
		d.printf(`<path d="M%.1f %.1fH%.1f" stroke="currentColor" stroke-opacity=".13"/>`, d.left, y, d.right)
		d.printf(`<text x="%.1f" y="%.1f" text-anchor="end" fill-opacity=".75">%s</text>`+"\n", d.left-8, y+4, d.Y.number(t))
	}
	switch {
	case len(d.X.Names) > 0:
		for i, name := range d.X.Names {
			d.xTick(float64(i), name)
		}
	case d.Bars:
	default:
		for _, t := range d.x.ticks(10) {
			if !d.X.Whole || t == math.Trunc(t) {
				d.xTick(t, d.X.number(t))
			}
		}
	}
	d.printf(`<path d="M%.1f %.1fH%.1f" stroke="currentColor" stroke-opacity=".5"/>`+"\n", d.left, d.bottom, d.right)
	d.printf(`<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", (d.left+d.right)/2, d.Height-8, html.EscapeString(d.X.Label))
	d.printf(`<text transform="translate(14 %.1f) rotate(-90)" text-anchor="middle">%s</text>`+"\n", (d.top+d.bottom)/2, html.EscapeString(d.Y.Label))
}

func (d *drawing) xTick(v float64, text string) {
	x := d.x.at(v)
	d.printf(`<path d="M%.1f %.1fv4" stroke="currentColor" stroke-opacity=".5"/>`, x, d.bottom)
	d.printf(`<text x="%.1f" y="%.1f" text-anchor="middle" fill-opacity=".75">%s</text>`+"\n", x, d.bottom+18, html.EscapeString(text))
}

func (d *drawing) bars() {
	floor := d.y.at(max(d.y.min, min(0, d.y.max)))
	if d.Y.Log {
		floor = d.bottom
	}
	width := 0.8 * (d.x.at(1) - d.x.at(0)) / float64(max(len(d.Series), 1))
	for i, s := range d.Series {
		offset := (float64(i) - float64(len(d.Series))/2) * width
		for _, p := range s.Points {
			if !d.X.shows(p.X) || !d.Y.shows(p.Y) {
				continue
			}
			y := d.y.at(p.Y)
			d.printf(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"><title>%s %s</title></rect>`+"\n",
				d.x.at(p.X)+offset, min(y, floor), max(width-1, 1), math.Abs(y-floor), d.color(i), html.EscapeString(s.Name), d.Y.number(p.Y))
		}
	}
}

// line draws a series; a point without a place lifts the pen.
func (d *drawing) line(s Series, color string) {
	var path strings.Builder
	drawn := false
	for _, p := range s.Points {
		if !d.X.shows(p.X) || !d.Y.shows(p.Y) {
			drawn = false
			continue
		}
		x, y := d.x.at(p.X), d.y.at(p.Y)
		switch {
		case !drawn:
			fmt.Fprintf(&path, "M%.1f %.1f", x, y)
		case s.Style == Steps:
			fmt.Fprintf(&path, "H%.1fV%.1f", x, y)
		default:
			fmt.Fprintf(&path, "L%.1f %.1f", x, y)
		}
		drawn = true
	}
	if s.Style != Dots && path.Len() > 0 {
		dash := ""
		if s.Style == Dashed {
			dash = ` stroke-dasharray="5 4"`
		}
		d.printf(`<path d="%s" fill="none" stroke="%s" stroke-width="2" stroke-linejoin="round"%s/>`+"\n", path.String(), color, dash)
	}
	if s.Style != Line && s.Style != Dots {
		return
	}
	for _, p := range s.Points {
		if d.X.shows(p.X) && d.Y.shows(p.Y) {
			d.printf(`<circle cx="%.1f" cy="%.1f" r="3.2" fill="%s"><title>%s: %s, %s</title></circle>`+"\n",
				d.x.at(p.X), d.y.at(p.Y), color, html.EscapeString(s.Name), d.X.number(p.X), d.Y.number(p.Y))
		}
	}
}

// legendRows breaks the names of the series, by their index, into rows that fit.
func (c Chart) legendRows() (rows [][]int) {
	const left = 72.0
	x := left
	rows = [][]int{nil}
	for i, s := range c.Series {
		if s.Name == "" {
			continue
		}
		if w := legendWidth(s.Name); x+w > float64(c.Width) && x > left {
			rows, x = append(rows, []int{i}), left+w
		} else {
			rows[len(rows)-1], x = append(rows[len(rows)-1], i), x+w
		}
	}
	return rows
}

// legendWidth is about as wide as a name and its mark are: nobody knows the page's font.
func legendWidth(name string) float64 { return 30 + 6.6*float64(utf8.RuneCountInString(name)) }

func (d *drawing) legend() {
	for row, indices := range d.legendRows() {
		x, y := d.left, 14+18*float64(row)
		for _, i := range indices {
			d.printf(`<rect x="%.1f" y="%.1f" width="12" height="4" fill="%s"/>`, x, y-5, d.color(i))
			d.printf(`<text x="%.1f" y="%.1f">%s</text>`+"\n", x+17, y, html.EscapeString(d.Series[i].Name))
			x += legendWidth(d.Series[i].Name)
		}
	}
}

// scale maps values to places.
type scale struct {
	min, max float64
	from, to float64
	log      bool
}

// newScale chooses what is shown: what the axis says, or else round numbers around all values.
func newScale(a Axis, values []float64, from, to float64) scale {
	s := scale{min: a.Min, max: a.Max, from: from, to: to, log: a.Log}
	if s.min == s.max || !a.shows(s.min) || !a.shows(s.max) {
		s.min, s.max = 0, 1
		if a.Log {
			s.min, s.max = 1, 10
		}
		if len(values) > 0 {
			s.min, s.max = slices.Min(values), slices.Max(values)
		}
		switch {
		case a.Log:
			s.min, s.max = roundLog(s.min, math.Floor), roundLog(s.max, math.Ceil)
			if s.min == s.max {
				s.max *= 10
			}
		default:
			if s.min > 0 && s.min < 0.6*s.max {
				s.min = 0 // proportions are seen as they are, unless all is far from zero
			}
			if s.min == s.max {
				s.min, s.max = s.min-0.5, s.max+0.5
			}
			step := niceStep(s.max-s.min, 6)
			s.min, s.max = step*math.Floor(s.min/step), step*math.Ceil(s.max/step)
		}
	}
	return s
}

// roundLog rounds v to 1, 2 or 5 times a power of ten.
func roundLog(v float64, round func(float64) float64) float64 {
	for e := math.Floor(math.Log10(v)) - 1; ; e++ {
		steps := []float64{1, 2, 5, 10}
		for i, m := range steps[:3] {
			low, high := m*math.Pow(10, e), steps[i+1]*math.Pow(10, e)
			if v < high*(1-1e-9) {
				if v <= low*(1+1e-9) || round(0.5) == 0 {
					return low
				}
				return high
			}
		}
	}
}

// niceStep is a round distance of about n ticks over a range.
func niceStep(extent float64, n int) float64 {
	raw := extent / float64(n)
	unit := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 5} {
		if raw <= m*unit*(1+1e-9) {
			return m * unit
		}
	}
	return 10 * unit
}

func (s scale) at(v float64) float64 {
	low, high := s.min, s.max
	if s.log {
		low, high, v = math.Log(low), math.Log(high), math.Log(v)
	}
	share := (v - low) / (high - low)
	return s.from + min(max(share, -0.02), 1.02)*(s.to-s.from)
}

// ticks returns about n values to mark, or fewer.
func (s scale) ticks(n int) (ticks []float64) {
	if !s.log {
		step := niceStep(s.max-s.min, n)
		for i := math.Ceil(s.min/step - 1e-9); i*step <= s.max+step*1e-9; i++ {
			ticks = append(ticks, i*step)
		}
		return ticks
	}
	marks := []float64{1, 2, 5}
	decades := math.Log10(s.max / s.min)
	if decades > float64(n)/2 {
		marks = marks[:1]
	}
	every := max(1, math.Ceil(decades/float64(n)))
	for e := math.Floor(math.Log10(s.min)); e <= math.Log10(s.max)+1e-9; e += every {
		for _, m := range marks {
			if v := m * math.Pow(10, e); v >= s.min*(1-1e-9) && v <= s.max*(1+1e-9) {
				ticks = append(ticks, v)
			}
		}
	}
	return ticks
}

// number writes v with the axis's unit.
func (a Axis) number(v float64) string {
	s := Number(v)
	switch {
	case a.Unit == "":
		return s
	case s != "" && s[len(s)-1] >= '0' && s[len(s)-1] <= '9':
		return s + " " + a.Unit
	}
	// The prefix belongs to the unit: 1 ms, not 1m s.
	_, prefix := utf8.DecodeLastRuneInString(s)
	return s[:len(s)-prefix] + " " + s[len(s)-prefix:] + a.Unit
}

// Number writes v briefly: 1500000 as 1.5M, 0.002 as 2m.
func Number(v float64) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Sprint(math.Abs(v))
	}
	for _, u := range []struct {
		unit float64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e4, "k"}, {1e-2, ""}, {1e-3, "m"}, {1e-6, "µ"}, {1e-9, "n"}} {
		if math.Abs(v) >= u.unit*(1-1e-9) {
			unit := u.unit
			switch u.name {
			case "k":
				unit = 1e3
			case "":
				unit = 1
			}
			return fmt.Sprintf("%.4g", v/unit) + u.name
		}
	}
	return fmt.Sprintf("%.3g", v)
}
