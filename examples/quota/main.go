// Command quota sells a limited stock and admits a limited number of calls a second, on several nodes
// and without a coordinator: nothing is ever sold twice, and no window admits more than the limit,
// while processes are killed and the network is cut.
//
//	go run ./quota                                   three processes, one of them killed with -9
//	go run ./quota -serve -data /tmp/a -stock 1000   one node, on its own
//
// Each node holds rights, and a right is used once. Of the stock there are as many rights as pieces,
// in a replicated crdt.BoundedCounter, kept in a journal; a node that runs short asks the others, and
// each gives half of what it holds. Of the calls each node mints a fixed share of the limit in every
// window of a hybrid logical clock, and lends what it does not need in the same way, until the window
// ends.
//
// The price: a node that is cut off refuses what others, whom it cannot ask, could have sold. How much
// that was is what this program shows.
package main

import (
	"context"
	"flag"
	"io"
	"os"
	"strings"
	"time"

	"github.com/go-calm/calm/examples/internal/program"
	"github.com/go-calm/calm/examples/internal/term"
)

const about = `Sell a limited stock and admit a limited number of calls a second on several processes without a coordinator,
through a kill -9 and a cut.

  quota                                          three processes, one of them killed
  quota -serve -data DIRECTORY -stock 1000       one node, on its own`

func main() {
	program.Main("quota", func(ctx context.Context) error {
		return command(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	})
}

func command(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	f := flag.NewFlagSet("quota", flag.ContinueOnError)
	var node nodeConfig
	var join string
	nodes := f.Int("nodes", 3, "how many processes to run, at least 2")
	stock := f.Uint64("stock", 600, "how many pieces there are; with -serve: how many this node brings, the first time it starts")
	share := f.Uint64("share", 20, "how many calls each node may add to the limit, in each window")
	f.DurationVar(&node.window, "window", 100*time.Millisecond, "how long a window is; the same for all nodes")
	serving := f.Bool("serve", false, "be one node, until interrupted")
	f.StringVar(&node.dir, "data", "", "with -serve: the `directory` that the stock is kept in")
	f.StringVar(&node.bind, "bind", "127.0.0.1:0", "with -serve: the `address` that other nodes reach this one at; port 0 takes a free one")
	f.StringVar(&node.http, "http", "127.0.0.1:0", "with -serve: the `address` of the API; port 0 takes a free one")
	f.StringVar(&join, "join", "", "with -serve: `addresses` of nodes to join, separated by commas")
	f.BoolVar(&node.cuttable, "cuttable", false, "with -serve: let POST /cut and /heal cut this node off")
	untilEOF := f.Bool("until-eof", false, "with -serve: end when standard input does, too")
	if err := program.Parse(f, args, about, stdout); err != nil {
		return err
	}
	node.stock, node.share = *stock, *share
	switch {
	case f.NArg() > 0:
		return program.Usagef("unexpected %q", f.Arg(0))
	case *nodes < 2 || *nodes > 16:
		return program.Usagef("-nodes is from 2 to 16, not %d", *nodes)
	case node.window < time.Millisecond:
		return program.Usagef("-window is a millisecond or more, not %v", node.window)
	case *serving && node.dir == "":
		return program.Usagef("-serve needs -data")
	case !*serving && *stock < 100*uint64(*nodes):
		return program.Usagef("-stock is %d or more, for %d nodes to tell a story", 100**nodes, *nodes)
	}
	if !*serving {
		s := &story{fleet: fleet{nodes: *nodes, stock: *stock, share: *share, window: node.window}, out: stdout, progress: term.NewProgress(stderr)}
		return s.tell(ctx)
	}
	if join != "" {
		node.join = strings.Split(join, ",")
	}
	if *untilEOF {
		var stop context.CancelFunc
		ctx, stop = context.WithCancel(ctx)
		go func() {
			_, _ = io.Copy(io.Discard, stdin)
			stop()
		}()
	}
	return serve(ctx, node, stdout)
}
