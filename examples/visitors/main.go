// Command visitors counts the distinct visitors of each page of an access log on five nodes, in
// 16 kB a page at the most however many visitors come, and shows how far that is from the truth.
//
//	go run ./visitors                                a made-up log
//	go run ./visitors -in access.log.gz              a real one, plain or packed
//	zcat access.log.gz | go run ./visitors -in -
//
// Each node counts the lines that reach it into one [lattice.HyperLogLog] a page. Then every node
// sends its state to every other one. The messages arrive in an order drawn at random, some of
// them twice: merging sketches is a join, so that makes no difference, and the program shows that
// all nodes end with the same bytes, those of a node that saw every line.
//
// The lines are counted exactly as well, to compare. That takes memory for each page's visitors,
// which the nodes do not.
//
// Exit codes: 0 the nodes agree and no page errs beyond the bound; 1 otherwise; 2 wrong usage.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/go-calm/calm/examples/internal/accesslog"
	"github.com/go-calm/calm/examples/internal/program"
	"github.com/go-calm/calm/examples/internal/term"
	"github.com/go-calm/calm/lattice"
)

const about = `Count the distinct visitors of each page of an access log in sketches that several nodes exchange in any order,
and compare with the exact numbers.

  visitors                              a made-up log
  visitors -in access.log.gz            a real one, packed with gzip or not
  zcat access.log.gz | visitors -in -

Exit codes: 0 the nodes agree and no page errs beyond the bound; 1 otherwise; 2 wrong usage.`

func main() {
	os.Exit(program.Exit("visitors", command(os.Args[1:], os.Stdin, os.Stdout, os.Stderr), os.Stderr))
}

// options are the flags.
type options struct {
	made      accesslog.Made
	input     func(io.Reader) (accesslog.Input, error)
	nodes     int
	precision int
	top       int
}

func (o *options) flags() *flag.FlagSet {
	f := flag.NewFlagSet("visitors", flag.ContinueOnError)
	o.made = accesslog.Made{Lines: 500_000, Visitors: 100_000, Pages: 1_000, Seed: 1}
	o.input = accesslog.Flags(f, &o.made) // the order of messages is drawn by the seed as well
	f.IntVar(&o.nodes, "nodes", 5, "how many nodes count")
	f.IntVar(&o.precision, "precision", lattice.DefaultPrecision, "of the sketches, from 8 to 18: 2^precision bytes, for a standard error of 1.04/√2^precision")
	f.IntVar(&o.top, "top", 12, "how many pages to show")
	return f
}

// check refuses what makes no sense.
func (o *options) check() error {
	for _, c := range []struct {
		name       string
		v, min, up int
	}{
		{"nodes", o.nodes, 1, 64},
		{"precision", o.precision, 8, 18},
		{"top", o.top, 0, 1 << 20},
	} {
		if c.v < c.min || c.v > c.up {
			return fmt.Errorf("-%s is from %d to %d, not %d", c.name, c.min, c.up, c.v)
		}
	}
	return nil
}

func command(args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	var o options
	if err := program.Parse(o.flags(), args, about, stdout); err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return program.Usage(err)
	}
	in, err := o.input(stdin)
	if err != nil {
		return program.Usage(err)
	}
	fmt.Fprintf(stdout, "counting %s\n", in)
	c := newCount(o.nodes, o.precision)
	if err := c.read(in, term.NewProgress(stderr)); err != nil {
		return err
	}
	sent, err := exchange(c.nodes, o.made.Seed)
	if err != nil {
		return err
	}
	ok, err := report(stdout, c, sent, o.top)
	if err == nil && !ok {
		err = errors.New("not as stated")
	}
	return err
}
