package antientropy

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/go-calm/calm/crdt"
)

// State is what a [Node] replicates; a [crdt.Store] is one.
type State interface {
	// Learn takes in a delta and returns what of it was new.
	Learn(crdt.Delta) (fresh crdt.Delta, err error)
	Digest() crdt.Digest
	Since(crdt.Digest) crdt.Delta
	Fingerprint() uint64
	// OnUpdate has f called with the delta of each change made here, until stop is called.
	OnUpdate(f func(crdt.Delta)) (stop func())
}

// Config says what a [Node] is made of. Self and State must be set; of the others 0 means the
// default.
type Config struct {
	// Self names this node to its peers; best the name of the replica that State is.
	Self  crdt.ReplicaID
	State State
	// Seed makes the node's choices. The same seed and calls give the same bytes. It must differ
	// from one start of a node to the next, so that peers tell its logs apart.
	Seed uint64
	// MaxFrame is how long a message may be, in bytes: 64 KiB by default. A message exceeds it if
	// one event alone does, or a digest.
	MaxFrame int
	// BufferBytes is how many bytes of deltas are kept for peers that have not acknowledged them:
	// 4 MiB by default. Who is further behind is told by digest what it lacks.
	BufferBytes int
	// ResendTicks is after how many ticks what is not acknowledged is sent again: 3 by default.
	// A peer that stays silent is tried more and more rarely.
	ResendTicks int
	// ProbeTicks is after how many ticks, on average, a peer is asked whether its state is the
	// same: 10 by default.
	ProbeTicks int
	// Mesh tells that every node is a peer of every other one: then nodes do not forward what
	// they learn, which its maker sends to everybody.
	Mesh bool
	// Limits bound the deltas that are accepted.
	Limits crdt.Limits
}

// Envelope is a message and to whom it goes.
type Envelope struct {
	To      crdt.ReplicaID
	Message []byte
}

// Ready is what a node wants done: first Persist, then Messages.
type Ready struct {
	// Persist is what was learnt or changed here since the last Ready. If the state is to survive a
	// crash, this must be durable before the messages leave; otherwise start again under a new
	// replica id.
	Persist []crdt.Delta
	// Messages may be lost, doubled and reordered on their way.
	Messages []Envelope
}

// Stats counts what a node has sent and received since it was made.
type Stats struct {
	MessagesSent, MessagesReceived uint64
	BytesSent, BytesReceived       uint64
	DeltaBytesSent                 uint64 // in stretches of the log
	PatchBytesSent                 uint64 // in answers to digests
	DigestBytesSent                uint64
	Resent                         uint64 // stretches sent again
	Refused                        uint64 // messages that Step returned an error for
}

// entry is a delta in a node's log.
type entry struct {
	seq    uint64
	delta  crdt.Delta
	origin crdt.ReplicaID // who need not be told
}

// peer is what a node knows of another one.
type peer struct {
	id crdt.ReplicaID
	// What we tell it. It needs nothing of our log up to acked, and was sent what it needs up to
	// sent. The last stretch sent ended at mark, the last one acknowledged at confirmed: what it
	// needs nothing of lies in no stretch.
	acked, sent     uint64
	confirmed, mark uint64
	base            bool // it may lack something before the next stretch
	sentTick        int  // since when it owes an acknowledgment
	silent          int  // how often in a row a stretch was sent again
	wentBack        int  // when it was last sent again what it may have got
	// What it tells us: we have its log up to applied.
	session uint64
	applied uint64
	owesAck bool
	// Asking whether we are the same.
	probeTick    int
	theirs, ours uint64 // fingerprints that differed at its last probe
	askTick      int    // from this tick on it is asked by digest even while states change
	askPending   bool
	flags        byte
}

// Node is one end of the conversation by which replicas become equal: a state machine without
// sockets, timers or goroutines. Messages go in by [Node.Step] and time by [Node.Tick]; of changes
// made here it hears from State; what is to be sent comes out of [Node.Ready].
//
// A Node and its State must be guarded together; neither is safe for concurrent use.
type Node struct {
	cfg     Config
	session uint64
	rng     *rand.Rand
	tick    int
	peers   []*peer // ascending ids
	log     []entry // ascending, without gaps
	head    uint64
	bytes   int // of the deltas in log
	persist []crdt.Delta
	out     []Envelope
	stop    func()
	stats   Stats
}

