// Command flags rolls new code out slowly and in the dark, on several nodes that ask nobody.
//
//	go run ./flags           tells the story, once
//	go run ./flags -serve    one node: GET /flags, PUT /flags/NAME, GET /hello?user=NAME
//
// A flag is a plan that all nodes have a copy of: from which share of the users to which, in what
// time, in the dark or not. It is a register in a replicated map, where the last write counts. Each
// node carries the plan out by itself, with a backpressure.Gate that a request asks in nanoseconds,
// and each looks at how the new code does where it is. The first that is not content writes the plan
// that leads back; it needs no vote, for to go back is always right.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/go-calm/calm/examples/internal/program"
	"github.com/go-calm/calm/examples/internal/replica"
)

const about = `Roll new code out on three nodes: in the dark, to a share of the users, on a ramp, and pulled back by the
first node where it fails.

  flags           tells the story, once
  flags -serve    one node: GET /flags, PUT /flags/NAME, GET /hello?user=NAME`

func main() {
	program.Main("flags", func(ctx context.Context) error {
		return command(ctx, os.Args[1:], os.Stdout)
	})
}

func command(ctx context.Context, args []string, stdout io.Writer) error {
	f := flag.NewFlagSet("flags", flag.ContinueOnError)
	serve := f.Bool("serve", false, "serve as one node until interrupted")
	addr := f.String("http", "127.0.0.1:8080", "with -serve: the `address` of the service; port 0 takes a free one")
	bind := f.String("bind", "127.0.0.1:0", "with -serve: the `address` at which other nodes reach this one")
	join := f.String("join", "", "with -serve: `addresses` of other nodes, with commas between them")
	if err := program.Parse(f, args, about, stdout); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return program.Usagef("unexpected %q", f.Arg(0))
	}
	if !*serve {
		return story(ctx, stdout)
	}
	cfg := replica.Config{Bind: *bind, Unreached: func(addr string, err error) {
		fmt.Fprintf(stdout, "nobody to join at %s, trying on: %v\n", addr, err)
	}}
	if *join != "" {
		cfg.Join = strings.Split(*join, ",")
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	s, err := newService(cfg, listener)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer s.close()
	fmt.Fprintf(stdout, "%s/flags, others join %s\n", s.url, s.flags.Addr())
	<-ctx.Done()
	return nil
}
