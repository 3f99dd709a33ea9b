// Package replica keeps a crdt.Store equal to those of other processes: package antientropy decides
// what is to be said, package gossip carries it over memberlist, and this package adds the lock, the
// goroutines and the sense of time.
//
//	stock := crdt.NewBoundedCounter(crdt.NewReplicaID())
//	r, err := replica.Start(replica.Config{Store: stock.Store(), Bind: "127.0.0.1:0"})
//	err = r.Do(func() error { stock.Add(100); return nil })
package replica

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/go-calm/calm/backpressure"
	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/crdt/antientropy"
	"github.com/go-calm/calm/examples/internal/cutnet"
	"github.com/go-calm/calm/examples/internal/gossip"
)

// Config says what is replicated, and how it is reached. Store and Bind must be set.
type Config struct {
	Store   *crdt.Store
	Name    string          // for people: the Info that peers see
	Bind    string          // host:port to be reached at; port 0 takes a free one
	Join    []string        // addresses of others
	Key     []byte          // encrypts what is said: 16, 24 or 32 bytes, or none
	Network *cutnet.Network // may be cut
	// Receive takes what other programs' Send and Broadcast sent, if it is set. It is called as Do
	// calls its function: it may read and change the store, and send.
	Receive func(r *Replica, from crdt.ReplicaID, msg []byte)
	Log     io.Writer // memberlist's own
	// Unreached is told of an address of Join at which nobody answers: see [gossip.Config].
	Unreached func(addr string, err error)
}

// The kinds of messages.
const (
	kindState byte = 1 // of the anti-entropy
	kindOther byte = 2 // of the program
)

const (
	tickEvery = 25 * time.Millisecond
	inboxLen  = 1024
)

// Replica is a running one. It may be used concurrently.
type Replica struct {
	store *crdt.Store
	other func(r *Replica, from crdt.ReplicaID, msg []byte)
	agent *gossip.Agent
	inbox *backpressure.Queue[received]

	mu      sync.Mutex // guards the store, and what follows
	engine  *antientropy.Node
	peers   map[crdt.ReplicaID]gossip.Peer
	changed chan struct{} // closed when the store changes

	stop    context.CancelFunc
	stopped context.Context
	done    sync.WaitGroup
}

type received struct {
	from crdt.ReplicaID
	kind byte
	msg  []byte
}

// Start begins to talk with the others.
func Start(cfg Config) (*Replica, error) {
	r := &Replica{
		store: cfg.Store,
		inbox: backpressure.NewQueue(inboxLen, backpressure.DropOldest(func(received, backpressure.Reason) {})),
		engine: antientropy.NewNode(antientropy.Config{
			Self: cfg.Store.ID(), State: cfg.Store, Seed: uint64(crdt.NewReplicaID()), Mesh: true, ResendTicks: 8,
		}),
		other:   cfg.Receive,
		peers:   map[crdt.ReplicaID]gossip.Peer{},
		changed: make(chan struct{}),
	}
	r.stopped, r.stop = context.WithCancel(context.Background())
	var err error
	r.agent, err = gossip.Start(gossip.Config{
		Bind: cfg.Bind, Replica: cfg.Store.ID(), Info: cfg.Name, Join: cfg.Join, Key: cfg.Key,
		Handler: handler{r}, Network: cfg.Network, Log: cfg.Log, Local: true, Unreached: cfg.Unreached,
	})
	if err != nil {
		r.stop()
		return nil, err
	}
	r.done.Go(r.receive)
	r.done.Go(r.tick)
	return r, nil
}

// Addr is where the others reach it.
func (r *Replica) Addr() string { return r.agent.Addr() }

// Do calls f, which may read and change the store, and returns its error. What f changed is on its
// way then.
func (r *Replica) Do(f func() error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := f()
	r.pump()
	return err
}

// View calls f, which may read the store.
func (r *Replica) View(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// Wait waits until f, which reads the store, holds. If f is a monotone read, it holds ever after. It
// fails when ctx is done or the replica is closed.
func (r *Replica) Wait(ctx context.Context, f func() bool) error {
	for {
		r.mu.Lock()
		holds, changed := f(), r.changed
		r.mu.Unlock()
		if holds {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-r.stopped.Done():
			return context.Canceled
		}
	}
}

// Fingerprint is equal on replicas that hold the same.
func (r *Replica) Fingerprint() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.store.Fingerprint()
}

// Peers returns those that are thought to be there.
func (r *Replica) Peers() (all []gossip.Peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.peers {
		all = append(all, p)
	}
	return all
}

// Send sends a message to another program's Receive. It may get lost.
func (r *Replica) Send(to crdt.ReplicaID, msg []byte) { r.agent.Send(to, kindOther, msg) }

// Broadcast sends a message to all others.
func (r *Replica) Broadcast(msg []byte) { r.agent.Broadcast(kindOther, msg) }

// Traffic counts what was sent.
func (r *Replica) Traffic() cutnet.Stats { return r.agent.Traffic() }

// Close ends it as it is: what was not told yet, is not.
func (r *Replica) Close() error {
	r.stop()
	err := r.agent.Shutdown()
	r.inbox.Close()
	r.done.Wait()
	return err
}

// pump sends what is new. r.mu is held.
func (r *Replica) pump() {
	ready := r.engine.Ready()
	if len(ready.Persist) > 0 {
		close(r.changed)
		r.changed = make(chan struct{})
	}
	for _, m := range ready.Messages {
		r.agent.Send(m.To, kindState, m.Message)
	}
	r.engine.Advance(ready)
}

func (r *Replica) tick() {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		select {
		case <-r.stopped.Done():
			return
		case <-tick.C:
		}
		r.mu.Lock()
		r.engine.Tick()
		r.pump()
		r.mu.Unlock()
	}
}

// receive takes in what arrives, as much at a time as there is.
func (r *Replica) receive() {
	var batch [64]received
	for {
		n, err := r.inbox.GetBatch(context.Background(), batch[:])
		if err != nil {
			return
		}
		r.mu.Lock()
		for _, m := range batch[:n] {
			switch {
			case m.kind == kindState:
				_ = r.engine.Step(m.from, m.msg) // what is refused counts as lost
			case r.other != nil:
				r.other(r, m.from, m.msg)
			}
		}
		r.pump()
		r.mu.Unlock()
		clear(batch[:n])
	}
}

// handler is what the gossip tells. Messages wait in the inbox, for Start may not have returned.
type handler struct{ *Replica }

// Receive implements [gossip.Handler].
func (h handler) Receive(from crdt.ReplicaID, kind byte, msg []byte) {
	_ = h.inbox.TryPut(received{from, kind, msg}) // closed, at the end
}

// PeerUp implements [gossip.Handler].
func (h handler) PeerUp(p gossip.Peer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.peers[p.ID] = p
	h.engine.AddPeer(p.ID)
}

// PeerDown implements [gossip.Handler].
func (h handler) PeerDown(id crdt.ReplicaID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.peers, id)
	h.engine.RemovePeer(id)
}