// NewNode returns a node without peers, which hears of all changes made in State until [Node.Stop].
// It panics if Self or State is missing.
func NewNode(cfg Config) *Node {
	if cfg.Self == 0 || cfg.State == nil {
		panic("antientropy: a Config needs Self and State")
	}
	cfg.MaxFrame = cmp.Or(max(cfg.MaxFrame, 0), 64<<10)
	cfg.BufferBytes = cmp.Or(max(cfg.BufferBytes, 0), 4<<20)
	cfg.ResendTicks = cmp.Or(max(cfg.ResendTicks, 0), 3)
	cfg.ProbeTicks = cmp.Or(max(cfg.ProbeTicks, 0), 10)
	rng := rand.New(rand.NewPCG(cfg.Seed, uint64(cfg.Self)))
	n := &Node{cfg: cfg, session: rng.Uint64(), rng: rng}
	n.stop = cfg.State.OnUpdate(func(d crdt.Delta) { n.record(d, cfg.Self) })
	return n
}

// Stop ends what NewNode began: the node hears no more of changes.
func (n *Node) Stop() { n.stop() }

// AddPeer starts the conversation with a peer, which must add this node too. A peer that is there
// already stays as it is.
func (n *Node) AddPeer(id crdt.ReplicaID) {
	i, ok := n.find(id)
	if ok || id == n.cfg.Self {
		return
	}
	p := &peer{id: id, acked: n.head, sent: n.head, confirmed: n.head, mark: n.head, base: true, askPending: true, flags: flagAsk}
	p.probeTick = n.tick + 1 + n.rng.IntN(n.cfg.ProbeTicks)
	n.peers = slices.Insert(n.peers, i, p)
}

// RemovePeer ends the conversation with a peer.
func (n *Node) RemovePeer(id crdt.ReplicaID) {
	if i, ok := n.find(id); ok {
		n.peers = slices.Delete(n.peers, i, i+1)
		n.trim()
	}
}

// Peers returns the peers, ascending.
func (n *Node) Peers() []crdt.ReplicaID {
	ids := make([]crdt.ReplicaID, len(n.peers))
	for i, p := range n.peers {
		ids[i] = p.id
	}
	return ids
}

// Stats returns the counts so far.
func (n *Node) Stats() Stats { return n.stats }

func (n *Node) find(id crdt.ReplicaID) (int, bool) {
	return slices.BinarySearchFunc(n.peers, id, func(p *peer, id crdt.ReplicaID) int { return cmp.Compare(p.id, id) })
}

// record puts a delta into the log, in pieces that fit a frame.
func (n *Node) record(d crdt.Delta, origin crdt.ReplicaID) {
	if d.IsZero() {
		return
	}
	n.persist = append(n.persist, d)
	if origin != n.cfg.Self && n.cfg.Mesh {
		return
	}
	for piece := range d.Split(n.cfg.MaxFrame - 64) {
		n.head++
		n.log = append(n.log, entry{n.head, piece, origin})
		n.bytes += piece.Len()
	}
	for n.bytes > n.cfg.BufferBytes {
		n.drop()
	}
}

// drop forgets the oldest entry of the log. Who needs it is told, with what comes after, to ask by
// digest.
func (n *Node) drop() {
	seq := n.log[0].seq
	n.bytes -= n.log[0].delta.Len()
	for _, p := range n.peers {
		if p.acked < seq {
			p.base = p.base || n.log[0].origin != p.id
			p.acked, p.sent = seq, max(p.sent, seq)
		}
	}
	n.log[0] = entry{}
	n.log = n.log[1:]
}

// trim forgets what every peer has acknowledged.
func (n *Node) trim() {
	for len(n.log) > 0 && !slices.ContainsFunc(n.peers, func(p *peer) bool { return p.acked < n.log[0].seq }) {
		n.drop()
	}
}

// Tick tells the node that time has passed; the unit is the caller's, 50 to 500 ms is usual.
func (n *Node) Tick() {
	n.tick++
	for _, p := range n.peers {
		if p.mark > p.confirmed && n.tick-p.sentTick >= n.cfg.ResendTicks<<min(p.silent, 6) {
			p.silent++
			n.again(p)
		}
		if n.tick >= p.probeTick {
			p.probeTick = n.tick + 1 + n.cfg.ProbeTicks/2 + n.rng.IntN(n.cfg.ProbeTicks)
			n.send(p.id, &message{kind: probeMessage, fingerprint: n.cfg.State.Fingerprint()})
		}
	}
}

