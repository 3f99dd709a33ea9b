package main

import (
	"cmp"
	"context"
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
	"github.com/go-calm/calm/crdt/journal"
	"github.com/go-calm/calm/examples/internal/cutnet"
	"github.com/go-calm/calm/examples/internal/gossip"
)

// The kinds of messages that nodes send each other.
const (
	kindReplica byte = 1 // of the anti-entropy of the site's replicas
	kindBeat    byte = 4 // what a node shows of itself on the others' status pages
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
	tick    time.Duration    // tickEvery if 0
	dir     string           // where the journal is kept; none if empty
	input   string           // the input's name, for the journal
	retire  []crdt.ReplicaID // who is gone for ever
	local   bool
	network *cutnet.Network
	log     io.Writer
}

// node is one of those who take lines in, count, and agree. What it holds in common with the others
// is a replica of the site; nothing of it ever waits for another node.
type node struct {
	cfg   nodeConfig
	id    crdt.ReplicaID
	card  card
	in    *ingest
	clock *clock.Clock
	agent *gossip.Agent
	web   *web
	inbox *backpressure.Queue[received]
	alone chan string // what to say of those whom it was to join and does not reach

	flushing sync.Mutex // held for a whole flush
	late     *epoch     // that could not be saved, and is to be tried again

	mu      sync.Mutex
	store   *crdt.Store
	site    *site
	journal *journal.Journal // nil if nothing is kept
	engine  *antientropy.Node
	known   span // the widest one ever seen here
	peers   map[crdt.ReplicaID]*peerState
	lastAt  map[string]peerState    // who was last at an address
	awaited map[crdt.ReplicaID]bool // see awaitOthers
	resumed bool                    // it goes on from its journal
	saved   position
	saves   int
	saveErr error
	// While stuck is set, the journal does not say what it holds: nothing is taken in, and no message
	// leaves, for they would tell of what a crash may take back.
	stuck   bool
	refused uint64 // messages that made no sense

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
	card   card
	beat   beat
	beatAt time.Time
}

// beat is what a node tells of itself a few times a second.
type beat struct {
	Node        string `json:"node"`
	Fingerprint string `json:"fingerprint"`
	Requests    int64  `json:"requests"`
	Visitors    int    `json:"visitors"`
	Lines       int64  `json:"lines"` // that this node took
}

// startNode starts a node, from its journal if there is one.
func startNode(cfg nodeConfig) (_ *node, err error) {
	n := &node{
		cfg:     cfg,
		card:    card{cfg.name, cfg.dir != "", time.Now().UnixNano()},
		clock:   clock.New(),
		known:   noSpan,
		peers:   map[crdt.ReplicaID]*peerState{},
		lastAt:  map[string]peerState{},
		awaited: map[crdt.ReplicaID]bool{},
		alone:   make(chan string, 1+len(cfg.join)),
	}
	n.inbox = backpressure.NewQueue(inboxLen, backpressure.DropOldest(func(received, backpressure.Reason) {}))
	if n.in, err = newIngest(cfg.workers, cfg.queue, cfg.full); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			n.in.close()
			err = errors.Join(err, n.closeJournal())
		}
	}()
	if cfg.dir == "" {
		n.open(crdt.NewReplicaID())
	} else if err := n.restore(); err != nil {
		return nil, err
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
		NoChanges:   true,
		Retired:     slices.Collect(n.site.Retired.All()),
	})
	for _, id := range cfg.retire {
		n.engine.Retire(id)
	}
	n.awaitOthers()
	if n.web, err = newWeb(n, cfg.http); err != nil {
		return nil, err
	}
	n.stopped, n.stop = context.WithCancel(context.Background())
	info, err := json.Marshal(n.card)
	if err != nil {
		panic(err) // it is made of strings and numbers
	}
	// Peers may come and speak while Start runs; what they say waits in the inbox until there is an
	// agent to answer with.
	n.agent, err = gossip.Start(gossip.Config{
		Bind: cfg.bind, Replica: n.id, Info: string(info), Join: cfg.join, Key: cfg.key,
		Handler: n, Over: cfg.over, Network: cfg.network, Log: cfg.log, Local: cfg.local, Unreached: n.unreached,
	})
	if err != nil {
		n.stop()
		n.web.close()
		return nil, err
	}
	n.done.Go(n.receive)
	n.done.Go(n.ticks)
	n.done.Go(n.flushes)
	n.web.serve()
	return n, nil
}

