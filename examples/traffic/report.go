package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/go-calm/calm/examples/internal/term"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailed  = 1 // the nodes do not agree, or not with the recount, or something went wrong
	exitUsage   = 2
	exitDropped = 3 // the nodes agree, and what lacks is exactly what was dropped by choice
)

// report prints what came out, and returns the exit code.
func (r *runner) report(want *recount, agreed bool) int {
	out := r.cfg.out
	c := r.cluster
	fmt.Fprintln(out)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "node\tlines taken\tmalformed\tdropped\tgossiped\tpackets\tstreams\t")
	for _, n := range c.nodes {
		s := n.agent.Traffic()
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", n.cfg.name, term.Thousands(n.in.lines.Load()), term.Thousands(n.in.malformed.Load()),
			term.Thousands(n.in.dropped.n.Load()), term.Size(int64(s.Bytes())), term.Thousands(int64(s.PacketsSent)), term.Thousands(int64(s.StreamsOpened)))
	}
	t.Flush()
	fmt.Fprintln(out)

	r.reportCut(agreed)
	var shown totals
	c.nodes[0].view(func(s *site) {
		shown = s.totals(topShown)
	})
	fmt.Fprintf(out, "%s requests for %s pages by %s unique visitors, %s sent to them, %s to %s\n", term.Thousands(shown.Requests),
		term.Thousands(int64(shown.Pages)), term.Thousands(int64(shown.Visitors)), term.Size(shown.Bytes), shown.First, shown.Last)
	for i, name := range classNames {
		if n := shown.Classes[name]; n > 0 {
			fmt.Fprintf(out, "  %s %s", classNames[i], term.Thousands(n))
		}
	}
	fmt.Fprint(out, "\n\n")
	t = tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "requests\tvisitors\tbytes\tpage")
	for _, p := range shown.Top {
		fmt.Fprintf(t, "%8s\t%8s\t%8s\t%s\n", term.Thousands(p.Requests), term.Thousands(int64(p.Visitors)), term.Size(p.Bytes), term.Printable(p.Page))
	}
	t.Flush()
	fmt.Fprintln(out)
	for _, b := range want.bad.first {
		fmt.Fprintf(out, "malformed: %s: %s\n", b.err, term.Printable(b.text))
	}
	if more := want.bad.count - int64(len(want.bad.first)); more > 0 {
		fmt.Fprintf(out, "malformed: and %s more\n", term.Thousands(more))
	}
	r.reportSpeed(want)
	return r.check(want, agreed)
}

// reportCut tells of the cut.
func (r *runner) reportCut(agreed bool) {
	out, c := r.cfg.out, r.cluster
	switch {
	case !r.cfg.partition:
		fmt.Fprintln(out, "the network was not cut (-partition=false)")
	case len(c.nodes) < 2:
		fmt.Fprintln(out, "one node alone has no network to cut")
	case r.cutAt.IsZero():
		fmt.Fprintln(out, "nothing came in, so the network was not cut")
	default:
		fmt.Fprintf(out, "cut after %s lines for %s: nodes 1–%d | %d–%d took %s | %s more lines, and knew of %s | %s requests in the end\n",
			term.Thousands(r.cutGiven[0]+r.cutGiven[1]), term.Took(r.healed.Sub(r.cutAt)), len(c.sides[0]), len(c.sides[0])+1, len(c.nodes),
			term.Thousands(r.healGiven[0]-r.cutGiven[0]), term.Thousands(r.healGiven[1]-r.cutGiven[1]),
			term.Thousands(r.healKnown[0]), term.Thousands(r.healKnown[1]))
		var packets, streams uint64
		for _, n := range c.nodes {
			s := n.agent.Traffic()
			packets += s.PacketsDropped
			streams += s.StreamsRefused
		}
		fmt.Fprintf(out, "the cut dropped %s packets and refused %s streams\n", term.Thousands(int64(packets)), term.Thousands(int64(streams)))
	}
	from, since := r.ingested, "the last line"
	if r.healed.After(from) {
		from, since = r.healed, "the heal"
	}
	if agreed {
		fmt.Fprintf(out, "all nodes held the same state %s after %s\n", term.Took(r.agreed.Sub(from)), since)
	}
}

