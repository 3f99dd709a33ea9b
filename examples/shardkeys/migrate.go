package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/go-calm/calm/examples/internal/term"
	"github.com/go-calm/calm/shard"
	"github.com/go-calm/calm/shard/entity"
)

// tally is a key's state: how many messages it had, and whether each was the next.
type tally struct{ had, wrong uint64 }

// numbered is a message: its place among those of its key, from 0.
type numbered uint64

func handle(t *entity.Turn[tally, numbered], n numbered) error {
	if uint64(n) != t.State.had {
		t.State.wrong++ // lost, doubled or out of order: it is not the next one
	}
	t.State.had++
	return nil
}

// fleet is the nodes. The map says who owns a slot; a node that has not got it yet, or not any more,
// says so itself, so a sender with an old map does no harm and looks again.
type fleet struct {
	live  shard.Live
	mu    sync.RWMutex
	nodes map[string]*entity.Entities[tally, numbered]
}

func (f *fleet) node(id string) *entity.Entities[tally, numbered] {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.nodes[id]
}

// start starts a node that owns what owns says.
func (f *fleet) start(id string, owns func(shard.Slot) bool) {
	e := entity.New(handle, entity.Like(f.live.Load()), entity.Lanes(1), entity.Owns(owns))
	f.mu.Lock()
	f.nodes[id] = e
	f.mu.Unlock()
}

// send sends until somebody accepts.
func (f *fleet) send(ctx context.Context, key string, n numbered) error {
	for {
		err := f.node(f.live.Load().Owner(key).ID).Send(ctx, key, n)
		if !errors.Is(err, entity.ErrNotOwned) && !errors.Is(err, entity.ErrClosed) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		runtime.Gosched() // the slot is between two owners
	}
}

// to moves to other nodes, wave by wave, the fewest slots that do.
func (f *fleet) to(ctx context.Context, w io.Writer, bar *term.Progress, nodes []shard.Node) error {
	m := f.live.Load()
	before := m.Stats().Nodes
	for _, n := range nodes {
		if m.Node(n.ID) == nil {
			f.start(n.ID, func(shard.Slot) bool { return false })
		}
	}
	next, plan := m.Rebalance(nodes)
	if plan.Err != nil {
		return plan.Err
	}
	waves, moved := 0, 0
	defer bar.Done()
	for wave := range plan.Waves(8) {
		moved += len(wave)
		bar.Show(fmt.Sprintf("%d nodes → %d: %d of %d slots moved", before, len(nodes), moved, len(plan.Moves)))
		for _, mv := range wave {
			states, err := f.node(mv.From).Handoff(ctx, mv.Slot)
			if err != nil {
				return err
			}
			if err := f.node(mv.To).Adopt(mv.Slot, states); err != nil {
				return err
			}
		}
		m, err := f.live.Load().Apply(plan.Part(wave))
		if err != nil {
			return err
		}
		f.live.Store(m)
		waves++
	}
	f.live.Store(next)
	bar.Done()
	s := next.Stats()
	fmt.Fprintf(w, "%d nodes → %d: %d slots moved, at least %d had to, in %d waves; the fullest node then has %.3f times its share\n",
		before, s.Nodes, len(plan.Moves), plan.Lower, waves, s.Peak)
	return nil
}

// migrate goes from eight nodes to nine to seven while senders go on. It fails if not every
// key had each of its messages once and in order.
func migrate(ctx context.Context, w io.Writer, key func(request) string, requests []request, senders int, bar *term.Progress) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	f := &fleet{nodes: map[string]*entity.Entities[tally, numbered]{}}
	m, err := shard.New(nodeSet(startNodes), shard.Slots(slots))
	if err != nil {
		return err
	}
	f.live.Store(m)
	owned := map[string]map[shard.Slot]bool{}
	for s := range shard.Slot(m.Slots()) {
		for n := range m.Owners(s) {
			if owned[n.ID] == nil {
				owned[n.ID] = map[shard.Slot]bool{}
			}
			owned[n.ID][s] = true
		}
	}
	for n := range m.Nodes() {
		f.start(n.ID, func(s shard.Slot) bool { return owned[n.ID][s] })
	}

	// Each key has one sender, so that its messages have an order.
	var wg sync.WaitGroup
	var moved atomic.Bool
	sent := make([]map[string]uint64, senders)
	for i := range senders {
		sent[i] = map[string]uint64{}
		wg.Go(func() {
			for round := 0; round == 0 || !moved.Load(); round++ {
				for _, r := range requests {
					k := key(r)
					if shard.Hash(k, 1)%uint64(senders) != uint64(i) {
						continue
					}
					if err := f.send(ctx, k, numbered(sent[i][k])); err != nil {
						stop(err)
						return
					}
					sent[i][k]++
				}
			}
		})
	}
	nine := nodeSet(9)
	err = f.to(ctx, w, bar, nine)
	if err == nil {
		err = f.to(ctx, w, bar, nine[2:])
	}
	moved.Store(true)
	if err != nil {
		stop(err)
	}
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}

	messages, had, wrong, bad := uint64(0), uint64(0), uint64(0), 0
	for _, keys := range sent {
		for k, n := range keys {
			t, err := entity.Ask(ctx, f.node(f.live.Load().Owner(k).ID), k, func(t *tally) tally { return *t })
			if err != nil {
				return err
			}
			messages, had, wrong = messages+n, had+t.had, wrong+t.wrong
			if t.had != n || t.wrong > 0 {
				bad++
			}
		}
	}
	for _, e := range f.nodes {
		if err := e.Close(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "%s messages sent meanwhile, %s handled, %d not the next of their key, %d keys with a wrong count\n",
		term.Thousands(int64(messages)), term.Thousands(int64(had)), wrong, bad)
	if bad > 0 || messages != had {
		return errors.New("not every key had each of its messages once and in order")
	}
	return nil
}
