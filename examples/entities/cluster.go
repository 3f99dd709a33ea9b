package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-calm/calm/shard"
	"github.com/go-calm/calm/shard/entity"
)

// slots is in how many parts the keys can be moved. A wave of moves stops only the slots in it.
const slots = 1024

// perWave is how many slots a node gives or takes at a time.
const perWave = 8

// cluster is nodes that own slots. The nodes are in one process; between them goes nothing but messages
// and states.
type cluster struct {
	live  shard.Live // who owns what now
	mu    sync.RWMutex
	nodes map[string]*node
	moved chan struct{} // closed and replaced when live changes
	gone  int64         // messages handled by nodes that have left
	sent  atomic.Int64  // credits that were sent to another node
}

// node is one process's share of the entities.
type node struct {
	entities *entity.Entities[account, payment]
	strays   *strays
}

func newCluster(ctx context.Context, n int) (*cluster, error) {
	members := make([]shard.Node, n)
	for i := range members {
		members[i].ID = fmt.Sprintf("node-%d", i+1)
	}
	placed, err := shard.New(members, shard.Slots(slots))
	if err != nil {
		return nil, err
	}
	c := &cluster{nodes: map[string]*node{}, moved: make(chan struct{})}
	c.live.Store(placed)
	for _, m := range members {
		c.start(ctx, m.ID, placed)
	}
	return c, nil
}

// start starts a node that owns what a map says.
func (c *cluster) start(ctx context.Context, id string, placed *shard.Map) {
	n := &node{strays: newStrays()}
	n.entities = entity.New(handle,
		entity.Like(placed),
		entity.Owns(func(s shard.Slot) bool { return owner(placed, s) == id }),
		// A credit to a page on another node. The handler must not wait, so it is put aside.
		entity.OnStray(func(key string, m any) { n.strays.put(event{key, m.(payment)}) }),
	)
	go n.strays.forward(func(e event) {
		c.sent.Add(1)
		_ = c.send(ctx, e) // it fails only if ctx is over, and then everything is
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[id] = n
}

func (c *cluster) node(id string) *node {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.nodes[id]
}

func owner(m *shard.Map, s shard.Slot) string {
	for n := range m.Owners(s) {
		return n.ID
	}
	return ""
}

// send delivers a message to the owner of its key. While the slot is on its way to another owner it
// waits, and so keeps the order of what one sender sends to a key.
func (c *cluster) send(ctx context.Context, e event) error {
	for {
		c.mu.RLock()
		moved := c.moved // before looking, so that no move is missed
		c.mu.RUnlock()
		to := c.node(c.live.Load().Owner(e.key).ID)
		if to != nil {
			err := to.entities.Send(ctx, e.key, e.payment)
			if !errors.Is(err, entity.ErrNotOwned) && !errors.Is(err, entity.ErrClosed) {
				return err
			}
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// moves is what a change of the nodes came to.
type moves struct {
	plan     shard.Plan
	waves    int
	entities int
}

// rebalance makes members the nodes, with the fewest moves there can be, in waves.
func (c *cluster) rebalance(ctx context.Context, members []shard.Node) (moves, error) {
	now := c.live.Load()
	_, plan := now.Rebalance(members)
	if plan.Err != nil {
		return moves{}, plan.Err
	}
	done := moves{plan: plan}
	for wave := range plan.Waves(perWave) {
		for _, move := range wave {
			states, err := c.node(move.From).entities.Handoff(ctx, move.Slot)
			if err != nil {
				return done, err
			}
			if err := c.node(move.To).entities.Adopt(move.Slot, counted(states, &done.entities)); err != nil {
				return done, err
			}
		}
		next, err := c.live.Load().Apply(plan.Part(wave))
		if err != nil {
			return done, err
		}
		c.live.Store(next)
		c.mu.Lock()
		close(c.moved)
		c.moved = make(chan struct{})
		c.mu.Unlock()
		done.waves++
	}
	return done, nil
}

func counted(states iter.Seq2[string, *account], n *int) iter.Seq2[string, *account] {
	return func(yield func(string, *account) bool) {
		for k, s := range states {
			*n++
			if !yield(k, s) {
				return
			}
		}
	}
}

// join adds a node.
func (c *cluster) join(ctx context.Context, id string) (moves, error) {
	c.start(ctx, id, c.live.Load()) // owns nothing yet
	return c.rebalance(ctx, append(c.members(), shard.Node{ID: id}))
}

// leave removes a node once it owns nothing any more.
func (c *cluster) leave(ctx context.Context, id string) (moves, error) {
	done, err := c.rebalance(ctx, slices.DeleteFunc(c.members(), func(n shard.Node) bool { return n.ID == id }))
	if err != nil {
		return done, err
	}
	n := c.node(id)
	if err := n.entities.Close(ctx); err != nil {
		return done, err
	}
	n.strays.close()
	c.mu.Lock()
	delete(c.nodes, id)
	c.gone += n.handled()
	c.mu.Unlock()
	return done, nil
}

func (c *cluster) members() (all []shard.Node) {
	for n := range c.live.Load().Nodes() {
		all = append(all, *n)
	}
	return all
}

// handled is how many messages all nodes have handled, those included that have left.
func (c *cluster) handled() (total int64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	total = c.gone
	for _, n := range c.nodes {
		total += n.handled()
	}
	return total
}

func (n *node) handled() (total int64) {
	for _, l := range n.entities.Stats().Lanes {
		total += int64(l.Handled)
	}
	return total
}

// settle waits until so many messages were handled.
func (c *cluster) settle(ctx context.Context, messages int64) error {
	for c.handled() < messages {
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// close ends all nodes and returns their states.
func (c *cluster) close(ctx context.Context) (map[string]account, error) {
	all := map[string]account{}
	placed := c.live.Load()
	for s := range shard.Slot(slots) {
		states, err := c.node(owner(placed, s)).entities.Handoff(ctx, s)
		if err != nil {
			return nil, err
		}
		for key, state := range states {
			if _, twice := all[key]; twice {
				return nil, fmt.Errorf("%s has two states", key)
			}
			all[key] = *state
		}
	}
	for _, n := range c.nodes {
		if err := n.entities.Close(ctx); err != nil {
			return nil, err
		}
		n.strays.close()
	}
	return all, nil
}
