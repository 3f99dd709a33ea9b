package main

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/go-calm/calm/examples/internal/plot"
	"github.com/go-calm/calm/examples/internal/term"
)

// write writes the charts: a page, or to a file .svg the first two alone.
func (r result) write(path string) (string, error) {
	page := plot.Page{
		Title: "What does a server do that is asked for too much?",
		Lead: fmt.Sprintf("It can do %.0f requests a second, callers give up after %v, and it is offered up to %g times what it can do.",
			r.capacity, r.deadline, slices.Max(r.loads)),
	}
	page.AddText("", "Unprotected, it works on whatever comes, and most callers are gone when it is done. The semaphore lets in as many at once as somebody guessed. The limiter is calm's: it finds out how many.")
	goodput := plot.Chart{
		X: plot.Axis{Label: "offered, requests/s"}, Y: plot.Axis{Label: "answered in time, requests/s"},
		Note: "What is offered beyond the capacity can only be refused. What should not happen is that the rest suffers. Where the semaphore lets in too many, its line hides the unprotected one.",
	}
	p99 := plot.Chart{
		X: plot.Axis{Label: "offered, requests/s"}, Y: plot.Axis{Label: "p99 of what was answered in time", Unit: "s", Max: 1.25 * r.deadline.Seconds()},
		Note: "Where nearly all that is answered in time is answered at the last moment, the queue is as long as callers are patient.",
	}
	var most float64
	for v, name := range r.names {
		g, p := plot.Series{Name: name}, plot.Series{Name: name}
		for i, load := range r.loads {
			x := load * r.capacity
			most = max(most, x)
			o := r.byLoad[v][i]
			g.Points = append(g.Points, plot.Point{X: x, Y: r.goodput(o)})
			p.Points = append(p.Points, plot.Point{X: x, Y: o.p99().Seconds()})
		}
		goodput.Series = append(goodput.Series, g)
		p99.Series = append(p99.Series, p)
	}
	goodput.Series = append(goodput.Series, plot.Series{
		Name: "what can be done", Style: plot.Dashed,
		Points: []plot.Point{{X: 0, Y: 0}, {X: r.capacity, Y: r.capacity}, {X: most, Y: r.capacity}},
	})
	p99.Series = append(p99.Series, plot.Series{
		Name: "callers give up", Style: plot.Dashed,
		Points: []plot.Point{{X: 0, Y: r.deadline.Seconds()}, {X: most, Y: r.deadline.Seconds()}},
	})
	if filepath.Ext(path) == ".svg" {
		return plot.WriteSVG(path, goodput, p99)
	}
	page.Add("Goodput", goodput)
	page.Add("How long it takes", p99)

	if len(r.tenants) > 0 {
		page.Add("An elephant among the tenants", r.elephant())
	}
	page.AddTable("In numbers", []string{"", "load", "goodput/s", "of it", "refused", "too late", "p99"}, r.rows())
	return page.WriteFile(path)
}

// elephant shows who is served when one of the tenants sends too much.
func (r result) elephant() plot.Chart {
	bars := plot.Chart{
		X: plot.Axis{Names: r.names}, Y: plot.Axis{Label: "served of what was asked for", Unit: "%", Max: 100}, Bars: true,
		Note: fmt.Sprintf("%d tenants send %g of the capacity each, one sends %g times the capacity.", mice, mouseLoad, elephantLoad),
	}
	small, big := plot.Series{Name: "the small ones"}, plot.Series{Name: "the elephant"}
	for i, t := range r.tenants {
		small.Points = append(small.Points, plot.Point{X: float64(i), Y: percent(t.mice)})
		big.Points = append(big.Points, plot.Point{X: float64(i), Y: percent(t.elephant)})
	}
	bars.Series = []plot.Series{small, big}
	return bars
}

// rows are the numbers of all loads.
func (r result) rows() (rows [][]string) {
	for v, name := range r.names {
		for i, load := range r.loads {
			o := r.byLoad[v][i]
			rows = append(rows, []string{
				name, fmt.Sprintf("%gx", load), fmt.Sprintf("%.0f", r.goodput(o)), fmt.Sprintf("%.0f %%", 100*r.share(o, load)),
				term.Thousands(int64(o.refused)), term.Thousands(int64(o.late)), term.Took(o.p99()),
			})
		}
	}
	return rows
}
