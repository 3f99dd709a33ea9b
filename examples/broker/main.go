// Command broker replicates over an engine that is there already instead of by gossip: what a team
// uses when it outgrows one machine, or has the engine anyway.
//
//	go run ./broker                              NATS JetStream inside this process
//	go run ./broker -nats nats://10.0.0.1:4222   your NATS
//	go run ./broker -redis 10.0.0.1:6379         your Redis
//
// Nodes count the pages of an access log, each its own share of the lines. What changed goes to the
// engine as a delta for each batch of lines, and the engine keeps it and tells everybody. Nobody waits
// for anybody: while the engine is away, nodes go on counting until their queue of deltas is full. As
// deltas merge in any order and as often as they come, the engine need promise little: that what it
// took it keeps, and hands out at least once.
//
// Half-way the engine is stopped for a while (the one in this process), and one node dies with all that
// it knew. Another takes its place: it takes the last snapshot and the deltas after it from the engine,
// sees by them how many batches of the share are counted, and goes on with the next. In the end all nodes
// are compared with each other and with a recount of the input; the program exits with 0 only if they
// are equal.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/examples/internal/accesslog"
	"github.com/go-calm/calm/examples/internal/program"
	"github.com/go-calm/calm/examples/internal/term"
)

const about = `Count the pages of an access log on several nodes that tell each other through an engine, NATS JetStream
in this process unless another is named. Half-way the engine is taken away and a node is killed; in the end
all nodes are compared with a recount.

  broker                              NATS JetStream inside this process
  broker -nats nats://10.0.0.1:4222   your NATS
  broker -redis 10.0.0.1:6379         your Redis`

func main() {
	program.Main("broker", func(ctx context.Context) error {
		return command(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	})
}

func command(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("broker", flag.ContinueOnError)
	input := accesslog.Flags(flags, &accesslog.Made{Lines: 200_000, Visitors: 5_000, Pages: 200, Seed: 1})
	nodes := flags.Int("nodes", 5, "how many nodes")
	batch := flags.Int("batch", 500, "how many lines a delta sums up")
	queue := flags.Int("queue", 32, "how many deltas may wait for the engine before a node stops counting")
	away := flags.Duration("away", 500*time.Millisecond, "how long the engine in this process is stopped half-way")
	patience := flags.Duration("timeout", time.Minute, "how long the nodes may take")
	natsURL := flags.String("nats", "", "the `url` of a NATS server with JetStream to use instead")
	name := flags.String("name", "", "with -nats or -redis: the `name` to keep the counts under, to go on with another time (default: a new one, forgotten in the end)")
	redisAddr := flags.String("redis", "", "the `address` of a Redis server to use instead")
	if err := program.Parse(flags, args, about, stdout); err != nil {
		return err
	}
	switch {
	case *nodes < 1 || *nodes > 64:
		return program.Usagef("-nodes is from 1 to 64, not %d", *nodes)
	case *batch < 1 || *batch > 1<<20:
		return program.Usagef("-batch is from 1 to %d, not %d", 1<<20, *batch)
	case *queue < 1 || *queue > 1<<16:
		return program.Usagef("-queue is from 1 to %d, not %d", 1<<16, *queue)
	case *away < 0:
		return program.Usagef("-away is not less than nothing")
	case *patience <= 0:
		return program.Usagef("-timeout must be more than nothing")
	case *natsURL != "" && *redisAddr != "":
		return program.Usagef("-nats or -redis, not both")
	case strings.ContainsAny(*name, " .*>:/\\"):
		return program.Usagef("-name is one word, without dots, colons, slashes and stars")
	}
	in, err := input(stdin)
	if err != nil {
		return program.Usage(err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, *patience, fmt.Errorf("not done after %v (-timeout)", *patience))
	defer cancel()

	engine, err := openEngine(ctx, *natsURL, *redisAddr, *name)
	if err != nil {
		return err
	}
	defer engine.Close()
	fmt.Fprintf(stdout, "counting %s\nover %s\n", in, engine)
	shares, err := readShares(in, *nodes, *batch)
	if err != nil {
		return err
	}
	return run(ctx, runConfig{
		engine: engine, shares: shares, queue: *queue, away: *away,
		out: stdout, progress: term.NewProgress(stderr),
	})
}

// openEngine returns the engine that the flags name.
func openEngine(ctx context.Context, natsURL, redisAddr, name string) (Engine, error) {
	keep := name != ""
	if !keep {
		name = crdt.NewReplicaID().String()
	}
	switch {
	case natsURL != "":
		return dialNATS(natsURL, name, keep)
	case redisAddr != "":
		return dialRedis(ctx, redisAddr, name, keep)
	}
	return embedNATS(name)
}
