package main

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/go-calm/calm/backpressure"
	"github.com/go-calm/calm/clock"
	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/crdt/antientropy"
	"github.com/go-calm/calm/examples/internal/cutnet"
	"github.com/go-calm/calm/examples/internal/gossip"
	"github.com/go-calm/calm/lattice"
	"github.com/go-calm/calm/shard"
)

// The kinds of messages that nodes send each other.
const (
	kindReplica  byte = 1 // of the anti-entropy of the site's replicas
	kindVisitors byte = 2 // visitors, as part of a growing set
	kindHave     byte = 3 // that visitors arrived
	kindBeat     byte = 4 // what a node shows of itself on the others' status pages
)

const (
	tickEvery = 25 * time.Millisecond  // the unit of time of the anti-entropy
	beatEvery = 200 * time.Millisecond // see kindBeat
	inboxLen  = 1024
	maxStill  = 40 // see tick
	// maxFrame is how long a message may be. Streams carry it, so it is long: cutting what a flush
	// changed into pieces costs more than sending it.
	maxFrame    = 1 << 20
	bufferBytes = 16 << 20
)

// nodeConfig says what a node is made of.
type nodeConfig struct {
	name    string
	bind    string
	http    string
	join    []string
	over    func(*gossip.Agent) (gossip.Transport, error) // memberlist if nil
	key     []byte
	workers int
	queue   int
	full    fullPolicy
	flush   time.Duration
	dir     string // where snapshots are kept; none if empty
	input   string // the input's name, for the snapshots
	local   bool
	network *cutnet.Network
	log     io.Writer
}

// node is one of those who take lines in, count, and agree. What it holds in common with the others
// is a replica of the site and a set of visitors; nothing of it ever waits for another node.
type node struct {
	cfg   nodeConfig
	id    crdt.ReplicaID
	in    *ingest
	clock *clock.Clock
	agent *gossip.Agent
	web   *web
	inbox *backpressure.Queue[received]

	flushing sync.Mutex // held for a whole flush

	mu       sync.Mutex
	store    *crdt.Store
	site     *site
	engine   *antientropy.Node
	visitors *lattice.Set[string]
	sum      uint64 // over the hashes of the visitors, when there were so many
	summed   int
	known    span // the widest one ever seen here
	peers    map[crdt.ReplicaID]*peerState
	former   []crdt.ReplicaID // the names of earlier incarnations
	// While hold is set, what changed here is not saved yet, and no message leaves: a reader of our
	// input after a crash would count again what others know.
	hold      bool
	unsaidNew *lattice.Set[string]
	saved     position
	saves     int
	saveErr   error
	refused   uint64 // messages that made no sense

	stop    context.CancelFunc
	stopped context.Context
	done    sync.WaitGroup
}

type received struct {
	from crdt.ReplicaID
	kind byte
	msg  []byte
}

// peerState is what is kept of another node.
type peerState struct {
	gossip.Peer
	owed     *lattice.Set[string] // visitors that it may lack
	flight   *lattice.Set[string] // visitors that were sent to it and not answered yet, or nil
	flightID uint64
	flightAt time.Time
	beat     beat
	beatAt   time.Time
}

// beat is what a node tells of itself a few times a second.
type beat struct {
	Node        string `json:"node"`
	Fingerprint string `json:"fingerprint"`
	Requests    int64  `json:"requests"`
	Visitors    int    `json:"visitors"`
	Lines       int64  `json:"lines"` // that this node took
}

