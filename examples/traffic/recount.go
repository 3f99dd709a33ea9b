package main

import (
	"cmp"
	"errors"
	"io"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/go-calm/calm/examples/internal/accesslog"
)

// recount counts an input in one goroutine with plain maps. It is the judge of what the nodes
// agree on, and the baseline of what their agreeing costs.
type recount struct {
	lines    int64
	bad      malformed
	pages    map[string]*pageCount
	visitors map[string]struct{}
	classes  [10]int64 // by first digit of the status
	first    int64     // Unix seconds of the earliest request, and of the latest
	last     int64
	elapsed  time.Duration
}

type pageCount struct {
	requests int64
	bytes    int64
	visitors map[string]struct{}
}

func newRecount() *recount {
	return &recount{
		pages:    map[string]*pageCount{},
		visitors: map[string]struct{}{},
		first:    math.MaxInt64,
		last:     math.MinInt64,
	}
}

// recountOf reads in, up to a number of lines.
func recountOf(in accesslog.Input, limit int64) (*recount, error) {
	s, err := in.Open()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	r := newRecount()
	for l := newLines(s); ; {
		c, err := l.next()
		if errors.Is(err, io.EOF) {
			return r, nil
		}
		if err != nil {
			return nil, err
		}
		if r.add(c.text, limit-r.lines); r.lines == limit {
			return r, nil
		}
	}
}

// everything is no limit to a number of lines.
const everything = math.MaxInt64

// add counts the lines of a chunk, up to a number of them.
func (r *recount) add(text string, limit int64) {
	start := time.Now()
	for ; text != "" && limit > 0; limit-- {
		var s string
		s, text = nextLine(text)
		r.lines++
		l, err := accesslog.Parse(s)
		if err != nil {
			r.bad.add(s, err)
			continue
		}
		p := r.pages[l.Page]
		if p == nil {
			p = &pageCount{visitors: map[string]struct{}{}}
			r.pages[l.Page] = p
		}
		p.requests++
		p.bytes += l.Bytes
		p.visitors[l.Visitor] = struct{}{}
		r.visitors[l.Visitor] = struct{}{}
		r.classes[l.Class]++
		r.first, r.last = min(r.first, l.When), max(r.last, l.When)
	}
	r.elapsed += time.Since(start)
}

// malformed counts the lines that were not understood, and keeps the first few.
type malformed struct {
	count int64
	first []badLine
}

type badLine struct {
	text string
	err  error
}

const (
	keepBad    = 3   // how many malformed lines are shown
	keepBadLen = 120 // and how much of each
)

func (m *malformed) add(text string, err error) {
	m.count++
	if len(m.first) < keepBad {
		// The copy keeps one line in memory rather than the chunk around it.
		m.first = append(m.first, badLine{string([]byte(text[:min(len(text), keepBadLen)])), err})
	}
}

// rank is a page with its number of requests.
type rank struct {
	page     string
	requests int64
}

// topPages returns the n most requested pages, the most requested first and equal ones by name.
func topPages(requests map[string]int64, n int) []rank {
	all := make([]rank, 0, len(requests))
	for _, page := range slices.Sorted(maps.Keys(requests)) {
		all = append(all, rank{page, requests[page]})
	}
	slices.SortStableFunc(all, func(a, b rank) int { return cmp.Compare(b.requests, a.requests) })
	return all[:min(n, len(all))]
}