// unreached implements gossip.Config's.
func (n *node) unreached(addr string, err error) {
	select {
	case n.alone <- fmt.Sprintf("nobody to join at %s, trying on: %v", addr, err):
	default: // there is enough to tell
	}
}

// open makes the node's replica.
func (n *node) open(id crdt.ReplicaID) {
	n.id = id
	n.store = crdt.NewStore(id)
	n.site = crdt.OpenStruct[site](n.store, siteName)
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
	if n.late != nil {
		if err := n.flushEpoch(n.late); err != nil {
			return err
		}
	}
	return n.flushEpoch(n.in.seal())
}

func (n *node) flushEpoch(e *epoch) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if errors.Is(n.saveErr, errRetired) {
		return n.saveErr
	}
	n.late = e
	n.saveErr = n.count(e)
	n.awaitOthers()
	n.pump()
	return n.saveErr
}

// pump sends what the anti-entropy wants sent, once what it took in is on the disk: peers forget what
// is acknowledged. n.mu is held.
func (n *node) pump() {
	ready := n.engine.Ready()
	if n.journal != nil && len(ready.Persist) > 0 {
		if err := n.journal.Sync(); err != nil {
			n.stuck, n.saveErr = true, err
		}
	}
	if n.stuck {
		return
	}
	for _, m := range ready.Messages {
		n.agent.Send(m.To, kindReplica, m.Message)
	}
	n.engine.Advance(ready)
}

// ticks is the anti-entropy's sense of time, and the beat.
func (n *node) ticks() {
	every := cmp.Or(n.cfg.tick, tickEvery)
	tick := time.NewTicker(every)
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
		if unread := n.inbox.Stats().Len > 0; !n.stuck && (!unread || count-ticked > maxStill) {
			n.engine.Tick()
			n.pump()
			ticked = count
		}
		if n.stopped.Err() == nil && slices.Contains(n.engine.Retired(), n.id) {
			n.store.Update(n.keepRetired) // so that it does not try again
			n.saveErr = errRetired
			n.stop()
		}
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
		Visitors:    n.site.Unique.Len(),
		Lines:       n.in.lines.Load(),
	}
	for _, c := range n.site.Classes.All() {
		b.Requests += c.Value()
	}
	return b
}

// fingerprint is equal on nodes that hold the same, and but for a chance of 2⁻⁶⁴ only on them. n.mu
// is held.
func (n *node) fingerprint() string { return fmt.Sprintf("%016x", n.store.Fingerprint()) }

// settled returns the node's fingerprint, and whether it has nothing more to say to what it knows.
func (n *node) settled() (fingerprint string, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.fingerprint(), n.saveErr == nil && n.known.within(n.site.span())
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
			if n.stuck {
				break // as if it had been lost
			}
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
	state := peerState{Peer: p, card: readCard(p.Info)}
	n.replaced(state)
	n.peers[p.ID] = &state
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
	return errors.Join(err, n.closeJournal())
}

func (n *node) closeJournal() error {
	if n.journal == nil {
		return nil
	}
	return n.journal.Close()
}

// leave tells the others all that this node knows, waiting up to patience for them to have it, and
// takes leave: for ever, if it keeps nothing. It reports whether all that could be told is known to be.
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
	if n.journal == nil {
		n.mu.Lock()
		n.stop()
		n.engine.Retire(n.id)
		n.pump()
		n.mu.Unlock()
	}
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
		all = append(all, *p)
	}
	slices.SortFunc(all, func(a, b peerState) int { return cmp.Compare(a.card.Name, b.card.Name) })
	return all
}

// view calls f with the node's state while nothing changes it.
func (n *node) view(f func(*site)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f(n.site)
}
