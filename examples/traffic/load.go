package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-calm/calm/examples/internal/accesslog"
	"github.com/go-calm/calm/examples/internal/term"
)

// loadConfig says what -load does.
type loadConfig struct {
	nodes    int
	node     nodeConfig
	input    accesslog.Input
	start    int           // lines a second, offered at first
	step     time.Duration // how long each rate is offered
	patience time.Duration
	out      io.Writer
	progress *term.Progress
}

const (
	// chunksPerSecond is how often each node is offered lines.
	chunksPerSecond = 200
	// doorstep is how late lines may be that nobody had time for yet. What is later is turned away at
	// the door, unless the policy is to wait: then it waits, and so does all that comes after it.
	doorstep = 100 * time.Millisecond
	// keptUp is the share of what was offered that must be counted in time for a rate to count as
	// carried.
	keptUp = 0.95
)

// offer is what happened at one rate.
type offer struct {
	rate    int   // lines a second, offered
	offered int64 // lines
	counted int64 // within the step
	dropped int64 // by the policy, from a worker's queue or at the door
	late    []time.Duration
	behind  time.Duration // how long counting the rest took when nothing more came
}

func (o offer) carried() bool { return float64(o.counted) >= keptUp*float64(o.offered) }

// load offers lines at a rate that doubles until the nodes do not keep up twice, then at twice the rate that
// they carried, and at last at half of it: what happens at the limit, beyond it, and afterwards.
func load(ctx context.Context, cfg loadConfig) (int, error) {
	lines, err := linesOf(cfg.input)
	if err != nil {
		return exitFailed, err
	}
	c, err := startCluster(ctx, cfg.nodes, cfg.node)
	if err != nil {
		return exitFailed, err
	}
	defer c.close()
	l := &loader{loadConfig: cfg, cluster: c, lines: lines}
	fmt.Fprintf(cfg.out, "%d nodes, %d workers each; a queue that is full: %s; each rate for %s\n",
		cfg.nodes, cfg.node.workers, cfg.node.full, term.Took(cfg.step))
	fmt.Fprintf(cfg.out, "%14s %14s %10s %12s %12s %12s\n", "offered/s", "counted/s", "dropped", "late, p50", "late, p99", "catching up")

	best := 0                                       // counted a second, at most
	for rate, failed := cfg.start, 0; failed < 2; { // a machine may have been busy with something else once
		o, err := l.offer(ctx, rate)
		if err != nil {
			return exitFailed, err
		}
		best = max(best, int(float64(o.counted)/cfg.step.Seconds()))
		if o.carried() {
			rate, failed = 2*rate, 0
		} else {
			failed++
		}
	}
	for _, rate := range []int{2 * best, max(best/2, 1)} {
		if _, err := l.offer(ctx, rate); err != nil {
			return exitFailed, err
		}
	}
	fmt.Fprintf(cfg.out, "the nodes carry about %s lines a second\n", term.Thousands(int64(best)))
	return l.check(ctx)
}

// loader is a load under way.
type loader struct {
	loadConfig
	cluster *cluster
	lines   []string // of the input, in turn
	at      int      // the next one
	turned  int64    // lines turned away at the door
	sent    int64    // lines handed to a node
}

