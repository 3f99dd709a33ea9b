package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"

	"github.com/go-calm/calm/examples/internal/accesslog"
	"github.com/go-calm/calm/examples/internal/term"
	"github.com/go-calm/calm/lattice"
)

// pages holds a sketch of each page's visitors.
type pages = lattice.Map[string, *lattice.HyperLogLog]

// count is what was read, counted in three ways.
type count struct {
	precision int
	lines     int64
	malformed int64
	exact     map[string]map[string]struct{} // page, visitor
	whole     *pages                         // by a node that sees all lines
	nodes     []*pages                       // by nodes that see one in so many
}

func newCount(nodes, precision int) *count {
	c := &count{precision: precision, exact: map[string]map[string]struct{}{}, whole: &pages{}}
	for range nodes {
		c.nodes = append(c.nodes, &pages{})
	}
	return c
}

// tally is a node that counts: its sketches are its own to add to until they are put in a map.
type tally map[string]*lattice.HyperLogLog

func (t tally) add(page, visitor string, precision int) {
	s := t[page]
	if s == nil {
		s = lattice.NewHyperLogLog(precision)
		t[strings.Clone(page)] = s // a page is a part of its line, which would be kept too
	}
	s.AddString(visitor)
}

func (t tally) putInto(p *pages) {
	for page, s := range t {
		p.Put(page, s)
	}
}

// read counts all lines of the input. The nodes get them in turns.
func (c *count) read(in accesslog.Input, progress *term.Progress) error {
	s, err := in.Open()
	if err != nil {
		return err
	}
	defer s.Close()
	defer progress.Done()
	whole, nodes := tally{}, make([]tally, len(c.nodes))
	for i := range nodes {
		nodes[i] = tally{}
	}
	err = eachLine(s, func(text string) {
		c.lines++
		if c.lines&0xffff == 0 {
			progress.Show(fmt.Sprintf("%s lines", term.Thousands(c.lines)))
		}
		l, err := accesslog.Parse(text)
		if err != nil {
			c.malformed++
			return
		}
		c.addExactly(l.Page, l.Visitor)
		whole.add(l.Page, l.Visitor, c.precision)
		nodes[c.lines%int64(len(nodes))].add(l.Page, l.Visitor, c.precision)
	})
	whole.putInto(c.whole)
	for i, t := range nodes {
		t.putInto(c.nodes[i])
	}
	return err
}

func (c *count) addExactly(page, visitor string) {
	visitors := c.exact[page]
	if visitors == nil {
		visitors = map[string]struct{}{}
		c.exact[strings.Clone(page)] = visitors
	}
	if _, ok := visitors[visitor]; !ok {
		visitors[strings.Clone(visitor)] = struct{}{}
	}
}

// eachLine calls f with each line; of one that is too long to be a request, with its beginning.
func eachLine(r io.Reader, f func(text string)) error {
	lines := bufio.NewReaderSize(r, accesslog.MaxLine+2)
	for {
		line, err := lines.ReadSlice('\n')
		if err == nil || len(line) > 0 {
			f(strings.TrimSuffix(string(line), "\n"))
		}
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = lines.ReadSlice('\n')
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// sent is what the nodes said to each other.
type sent struct {
	messages, twice int
	bytes           int64 // of one node's state, at the most
}

// exchange lets every node send what it counted to every other one, as bytes. The messages arrive
// in an order that is drawn, one in three of them twice.
func exchange(nodes []*pages, seed uint64) (sent, error) {
	type message struct {
		to   int
		form []byte
	}
	var all []message
	var s sent
	rng := rand.New(rand.NewPCG(seed, 0x76697369746f7273))
	for from, p := range nodes {
		form, err := p.MarshalBinary()
		if err != nil {
			return s, err
		}
		s.bytes = max(s.bytes, int64(len(form)))
		for to := range nodes {
			if to == from {
				continue
			}
			m := message{to, form}
			if all = append(all, m); rng.IntN(3) == 0 {
				all = append(all, m)
				s.twice++
			}
			s.messages++
		}
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, m := range all {
		var news pages
		if err := news.UnmarshalBinary(m.form); err != nil {
			return s, err
		}
		nodes[m.to].Merge(&news)
	}
	return s, nil
}
