// Command shardkeys asks which part of a request is a good key to shard by, and then moves shards while
// requests go on.
//
//	go run ./shardkeys                              a made-up log
//	go run ./shardkeys -in access.log.gz            a real one, plain or packed
//	zcat access.log.gz | go run ./shardkeys -in -
//
// It ranks three candidates: the visitor, the page, and both together. For each it places the keys on
// nodes and draws the nodes' loads, as they are and after a [shard.Balancer] has moved what can be
// moved: the report is a page with charts. No balancer can split a key, which is the point of ranking.
//
// Then the best key serves: eight nodes become nine and then seven, in planned waves, while senders go
// on. Every message carries its number among those of its key, and the key's owner wants the next one:
// so what is lost, doubled or out of order is seen, and counted.
//
// Exit codes: 0 nothing was lost, doubled or out of order; 1 otherwise; 2 wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/go-calm/calm/examples/internal/accesslog"
	"github.com/go-calm/calm/examples/internal/plot"
	"github.com/go-calm/calm/examples/internal/program"
	"github.com/go-calm/calm/examples/internal/term"
)

const about = `Rank visitor, page, and both together as keys to shard an access log by, then move shards under the best one
while messages come. Writes a page with charts.

  shardkeys                              a made-up log
  shardkeys -in access.log.gz            a real one, packed with gzip or not
  zcat access.log.gz | shardkeys -in -

Exit codes: 0 nothing was lost, doubled or out of order; 1 otherwise; 2 wrong usage.`

func main() {
	program.Main("shardkeys", func(ctx context.Context) error {
		return command(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	})
}

func command(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	f := flag.NewFlagSet("shardkeys", flag.ContinueOnError)
	input := accesslog.Flags(f, &accesslog.Made{Lines: 300_000, Visitors: 50_000, Pages: 1_000, Seed: 1})
	senders := f.Int("senders", 2, "how many goroutines send while shards move")
	out := f.String("o", filepath.Join(os.TempDir(), "shardkeys.html"), "the `file` that the charts go to")
	if err := program.Parse(f, args, about, stdout); err != nil {
		return err
	}
	if *senders < 1 || *senders > 64 {
		return program.Usagef("-senders is from 1 to 64, not %d", *senders)
	}
	if err := plot.Check(*out); err != nil {
		return program.Usagef("-o: %w", err)
	}
	in, err := input(stdin)
	if err != nil {
		return program.Usage(err)
	}
	fmt.Fprintf(stdout, "reading %s\n", in)
	bar := term.NewProgress(stderr)
	requests, malformed, err := read(in, bar)
	switch {
	case err != nil:
		return err
	case len(requests) == 0:
		return errors.New("no request in it")
	}
	fmt.Fprintf(stdout, "%s requests, %s malformed lines\n\n", term.Thousands(int64(len(requests))), term.Thousands(int64(malformed)))

	best, page, err := judge(stdout, requests)
	if err != nil {
		return err
	}
	whole, err := page.WriteFile(*out)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "\ncharts: %s\n\n", whole)

	return migrate(ctx, stdout, best, requests, *senders, bar)
}
