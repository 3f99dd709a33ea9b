package main

import (
	"fmt"

	"github.com/go-calm/calm/examples/internal/plot"
)

// write writes the charts.
func (r result) write(path string) (string, error) {
	page := plot.Page{Title: "overload", Lead: fmt.Sprintf("A service that can do %.0f requests a second is offered more.", r.capacity)}
	goodput := plot.Chart{
		X: plot.Axis{Label: "offered, requests/s"}, Y: plot.Axis{Label: "answered in time, requests/s"},
		Note: "What is offered beyond the capacity can only be refused. What should not happen is that the rest suffers.",
	}
	p99 := plot.Chart{
		X: plot.Axis{Label: "offered, requests/s"}, Y: plot.Axis{Label: "p99 of what was answered in time, ms", Log: true},
	}
	var most float64
	for v, name := range r.names {
		g, p := plot.Series{Name: name}, plot.Series{Name: name}
		for i, load := range r.loads {
			x := load * r.capacity
			most = max(most, x)
			o := r.byLoad[v][i]
			g.Points = append(g.Points, plot.Point{X: x, Y: r.goodput(o)})
			p.Points = append(p.Points, plot.Point{X: x, Y: float64(o.p99().Microseconds()) / 1000})
		}
		goodput.Series = append(goodput.Series, g)
		p99.Series = append(p99.Series, p)
	}
	goodput.Series = append(goodput.Series, plot.Series{
		Name: "what can be done", Style: plot.Dashed,
		Points: []plot.Point{{X: 0, Y: 0}, {X: r.capacity, Y: r.capacity}, {X: most, Y: r.capacity}},
	})
	page.Add("Goodput", goodput)
	page.Add("How long it takes", p99)

	bars := plot.Chart{
		X: plot.Axis{Names: r.names}, Y: plot.Axis{Label: "served, % of what was asked for", Max: 100}, Bars: true,
		Note: fmt.Sprintf("%d tenants send %g of the capacity each, one sends %g times the capacity.", mice, mouseLoad, elephantLoad),
	}
	small, big := plot.Series{Name: "the small ones"}, plot.Series{Name: "the elephant"}
	for i, t := range r.tenants {
		small.Points = append(small.Points, plot.Point{X: float64(i), Y: percent(t.mice)})
		big.Points = append(big.Points, plot.Point{X: float64(i), Y: percent(t.elephant)})
	}
	bars.Series = []plot.Series{small, big}
	page.Add("An elephant among the tenants", bars)
	return page.WriteFile(path)
}