// offer offers lines at a rate for a step, and waits until what was let in is counted.
func (l *loader) offer(ctx context.Context, rate int) (offer, error) {
	o := offer{rate: rate}
	took, dropped := l.cluster.lines(), l.dropped()
	turned := l.turned
	began := time.Now()
	var mu sync.Mutex
	var feeding sync.WaitGroup
	ticks := max(int(l.step.Seconds()*chunksPerSecond), 1)
	plans := l.deal(rate, ticks)
	for i, node := range l.cluster.nodes {
		for _, text := range plans[i] {
			o.offered += chunk{text: text}.lines()
		}
		feeding.Go(func() {
			for t, text := range plans[i] {
				due := began.Add(time.Duration(t) * time.Second / chunksPerSecond)
				select {
				case <-time.After(time.Until(due)):
				case <-ctx.Done():
					return
				}
				late := time.Since(due)
				n := chunk{text: text}.lines()
				away := late > doorstep && l.node.full != fullBlock
				if !away {
					node.feed(chunk{text: text})
					late = time.Since(due)
				}
				mu.Lock()
				if away {
					l.turned += n
				} else {
					l.sent += n
				}
				o.late = append(o.late, late)
				mu.Unlock()
			}
		})
	}
	end := time.NewTimer(time.Until(began.Add(l.step)))
	defer end.Stop()
	show := time.NewTicker(100 * time.Millisecond)
	defer show.Stop()
	for open := true; open; {
		select {
		case <-end.C:
			open = false
		case <-show.C:
			l.progress.Show(fmt.Sprintf("%s lines/s offered", term.Thousands(int64(rate))))
		case <-ctx.Done():
			return o, context.Cause(ctx)
		}
	}
	o.counted = l.cluster.lines() - took - int64(l.queued()) - (l.dropped() - dropped)
	feeding.Wait()
	for l.queued() > 0 {
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return o, context.Cause(ctx)
		}
	}
	o.behind = max(time.Since(began)-l.step, 0)
	o.dropped = l.dropped() - dropped + l.turned - turned
	l.progress.Done()
	slices.Sort(o.late)
	fmt.Fprintf(l.out, "%14s %14s %9.1f%% %12s %12s %12s\n", term.Thousands(int64(rate)),
		term.PerSecond(o.counted, l.step), 100*float64(o.dropped)/float64(max(o.offered, 1)),
		term.Took(o.late[len(o.late)/2]), term.Took(o.late[len(o.late)*99/100]), term.Took(o.behind))
	return o, nil
}

// deal says which lines each node is offered when.
func (l *loader) deal(rate, ticks int) [][]string {
	plans := make([][]string, len(l.cluster.nodes))
	perTick := float64(rate) / chunksPerSecond / float64(len(plans))
	for i := range plans {
		owed := 0.0
		for range ticks {
			owed += perTick
			var b strings.Builder
			for ; owed >= 1; owed-- {
				b.WriteString(l.lines[l.at])
				b.WriteByte('\n')
				l.at = (l.at + 1) % len(l.lines)
			}
			plans[i] = append(plans[i], b.String())
		}
	}
	return plans
}

func (l *loader) queued() (n int) {
	for _, node := range l.cluster.nodes {
		n += node.in.queued()
	}
	return n
}

func (l *loader) dropped() (n int64) {
	for _, node := range l.cluster.nodes {
		n += node.in.dropped.n.Load()
	}
	return n
}

// check waits until the nodes agree, and compares what they know with what was let in.
func (l *loader) check(ctx context.Context) (int, error) {
	l.progress.Show("all is counted, the nodes are still telling each other")
	began := time.Now()
	if err := l.cluster.drain(); err != nil {
		return exitFailed, err
	}
	if err := l.cluster.wait(ctx, l.patience, l.cluster.agree); err != nil {
		return exitFailed, fmt.Errorf("the nodes do not agree: %w", err)
	}
	l.progress.Done()
	want := l.sent - l.dropped()
	for _, node := range l.cluster.nodes {
		want -= node.in.malformed.Load()
	}
	var got int64
	l.cluster.nodes[0].view(func(s *site) { got = s.totals(0).Requests })
	fmt.Fprintf(l.out, "all nodes agreed %s after the last line: %s requests", term.Took(time.Since(began)), term.Thousands(got))
	if got != want {
		fmt.Fprintf(l.out, ", which are not the %s that were let in\n", term.Thousands(want))
		return exitFailed, nil
	}
	fmt.Fprintf(l.out, ", exactly those that were let in; %s were dropped\n", term.Thousands(l.dropped()+l.turned))
	return exitOK, nil
}

// linesOf reads the lines that are offered again and again.
func linesOf(in accesslog.Input) ([]string, error) {
	s, err := in.Open()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	scan := bufio.NewScanner(s)
	scan.Buffer(nil, 1<<20)
	var lines []string
	for scan.Scan() {
		lines = append(lines, scan.Text())
	}
	if err := scan.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", in, err)
	}
	if len(lines) == 0 {
		return nil, errors.New("there is no line to offer")
	}
	return lines, nil
}
