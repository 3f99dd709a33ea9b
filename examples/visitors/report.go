package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"

	"github.com/go-calm/calm/examples/internal/term"
	"github.com/go-calm/calm/lattice"
)

// row is a page as counted both ways.
type row struct {
	page     string
	exact    int
	estimate float64
}

// off is the relative error.
func (r row) off() float64 { return r.estimate/float64(r.exact) - 1 }

// sure is how certain the bound on the worst page is.
const sure = 0.999

// boundOn returns by how many standard errors the worst of n estimates errs at most, in a part
// sure of all cases: each of them may go beyond it in an n-th of the rest. Errors are taken to be
// normally distributed, which those of more than a few registers nearly are.
func boundOn(n int) float64 { return math.Sqrt2 * math.Erfinv(1-(1-sure)/float64(max(n, 1))) }

// report writes what was counted, and returns whether the nodes agree and no page errs beyond the
// bound.
func report(w io.Writer, c *count, s sent, top int) (ok bool, err error) {
	agree, size, err := c.agree()
	if err != nil {
		return false, err
	}
	rows := c.rows()
	fmt.Fprintf(w, "%s lines, %s of them malformed; %s pages; precision %d\n",
		term.Thousands(c.lines), term.Thousands(c.malformed), term.Thousands(int64(len(rows))), c.precision)
	fmt.Fprintf(w, "%d nodes counted a part each and sent it to each other in %d messages of %s or less, which arrived\n"+
		"in an order drawn at random, %d of them twice\n", len(c.nodes), s.messages, term.Size(s.bytes), s.twice)
	if agree {
		fmt.Fprintf(w, "all nodes hold the same %s, and so does one that saw every line; the exact sets take %s\n\n",
			term.Size(size), term.Size(c.exactSize()))
	} else {
		fmt.Fprintf(w, "THE NODES DIFFER\n\n")
	}
	if len(rows) == 0 {
		return agree, nil
	}

	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "visitors\testimate\terror\t  page")
	for _, r := range rows[:min(top, len(rows))] {
		fmt.Fprintf(t, "%s\t%s\t%+.2f %%\t  %s\n", term.Thousands(int64(r.exact)),
			term.Thousands(int64(math.Round(r.estimate))), 100*r.off(), term.Printable(r.page))
	}
	if err := t.Flush(); err != nil {
		return false, err
	}

	worst := slices.MaxFunc(rows, func(a, b row) int { return cmp.Compare(math.Abs(a.off()), math.Abs(b.off())) })
	stdError := lattice.NewHyperLogLog(c.precision).StdError()
	z := boundOn(len(rows))
	fmt.Fprintf(w, "\nstated: a standard error of %.2f %%, so of %s pages each stays within %.1f of them, %.2f %%, in 999 of 1 000 logs\n",
		100*stdError, term.Thousands(int64(len(rows))), z, 100*z*stdError)
	fmt.Fprintf(w, "measured: the worst page errs by %+.2f %%: %s visitors of %s\n",
		100*worst.off(), term.Thousands(int64(worst.exact)), term.Printable(worst.page))
	within := math.Abs(worst.off()) <= z*stdError
	if !within {
		fmt.Fprintln(w, "THAT IS BEYOND THE BOUND")
	}
	return agree && within, nil
}

// agree reports whether all nodes hold the same bytes, those of one that saw every line, and how
// many that are.
func (c *count) agree() (agree bool, size int64, err error) {
	whole, err := c.whole.MarshalBinary()
	if err != nil {
		return false, 0, err
	}
	for _, p := range c.nodes {
		form, err := p.MarshalBinary()
		if err != nil || !bytes.Equal(form, whole) {
			return false, 0, err
		}
	}
	return true, int64(len(whole)), nil
}

// rows returns all pages, those with the most visitors first.
func (c *count) rows() []row {
	rows := make([]row, 0, len(c.exact))
	for page, visitors := range c.exact {
		rows = append(rows, row{page, len(visitors), c.nodes[0].Get(page).Estimate()})
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(b.exact, a.exact), cmp.Compare(a.page, b.page))
	})
	return rows
}

// exactSize is how many bytes the pages' visitors are, without any structure around them.
func (c *count) exactSize() (n int64) {
	for page, visitors := range c.exact {
		n += int64(len(page))
		for v := range visitors {
			n += int64(len(v))
		}
	}
	return n
}
