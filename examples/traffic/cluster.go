package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/go-calm/calm/backpressure"
	"github.com/go-calm/calm/examples/internal/cutnet"
	"github.com/go-calm/calm/lattice"
)

// cluster is a number of nodes in this process, each of which could as well be on a machine of its
// own: they share nothing but the network, and that so that it can be cut.
type cluster struct {
	nodes   []*node
	queues  []*backpressure.Queue[chunk] // what is handed to each node
	feeding sync.WaitGroup
	network cutnet.Network
	sides   [2][]*node // of the cut
}

// startTimeout is how long nodes may take to find each other.
const startTimeout = 15 * time.Second

// startCluster starts n nodes like cfg and waits until they know each other.
func startCluster(ctx context.Context, n int, cfg nodeConfig) (*cluster, error) {
	c := &cluster{}
	cfg.network, cfg.local = &c.network, true
	for i := range n {
		cfg.name = fmt.Sprintf("node %d", i+1)
		node, err := startNode(cfg)
		if err != nil {
			c.close()
			return nil, err
		}
		c.nodes = append(c.nodes, node)
		cfg.join = append(cfg.join, node.agent.Addr())
	}
	half := (n + 1) / 2
	c.sides = [2][]*node{c.nodes[:half], c.nodes[half:]}
	err := c.wait(ctx, startTimeout, func() bool {
		for _, node := range c.nodes {
			if len(node.peerList()) != n-1 {
				return false
			}
		}
		return true
	})
	if err != nil {
		c.close()
		return nil, fmt.Errorf("the nodes did not find each other: %w", err)
	}
	for _, node := range c.nodes {
		q := backpressure.NewQueue[chunk](4)
		c.queues = append(c.queues, q)
		c.feeding.Go(func() {
			for chunk := range q.All(context.Background()) {
				node.feed(chunk)
			}
		})
	}
	return c, nil
}

// wait polls until f holds.
func (c *cluster) wait(ctx context.Context, patience time.Duration, f func() bool) error {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for !f() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			return fmt.Errorf("not within %v", patience)
		case <-poll.C:
		}
	}
	return nil
}

// feed hands the i-th chunk to a node, each in its turn, and returns the side that the node is on.
func (c *cluster) feed(i int, ch chunk) (side int) {
	i %= len(c.nodes)
	// The queue is open until drain, so this cannot fail; it waits while the node is busy.
	_ = c.queues[i].Put(context.Background(), ch)
	if i < len(c.sides[0]) {
		return 0
	}
	return 1
}

// drain waits until every node has counted all that it was handed.
func (c *cluster) drain() error {
	for _, q := range c.queues {
		q.Close()
	}
	c.feeding.Wait()
	var flushing sync.WaitGroup
	errs := make([]error, len(c.nodes))
	for i, n := range c.nodes {
		flushing.Go(func() { errs[i] = n.flush() })
	}
	flushing.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) cut() {
	var addrs [2][]string
	for i, side := range c.sides {
		for _, n := range side {
			addrs[i] = append(addrs[i], n.agent.Addr())
		}
	}
	c.network.Cut(addrs[0], addrs[1])
}

// agree reports whether all nodes hold the same state and none has anything to add to it.
func (c *cluster) agree() bool {
	first, ok := c.nodes[0].settled()
	if !ok {
		return false
	}
	for _, n := range c.nodes[1:] {
		if other, ok := n.settled(); !ok || other != first {
			return false
		}
	}
	return true
}

// lines is how many lines the nodes took.
func (c *cluster) lines() (n int64) {
	for _, node := range c.nodes {
		n += node.in.lines.Load()
	}
	return n
}

// known is how many requests the node with the most knowledge on each side knows of.
func (c *cluster) known() (requests [2]int64) {
	for i, side := range c.sides {
		for _, n := range side {
			n.view(func(s *site, _ *lattice.Set[string]) { requests[i] = max(requests[i], s.totals(0).Requests) })
		}
	}
	return requests
}

func (c *cluster) close() {
	var closing sync.WaitGroup
	for _, n := range c.nodes {
		closing.Go(func() { n.close() })
	}
	closing.Wait()
}

// runConfig says what a run in one process does.
type runConfig struct {
	nodes     int
	node      nodeConfig
	input     input
	partition bool
	cutFor    time.Duration
	patience  time.Duration // for the nodes to agree in the end
	stay      bool
	out       io.Writer
	progress  *progress
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
	cfg.progress.show("all is counted, the nodes are still telling each other")
	agreed := c.wait(context.WithoutCancel(ctx), cfg.patience, c.agree) == nil
	r.agreed = time.Now()
	cfg.progress.done()

	want := r.inline
	if want == nil {
		cfg.progress.show("counting the input once more, in one goroutine")
		limit := int64(everything)
		if ctx.Err() != nil {
			limit = r.given[0] + r.given[1]
		}
		if want, err = recountOf(cfg.input, limit); err != nil {
			return exitFailed, err
		}
		cfg.progress.done()
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
	s, err := r.cfg.input.open()
	if err != nil {
		return err
	}
	defer s.Close()
	if !r.cfg.input.again() {
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
			r.showProgress(s.fraction())
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
				if f := s.fraction(); f >= 0.5 || f < 0 && r.inline.lines >= cutAfter {
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
	r.cfg.progress.show("all is counted, the network stays cut for a moment")
	select {
	case <-rest.C:
	case <-ctx.Done():
	}
	r.endCut()
}

func (r *runner) showProgress(fraction float64) {
	lines := r.cluster.lines()
	text := fmt.Sprintf("%s lines, %s/s", thousands(lines), perSecond(lines, time.Since(r.start)))
	if fraction >= 0 {
		text = fmt.Sprintf("%3.0f %%  ", 100*fraction) + text
	}
	if r.isCut {
		text += ", the network is cut in two"
	}
	if n := r.dropped(); n > 0 {
		text += fmt.Sprintf(", %s dropped", thousands(n))
	}
	r.cfg.progress.show(text)
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
