package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-calm/calm/backpressure"
	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/examples/internal/term"
	"github.com/go-calm/calm/lattice"
)

// tally is what is replicated. How many batches of each share are counted stands beside the counts
// and changes in one step with them: whoever has a count knows which lines are in it.
type tally struct {
	Pages   *crdt.Map[string, *crdt.Counter] `crdt:"1"` // requests by page
	Batches *crdt.Map[int, *crdt.GCounter]   `crdt:"2"` // counted, by share
}

// node counts a share and hears of the others' counts.
type node struct {
	share  share
	shares int
	log    Log

	mu    sync.Mutex // guards store and tally
	store *crdt.Store
	tally *tally

	counted lattice.Cell[*lattice.Vec[lattice.Max[uint64]]] // batches by share, to be waited for
	pending *backpressure.Queue[pending]                    // deltas on their way to the engine

	appended, bytes int64
	fullest         int // most deltas that waited for the engine
	merged          int64
	from            string // what the node started from
}

type pending struct {
	id    batchID
	delta []byte
}

// newNode returns a node that knows nothing. Each has a replica id of its own, also the one that takes
// a dead node's place: what the dead one wrote and nobody heard must not be mistaken for what the new
// one writes.
func newNode(s share, shares int, log Log, queue int) *node {
	n := &node{share: s, shares: shares, log: log, store: crdt.NewStore(crdt.NewReplicaID())}
	n.tally = crdt.OpenStruct[tally](n.store, "tally")
	n.pending = backpressure.NewQueue[pending](queue)
	return n
}

// run takes over what the engine has of this share, counts the rest, and returns when this node knows
// all shares. onBatch is called before each batch and ends the node if it fails.
func (n *node) run(ctx context.Context, all lattice.Threshold[*lattice.Vec[lattice.Max[uint64]]], onBatch func(done int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var background sync.WaitGroup
	defer background.Wait()
	defer cancel(nil)
	var state []byte
	var at position
	if err := untilBack(ctx, func(ctx context.Context) (err error) {
		state, at, err = n.log.Snapshot(ctx)
		return err
	}); err != nil {
		return err
	}
	if err := n.merge(state); err != nil {
		return err
	}
	background.Go(func() {
		cancel(n.log.Follow(ctx, at, func(delta []byte, _ position) error { return n.merge(delta) }))
	})
	// The engine says how many batches of the share it has; that many must have been heard before
	// the next is counted. It is a threshold: once reached it stays reached.
	var last int
	if err := untilBack(ctx, func(ctx context.Context) (err error) {
		last, err = n.log.Last(ctx, n.share.number)
		return err
	}); err != nil {
		return err
	}
	if err := n.counted.Wait(ctx, func(v *lattice.Vec[lattice.Max[uint64]]) bool {
		return v.Get(n.share.number).AtLeast(uint64(last))
	}); err != nil {
		return context.Cause(ctx)
	}
	n.from = fmt.Sprintf("a snapshot of %s and %d deltas after it", term.Size(int64(len(state))), max(n.heard()-1, 0))

	appended := make(chan struct{})
	background.Go(func() {
		defer close(appended)
		if err := n.append(ctx); err != nil {
			cancel(err)
		}
	})
	for number := last; number < len(n.share.batches); number++ {
		if err := onBatch(number); err != nil {
			return err
		}
		delta, err := n.count(n.share.batches[number])
		if err != nil {
			return err
		}
		// Blocks while the queue is full: this is where a node slows down when the engine does.
		if err := n.pending.Put(ctx, pending{batchID{n.share.number, number + 1}, delta}); err != nil {
			return context.Cause(ctx)
		}
		n.fullest = max(n.fullest, n.pending.Stats().Len)
	}
	// What this node counted counts for the others when the engine has it.
	n.pending.Close()
	<-appended
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := n.counted.Wait(ctx, all); err != nil {
		return context.Cause(ctx)
	}
	return nil
}

// count counts a batch and returns what changed, as one delta.
func (n *node) count(pages []string) ([]byte, error) {
	sums := map[string]int64{}
	for _, page := range pages {
		sums[page]++
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.store.Update(func() {
		for page, sum := range sums {
			n.tally.Pages.At(page).Add(sum)
		}
		n.tally.Batches.At(n.share.number).Add(1)
	}).MarshalBinary()
}

// append writes deltas to the engine in order, again and again while it is away.
func (n *node) append(ctx context.Context) error {
	for p := range n.pending.All(ctx) {
		err := untilBack(ctx, func(ctx context.Context) error { return n.log.Append(ctx, p.id, p.delta) })
		if err != nil {
			return fmt.Errorf("batch %d of share %d: %w", p.id.n, p.id.share, err)
		}
		n.appended++
		n.bytes += int64(len(p.delta))
	}
	return nil
}

// untilBack does what needs the engine, again and again while that is away.
func untilBack(ctx context.Context, do func(context.Context) error) error {
	retry := backpressure.Retry{
		Base: 10 * time.Millisecond, Cap: 200 * time.Millisecond, Attempts: 1000,
		Retryable: func(err error) bool { return !errors.Is(err, errTaken) },
	}
	return retry.Do(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		return do(ctx)
	})
}

// merge takes in what the engine told, and tells who waits how much is known now.
func (n *node) merge(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	d, err := crdt.ParseDelta(b, crdt.Limits{})
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, err := n.store.Merge(d); err != nil {
		return err
	}
	n.merged++
	counted := make([]lattice.Max[uint64], n.shares)
	for share, c := range n.tally.Batches.All() {
		if share < n.shares {
			counted[share] = lattice.MaxOf(c.Value())
		}
	}
	_, err = n.counted.Put(lattice.VecOf(counted...))
	return err
}

func (n *node) heard() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.merged
}

// totals returns the requests by page, and a fingerprint of all that the node knows.
func (n *node) totals() (pages map[string]int64, fingerprint uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	pages = map[string]int64{}
	for page, c := range n.tally.Pages.All() {
		pages[page] = c.Value()
	}
	return pages, n.store.Fingerprint()
}