// reportSpeed sets what the nodes did against what one goroutine does. It says it as it is: where
// all runs on one machine, agreeing is only cost.
func (r *runner) reportSpeed(want *recount) {
	ingest := r.ingested.Sub(r.start)
	ratio := ingest.Seconds() / max(want.elapsed.Seconds(), 1e-9)
	how := "times slower"
	if ratio < 1 {
		ratio, how = 1/ratio, "times faster"
	}
	fmt.Fprintf(r.cfg.out, "speed: %s lines/s into %d nodes, replicated; %s lines/s in one goroutine with plain maps: %.1f %s\n",
		term.PerSecond(want.lines, ingest), len(r.cluster.nodes), term.PerSecond(want.lines, want.elapsed), ratio, how)
}

// check compares every node with the recount, and prints the verdict.
func (r *runner) check(want *recount, agreed bool) int {
	out := r.cfg.out
	if !agreed {
		fmt.Fprintf(out, "check: FAILED, the nodes do not agree after %v\n", r.cfg.patience)
		for _, n := range r.cluster.nodes {
			fingerprint, settled := n.settled()
			fmt.Fprintf(out, "  %s: %s, settled: %v\n", n.cfg.name, fingerprint, settled)
		}
		return exitFailed
	}
	var lines, dropped int64
	missing := map[string]pageTally{}
	for _, n := range r.cluster.nodes {
		lines += n.in.lines.Load()
		dropped += n.in.dropped.n.Load()
		n.in.dropped.addTo(missing)
	}
	var wrong []string
	if lines != want.lines {
		wrong = append(wrong, fmt.Sprintf("the nodes took %s lines, the recount %s", term.Thousands(lines), term.Thousands(want.lines)))
	}
	for _, n := range r.cluster.nodes {
		n.view(func(s *site) {
			for _, w := range differences(s, want, missing) {
				wrong = append(wrong, n.cfg.name+": "+w)
			}
		})
	}
	const shown = 10
	if len(wrong) > 0 {
		fmt.Fprintf(out, "check: FAILED\n  %s\n", strings.Join(wrong[:min(len(wrong), shown)], "\n  "))
		return exitFailed
	}
	n := len(r.cluster.nodes)
	if dropped > 0 {
		fmt.Fprintf(out, "check: totals equal on %d nodes; with the %s requests that -full=%s dropped they are equal to a single-threaded recount\n",
			n, term.Thousands(dropped), r.cfg.node.full)
		return exitDropped
	}
	fmt.Fprintf(out, "check: ok, totals equal on %d nodes and equal to a single-threaded recount of the input\n", n)
	return exitOK
}

// addTo adds what was dropped, by page.
func (d *drops) addTo(sum map[string]pageTally) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for page, p := range d.by {
		t := sum[page]
		t.requests += p.requests
		t.bytes += p.bytes
		sum[page] = t
	}
}

// differences says where a node's state is not what the recount says less what was dropped. Of a
// dropped request nobody knows whether it was a visitor's only one, so that with drops there may be
// fewer visitors than in the recount, but none that is not.
func differences(s *site, want *recount, missing map[string]pageTally) (wrong []string) {
	differ := func(what string, got, want any) {
		if got != want {
			wrong = append(wrong, fmt.Sprintf("%s: %v, recounted %v", what, got, want))
		}
	}
	exact := len(missing) == 0
	pages := 0
	for name, p := range want.pages {
		lost := missing[name]
		differ("requests for "+term.Printable(name), s.Requests.At(name).Value(), p.requests-lost.requests)
		differ("bytes of "+term.Printable(name), s.Bytes.At(name).Value(), p.bytes-lost.bytes)
		seen := s.Visitors.At(name)
		for v := range seen.All() {
			if _, ok := p.visitors[v]; !ok {
				wrong = append(wrong, fmt.Sprintf("a visitor of %s that was not there", term.Printable(name)))
			}
		}
		if exact {
			differ("visitors of "+term.Printable(name), seen.Len(), len(p.visitors))
		}
		if p.requests > lost.requests {
			pages++
			differ("in the set of pages: "+term.Printable(name), s.Pages.Contains(name), true)
		}
	}
	differ("pages with requests", s.Requests.Len(), pages)
	differ("pages", s.Pages.Len(), pages)
	for v := range s.Unique.All() {
		if _, ok := want.visitors[v]; !ok {
			wrong = append(wrong, "a unique visitor that was not there")
		}
	}
	if !exact {
		return wrong
	}
	differ("unique visitors", s.Unique.Len(), len(want.visitors))
	for class, n := range want.classes {
		differ("responses of class "+classNames[class], s.Classes.At(classNames[class]).Value(), n)
	}
	if len(want.pages) > 0 {
		differ("first and last request", s.span(), span{want.first, want.last})
	}
	return wrong
}
