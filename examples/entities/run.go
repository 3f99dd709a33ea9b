package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-calm/calm/examples/internal/term"
)

type runConfig struct {
	work     [][]event // by reader
	lines    int
	nodes    int
	out      io.Writer
	progress *term.Progress
}

// run sends the work to a cluster whose nodes change meanwhile, and checks what comes out.
func run(ctx context.Context, c runConfig) error {
	defer c.progress.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	nodes, err := newCluster(ctx, c.nodes)
	if err != nil {
		return err
	}
	want := recount(c.work)
	outside, all := int64(0), int64(0) // messages from readers, and with those that turns send
	for _, events := range c.work {
		outside += int64(len(events))
	}
	for _, a := range want {
		all += a.Events
	}

	began := time.Now()
	var sent atomic.Int64
	third, twoThirds := make(chan struct{}), make(chan struct{})
	var readers, changes sync.WaitGroup
	for _, events := range c.work {
		readers.Go(func() {
			for _, e := range events {
				if err := nodes.send(ctx, e); err != nil {
					cancel(err)
					return
				}
				switch n := sent.Add(1); n {
				case max(outside/3, 1):
					close(third)
				case max(outside*2/3, 2):
					close(twoThirds)
				}
			}
		})
	}
	change := func(when <-chan struct{}, what string, do func() (moves, error)) error {
		select {
		case <-when:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		before, began := nodes.handled(), time.Now()
		m, err := do()
		if err != nil {
			return err
		}
		c.progress.Done()
		fmt.Fprintf(c.out, "%s: %d of %d slots moved (the least there can be: %d) with %s entities, in %d waves and %s, while %s messages were handled\n",
			what, len(m.plan.Moves), slots, m.plan.Lower, term.Thousands(int64(m.entities)), m.waves,
			term.Took(time.Since(began)), term.Thousands(max(nodes.handled()-before, 0)))
		return nil
	}
	if outside >= 3 { // or there is no time for it
		changes.Go(func() {
			joining := fmt.Sprintf("node-%d", c.nodes+1)
			if err := change(third, joining+" joins", func() (moves, error) { return nodes.join(ctx, joining) }); err != nil {
				cancel(err)
				return
			}
			if err := change(twoThirds, "node-1 leaves", func() (moves, error) { return nodes.leave(ctx, "node-1") }); err != nil {
				cancel(err)
			}
		})
	}
	watching, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		for watching.Err() == nil {
			c.progress.Show(fmt.Sprintf("%s of %s messages sent", term.Thousands(sent.Load()), term.Thousands(outside)))
			select {
			case <-time.After(100 * time.Millisecond):
			case <-watching.Done():
			}
		}
	})
	readers.Wait()
	changes.Wait()
	stop()
	watch.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := nodes.settle(ctx, all); err != nil {
		return err
	}
	took := time.Since(began)
	got, err := nodes.close(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%s messages from outside and %s between entities, %s of them between nodes, in %s: %s a second\n",
		term.Thousands(outside), term.Thousands(all-outside), term.Thousands(nodes.sent.Load()), term.Took(took), term.PerSecond(all, took))
	return check(c.out, got, want, c.lines)
}

// check compares the states with those of a recount.
func check(out io.Writer, got, want map[string]account, lines int) error {
	var wrong, in, paid int64
	for key, a := range got {
		wrong += a.Wrong
		in += a.In
		paid += a.Out
		if w := want[key]; a.Events != w.Events {
			return fmt.Errorf("%s handled %d messages instead of %d", key, a.Events, w.Events)
		}
	}
	if wrong > 0 {
		return fmt.Errorf("%d messages came out of order", wrong)
	}
	if !maps.Equal(got, want) {
		return fmt.Errorf("the states are not those of a recount: %d entities, %d there", len(got), len(want))
	}
	fmt.Fprintf(out, "%s entities after %s lines: none lost a message, got one twice or out of order; all states equal a recount's\n",
		term.Thousands(int64(len(got))), term.Thousands(int64(lines)))
	if paid > 0 {
		fmt.Fprintf(out, "paid %s, received %s\n", term.Thousands(paid), term.Thousands(in))
	}
	top := slices.SortedFunc(maps.Keys(got), func(a, b string) int {
		return int(got[b].Events - got[a].Events)
	})
	for _, key := range top[:min(3, len(top))] {
		fmt.Fprintf(out, "  %s: %s messages\n", term.Printable(key), term.Thousands(got[key].Events))
	}
	return nil
}
