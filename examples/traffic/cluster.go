package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-calm/calm/backpressure"
	"github.com/go-calm/calm/examples/internal/cutnet"
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
			n.view(func(s *site) { requests[i] = max(requests[i], s.totals(0).Requests) })
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
