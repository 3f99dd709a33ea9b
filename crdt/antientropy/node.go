package antientropy

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/go-calm/calm/crdt"
)

// State is what a [Node] replicates; a [crdt.Store] is one.
type State interface {
	// Learn takes in a delta and returns what of it was new.
	Learn(crdt.Delta) (fresh crdt.Delta, err error)
	// Questions asks for all that lacks here, in questions of at most size bytes.
	Questions(size int) []crdt.Question
	// Answer answers a question, in deltas and questions of at most size bytes each, and no more deltas
	// than of about most bytes together.
	Answer(q crdt.Question, size, most int) crdt.Answer
	// Context returns what was seen.
	Context() crdt.Digest
	Fingerprint() uint64
	// OnUpdate has f called with the delta of each change made here, until stop is called.
	OnUpdate(f func(crdt.Delta)) (stop func())
}

// Config says what a [Node] is made of. Self and State must be set; of the others 0 means the
// default, and what is out of range counts as the nearest that is not. Ticks may be up to a million.
type Config struct {
	// Self names this node to its peers; best the name of the replica that State is.
	Self crdt.ReplicaID
	// State is what is replicated. If it has methods Digest and Compact as a [crdt.Store] has,
	// it is compacted by what is stable, when that has grown. If it has a method
	// Observe(func(crdt.Change)) func(), changes are collected for [Ready].Changes.
	State State
	// Seed makes the node's choices. The same seed and calls give the same bytes. It must differ
	// from one start of a node to the next, so that peers tell its logs apart.
	Seed uint64
	// MaxFrame is how long a message may be, in bytes: 64 KiB by default, 256 at least. A message
	// exceeds it only if one event alone does.
	MaxFrame int
	// BufferBytes is how many bytes of deltas are kept for peers that have not acknowledged them:
	// 4 MiB by default. Who is further behind asks for what it lacks. It also bounds what is sent at
	// once to who asks.
	BufferBytes int
	// ResendTicks is after how many ticks what is not acknowledged is sent again: 3 by default.
	// A peer that stays silent is tried more and more rarely.
	ResendTicks int
	// ProbeTicks is after how many ticks, on average, a peer is asked whether its state is the
	// same: 10 by default.
	ProbeTicks int
	// StableTicks is after how many ticks peers are told what this node has seen: 20 by default.
	// Only with Mesh.
	StableTicks int
	// Mesh tells that every node is a peer of every other one: then nodes do not forward what
	// they learn, which its maker sends to everybody, and find out what is stable.
	Mesh bool
	// NoChanges leaves Ready.Changes empty, which saves what collecting them costs.
	NoChanges bool
	// Retired is who was retired, as an earlier start of this node had it: see [Node.Retire].
	Retired []crdt.ReplicaID
	// Limits bound the deltas that are accepted.
	Limits crdt.Limits
}

// Envelope is a message and to whom it goes.
type Envelope struct {
	To      crdt.ReplicaID
	Message []byte
}

// String says to whom it goes and how long it is.
func (e Envelope) String() string { return fmt.Sprintf("%d bytes to %v", len(e.Message), e.To) }

// Ready is what a node wants done: first Persist, then Messages.
type Ready struct {
	// Persist is what was learned or changed here since the last Ready. If the state is to survive a
	// crash, this must be durable before the messages leave, because peers forget what is
	// acknowledged, and remember what was told: a replica that comes back without it would make
	// other events under the same names. If it was not durable, start again under a new replica id.
	Persist []crdt.Delta
	// Messages may be lost, doubled and reordered on their way.
	Messages []Envelope
	// Changes are those of values since the last Ready, made here or learned, in order.
	Changes []crdt.Change
	// Stable is what every member has seen, in which nothing lives (see [crdt.Store.Context]); and
	// all that members did before they had seen it is here. It only grows. It is found out only with
	// [Config].Mesh, and zero otherwise. Members are all who were ever added and not retired.
	Stable crdt.Digest
	// Done lists the tickets of [Node.Write] and [Node.Read] that are complete.
	Done []Ticket
}

// String says how much there is to do.
func (rd Ready) String() string {
	bytes := 0
	for _, e := range rd.Messages {
		bytes += len(e.Message)
	}
	return fmt.Sprintf("%d deltas to persist, %d messages of %d bytes, %d changes, %d tickets done; stable: %v",
		len(rd.Persist), len(rd.Messages), bytes, len(rd.Changes), len(rd.Done), rd.Stable)
}

