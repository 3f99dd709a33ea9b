package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-calm/calm/examples/internal/accesslog"
	"github.com/go-calm/calm/examples/internal/term"
)

// runConfig says what a run in one process does.
type runConfig struct {
	nodes     int
	node      nodeConfig
	input     accesslog.Input
	partition bool
	cutFor    time.Duration
	patience  time.Duration // for the nodes to agree in the end
	stay      bool
	out       io.Writer
	progress  *term.Progress
}

// cutAfter is after how many lines the network is cut if nobody knows how many will come.
const cutAfter = 5000

// run is a whole run in one process: start, ingest, cut, heal, agree, check. When ctx is done the
// input ends there. It returns the process' exit code.
func run(ctx context.Context, cfg runConfig) (int, error) {
	c, err := startCluster(ctx, cfg.nodes, cfg.node)
	if err != nil {
		return exitFailed, err
	}
	defer c.close()
	fmt.Fprintf(cfg.out, "%d nodes, %d workers each", cfg.nodes, cfg.node.workers)
	if len(cfg.node.key) > 0 {
		fmt.Fprint(cfg.out, ", encrypted")
	}
	fmt.Fprintln(cfg.out)
	for _, n := range c.nodes {
		fmt.Fprintf(cfg.out, "  %s  gossip %s  status %s\n", n.cfg.name, n.agent.Addr(), n.web.url())
	}

	r := &runner{cfg: cfg, cluster: c}
	if err := r.ingest(ctx); err != nil {
		return exitFailed, err
	}
	r.heal(ctx)
	cfg.progress.Show("all is counted, the nodes are still telling each other")
	agreed := c.wait(context.WithoutCancel(ctx), cfg.patience, c.agree) == nil
	r.agreed = time.Now()
	cfg.progress.Done()

	want := r.inline
	if want == nil {
		cfg.progress.Show("counting the input once more, in one goroutine")
		limit := int64(everything)
		if ctx.Err() != nil {
			limit = r.given[0] + r.given[1]
		}
		if want, err = recountOf(cfg.input, limit); err != nil {
			return exitFailed, err
		}
		cfg.progress.Done()
	}
	code := r.report(want, agreed)
	if cfg.stay && ctx.Err() == nil {
		fmt.Fprintln(cfg.out, "the nodes go on; interrupt to end them")
		<-ctx.Done()
	}
	return code, nil
}

// runner is a run under way.
type runner struct {
	cfg     runConfig
	cluster *cluster
	inline  *recount // of an input that cannot be read twice
	given   [2]int64 // lines that were handed to each side

	start, ingested, healed, agreed time.Time
	isCut                           bool
	cutAt                           time.Time
	cutGiven                        [2]int64 // as given, when the network was cut
	healGiven                       [2]int64 // and when it healed
	healKnown                       [2]int64 // what each side knew when it healed
}

// ingest hands the input to the nodes, and cuts the network half-way.
func (r *runner) ingest(ctx context.Context) error {
	s, err := r.cfg.input.Open()
	if err != nil {
		return err
	}
	defer s.Close()
	if !r.cfg.input.Again() {
		r.inline = newRecount()
	}
	reading, stop := context.WithCancel(ctx)
	defer stop()
	chunks, failed := newLines(s).read(reading)

	r.start = time.Now()
	healAt := make(<-chan time.Time)
	show := time.NewTicker(100 * time.Millisecond)
	defer show.Stop()
	var held *chunk // until the cut, the last chunk waits for the next one to be seen
	fed := 0
	give := func(c chunk) {
		if r.inline != nil {
			r.inline.add(c.text, everything)
		}
		r.given[r.cluster.feed(fed, c)] += c.lines()
		fed++
	}
	wantsCut := r.cfg.partition && len(r.cluster.nodes) > 1
	for open := true; open; {
		select {
		case <-ctx.Done():
			open = false
		case <-healAt:
			r.endCut()
			healAt = nil
		case <-show.C:
			r.showProgress(s.Fraction())
		case c, ok := <-chunks:
			if open = ok; !ok {
				break
			}
			if !wantsCut || !r.cutAt.IsZero() {
				give(c)
				break
			}
			if held != nil {
				give(*held)
				if f := s.Fraction(); f >= 0.5 || f < 0 && r.inline.lines >= cutAfter {
					r.beginCut()
					healAt = time.After(r.cfg.cutFor)
					give(c)
					held = nil
					break
				}
			}
			held = &c
		}
	}
	if held != nil {
		// All of it came at once: there is no half-way but the middle of the last chunk.
		first, second := held.halve()
		give(first)
		r.beginCut()
		if second.text != "" {
			give(second)
		}
	}
	if err := r.cluster.drain(); err != nil {
		return err
	}
	r.ingested = time.Now()
	if ctx.Err() != nil {
		return nil // the rest was not wanted
	}
	if err := failed(); err != nil {
		return fmt.Errorf("%s: %w", r.cfg.input, err)
	}
	return nil
}

// beginCut divides the network.
func (r *runner) beginCut() {
	r.cutGiven = r.given
	r.cluster.cut()
	r.isCut, r.cutAt = true, time.Now()
}

// endCut makes the network whole again.
func (r *runner) endCut() {
	if !r.isCut {
		return
	}
	r.healGiven = r.given
	r.healKnown = r.cluster.known()
	r.cluster.network.Heal()
	r.isCut, r.healed = false, time.Now()
}

// heal waits for the cut to have lasted its time, and ends it.
func (r *runner) heal(ctx context.Context) {
	if !r.isCut {
		return
	}
	rest := time.NewTimer(time.Until(r.cutAt.Add(r.cfg.cutFor)))
	defer rest.Stop()
	r.cfg.progress.Show("all is counted, the network stays cut for a moment")
	select {
	case <-rest.C:
	case <-ctx.Done():
	}
	r.endCut()
}

func (r *runner) showProgress(fraction float64) {
	lines := r.cluster.lines()
	text := fmt.Sprintf("%s lines, %s/s", term.Thousands(lines), term.PerSecond(lines, time.Since(r.start)))
	if fraction >= 0 {
		text = fmt.Sprintf("%3.0f %%  ", 100*fraction) + text
	}
	if r.isCut {
		text += ", the network is cut in two"
	}
	if n := r.dropped(); n > 0 {
		text += fmt.Sprintf(", %s dropped", term.Thousands(n))
	}
	r.cfg.progress.Show(text)
}

func (r *runner) dropped() (n int64) {
	for _, node := range r.cluster.nodes {
		n += node.in.dropped.n.Load()
	}
	return n
}

// lines is how many lines there are in a chunk.
func (c chunk) lines() int64 {
	n := int64(strings.Count(c.text, "\n"))
	if c.text != "" && !strings.HasSuffix(c.text, "\n") {
		n++
	}
	return n
}

// halve cuts a chunk in two after a line in its middle; of a single line the second half is empty.
func (c chunk) halve() (first, second chunk) {
	middle := len(c.text) / 2
	for middle < len(c.text) && (middle == 0 || c.text[middle-1] != '\n') {
		middle++
	}
	first, second = c, c
	first.text, second.text = c.text[:middle], c.text[middle:]
	return first, second
}
