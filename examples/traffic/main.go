// Command traffic is live web analytics without coordination: nodes count the lines of an access
// log that reach them, and agree without ever asking one another.
//
//	go run ./traffic                                a made-up log, five nodes, one process
//	zcat access.log.gz | go run ./traffic -log -    a real one
//
// Each node parses the lines it is given, routes them by visitor to its workers through bounded
// queues, and counts into replicated data types: no request ever waits for another node. Half-way
// the network is cut in two; both sides go on counting, the cut heals, and the nodes converge. At
// the end every node's totals are compared with a single-threaded recount of the input; the program
// exits with 0 only if they are equal.
//
// With -serve it is one node among several processes, perhaps on several machines:
//
//	go run ./traffic -serve -bind 127.0.0.1:7001 -log a.log -data /tmp/a
//	go run ./traffic -serve -bind 127.0.0.1:7002 -join 127.0.0.1:7001 -log b.log -data /tmp/b
//
// With -load it offers lines at a rate that doubles until the nodes no longer keep up, then twice what they
// carry, then half of it, and says what was counted, dropped and late at each; -full says what gives way.
//
// A node of -serve runs until it is interrupted. Kill it with -9 and start it again: it goes on from its
// journal, and no line is lost or counted twice. One that will never be back is retired by any other, by
// -retire and the name that the others' status pages show; else they keep for it what happens meanwhile.
//
// Exit codes: 0 all nodes agree with the recount; 1 they do not, or something failed; 2 wrong usage;
// 3 all nodes agree, and what lacks is exactly what -full dropped.
package main

import (
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/examples/internal/accesslog"
	"github.com/go-calm/calm/examples/internal/gossip"
	"github.com/go-calm/calm/examples/internal/program"
	"github.com/go-calm/calm/examples/internal/term"
)

const about = `Count an access log on several nodes that never ask one another, cut the network in two half-way, and compare
all nodes in the end with a recount of the log.

  traffic                                a made-up log, five nodes, one process
  traffic -log access.log.gz             a real one, packed with gzip or not
  zcat access.log.gz | traffic -log -
  traffic -load -full reject             at which rate do the nodes saturate, and what happens then?
  traffic -serve -bind 10.0.0.1:7946     one node of several processes or machines

Exit codes: 0 all nodes agree with the recount; 1 they do not, or something failed; 2 wrong usage;
3 all nodes agree, and what lacks is exactly what -full dropped.`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends the process at once
	code, err := command(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "traffic:", err)
	}
	os.Exit(code)
}

// options are the flags.
type options struct {
	log     string
	made    accesslog.Made
	nodes   int
	workers int
	queue   int
	full    string
	flush   time.Duration

	partition bool
	cut       time.Duration
	timeout   time.Duration
	stay      bool

	load bool
	rate int
	step time.Duration

	serve   bool
	bind    string
	http    string
	join    string
	over    string
	key     string
	data    string
	retire  string
	verbose bool
}

