package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/go-calm/calm/examples/internal/accesslog"
	"github.com/go-calm/calm/examples/internal/term"
)

// serveConfig says what a node in a process of its own does.
type serveConfig struct {
	node     nodeConfig
	input    accesslog.Input
	out      io.Writer
	progress *term.Progress
}

// leaveTimeout is how long a node that is told to stop goes on until the others have all it knows.
const leaveTimeout = 3 * time.Second

// serve runs one node until ctx is done. It returns the process' exit code.
func serve(ctx context.Context, cfg serveConfig) (int, error) {
	n, err := startNode(cfg.node)
	if err != nil {
		return exitFailed, err
	}
	defer n.close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	context.AfterFunc(n.stopped, stop) // it may have to
	fmt.Fprintf(cfg.out, "gossip %s\nstatus %s\n", n.agent.Addr(), n.web.url())
	if n.resumed {
		n.view(func(s *site) {
			fmt.Fprintf(cfg.out, "from the journal: %s lines of this node, %s requests of all\n", term.Thousands(n.saved.lines), term.Thousands(s.totals(0).Requests))
		})
		if n.saved.lines > 0 && !cfg.input.Again() {
			fmt.Fprintf(cfg.out, "%s cannot be read again: what was read after those lines and not saved is not counted\n", cfg.input)
		}
	}

	failed := n.ingestAll(ctx, cfg)
	if failed != nil {
		fmt.Fprintf(cfg.out, "%s: %v\n", cfg.input, failed)
	} else if ctx.Err() == nil {
		fmt.Fprintf(cfg.out, "%s is read to its end\n", cfg.input)
	}
	n.watch(ctx, cfg)
	cfg.progress.Done()

	all := n.leave(leaveTimeout)
	s := n.status()
	fmt.Fprintf(cfg.out, "took %s lines, %s malformed, %s dropped; knew of %s requests by %s visitors\n", term.Thousands(s.Ingest.Lines),
		term.Thousands(s.Ingest.Malformed), term.Thousands(s.Ingest.Dropped), term.Thousands(s.Totals.Requests), term.Thousands(int64(s.Totals.Visitors)))
	if cfg.node.dir != "" {
		fmt.Fprintf(cfg.out, "saved all but %s of the lines that were read\n", term.Thousands(s.Ingest.Unsaved))
	}
	if !all {
		fmt.Fprintln(cfg.out, "not every peer is known to have all of it")
	}
	if s.Ingest.SaveFailed != "" {
		fmt.Fprintln(cfg.out, s.Ingest.SaveFailed)
	}
	if failed != nil || s.Ingest.SaveFailed != "" {
		return exitFailed, nil
	}
	return exitOK, nil
}

// ingestAll feeds the node its input, from where its journal says that it stopped, until the end
// of the input or of ctx.
func (n *node) ingestAll(ctx context.Context, cfg serveConfig) error {
	s, err := cfg.input.Open()
	if err != nil {
		return err
	}
	defer func() { s.Close() }()
	l := newLines(s)
	if from := n.saved; from.offset > 0 && cfg.input.Again() {
		same, err := l.resume(ctx, from.offset, from.head)
		if err != nil {
			return err
		}
		if !same {
			fmt.Fprintf(cfg.out, "%s is not what it was (rotated?): it is counted from its beginning\n", cfg.input)
			s.Close()
			if s, err = cfg.input.Open(); err != nil {
				return err
			}
			l = newLines(s)
		}
	}
	chunks, failed := l.read(ctx)
	show := time.NewTicker(showEvery)
	defer show.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-show.C:
			n.show(cfg)
		case c, ok := <-chunks:
			if !ok {
				return failed()
			}
			n.feed(c)
		}
	}
}

const showEvery = 250 * time.Millisecond

// watch shows how the node is doing until ctx is done.
func (n *node) watch(ctx context.Context, cfg serveConfig) {
	show := time.NewTicker(showEvery)
	defer show.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-show.C:
			n.show(cfg)
		}
	}
}

// show shows how the node is doing.
func (n *node) show(cfg serveConfig) {
	p := cfg.progress
	select {
	case alone := <-n.alone:
		p.Done()
		fmt.Fprintln(cfg.out, alone)
	default:
	}
	if p == nil {
		return
	}
	s := n.web.status()
	text := fmt.Sprintf("%s lines taken, %s requests known, %d members", term.Thousands(s.Ingest.Lines), term.Thousands(s.Totals.Requests), s.Gossip.Members)
	switch {
	case s.Ingest.SaveFailed != "":
		text += ", SAVING FAILS: " + s.Ingest.SaveFailed
	case s.Ingest.Unsaved > 0:
		text += fmt.Sprintf(", %s lines not saved yet", term.Thousands(s.Ingest.Unsaved))
	}
	if s.Gossip.Members > 1 && s.Converged {
		text += ", all agree"
	}
	p.Show(text)
}
