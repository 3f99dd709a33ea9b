package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/go-calm/calm/backpressure"
	"github.com/go-calm/calm/examples/internal/accesslog"
)

// event is one request on its way to the worker that owns its visitor.
type event struct {
	epoch   *epoch
	visitor string
	page    string
	bytes   int64
	when    int64
	class   uint8
}

// epoch is a stretch of a node's input. A node counts in epochs so that what it has counted and how
// far it has read always belong together, without anybody having to stop: while the requests of one
// epoch are still in the queues, those of the next may follow. No more than two overlap.
type epoch struct {
	parity int            // which of two tallies of each worker is the epoch's
	open   sync.WaitGroup // one for each request that is neither counted nor dropped yet
	lost   atomic.Int64   // those that were dropped
	end    position       // of the input, once the epoch is sealed
}

// position is how far an input has been read.
type position struct {
	offset    int64
	head      uint32 // see lines.resume
	lines     int64
	malformed int64
	dropped   int64 // requests, by policy
}

// ingest takes lines in: it parses them and hands each to the worker that owns its visitor, through
// that worker's queue.
type ingest struct {
	route   *routes
	workers []*worker
	full    fullPolicy
	done    sync.WaitGroup

	mu    sync.Mutex // held from a chunk's first line to its last: epochs end between chunks
	epoch *epoch
	pos   position
	bad   malformed
	out   [][]event // what is on its way to each worker

	lines     atomic.Int64 // as pos.lines, for those who watch
	malformed atomic.Int64
	dropped   drops
	lost      int64 // dropped in the epochs that are over; belongs to who seals
}

// batchLen is how many events go into a queue, and come out of it, at a time.
const batchLen = 128

// fullPolicy says what happens to a request whose worker's queue is full.
type fullPolicy string

const (
	fullBlock      fullPolicy = "block"
	fullReject     fullPolicy = "reject"
	fullDropOldest fullPolicy = "drop-oldest"
)

func (p fullPolicy) check() error {
	switch p {
	case fullBlock, fullReject, fullDropOldest:
		return nil
	}
	return fmt.Errorf("-full is %s, %s or %s, not %q", fullBlock, fullReject, fullDropOldest, p)
}

func newIngest(workers, queueLen int, full fullPolicy) (*ingest, error) {
	route, err := newRoutes(workers)
	if err != nil {
		return nil, err
	}
	in := &ingest{route: route, full: full, epoch: &epoch{}, out: make([][]event, workers)}
	in.dropped.init()
	for range workers {
		w := newWorker(in.newQueue(queueLen))
		in.workers = append(in.workers, w)
		in.done.Go(w.run)
	}
	return in, nil
}

func (in *ingest) newQueue(n int) *backpressure.Queue[event] {
	switch in.full {
	case fullReject:
		return backpressure.NewQueue(n, backpressure.RejectWhenFull[event]())
	case fullDropOldest:
		return backpressure.NewQueue(n, backpressure.DropOldest(func(e event, _ backpressure.Reason) {
			in.drop(e)
		}))
	}
	return backpressure.NewQueue[event](n)
}

// feed takes in a chunk of lines. It waits where a queue is full and the policy is to wait.
func (in *ingest) feed(c chunk) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for text := c.text; text != ""; {
		var s string
		s, text = nextLine(text)
		in.pos.lines++
		l, err := accesslog.Parse(s)
		if err != nil {
			in.pos.malformed++
			in.bad.add(s, err)
			continue
		}
		w := in.route.worker(l.Visitor)
		in.out[w] = append(in.out[w], event{in.epoch, l.Visitor, l.Page, l.Bytes, l.When, l.Class})
		if len(in.out[w]) == batchLen {
			in.send(w)
		}
	}
	for w := range in.out {
		in.send(w)
	}
	in.pos.offset, in.pos.head = c.end, c.head
	in.lines.Store(in.pos.lines)
	in.malformed.Store(in.pos.malformed)
}

// send puts what is on its way to a worker into its queue.
func (in *ingest) send(w int) {
	batch := in.out[w]
	if len(batch) == 0 {
		return
	}
	in.epoch.open.Add(len(batch))
	n, _ := in.workers[w].queue.PutAll(context.Background(), batch)
	for _, e := range batch[n:] {
		in.drop(e) // rejected
	}
	clear(batch)
	in.out[w] = batch[:0]
}

func (in *ingest) drop(e event) {
	in.dropped.add(e)
	e.epoch.lost.Add(1)
	e.epoch.open.Done()
}

// seal ends the running epoch and returns it once all of its requests are counted: from then on,
// and until the next seal, the epoch's tallies belong to the caller. Only one may seal at a time.
func (in *ingest) seal() *epoch {
	in.mu.Lock()
	e := in.epoch
	e.end = in.pos
	in.epoch = &epoch{parity: 1 - e.parity}
	in.mu.Unlock()
	e.open.Wait()
	in.lost += e.lost.Load()
	e.end.dropped = in.lost
	return e
}

// queued is how many requests wait in the queues.
func (in *ingest) queued() (n int) {
	for _, w := range in.workers {
		n += w.queue.Stats().Len
	}
	return n
}

// firstBad returns the malformed lines that are kept to be shown.
func (in *ingest) firstBad() malformed {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.bad
}

// close ends the workers. Nothing may be fed any more.
func (in *ingest) close() {
	for _, w := range in.workers {
		w.queue.Close()
	}
	in.done.Wait()
}

// drops counts what was dropped because a queue was full, so that what was counted and what was
// dropped together are what came in, page by page.
type drops struct {
	n  atomic.Int64
	mu sync.Mutex
	by map[string]*pageTally
}

func (d *drops) init() { d.by = map[string]*pageTally{} }

func (d *drops) add(e event) {
	d.n.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.by[e.page]
	if p == nil {
		p = &pageTally{}
		d.by[string([]byte(e.page))] = p // without the chunk that it is a part of
	}
	p.requests++
	p.bytes += e.bytes
}
