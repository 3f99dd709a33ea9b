// Command entities keeps state where the messages go instead of locking it: each key has one owner, one
// turn at a time, and a turn is the transaction. The keys are spread over nodes, and move while the work
// goes on.
//
//	go run ./entities                          running accounts over a made-up access log
//	go run ./entities -in access.log.gz        … over a real one
//	go run ./entities -job words -in notes.txt a count of words
//
// In the job "accounts" every visitor and every page has an account, and every request is a payment of
// its bytes from the visitor to the page. The visitor's turn debits, and sends the credit; the page may
// be on another node. In the job "words" every word is an entity that counts.
//
// After a third of the lines a node joins, and after two thirds one leaves: slot by slot, in waves, the
// states of their keys move, while readers go on sending. In the end every message must have been handled
// once, those of a key in the order they were sent, and every state must be what one goroutine gets that
// reads the same lines; the program exits with 0 only then.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/go-calm/calm/examples/internal/accesslog"
	"github.com/go-calm/calm/examples/internal/program"
	"github.com/go-calm/calm/examples/internal/term"
)

const about = `Keep state by key with one owner and one turn at a time, on nodes that join and leave while messages come;
then check that none was lost, doubled or out of order.

  entities                            running accounts over a made-up access log
  entities -in access.log.gz          … over a real one
  entities -job words -in notes.txt   a count of words`

func main() {
	program.Main("entities", func(ctx context.Context) error {
		return command(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	})
}

func command(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("entities", flag.ContinueOnError)
	input := accesslog.Flags(flags, &accesslog.Made{Lines: 300_000, Visitors: 20_000, Pages: 500, Seed: 1})
	name := flags.String("job", "accounts", "what to do with the lines: accounts or words")
	nodes := flags.Int("nodes", 4, "how many nodes to begin with")
	readers := flags.Int("readers", 2, "how many goroutines send")
	patience := flags.Duration("timeout", time.Minute, "how long it may take")
	if err := program.Parse(flags, args, about, stdout); err != nil {
		return err
	}
	do := jobs[*name]
	switch {
	case do == nil:
		return program.Usagef("-job is accounts or words, not %q", *name)
	case *nodes < 2 || *nodes > 64:
		return program.Usagef("-nodes is from 2 to 64, not %d", *nodes)
	case *readers < 1 || *readers > 64:
		return program.Usagef("-readers is from 1 to 64, not %d", *readers)
	case *patience <= 0:
		return program.Usagef("-timeout must be more than nothing")
	}
	in, err := input(stdin)
	if err != nil {
		return program.Usage(err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, *patience, fmt.Errorf("not done after %v (-timeout)", *patience))
	defer cancel()

	fmt.Fprintf(stdout, "%s over %s\n", *name, in)
	lines, err := readLines(in)
	if err != nil {
		return err
	}
	work := deal(lines, do, *readers)
	return run(ctx, runConfig{
		work: work, lines: len(lines), nodes: *nodes, out: stdout, progress: term.NewProgress(stderr),
	})
}
