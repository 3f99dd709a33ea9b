package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-calm/calm/examples/internal/term"
	"github.com/go-calm/calm/lattice"
)

type runConfig struct {
	engine   Engine
	shares   []share
	queue    int
	away     time.Duration
	out      io.Writer
	progress *term.Progress
}

// errKilled ends the node that dies half-way.
var errKilled = errors.New("killed")

// snapshotEvery is how many deltas lie between snapshots.
const snapshotEvery = 50

// run has each share counted by a node, with the accidents that the program is about, and compares
// the results.
func run(ctx context.Context, c runConfig) error {
	defer c.progress.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	goal := make([]lattice.Max[uint64], len(c.shares))
	batches := 0
	for i, s := range c.shares {
		goal[i] = lattice.MaxOf(uint64(len(s.batches)))
		batches += len(s.batches)
	}
	all := lattice.AtLeast(lattice.VecOf(goal...))

	log, err := c.engine.Open(ctx)
	if err != nil {
		return err
	}
	defer log.Close()
	archiving, endArchive := context.WithCancel(ctx)
	var archivist sync.WaitGroup
	archivist.Go(func() {
		if err := archive(archiving, log, snapshotEvery); err != nil && archiving.Err() == nil {
			cancel(fmt.Errorf("archive: %w", err))
		}
	})
	defer archivist.Wait()
	defer endArchive()

	var done atomic.Int64
	var restart sync.Once
	var story sync.Mutex
	tell := func(format string, args ...any) {
		story.Lock()
		defer story.Unlock()
		c.progress.Done()
		fmt.Fprintf(c.out, format+"\n", args...)
	}
	// Half-way through the whole the engine goes away; the last node dies half-way through its share.
	var accidents sync.WaitGroup
	onBatch := func(s share, fresh bool) func(int) error {
		return func(number int) error {
			n := done.Add(1)
			c.progress.Show(fmt.Sprintf("%d of %d batches", n, batches))
			if n == int64(batches/2) {
				restart.Do(func() {
					accidents.Go(func() {
						before := done.Load()
						if c.engine.Restart(func() { time.Sleep(c.away) }) {
							tell("the engine was away for %s; meanwhile the nodes counted %d batches", term.Took(c.away), done.Load()-before)
						}
					})
				})
			}
			if fresh && s.number == len(c.shares)-1 && number == len(s.batches)*3/4 {
				return errKilled
			}
			return nil
		}
	}

	began := time.Now()
	nodes := make([]*node, len(c.shares))
	var wg sync.WaitGroup
	for i, s := range c.shares {
		wg.Go(func() {
			for fresh := true; ; fresh = false {
				log, err := c.engine.Open(ctx)
				if err != nil {
					cancel(err)
					return
				}
				started := time.Now()
				n := newNode(s, len(c.shares), log, c.queue)
				nodes[i] = n
				err = n.run(ctx, all, onBatch(s, fresh))
				log.Close()
				switch {
				case errors.Is(err, errKilled):
					tell("node %d was killed; %d of its batches had not reached the engine", i, n.pending.Stats().Len)
					continue
				case errors.Is(err, errTaken):
					// The dead are not always dead: somebody else counted this batch. What this
					// node knows of its share is no longer true, so it starts over.
					tell("node %d found a batch of its share written by another, and starts over", i)
					continue
				case err != nil:
					cancel(fmt.Errorf("node %d: %w", i, err))
				case !fresh:
					tell("node %d in its place began with %s, and was done after %s", i, n.from, term.Took(time.Since(started)))
				}
				return
			}
		})
	}
	wg.Wait()
	accidents.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return compare(c, nodes, time.Since(began))
}

// compare checks that all nodes know the same, and that it is what a recount says.
func compare(c runConfig, nodes []*node, took time.Duration) error {
	began := time.Now()
	want := recount(c.shares)
	alone := time.Since(began)
	var lines, bytes, appended int64
	fullest := 0
	for _, n := range want {
		lines += n
	}
	_, first := nodes[0].totals()
	for i, n := range nodes {
		got, fingerprint := n.totals()
		if !maps.Equal(got, want) {
			return fmt.Errorf("node %d counted %v, a recount says %v", i, sum(got), lines)
		}
		if fingerprint != first {
			return fmt.Errorf("nodes 0 and %d count alike but hold different states", i)
		}
		bytes += n.bytes
		appended += n.appended
		fullest = max(fullest, n.fullest)
	}
	fmt.Fprintf(c.out, "%d nodes counted %s lines in %s, %s a second; one goroutine adds up the same lines in %s\n",
		len(nodes), term.Thousands(lines), term.Took(took), term.PerSecond(lines, took), term.Took(alone))
	fmt.Fprintf(c.out, "%s deltas went through the engine, %s each; at most %d waited for it\n",
		term.Thousands(appended), term.Size(bytes/max(appended, 1)), fullest)
	fmt.Fprintf(c.out, "all nodes hold the same state (%016x), and it is what a recount says: %d pages\n", first, len(want))
	return nil
}

func sum(pages map[string]int64) (n int64) {
	for _, c := range pages {
		n += c
	}
	return n
}
