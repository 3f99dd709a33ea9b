package main

import (
	"math"
	"slices"

	"github.com/go-calm/calm/clock"
	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/examples/internal/term"
)

// site is what is known of the site, and replicated. Its fields are the schema: the tags name them
// on the wire.
type site struct {
	Requests *crdt.Map[string, *crdt.Counter]     `crdt:"1"` // by page
	Bytes    *crdt.Map[string, *crdt.Counter]     `crdt:"2"` // by page
	Visitors *crdt.Map[string, *crdt.Set[string]] `crdt:"3"` // by page
	Classes  *crdt.Map[string, *crdt.Counter]     `crdt:"4"` // by class of the status, such as 2xx
	Pages    *crdt.Set[string]                    `crdt:"5"`
	First    *crdt.LWW[int64]                     `crdt:"6"` // Unix seconds of the earliest request
	Last     *crdt.LWW[int64]                     `crdt:"7"` // and of the latest
	Unique   *crdt.GSet[string]                   `crdt:"8"` // visitors of any page

	// What follows is of the nodes. Those that have a journal find it there when they start again.
	Places  *crdt.Map[crdt.ReplicaID, *crdt.Register[string]] `crdt:"9"`  // of those with a journal: a place as JSON
	Retired *crdt.GSet[crdt.ReplicaID]                        `crdt:"10"` // those that will not be back
}

// siteName is where the site is in the store.
const siteName = "traffic"

// classNames are the names of the classes of status, by first digit.
var classNames = [10]string{"0xx", "1xx", "2xx", "3xx", "4xx", "5xx", "6xx", "7xx", "8xx", "9xx"}

// span is the time between the earliest and the latest request that somebody knows of.
type span struct{ first, last int64 }

var noSpan = span{math.MaxInt64, math.MinInt64}

func (s *span) add(o span) {
	s.first, s.last = min(s.first, o.first), max(s.last, o.last)
}

// within reports whether o reaches as far.
func (s span) within(o span) bool { return s.first >= o.first && s.last <= o.last }

// assert writes the widest span known here into the registers where they say less, and learns from
// them where they say more. A register keeps the last value written, not the smallest; so whoever
// knows better writes again, with a stamp above the one it corrects, until nobody does. It must run
// within a [crdt.Store.Update].
func (s *site) assert(known *span, c *clock.Clock) {
	told := s.span()
	known.add(told)
	if known.first < told.first {
		s.First.Set(after(s.First, c), known.first)
	}
	if known.last > told.last {
		s.Last.Set(after(s.Last, c), known.last)
	}
}

// after returns a stamp above the one that a register holds.
func after(r *crdt.LWW[int64], c *clock.Clock) clock.Timestamp {
	if st, ok := r.Stamp(); ok {
		// One that is too far ahead of our clock is refused, and does no harm: Set goes above it
		// whatever we give it.
		_ = c.Witness(st.Time)
	}
	return c.Now()
}

// span returns what the registers say.
func (s *site) span() span {
	first, ok1 := s.First.Value()
	last, ok2 := s.Last.Value()
	if !ok1 || !ok2 {
		return noSpan
	}
	return span{first, last}
}

// apply counts what the workers of a node gathered in an epoch. It must run within a
// [crdt.Store.Update]: then a page takes one event for each of its counters, however many requests
// and workers there were. The tallies stay as they are, for the update may be refused.
func (s *site) apply(workers []*worker, parity int) (seen span) {
	seen = noSpan
	for _, w := range workers {
		t := &w.tallies[parity]
		for _, p := range t.dirty {
			c := &p.counts[parity]
			s.Requests.At(p.name).Add(c.requests)
			s.Bytes.At(p.name).Add(c.bytes)
			// Another node, or this one before it started again, may have told of the page and its
			// visitors.
			if known := s.Visitors.At(p.name); len(c.visitors) > 0 {
				c.visitors = slices.DeleteFunc(c.visitors, known.Contains)
				known.Add(c.visitors...)
			}
			if !s.Pages.Contains(p.name) {
				s.Pages.Add(p.name)
			}
		}
		for class, n := range t.classes {
			s.Classes.At(classNames[class]).Add(n)
		}
		t.visitors = slices.DeleteFunc(t.visitors, s.Unique.Contains)
		s.Unique.Add(t.visitors...)
		seen.add(t.seen)
	}
	return seen
}

// totals is what a node knows, added up.
type totals struct {
	Requests int64            `json:"requests"`
	Bytes    int64            `json:"bytes"`
	Pages    int              `json:"pages"`
	Visitors int              `json:"visitors"`
	Classes  map[string]int64 `json:"classes"`
	First    string           `json:"first,omitempty"`
	Last     string           `json:"last,omitempty"`
	Top      []pageTotals     `json:"top"`
}

type pageTotals struct {
	Page     string `json:"page"`
	Requests int64  `json:"requests"`
	Bytes    int64  `json:"bytes"`
	Visitors int    `json:"visitors"`
}

// totals adds up, and lists the most requested pages.
func (s *site) totals(top int) totals {
	t := totals{Pages: s.Pages.Len(), Visitors: s.Unique.Len(), Classes: map[string]int64{}, Top: []pageTotals{}}
	requests := make(map[string]int64, t.Pages)
	for page, c := range s.Requests.All() {
		n := c.Value()
		requests[page] = n
		t.Requests += n
	}
	for _, c := range s.Bytes.All() {
		t.Bytes += c.Value()
	}
	for class, c := range s.Classes.All() {
		t.Classes[class] = c.Value()
	}
	if seen := s.span(); seen != noSpan {
		t.First, t.Last = term.Seconds(seen.first), term.Seconds(seen.last)
	}
	for _, r := range topPages(requests, top) {
		t.Top = append(t.Top, pageTotals{r.page, r.requests, s.Bytes.At(r.page).Value(), s.Visitors.At(r.page).Len()})
	}
	return t
}
