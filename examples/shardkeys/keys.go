package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-calm/calm/examples/internal/accesslog"
	"github.com/go-calm/calm/examples/internal/plot"
	"github.com/go-calm/calm/examples/internal/term"
	"github.com/go-calm/calm/shard"
)

// request is what a key is made of.
type request struct{ visitor, page string }

// candidates are the keys to choose from.
var candidates = map[string]func(request) string{
	"visitor":        func(r request) string { return r.visitor },
	"page":           func(r request) string { return r.page },
	"visitor + page": func(r request) string { return r.visitor + " " + r.page },
}

// read returns the requests of a log.
func read(in accesslog.Input, bar *term.Progress) (requests []request, malformed int, err error) {
	s, err := in.Open()
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	defer bar.Done()
	lines := bufio.NewReaderSize(s, 64<<10)
	known := map[string]string{} // one copy of each, so that no line is kept
	keep := func(part string) string {
		if _, ok := known[part]; !ok {
			part = strings.Clone(part)
			known[part] = part
		}
		return known[part]
	}
	for {
		text, err := lines.ReadString('\n')
		if text != "" {
			if l, bad := accesslog.Parse(strings.TrimSuffix(text, "\n")); bad != nil {
				malformed++
			} else {
				requests = append(requests, request{keep(l.Visitor), keep(l.Page)})
				if len(requests)%(1<<14) == 0 {
					bar.Show(term.Thousands(int64(len(requests))) + " requests")
				}
			}
		}
		if errors.Is(err, io.EOF) {
			return requests, malformed, nil
		}
		if err != nil {
			return nil, 0, err
		}
	}
}

// nodeSet is a number of nodes.
func nodeSet(n int) []shard.Node {
	nodes := make([]shard.Node, n)
	for i := range nodes {
		nodes[i].ID = fmt.Sprintf("node-%d", i+1)
	}
	return nodes
}

const (
	startNodes = 8
	slots      = 1024
)

// judge ranks the keys, draws what the nodes have to carry under each, and returns the best.
func judge(w io.Writer, requests []request) (best func(request) string, page *plot.Page, err error) {
	m, err := shard.New(nodeSet(startNodes), shard.Slots(slots))
	if err != nil {
		return nil, nil, err
	}
	page = &plot.Page{
		Title: "Which key to shard by?",
		Lead:  fmt.Sprintf("%s requests on %d nodes, by %d slots", term.Thousands(int64(len(requests))), startNodes, slots),
	}
	var rows [][]string
	for _, r := range shard.Rank(slices.Values(requests), startNodes, candidates) {
		key := candidates[r.Name]
		if best == nil {
			best = key
		}
		load := make([]float64, m.Slots())
		for _, req := range requests {
			load[m.Slot(key(req))]++
		}
		p := shard.Balancer{Limit: 1.05}.Propose(m, load)
		after, err := m.Apply(p.Plan)
		if err != nil {
			return nil, nil, err
		}
		fmt.Fprintln(w, r)
		fmt.Fprintf(w, "  the fullest node carries %.2f times its share; %d moves, of %.1f %% of the load, bring it to %.2f\n",
			p.PeakBefore, len(p.Moves), 100*p.Cost/float64(len(requests)), p.PeakAfter)
		note := fmt.Sprintf("%d moves, of %.1f %% of the load. 1 is a fair share.", len(p.Moves), 100*p.Cost/float64(len(requests)))
		for i, h := range p.Hot {
			if i == 2 {
				break
			}
			fmt.Fprintf(w, "  slot %d has %.1f %% of the load: %s\n", h.Slot, 100*h.Share, h.Why)
			note += fmt.Sprintf(" Slot %d cannot be moved away: %s.", h.Slot, h.Why)
		}
		for i, top := range r.Top[:min(len(r.Top), 3)] {
			fmt.Fprintf(w, "  no. %d: %.2f %%  %s\n", i+1, 100*float64(top.Count)/float64(r.Events), term.Printable(top.Key))
		}
		page.Add("By "+r.Name, plot.Chart{
			X: plot.Axis{Label: "nodes, fullest first", Names: ordinals(startNodes)}, Y: plot.Axis{Label: "load / fair share"},
			Series: []plot.Series{{Name: "as placed", Points: carried(m, load)}, {Name: "after the balancer", Points: carried(after, load)}},
			Bars:   true, Note: note, Height: 260,
		})
		rows = append(rows, []string{
			r.Name, term.Thousands(int64(r.Distinct)), fmt.Sprintf("%.2f %%", 100*r.MaxShare), fmt.Sprintf("%.3g", r.Ceiling),
			fmt.Sprintf("%.2f", r.Peak), fmt.Sprintf("%.2f", p.PeakBefore), fmt.Sprintf("%.2f", p.PeakAfter), r.Verdict(),
		})
	}
	page.AddTable("All three", []string{"key", "distinct", "top one", "shards it can fill", "peak expected", "placed", "balanced", "verdict"}, rows)
	return best, page, nil
}

// carried is what the nodes carry, relative to an even share, fullest first.
func carried(m *shard.Map, load []float64) []plot.Point {
	sum, byNode := 0.0, map[string]float64{}
	for s, l := range load {
		for n := range m.Owners(shard.Slot(s)) {
			byNode[n.ID] += l
		}
		sum += l
	}
	var points []plot.Point
	for n := range m.Nodes() {
		points = append(points, plot.Point{Y: byNode[n.ID] / sum * float64(m.Stats().Nodes)})
	}
	slices.SortFunc(points, func(a, b plot.Point) int { return cmp.Compare(b.Y, a.Y) })
	for i := range points {
		points[i].X = float64(i)
	}
	return points
}

func ordinals(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint(i + 1)
	}
	return names
}