// startNode starts a node, from its snapshot if there is one.
func startNode(cfg nodeConfig) (n *node, err error) {
	n = &node{
		cfg:       cfg,
		id:        crdt.NewReplicaID(), // a new name: we may not know all that we told under the old one
		clock:     clock.New(),
		known:     noSpan,
		visitors:  &lattice.Set[string]{},
		unsaidNew: &lattice.Set[string]{},
		peers:     map[crdt.ReplicaID]*peerState{},
	}
	n.inbox = backpressure.NewQueue(inboxLen, backpressure.DropOldest(func(received, backpressure.Reason) {}))
	n.store = crdt.NewStore(n.id)
	n.site = crdt.OpenStruct[site](n.store, siteName)
	if n.in, err = newIngest(cfg.workers, cfg.queue, cfg.full); err != nil {
		return nil, err
	}
	if cfg.dir != "" {
		if err := n.restore(); err != nil {
			n.in.close()
			return nil, err
		}
	}
	n.engine = antientropy.NewNode(antientropy.Config{
		Self:        n.id,
		State:       n.store,
		Seed:        uint64(crdt.NewReplicaID()),
		MaxFrame:    maxFrame,
		BufferBytes: bufferBytes,
		ProbeTicks:  int(250 * time.Millisecond / tickEvery),
		ResendTicks: int(200 * time.Millisecond / tickEvery),
		Mesh:        true,
	})
	if n.web, err = newWeb(n, cfg.http); err != nil {
		n.in.close()
		return nil, err
	}
	n.stopped, n.stop = context.WithCancel(context.Background())
	// Peers may come and speak while Start runs; what they say waits in the inbox until there is an
	// agent to answer with.
	n.agent, err = gossip.Start(gossip.Config{
		Bind: cfg.bind, Replica: n.id, Info: cfg.name, Join: cfg.join, Key: cfg.key,
		Handler: n, Over: cfg.over, Network: cfg.network, Log: cfg.log, Local: cfg.local,
	})
	if err != nil {
		n.stop()
		n.in.close()
		n.web.close()
		return nil, err
	}
	n.done.Go(n.receive)
	n.done.Go(n.tick)
	n.done.Go(n.flushes)
	n.web.serve()
	return n, nil
}

// feed takes in a chunk of lines.
func (n *node) feed(c chunk) { n.in.feed(c) }

// flushes makes what the workers counted known, again and again.
func (n *node) flushes() {
	for wait := n.cfg.flush; ; {
		select {
		case <-n.stopped.Done():
			return
		case <-time.After(wait):
		}
		start := time.Now()
		_ = n.flush() // what fails is shown, and tried again
		// Saving a large state takes its time; it shall not take all of it.
		wait = max(n.cfg.flush, 4*time.Since(start))
	}
}

// flush makes all that was counted so far part of the node's state, saves it, and tells the others,
// in this order.
func (n *node) flush() error {
	n.flushing.Lock()
	defer n.flushing.Unlock()
	e := n.in.seal()

	n.mu.Lock()
	defer n.mu.Unlock()
	delta := n.store.Update(func() {
		seen, visitors := n.site.apply(n.in.workers, e.parity)
		n.known.add(seen)
		n.site.assert(&n.known, n.clock)
		for _, v := range visitors {
			if n.visitors.Add(v) {
				n.unsaidNew.Add(v)
			}
		}
	})
	if n.cfg.dir != "" && (n.hold || !delta.IsZero() || n.unsaidNew.Len() > 0 || e.end != n.saved) {
		image, err := n.image(e.end)
		n.hold = true
		n.mu.Unlock()
		if err == nil {
			err = saveSnapshot(n.cfg.dir, image)
		}
		n.mu.Lock()
		if n.saveErr = err; err != nil {
			return err
		}
		n.hold = false
		n.saved = e.end
		n.saves++
	}
	n.tellVisitors()
	n.pump()
	return nil
}

// pump sends what the anti-entropy wants sent. n.mu is held.
//
// What it learnt from others is not saved before the messages leave: after a crash this node asks
// for it under another name, and those who have it tell it again.
func (n *node) pump() {
	if n.hold {
		return
	}
	ready := n.engine.Ready()
	for _, m := range ready.Messages {
		n.agent.Send(m.To, kindReplica, m.Message)
	}
	n.engine.Advance(ready)
}

// tick is the anti-entropy's sense of time, and the beat.
func (n *node) tick() {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	ticked := 0
	for count := 0; ; count++ {
		select {
		case <-n.stopped.Done():
			return
		case <-tick.C:
		}
		var msg []byte
		n.mu.Lock()
		// While there is unread mail, time stands still, within limits: what we wait for may be in
		// it, and asking again would only add to the pile.
		if unread := n.inbox.Stats().Len > 0; !unread || count-ticked > maxStill {
			n.engine.Tick()
			ticked = count
		}
		n.pump()
		if count%int(beatEvery/tickEvery) == 0 {
			msg, _ = json.Marshal(n.beat()) // of strings and numbers: no error
		}
		n.mu.Unlock()
		if msg != nil {
			n.agent.Broadcast(kindBeat, msg)
		}
	}
}

// beat is what is told of this node. n.mu is held.
func (n *node) beat() beat {
	b := beat{
		Node:        n.cfg.name,
		Fingerprint: n.fingerprint(),
		Visitors:    n.visitors.Len(),
		Lines:       n.in.lines.Load(),
	}
	for _, c := range n.site.Classes.All() {
		b.Requests += c.Value()
	}
	return b
}

