// Command overload shows what a server does when it is asked for more than it can do: an HTTP service is
// offered one, two, five and ten times its capacity, unprotected, behind a semaphore as one writes it in
// a minute, and behind calm's limiter.
//
//	go run ./overload                     measure, over loopback; write a report with charts
//	go run ./overload -wrk                the same with the load sent by wrk, a generator of its own
//	go run ./overload -serve              serve all three, to try them with a load generator of your own
//
// What counts is goodput: answers a second that came before the caller gave up. A server that works on
// requests whose callers are gone is busy and useless. Then ten tenants share the service, one of which
// sends many times as much as the others: who is served?
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-calm/calm/examples/internal/plot"
	"github.com/go-calm/calm/examples/internal/program"
	"github.com/go-calm/calm/examples/internal/term"
)

const about = `Offer an HTTP service one to ten times what it can do: unprotected, behind a semaphore, and behind calm's
limiter. Writes a page with charts.

  overload          measures, over loopback
  overload -wrk     lets wrk (github.com/wg/wrk) send the load
  overload -serve   serves all three, for a load generator of your own`

func main() {
	program.Main("overload", func(ctx context.Context) error {
		return command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	})
}

func command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("overload", flag.ContinueOnError)
	var p power
	flags.IntVar(&p.slots, "slots", 8, "how many requests the service works on at once")
	flags.DurationVar(&p.mean, "work", 40*time.Millisecond, "how long a request takes it, on average")
	deadline := flags.Duration("deadline", 400*time.Millisecond, "how long callers wait for an answer")
	guess := flags.Int("guess", 64, "how many requests the semaphore lets in: what somebody guessed")
	loads := flags.String("loads", "1,2,5,10", "how many times its capacity the service is offered")
	step := flags.Duration("step", 2*time.Second, "how long each load lasts")
	seed := flags.Uint64("seed", 1, "what arrivals and work are drawn by")
	report := flags.String("o", filepath.Join(os.TempDir(), "overload.html"), "the `file` that the charts go to, a page or .svg; none if empty")
	withWrk := flags.Bool("wrk", false, "let wrk send the load: it must be installed")
	serving := flags.Bool("serve", false, "serve until interrupted, and offer nothing")
	addr := flags.String("http", "127.0.0.1:0", "with -serve: the `address` to serve at; port 0 takes a free one")
	if err := program.Parse(flags, args, about, stdout); err != nil {
		return err
	}
	times, err := parseLoads(*loads)
	switch {
	case flags.NArg() > 0:
		return program.Usagef("unexpected %q", flags.Arg(0))
	case err != nil:
		return program.Usage(err)
	case p.slots < 1 || p.slots > 1<<16:
		return program.Usagef("-slots is from 1 to %d, not %d", 1<<16, p.slots)
	case *guess < 1 || *guess > 1<<20:
		return program.Usagef("-guess is from 1 to %d, not %d", 1<<20, *guess)
	case p.mean <= 0 || *deadline <= 0 || *step <= 0:
		return program.Usagef("-work, -deadline and -step must be more than nothing")
	}
	if *report != "" {
		if err := plot.Check(*report); err != nil {
			return program.Usagef("-o: %w", err)
		}
	}
	if *serving {
		return serve(ctx, *addr, p, *guess, *deadline, stdout)
	}
	e := experiment{
		power: p, deadline: *deadline, guess: *guess, loads: times, step: *step, seed: *seed,
		listen: loopback, out: stdout, progress: term.NewProgress(stderr),
	}
	if *withWrk {
		dir, err := os.MkdirTemp("", "overload")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if e.wrk, err = findWrk(dir); err != nil {
			return err
		}
		e.step = max(time.Second, step.Round(time.Second)) // wrk counts in seconds
	}
	result, err := e.run(ctx)
	if err != nil {
		return err
	}
	if *report == "" {
		return nil
	}
	path, err := result.write(*report)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "charts: %s\n", path)
	return nil
}

func parseLoads(s string) (loads []float64, err error) {
	for part := range strings.SplitSeq(s, ",") {
		f, err := strconv.ParseFloat(part, 64)
		if err != nil || f <= 0 || f > 100 {
			return nil, fmt.Errorf("-loads are numbers up to 100, separated by commas; %q is not", part)
		}
		loads = append(loads, f)
	}
	return loads, nil
}
