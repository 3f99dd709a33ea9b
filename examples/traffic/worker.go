package main

import (
	"context"

	"github.com/go-calm/calm/backpressure"
)

// worker counts the requests of the visitors that it owns, with nobody else touching what it
// counts in: the tallies of an epoch are read by others once the epoch is over.
type worker struct {
	queue    *backpressure.Queue[event]
	pages    map[string]*page
	visitors map[string]uint32 // numbered as they come
	names    []string          // of the visitors, by number
	seen     map[uint64]struct{}
	tallies  [2]tally // of the running epoch and of the one before or after, by parity
}

// page is what a worker keeps of a page.
type page struct {
	name   string
	number uint32
	counts [2]pageTally // by parity of the epoch
}

// pageTally is what happened to a page in an epoch.
type pageTally struct {
	requests int64
	bytes    int64
	visitors []string // new to the page, as far as this worker knows
}

// tally is what happened in an epoch.
type tally struct {
	dirty    []*page // those with a tally
	classes  [10]int64
	visitors []string // new to the site, as far as this worker knows
	seen     span
}

// reset empties the tallies of an epoch.
func (w *worker) reset(parity int) {
	t := &w.tallies[parity]
	for _, p := range t.dirty {
		p.counts[parity] = pageTally{}
	}
	clear(t.dirty)
	clear(t.visitors)
	*t = tally{dirty: t.dirty[:0], visitors: t.visitors[:0], seen: noSpan}
}

func newWorker(q *backpressure.Queue[event]) *worker {
	w := &worker{
		queue:    q,
		pages:    map[string]*page{},
		visitors: map[string]uint32{},
		seen:     map[uint64]struct{}{},
	}
	for i := range w.tallies {
		w.reset(i)
	}
	return w
}

// run counts until the queue is closed and empty.
func (w *worker) run() {
	var batch [batchLen]event
	for {
		n, err := w.queue.GetBatch(context.Background(), batch[:])
		if err != nil {
			return
		}
		for i := 0; i < n; {
			// The requests of an epoch follow each other, so they are signed off together.
			e, from := batch[i].epoch, i
			for i < n && batch[i].epoch == e {
				w.count(&batch[i])
				i++
			}
			e.open.Add(from - i)
		}
		clear(batch[:n])
	}
}

func (w *worker) count(e *event) {
	parity := e.epoch.parity
	t := &w.tallies[parity]
	p, ok := w.pages[e.page]
	if !ok {
		// The copy keeps the name in memory, not the chunk that it is a part of.
		p = &page{name: string([]byte(e.page)), number: uint32(len(w.pages))}
		w.pages[p.name] = p
	}
	c := &p.counts[parity]
	if c.requests == 0 {
		t.dirty = append(t.dirty, p)
	}
	c.requests++
	c.bytes += e.bytes
	t.classes[e.class]++
	t.seen.add(span{e.when, e.when})

	visitor, ok := w.visitors[e.visitor]
	if !ok {
		visitor = uint32(len(w.names))
		name := string([]byte(e.visitor))
		w.visitors[name] = visitor
		w.names = append(w.names, name)
		t.visitors = append(t.visitors, name)
	}
	both := uint64(p.number)<<32 | uint64(visitor)
	if _, ok := w.seen[both]; !ok {
		w.seen[both] = struct{}{}
		c.visitors = append(c.visitors, w.names[visitor])
	}
}