func (o *options) flags() *flag.FlagSet {
	f := flag.NewFlagSet("traffic", flag.ContinueOnError)
	f.StringVar(&o.log, "log", "", "the access log `file`, in Common or Combined Log Format, packed with gzip or not; - is standard input")
	f.IntVar(&o.made.Lines, "lines", 300_000, "without -log: how many lines to make up")
	f.IntVar(&o.made.Visitors, "visitors", 5_000, "without -log: of how many visitors")
	f.IntVar(&o.made.Pages, "pages", 200, "without -log: of how many pages")
	f.Uint64Var(&o.made.Seed, "seed", 1, "without -log: what the lines are drawn by")
	f.IntVar(&o.nodes, "nodes", 5, "how many nodes to run in this process")
	f.IntVar(&o.workers, "workers", 2, "how many workers a node has")
	f.IntVar(&o.queue, "queue", 4096, "how many requests may wait for a worker")
	f.StringVar(&o.full, "full", string(fullBlock), "what happens to a request whose worker's queue is full: block, reject or drop-oldest")
	f.DurationVar(&o.flush, "flush", 0, "how often a node tells the others what it counted, and with -data saves it (default 100ms, with -serve 1s)")
	f.BoolVar(&o.partition, "partition", true, "cut the network in two half-way")
	f.DurationVar(&o.cut, "cut", time.Second, "for how long")
	f.DurationVar(&o.timeout, "timeout", time.Minute, "how long the nodes may take to agree in the end")
	f.BoolVar(&o.stay, "stay", false, "keep the nodes and their status pages until interrupted")
	f.BoolVar(&o.load, "load", false, "offer the lines at rising rates, to see what the nodes carry and what they do beyond it")
	f.IntVar(&o.rate, "rate", 50_000, "with -load: how many lines a second to begin with")
	f.DurationVar(&o.step, "step", time.Second, "with -load: for how long each rate is offered")
	f.BoolVar(&o.serve, "serve", false, "run one node until interrupted, to join those of other processes")
	f.StringVar(&o.bind, "bind", "127.0.0.1:7946", "with -serve: the `address` that other nodes reach this one at; port 0 takes a free one")
	f.StringVar(&o.http, "http", "127.0.0.1:0", "with -serve: the `address` of the status page; port 0 takes a free one")
	f.StringVar(&o.join, "join", "", "with -serve: `addresses` of nodes to join, separated by commas")
	f.StringVar(&o.over, "transport", "memberlist", "what carries messages between nodes: memberlist, or http; the same for all")
	f.StringVar(&o.key, "key", "", "encrypt what nodes say to each other: 16, 24 or 32 bytes in base64, or @file to read them from; the same `key` for all")
	f.StringVar(&o.data, "data", "", "with -serve: the `directory` that the node's journal is kept in")
	f.StringVar(&o.retire, "retire", "", "with -serve: replicas' `names`, separated by commas, of nodes that are gone for ever")
	f.BoolVar(&o.verbose, "v", false, "show memberlist's log")
	return f
}

// command runs the program and returns its exit code.
func command(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	var o options
	flags := o.flags()
	if err := program.Parse(flags, args, about, stdout); errors.Is(err, flag.ErrHelp) {
		return exitOK, nil
	} else if err != nil {
		return exitUsage, err
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if err := o.check(flags, given); err != nil {
		return exitUsage, err
	}
	in, err := o.input(stdin)
	if err != nil {
		return exitUsage, err
	}
	node, err := o.node(in, stderr)
	if err != nil {
		return exitUsage, err
	}
	var bar *term.Progress
	if !o.verbose {
		bar = term.NewProgress(stderr)
	}
	fmt.Fprintf(stdout, "counting %s\n", in)
	if o.load {
		return load(ctx, loadConfig{
			nodes: o.nodes, node: node, input: in, start: o.rate, step: o.step, patience: o.timeout,
			out: stdout, progress: bar,
		})
	}
	if o.serve {
		return serve(ctx, serveConfig{node: node, input: in, out: stdout, progress: bar})
	}
	return run(ctx, runConfig{
		nodes: o.nodes, node: node, input: in, partition: o.partition, cutFor: o.cut, patience: o.timeout,
		stay: o.stay, out: stdout, progress: bar,
	})
}

// check refuses what makes no sense.
func (o *options) check(flags *flag.FlagSet, given map[string]bool) error {
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected %q; the log is given by -log", flags.Arg(0))
	}
	for _, name := range []string{"bind", "http", "join", "data", "retire"} {
		if given[name] && !o.serve {
			return fmt.Errorf("-%s needs -serve", name)
		}
	}
	for _, name := range []string{"nodes", "partition", "cut", "timeout", "stay", "load"} {
		if given[name] && o.serve {
			return fmt.Errorf("-%s is not for -serve", name)
		}
	}
	for _, name := range []string{"partition", "cut", "stay"} {
		if given[name] && o.load {
			return fmt.Errorf("-%s is not for -load", name)
		}
	}
	for _, name := range []string{"rate", "step"} {
		if given[name] && !o.load {
			return fmt.Errorf("-%s needs -load", name)
		}
	}
	for _, name := range []string{"lines", "visitors", "pages", "seed"} {
		if given[name] && given["log"] {
			return fmt.Errorf("-%s is for a made-up log, not with -log", name)
		}
	}
	for _, c := range []struct {
		name       string
		v, min, up int
	}{
		{"lines", o.made.Lines, 0, 1 << 30},
		{"visitors", o.made.Visitors, 1, 1 << 24},
		{"pages", o.made.Pages, 1, 1 << 20},
		{"nodes", o.nodes, 1, 64},
		{"workers", o.workers, 1, maxWorkers},
		{"queue", o.queue, 1, 1 << 20},
		{"rate", o.rate, 1, 1 << 30},
	} {
		if c.v < c.min || c.v > c.up {
			return fmt.Errorf("-%s is from %d to %d, not %d", c.name, c.min, c.up, c.v)
		}
	}
	for _, c := range []struct {
		name string
		v    time.Duration
	}{{"flush", o.flush}, {"cut", o.cut}, {"timeout", o.timeout}, {"step", o.step}} {
		if c.v < 0 || c.v == 0 && given[c.name] {
			return fmt.Errorf("-%s must be more than nothing", c.name)
		}
	}
	if transports[o.over] == nil {
		return fmt.Errorf("-transport is memberlist or http, not %q", o.over)
	}
	return fullPolicy(o.full).check()
}