// ErrUnknownPeer is what [Node.Step] returns for a message from who is no peer.
var ErrUnknownPeer = errors.New("antientropy: message from one who is no peer")

// Step takes in a message. An error tells that the message was refused, and why: it matches
// [ErrUnknownPeer] or an error of package crdt. The node goes on as if it had been lost.
func (n *Node) Step(from crdt.ReplicaID, b []byte) error {
	n.stats.MessagesReceived++
	n.stats.BytesReceived += uint64(len(b))
	i, ok := n.find(from)
	if !ok {
		n.stats.Refused++
		return fmt.Errorf("%w: %v; add it first", ErrUnknownPeer, from)
	}
	m, err := parse(b, n.cfg.Limits)
	if err == nil {
		n.peers[i].silent = 0
		err = n.step(n.peers[i], &m)
	}
	if err != nil {
		n.stats.Refused++
		return fmt.Errorf("antientropy: from %v: %w", from, err)
	}
	return nil
}

func (n *Node) step(p *peer, m *message) error {
	switch m.kind {
	case deltaMessage:
		return n.stretch(p, m)
	case ackMessage:
		n.ack(p, m)
	case probeMessage:
		n.probe(p, m)
	case digestMessage:
		n.digest(p, m)
	case patchMessage:
		return n.learn(p, m.delta)
	}
	return nil
}

func (n *Node) learn(p *peer, d crdt.Delta) error {
	fresh, err := n.cfg.State.Learn(d)
	if err == nil {
		n.record(fresh, p.id)
	}
	return err
}

// stretch takes in a part of the peer's log, in order: a part that comes too early is dropped, and
// the acknowledgment of what is there makes the peer send from there again.
func (n *Node) stretch(p *peer, m *message) error {
	unknown := m.session != p.session
	if m.flags&flagBase != 0 || unknown {
		if !unknown && m.upto <= p.applied { // an old one, seen again
			p.owesAck = true
			return nil
		}
		// What came before is told by digest.
		p.askPending, p.flags = true, flagAsk
	} else if m.after > p.applied {
		p.owesAck = true
		return nil
	}
	if err := n.learn(p, m.delta); err != nil {
		return err
	}
	if unknown {
		p.session, p.applied = m.session, 0
	}
	p.applied = max(p.applied, m.upto)
	p.owesAck = true
	return nil
}

func (n *Node) ack(p *peer, m *message) {
	if m.session != n.session || m.upto > n.head {
		return
	}
	switch {
	case m.upto > p.confirmed:
		p.confirmed, p.sentTick = m.upto, n.tick
		p.acked, p.mark = max(p.acked, m.upto), max(p.mark, m.upto)
		p.base = p.base && p.mark > p.confirmed
		n.skip(p)
		n.trim()
	case p.wentBack == n.tick:
	case m.upto == p.confirmed && p.mark > p.confirmed:
		// It has seen something later than what it waits for.
		n.again(p)
	case m.upto < p.confirmed:
		// It has forgotten what it had, or this acknowledgment is an old one.
		p.base = true
		n.again(p)
	}
}

// again has the peer sent again what it did not confirm.
func (n *Node) again(p *peer) {
	p.sent, p.mark, p.wentBack = p.acked, p.confirmed, n.tick
	n.stats.Resent++
}

// probe compares states. While changes are on their way, states differ for a moment all the time:
// a difference is pursued if it stays as it is, or has not been for long.
func (n *Node) probe(p *peer, m *message) {
	ours := n.cfg.State.Fingerprint()
	if m.fingerprint == ours {
		p.theirs, p.ours = 0, 0
		return
	}
	if p.theirs == m.fingerprint && p.ours == ours || n.tick >= p.askTick {
		p.askPending, p.flags = true, flagAsk
	} else {
		p.probeTick = min(p.probeTick, n.tick+2) // so that both know soon
	}
	p.theirs, p.ours = m.fingerprint, ours
}