// Stats counts what a node has sent and received since it was made.
type Stats struct {
	MessagesSent, MessagesReceived uint64
	BytesSent, BytesReceived       uint64
	DeltaBytesSent                 uint64 // in stretches of the log
	PatchBytesSent                 uint64 // in answers to questions
	DigestBytesSent                uint64 // in questions
	ReportBytesSent                uint64 // in reports of what was seen
	Resent                         uint64 // stretches sent again
	Refused                        uint64 // messages that Step returned an error for
}

// String gives the totals, and what the bytes were sent for.
func (s Stats) String() string {
	return fmt.Sprintf("sent %d messages, %d bytes (log %d, patches %d, questions %d, reports %d), %d stretches again; received %d messages, %d bytes, refused %d",
		s.MessagesSent, s.BytesSent, s.DeltaBytesSent, s.PatchBytesSent, s.DigestBytesSent, s.ReportBytesSent, s.Resent,
		s.MessagesReceived, s.BytesReceived, s.Refused)
}

// Node is one end of the conversation by which replicas become equal: a state machine without
// sockets, timers or goroutines. Messages go in by [Node.Step] and time by [Node.Tick]; of changes
// made here it hears from State; what is to be sent comes out of [Node.Ready].
//
// Make one with [NewNode]. A Node and its State must be guarded together; neither is safe for concurrent use.
type Node struct {
	cfg     Config
	session uint64 // names the log
	rng     *rand.Rand
	tick    int
	peers   []*peer // ascending ids
	log     []entry // ascending, without gaps
	head    uint64
	own     uint64 // the last entry made here
	bytes   int    // of the deltas in log
	persist []crdt.Delta
	changes []crdt.Change
	out     []Envelope
	stop    []func()
	stats   Stats

	token   uint64 // of the last question asked
	resyncs uint64 // begun
	askTick int    // from this tick on somebody is asked even while states change

	members []member // ascending ids, without this node
	retired []crdt.ReplicaID
	stable  crdt.Digest
	dirty   bool // more may be stable
	// settleTick is when to find out again.
	settleTick int

	waiting []pending
	done    []Ticket
	tickets uint64
}

// NewNode returns a node without peers, which hears of all changes made in State until [Node.Stop].
// It panics if Self or State is missing.
func NewNode(cfg Config) *Node {
	if cfg.Self == 0 || cfg.State == nil {
		panic("antientropy: a Config needs Self and State")
	}
	cfg.MaxFrame = max(cmp.Or(cfg.MaxFrame, 64<<10), minFrame)
	cfg.BufferBytes = max(cmp.Or(cfg.BufferBytes, 4<<20), 1)
	cfg.ResendTicks = ticks(cfg.ResendTicks, 3)
	cfg.ProbeTicks = ticks(cfg.ProbeTicks, 10)
	cfg.StableTicks = ticks(cfg.StableTicks, 20)
	rng := rand.New(rand.NewPCG(cfg.Seed, uint64(cfg.Self)))
	n := &Node{cfg: cfg, session: rng.Uint64(), rng: rng}
	n.retire(cfg.Retired, cfg.Self)
	n.stop = append(n.stop, cfg.State.OnUpdate(func(d crdt.Delta) { n.record(d, cfg.Self) }))
	if o, ok := cfg.State.(observable); ok && !cfg.NoChanges {
		n.stop = append(n.stop, o.Observe(func(c crdt.Change) { n.changes = append(n.changes, c) }))
	}
	return n
}

// ticks returns a number of ticks of a Config, such that what is reckoned with it does not overflow.
func ticks(n, byDefault int) int {
	if n == 0 {
		return byDefault
	}
	return min(max(n, 1), 1_000_000)
}

// observable is a [State] that tells the changes of values.
type observable interface {
	Observe(f func(crdt.Change)) (cancel func())
}

// Stop ends what NewNode began: the node hears no more of changes.
func (n *Node) Stop() {
	for _, stop := range n.stop {
		stop()
	}
}

// Stats returns the counts so far.
func (n *Node) Stats() Stats { return n.stats }

