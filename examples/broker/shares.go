package main

import (
	"bufio"

	"github.com/go-calm/calm/examples/internal/accesslog"
)

// share is the lines that are one node's to count, in batches: the pages that they ask for, "" where
// a line is damaged.
type share struct {
	number  int
	batches [][]string
}

// readShares deals the lines out in turn.
func readShares(in accesslog.Input, nodes, batch int) ([]share, error) {
	s, err := in.Open()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	shares := make([]share, nodes)
	for i := range shares {
		shares[i].number = i
	}
	lines := bufio.NewScanner(s)
	lines.Buffer(nil, 1<<20)
	for i := 0; lines.Scan(); i++ {
		page := ""
		if l, err := accesslog.Parse(lines.Text()); err == nil {
			page = l.Page
		}
		to := &shares[i%nodes]
		if last := len(to.batches) - 1; last < 0 || len(to.batches[last]) == batch {
			to.batches = append(to.batches, make([]string, 0, batch))
		}
		last := &to.batches[len(to.batches)-1]
		*last = append(*last, page)
	}
	return shares, lines.Err()
}

// recount counts the shares as one goroutine does that has them all.
func recount(shares []share) map[string]int64 {
	pages := map[string]int64{}
	for _, s := range shares {
		for _, b := range s.batches {
			for _, page := range b {
				pages[page]++
			}
		}
	}
	return pages
}