func (n *Node) digest(p *peer, m *message) {
	d := n.cfg.State.Since(m.digest)
	for piece := range d.Split(n.cfg.MaxFrame - headerLen) {
		n.send(p.id, &message{kind: patchMessage, delta: piece})
	}
	if m.flags&flagAsk != 0 && n.cfg.State.Digest().Lacks(m.digest) {
		p.askPending = true
	}
}

// Ready returns what is to be done. Call it after changes, Step and Tick, once or for several of
// them together: what was changed meanwhile is joined. Do what it says, then call [Node.Advance].
func (n *Node) Ready() Ready {
	cache := map[[2]uint64][]byte{}
	for _, p := range n.peers {
		if p.owesAck {
			p.owesAck = false
			n.send(p.id, &message{kind: ackMessage, session: p.session, upto: p.applied})
		}
		if p.askPending {
			p.askPending = false
			p.askTick = n.tick + 4*n.cfg.ProbeTicks
			n.send(p.id, &message{kind: digestMessage, flags: p.flags, digest: n.cfg.State.Digest()})
			p.flags = 0
		}
		n.sendLog(p, cache)
	}
	return Ready{Persist: n.persist, Messages: n.out}
}

// Advance tells that what Ready returned is done.
func (n *Node) Advance(rd Ready) {
	// What rd holds stays as it is: the caller may still be sending it.
	if n.persist = n.persist[len(rd.Persist):]; len(n.persist) == 0 {
		n.persist = nil
	}
	if n.out = n.out[len(rd.Messages):]; len(n.out) == 0 {
		n.out = nil
	}
}

// skip passes over what the peer itself told.
func (n *Node) skip(p *peer) {
	for i := p.acked + 1 - n.log0(); i < uint64(len(n.log)) && n.log[i].origin == p.id; i++ {
		p.acked++
	}
	p.sent = max(p.sent, p.acked)
}

// log0 returns the number of the oldest entry of the log.
func (n *Node) log0() uint64 { return n.head + 1 - uint64(len(n.log)) }

// sendLog sends a peer the log from where it was last sent it. A peer that stays silent is sent no
// more than it has not acknowledged, when its time comes.
func (n *Node) sendLog(p *peer, cache map[[2]uint64][]byte) {
	n.skip(p)
	if p.silent > 0 && p.mark > p.confirmed {
		return
	}
	for p.sent < n.head {
		size, to, skipped := 0, int(p.sent+1-n.log0()), 0
		var ds []crdt.Delta
		for ; to < len(n.log); to++ {
			e := &n.log[to]
			if e.origin == p.id { // it came from there
				skipped++
				continue
			}
			if size += e.delta.Len(); size > n.cfg.MaxFrame-64 && len(ds) > 0 {
				break
			}
			ds = append(ds, e.delta)
		}
		last := n.log[to-1].seq
		if len(ds) == 0 {
			p.sent = last
			continue
		}
		body, ok := cache[[2]uint64{p.mark, last}]
		if !ok || skipped > 0 || p.base || p.sent != p.mark {
			joined, err := crdt.Join(ds...)
			if err != nil { // two histories under one name: let the peer find out by itself
				joined = ds[len(ds)-1]
			}
			m := message{kind: deltaMessage, session: n.session, after: p.mark, upto: last, delta: joined}
			if p.base {
				m.flags = flagBase
			}
			body = m.append(nil)
			if skipped == 0 && !p.base && p.sent == p.mark {
				cache[[2]uint64{p.mark, last}] = body
			}
		}
		if p.mark == p.confirmed {
			p.sentTick = n.tick
		}
		p.sent, p.mark = last, last
		n.post(p.id, body)
		n.stats.DeltaBytesSent += uint64(len(body))
		if p.silent > 0 {
			break
		}
	}
	n.trim()
}

func (n *Node) send(to crdt.ReplicaID, m *message) {
	b := m.append(nil)
	switch m.kind {
	case patchMessage:
		n.stats.PatchBytesSent += uint64(len(b))
	case digestMessage:
		n.stats.DigestBytesSent += uint64(len(b))
	}
	n.post(to, b)
}

func (n *Node) post(to crdt.ReplicaID, b []byte) {
	n.stats.MessagesSent++
	n.stats.BytesSent += uint64(len(b))
	n.out = append(n.out, Envelope{to, b})
}
