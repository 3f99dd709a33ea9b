package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-calm/calm/examples/internal/plot"
	"github.com/go-calm/calm/examples/internal/term"
)

// printTop names the most frequent words.
func printTop(w io.Writer, counts map[string]int64, k int) {
	words := slices.Collect(maps.Keys(counts))
	slices.SortFunc(words, func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	fmt.Fprintf(w, "%s words, %s different ones; most frequent:", term.Thousands(sum(counts)), term.Thousands(int64(len(words))))
	for _, word := range words[:min(k, len(words))] {
		fmt.Fprintf(w, "  %s %s", term.Printable(word), term.Thousands(counts[word]))
	}
	fmt.Fprint(w, "\n\n")
}

// printTables shows the speeds, and what they mean.
func printTables(w io.Writer, results []result) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for i, row := range speedRows(results) {
		if i == 0 {
			row[0] = "words/s with … workers"
		}
		fmt.Fprint(t, strings.Join(row, "\t"), "\t\n")
	}
	t.Flush()
	fmt.Fprintln(w)
	for _, row := range lawRows(results) {
		fmt.Fprint(t, strings.Join(row, "\t"), "\t\n")
	}
	t.Flush()
	fmt.Fprint(w, "\nlost: share of the cores' time in which no word was counted; σ: what is done one after the other;\n"+
		"κ: what each worker costs each other; COST: workers that it takes to beat the single thread\n")
}

// most is the result with the most numbers of workers, which heads the tables.
func most(results []result) result {
	return slices.MaxFunc(results, func(a, b result) int { return len(a.workers) - len(b.workers) })
}

// speedRows is a table of the speeds, with a head.
func speedRows(results []result) [][]string {
	head := []string{""}
	for _, n := range most(results).workers {
		head = append(head, fmt.Sprint(n))
	}
	rows := [][]string{head}
	for _, r := range results {
		row := make([]string, len(head))
		row[0] = r.name
		for i, s := range r.speed {
			row[i+1] = rate(s)
		}
		rows = append(rows, row)
	}
	return rows
}

// lawRows is a table of what the speeds mean, at the most workers, with a head.
func lawRows(results []result) [][]string {
	rows := [][]string{{"", "p99 of a word", "lost", "σ", "κ", "best with", "COST"}}
	for _, r := range results {
		last := len(r.workers) - 1
		row := []string{r.name, term.Took(r.p99[last]), fmt.Sprintf("%.0f %%", 100*r.overhead[last])}
		switch {
		case last == 0 && !r.law.ok:
			row = append(row, "", "", "", "")
		case !r.law.ok:
			row = append(row, "?", "?", "?", costText(r))
		default:
			peak := "more"
			if p := r.law.peak(); p < float64(r.workers[last]) {
				peak = fmt.Sprintf("%.0f", math.Max(1, math.Round(p)))
			}
			row = append(row, fmt.Sprintf("%.3f", r.law.sigma), fmt.Sprintf("%.4f", r.law.kappa), peak, costText(r))
		}
		rows = append(rows, row)
	}
	return rows
}

func costText(r result) string {
	if r.cost == 0 {
		return "never"
	}
	return fmt.Sprint(r.cost)
}

// rate writes words per second with three digits.
func rate(v float64) string {
	if v >= 1e6 {
		return fmt.Sprintf("%.3g M", v/1e6)
	}
	return fmt.Sprintf("%.3g k", v/1e3)
}

// page is the report.
func page(t text, results []result) *plot.Page {
	p := &plot.Page{
		Title: "Why did it get slower when I added machines?",
		Lead: fmt.Sprintf("The words of %s (%s), counted in %d ways on %d cores, %s.", t.name, term.Size(int64(t.size())),
			len(results), runtime.NumCPU(), time.Now().Format("2 January 2006")),
	}
	p.AddText("", "All of them come to the same counts. What differs is how often a worker has to wait for another one: "+
		"at each word, now and then, or once. A worker that waits costs more than the one it waits for can give.")

	head := most(results).workers
	speed := plot.Chart{
		X:    plot.Axis{Label: "workers", Whole: true, Min: 1, Max: float64(max(2, head[len(head)-1]))},
		Y:    plot.Axis{Label: "words per second"},
		Note: "Dots are measured, lines are the Universal Scalability Law. The dashed line is the single thread; those who ask are at the bottom. Workers beyond the number of cores share them, so little can rise there.",
	}
	p99 := plot.Chart{Bars: true, Y: plot.Axis{Label: "99th percentile", Unit: "s", Log: true}, Note: "How long a worker waits until a word is counted, one word in a hundred waits longer; at the most workers."}
	lost := plot.Chart{Bars: true, X: plot.Axis{Label: "workers"}, Y: plot.Axis{Label: "lost", Unit: "%", Max: 100}, Note: "Share of the cores' time in which no word was counted, compared with the single thread, by number of workers."}
	for _, n := range head {
		lost.X.Names = append(lost.X.Names, fmt.Sprint(n))
	}
	for i, r := range results {
		color := i + 1
		if i == 0 {
			speed.Series = append(speed.Series, plot.Series{
				Name: r.name, Color: len(results), Style: plot.Dashed,
				Points: []plot.Point{{X: speed.X.Min, Y: r.speed[0]}, {X: speed.X.Max, Y: r.speed[0]}},
			})
		} else {
			dots, law, bars := plot.Series{Name: r.name, Style: plot.Dots, Color: color - 1}, plot.Series{Style: plot.Smooth, Color: color - 1}, plot.Series{Name: r.name, Color: color - 1}
			for j, n := range r.workers {
				dots.Points = append(dots.Points, plot.Point{X: float64(n), Y: r.speed[j]})
				bars.Points = append(bars.Points, plot.Point{X: float64(j), Y: 100 * r.overhead[j]})
			}
			for step := 0.0; r.law.ok && step <= 100; step++ {
				x := 1 + (speed.X.Max-1)*step/100
				law.Points = append(law.Points, plot.Point{X: x, Y: r.law.speed(x)})
			}
			speed.Series = append(speed.Series, dots, law)
			lost.Series = append(lost.Series, bars)
		}
		p99.Series = append(p99.Series, plot.Series{Name: r.name, Color: (i+len(results)-1)%len(results) + 1, Points: []plot.Point{{Y: r.p99[len(r.p99)-1].Seconds()}}})
	}
	p.Add("Speed", speed)
	p.Add("What was lost", lost)
	p.Add("The wait for a word", p99)
	speeds, laws := speedRows(results), lawRows(results)
	p.AddTable("Words per second, by number of workers", speeds[0], speeds[1:])
	p.AddTable("What it means", laws[0], laws[1:])
	p.AddText("How to read it",
		"σ is the share of the work that must be done one after the other; κ is what each worker loses to each other one. With κ above zero there is a best number of workers, and more of them make it slower. Both also contain what the machine itself lacks (cores, memory bandwidth), which the ways without coordination show alone.",
		"COST is the number of workers that it takes to beat the single thread. A system may scale perfectly and never get there.",
		"Each way was run a few times and the fastest run counts. The processes that ask were given one part in 64 of the text, for they would not come to an end otherwise.")
	return p
}