// transports are what carries messages, by the names that people give.
var transports = map[string]func(*gossip.Agent) (gossip.Transport, error){
	"memberlist": gossip.Memberlist,
	"http":       gossip.HTTP,
}

// input is where the lines come from.
func (o *options) input(stdin io.Reader) (accesslog.Input, error) {
	if o.log == "" {
		return accesslog.Input{Name: o.made.String(), Made: &o.made}, nil
	}
	in, err := accesslog.At(o.log, stdin)
	if o.serve {
		in.UpTo = 0 // it may grow meanwhile
	}
	return in, err
}

// node is what the nodes are made of.
func (o *options) node(in accesslog.Input, stderr io.Writer) (nodeConfig, error) {
	key, err := parseKey(o.key)
	if err != nil {
		return nodeConfig{}, err
	}
	cfg := nodeConfig{
		bind: "127.0.0.1:0", http: "127.0.0.1:0", key: key, workers: o.workers, queue: o.queue,
		full: fullPolicy(o.full), flush: o.flush, input: in.Name, over: transports[o.over], log: io.Discard,
	}
	if o.verbose {
		cfg.log = stderr
	}
	switch {
	case o.flush > 0:
	case o.serve:
		cfg.flush = time.Second
	default:
		cfg.flush = 100 * time.Millisecond
	}
	if o.serve {
		cfg.name, cfg.bind, cfg.http, cfg.dir = o.bind, o.bind, o.http, o.data
		if o.join != "" {
			cfg.join = strings.Split(o.join, ",")
		}
		if cfg.retire, err = parseReplicas(o.retire); err != nil {
			return nodeConfig{}, err
		}
	}
	return cfg, nil
}

// parseReplicas reads replicas' names as they are shown.
func parseReplicas(s string) (ids []crdt.ReplicaID, err error) {
	if s == "" {
		return nil, nil
	}
	for _, text := range strings.Split(s, ",") {
		id, err := strconv.ParseUint(text, 16, 64)
		if err != nil || id == 0 || len(text) != 16 {
			return nil, fmt.Errorf("-retire: %q is no replica's name: 16 digits, as the status page shows it", text)
		}
		ids = append(ids, crdt.ReplicaID(id))
	}
	return ids, nil
}

// parseKey reads a key, given in base64 or in a file that holds it so.
func parseKey(s string) ([]byte, error) {
	if s == "" {
		return nil, nil
	}
	if path, ok := strings.CutPrefix(s, "@"); ok {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("-key: %w", err)
		}
		s = strings.TrimSpace(string(b))
	}
	key, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, errors.New("-key is not base64")
	}
	switch len(key) {
	case 16, 24, 32:
		return key, nil
	}
	return nil, fmt.Errorf("-key has %d bytes, not 16, 24 or 32", len(key))
}
