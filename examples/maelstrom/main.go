// Command maelstrom is the nodes of four of the workloads of Maelstrom, Jepsen's workbench for
// distributed systems (https://github.com/jepsen-io/maelstrom): broadcast, g-set, pn-counter and
// unique-ids.
//
//	go run ./maelstrom                    all four, on a network in this process that loses and cuts
//	go run ./maelstrom -serve g-set       one node, which speaks Maelstrom's JSON on standard input
//	                                      and output
//
// Each request is answered at once by the node that it reaches, cut off or not: none of the four
// needs a node to ask another one. What they do need is to come to the same in the end, which is
// the work of package antientropy; this program adds the JSON.
//
// Maelstrom itself starts a program without arguments, so to be tested by it a node needs a script:
//
//	go install ./maelstrom
//	printf '#!/bin/sh\nexec %s/bin/maelstrom -serve g-set\n' "$(go env GOPATH)" >g-set; chmod +x g-set
//	java -jar maelstrom.jar test -w g-set --bin ./g-set --node-count 5 --time-limit 20 --nemesis partition
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/go-calm/calm/examples/internal/program"
	"github.com/go-calm/calm/examples/internal/term"
)

const about = `Run the nodes of four of Maelstrom's workloads: on a network in this process that loses, delays and cuts, or
as one node for Maelstrom itself.

  maelstrom                all four workloads
  maelstrom -serve g-set   one node, which speaks Maelstrom's JSON on standard input and output`

func main() {
	os.Exit(program.Exit("maelstrom", command(os.Args[1:], os.Stdin, os.Stdout, os.Stderr), os.Stderr))
}

func command(args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	f := flag.NewFlagSet("maelstrom", flag.ContinueOnError)
	names := strings.Join(workloadNames, ", ")
	serving := f.String("serve", "", "be a node of this `workload` ("+names+") on standard input and output")
	s := simulation{progress: term.NewProgress(stderr)}
	f.IntVar(&s.nodes, "nodes", 5, "how many nodes")
	f.IntVar(&s.operations, "operations", 500, "how many requests clients make")
	f.Float64Var(&s.loss, "loss", 0.2, "which share of the messages between nodes is lost")
	f.IntVar(&s.latency, "latency", 3, "how many ticks a message takes at most; they overtake each other")
	f.BoolVar(&s.partition, "partition", true, "cut the network in two for the middle third of the time")
	f.Uint64Var(&s.seed, "seed", 1, "what all chance is drawn from")
	if err := program.Parse(f, args, about, stdout); err != nil {
		return err
	}
	switch {
	case f.NArg() > 0:
		return program.Usagef("unexpected %q", f.Arg(0))
	case s.nodes < 1 || s.nodes > 100:
		return program.Usagef("-nodes is from 1 to 100, not %d", s.nodes)
	case s.operations < 1 || s.operations > 1e6:
		return program.Usagef("-operations is from 1 to 1000000, not %d", s.operations)
	case !(s.loss >= 0 && s.loss <= 0.95): // not a number is neither
		return program.Usagef("-loss is from 0 to 0.95, not %v", s.loss)
	case s.latency < 1 || s.latency > 1000:
		return program.Usagef("-latency is from 1 to 1000, not %d", s.latency)
	}
	if *serving != "" {
		if !slices.Contains(workloadNames, *serving) {
			return program.Usagef("no workload %q; there are %s", *serving, names)
		}
		return serve(*serving, stdin, stdout)
	}

	fmt.Fprintf(stdout, "%d nodes, %d requests, %.0f %% of the messages between nodes lost, up to %d ticks on the way", s.nodes, s.operations, 100*s.loss, s.latency)
	if s.partition {
		fmt.Fprint(stdout, ", cut in two for a third of the time")
	}
	fmt.Fprint(stdout, "\n\n")
	n := func(i int) string { return term.Thousands(int64(i)) }
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "workload\tanswered\twhile cut\tmessages\tlost\tcut off\tbytes/request\tall equal after\t")
	for _, name := range workloadNames {
		r, err := s.run(name)
		s.progress.Done()
		if err != nil {
			t.Flush()
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d ticks\t\n", name, n(r.answered), n(r.whileCut), n(r.messages), n(r.lost), n(r.cutOff), n(r.bytes/s.operations), r.equalAfter)
	}
	t.Flush()
	fmt.Fprintln(stdout, "\nevery request was answered by the node that it reached, and in the end all nodes say the same: what was acknowledged, and nothing else")
	return nil
}