// Tick tells the node that time has passed; the unit is the caller's, 50 to 500 ms is usual.
func (n *Node) Tick() {
	n.tick++
	if n.isRetired(n.cfg.Self) {
		return
	}
	for _, p := range n.peers {
		if !p.lost && p.mark > p.confirmed && n.tick-p.sentTick >= p.patience(n.cfg.ResendTicks) {
			n.unanswered(p)
			n.again(p)
		}
		if p.resync != nil && n.tick-p.resync.tick >= p.patience(n.cfg.ResendTicks) {
			p.resync, p.askPending = nil, true // what was answered is here: less lacks now
			n.unanswered(p)
		}
		if !p.lost && n.tick-p.heard > unread*n.cfg.ProbeTicks {
			p.silent = tries - 1
			n.unanswered(p)
		}
		if wants := n.wants(p); wants != 0 && n.tick-p.askedTick >= p.patience(n.cfg.ResendTicks) {
			p.askedTick = n.tick
			n.sendProbe(p, wants)
		}
		if n.tick >= p.probeTick {
			flags := byte(0)
			if p.lost {
				flags = flagAsk
				p.silent++
			}
			n.sendProbe(p, flags)
		}
	}
	n.settle()
}

// ErrUnknownPeer is what [Node.Step] returns for a message from who is no peer.
var ErrUnknownPeer = errors.New("antientropy: message from one who is no peer")

// Step takes in a message. An error tells that the message was refused, and why: it matches
// [ErrUnknownPeer], [ErrRetired] or an error of package crdt. The node goes on as if it had been
// lost.
func (n *Node) Step(from crdt.ReplicaID, b []byte) error {
	n.stats.MessagesReceived++
	n.stats.BytesReceived += uint64(len(b))
	err := n.take(from, b)
	if err != nil {
		n.stats.Refused++
	}
	return err
}

func (n *Node) take(from crdt.ReplicaID, b []byte) error {
	switch {
	case n.isRetired(n.cfg.Self):
		return fmt.Errorf("%w: this node %v, while it was away; start again with an empty store under a new replica id", ErrRetired, n.cfg.Self)
	case n.isRetired(from):
		n.tellRetired(from)
		return fmt.Errorf("%w: message from %v, which is gone for ever here and was told so", ErrRetired, from)
	}
	i, ok := n.find(from)
	if !ok {
		return fmt.Errorf("%w: %v; add it first", ErrUnknownPeer, from)
	}
	p := n.peers[i]
	m, err := parse(b, n.cfg.Limits)
	if err == nil {
		n.alive(p)
		err = n.step(p, &m)
	}
	if err != nil {
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
	case questionMessage:
		return n.question(p, m)
	case answerMessage:
		return n.answer(p, m)
	case reportMessage:
		n.report(p, m)
	case retiredMessage:
		n.retire(m.ids, p.id)
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

// Ready returns what is to be done. Call it after changes, Step and Tick, once or for several of
// them together: what was changed meanwhile is joined. Do what it says, then call [Node.Advance].
func (n *Node) Ready() Ready {
	cache := map[stretchKey][]byte{}
	n.askPeers()
	for _, p := range n.peers {
		if n.isRetired(n.cfg.Self) {
			break // it may still say so
		}
		n.sendLog(p, cache)
		if p.owesAck {
			p.owesAck = false
			m := message{kind: ackMessage, session: p.session, upto: p.applied}
			if p.complete {
				m.flags = flagWhole
			}
			n.send(p.id, &m)
		}
		n.sendReport(p)
	}
	n.complete()
	return Ready{Persist: n.persist, Messages: n.out, Changes: n.changes, Stable: n.stable, Done: n.done}
}

// Advance tells that what Ready returned is done.
func (n *Node) Advance(rd Ready) {
	// What rd holds stays as it is: the caller may still be sending it.
	n.persist = without(n.persist, len(rd.Persist))
	n.out = without(n.out, len(rd.Messages))
	n.changes = without(n.changes, len(rd.Changes))
	n.done = without(n.done, len(rd.Done))
	for _, p := range n.peers {
		p.answered = 0
	}
}

// without returns a list without its first entries.
func without[T any](list []T, k int) []T {
	if k == len(list) {
		return nil
	}
	return list[k:]
}

func (n *Node) send(to crdt.ReplicaID, m *message) {
	b := m.append(nil)
	switch m.kind {
	case answerMessage:
		n.stats.PatchBytesSent += uint64(len(b))
	case questionMessage:
		n.stats.DigestBytesSent += uint64(len(b))
	case reportMessage:
		n.stats.ReportBytesSent += uint64(len(b))
	}
	n.post(to, b)
}

func (n *Node) post(to crdt.ReplicaID, b []byte) {
	n.stats.MessagesSent++
	n.stats.BytesSent += uint64(len(b))
	n.out = append(n.out, Envelope{to, b})
}