// fingerprint is equal on nodes that hold the same, and but for a chance of 2⁻⁶⁴ only on them. n.mu
// is held.
func (n *node) fingerprint() string {
	// A set that only grows and has as many elements as before is the same set.
	if n.visitors.Len() != n.summed {
		n.summed, n.sum = n.visitors.Len(), 0
		for v := range n.visitors.All() {
			n.sum += shard.Hash(v, 0)
		}
	}
	return fmt.Sprintf("%016x", n.store.Fingerprint()^n.sum)
}

// settled returns the node's fingerprint, and whether it has nothing more to say to what it knows.
func (n *node) settled() (fingerprint string, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.fingerprint(), !n.hold && n.unsaidNew.Len() == 0 && n.known.within(n.site.span())
}

// receive takes in what peers sent, as much at a time as there is.
func (n *node) receive() {
	var batch [64]received
	for {
		k, err := n.inbox.GetBatch(context.Background(), batch[:])
		if err != nil {
			return
		}
		n.mu.Lock()
		for _, r := range batch[:k] {
			if err := n.take(r); err != nil && !errors.Is(err, antientropy.ErrUnknownPeer) {
				n.refused++
			}
		}
		n.pump()
		n.mu.Unlock()
		clear(batch[:k])
	}
}

// take takes in one message. n.mu is held.
func (n *node) take(r received) error {
	switch r.kind {
	case kindReplica:
		return n.engine.Step(r.from, r.msg)
	case kindVisitors:
		return n.takeVisitors(r)
	case kindHave:
		if p := n.peers[r.from]; p != nil && len(r.msg) == flightLen && binary.BigEndian.Uint64(r.msg) == p.flightID {
			p.flight = nil
			n.tellVisitorsTo(p)
		}
		return nil
	case kindBeat:
		p := n.peers[r.from]
		if p == nil {
			return nil
		}
		p.beatAt = time.Now()
		return json.Unmarshal(r.msg, &p.beat)
	}
	return fmt.Errorf("message of unknown kind %d", r.kind)
}

// Receive implements [gossip.Handler].
func (n *node) Receive(from crdt.ReplicaID, kind byte, msg []byte) {
	_ = n.inbox.TryPut(received{from, kind, msg}) // closed, at the end
}

// PeerUp implements [gossip.Handler].
func (n *node) PeerUp(p gossip.Peer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.peers[p.ID] = &peerState{Peer: p, owed: n.visitors.Clone()}
	n.engine.AddPeer(p.ID)
}

// PeerDown implements [gossip.Handler].
func (n *node) PeerDown(id crdt.ReplicaID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.peers, id)
	n.engine.RemovePeer(id)
}

// close stops the node as it is; what was fed and not flushed is lost.
func (n *node) close() error {
	n.stop()
	err := n.agent.Shutdown()
	n.inbox.Close()
	n.web.close()
	n.in.close()
	n.done.Wait()
	return err
}

// leave tells the others all that this node knows, waiting up to patience for them to have it, and
// takes leave. It reports whether all that could be told is known to be.
func (n *node) leave(patience time.Duration) bool {
	said := n.flush() == nil
	deadline := time.Now().Add(patience)
	for said && time.Now().Before(deadline) {
		if n.agrees() {
			break
		}
		select {
		case <-n.stopped.Done():
		case <-time.After(tickEvery):
		}
	}
	said = said && n.agrees()
	_ = n.agent.Leave(patience) // who misses it notices a little later
	return said
}

// agrees reports whether every peer's last beat showed the state that this node has.
func (n *node) agrees() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	mine := n.fingerprint()
	for _, p := range n.peers {
		if p.beat.Fingerprint != mine {
			return false
		}
	}
	return true
}

// peerList returns what is known of the other nodes, by name.
func (n *node) peerList() []peerState {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]peerState, 0, len(n.peers))
	for _, p := range n.peers {
		all = append(all, peerState{Peer: p.Peer, beat: p.beat, beatAt: p.beatAt})
	}
	slices.SortFunc(all, func(a, b peerState) int { return cmp.Compare(a.Info, b.Info) })
	return all
}

// view calls f with the node's state while nothing changes it.
func (n *node) view(f func(*site, *lattice.Set[string])) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f(n.site, n.visitors)
}
