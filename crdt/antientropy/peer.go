package antientropy

import (
	"cmp"
	"slices"

	"github.com/go-calm/calm/crdt"
)

// peer is what a node knows of another one.
type peer struct {
	id crdt.ReplicaID

	// What we tell it (log.go). It needs nothing of our log up to acked, and was sent what it needs
	// up to sent. The last stretch sent ended at mark, the last one acknowledged at confirmed: what
	// it needs nothing of lies in no stretch.
	acked, sent     uint64
	confirmed, mark uint64
	base            bool   // it may lack something before the next stretch
	whole           uint64 // up to here it has said that it lacks nothing
	askedTick       int    // when it was last asked how far it is
	sentTick        int    // since when it owes an acknowledgment
	wentBack        int    // when it was last sent again what it may have got

	// What it tells us (log.go): we have its log up to applied; complete tells that we have all that
	// came before as well.
	session  uint64
	applied  uint64
	hole     uint64 // up to here we lack what it may have told before
	complete bool
	owesAck  bool

	// How alive it is.
	silent int // how often in a row it was sent something again
	heard  int // when it last said anything
	lost   bool

	// Asking whether we are the same (resync.go).
	probeTick    int
	theirs, ours uint64 // fingerprints that differed at its last probe
	askPending   bool
	resync       *resync
	asked        uint64 // number of the last resync that was answered in full
	turn         uint64 // number of the last one that was begun
	alone        bool   // nobody else is asked until it has told all
	answered     int    // bytes of deltas in answers to it that wait to be sent

	// Telling what we have seen (members.go).
	reported   uint64 // what the last report told, hashed
	reportTick int    // when it was sent
	reports    int    // how often the same was told
}

// AddPeer starts the conversation with a peer, which must add this node too, and makes it a member:
// what it has not seen is not stable. A peer that is there already stays as it is; one that was
// retired, and the node itself, are not added.
//
// Add a newcomer to all nodes, and let it catch up with one of them, before it removes or resets
// anything: what was stable before it came need not be known to it yet.
func (n *Node) AddPeer(id crdt.ReplicaID) {
	i, ok := n.find(id)
	if ok || id == n.cfg.Self || n.isRetired(id) {
		return
	}
	p := &peer{id: id, base: true, askPending: true, heard: n.tick}
	p.acked, p.sent, p.confirmed, p.mark = n.head, n.head, n.head, n.head
	p.probeTick = n.tick + 1 + n.rng.IntN(n.cfg.ProbeTicks)
	p.reportTick = n.tick
	n.peers = slices.Insert(n.peers, i, p)
	n.addMember(id)
}

// RemovePeer ends the conversation with a peer for now. It stays a member, so that what it has not
// seen is not stable until it is back, or retired.
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

func (n *Node) find(id crdt.ReplicaID) (int, bool) {
	return slices.BinarySearchFunc(n.peers, id, func(p *peer, id crdt.ReplicaID) int { return cmp.Compare(p.id, id) })
}

// patience returns how long to wait for a peer that should answer within so many ticks: the longer
// the more often it did not.
func (p *peer) patience(ticks int) int { return ticks << min(p.silent, 6) }

// After so many tries without an answer, or so many times the ticks between probes without a word, a
// peer counts as lost. It is then sent a probe now and then, and nothing is kept for it.
const (
	tries  = 6
	unread = 8
)

// unanswered takes note that a peer has not answered in time.
func (n *Node) unanswered(p *peer) {
	if p.silent++; p.silent >= tries && !p.lost {
		p.lost, p.base, p.resync, p.askPending = true, true, nil, false
		p.probeTick = n.tick + p.patience(n.cfg.ResendTicks)
		n.trim()
	}
}

// alive takes note that a peer has said something.
func (n *Node) alive(p *peer) {
	lost := p.lost
	p.silent, p.heard, p.lost = 0, n.tick, false
	if lost {
		p.acked, p.sent = max(p.acked, n.log0()-1), max(p.sent, n.log0()-1)
		p.askPending = true
		n.again(p)
		n.sendProbe(p, flagAsk)
	}
}
