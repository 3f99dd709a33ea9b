package antientropy

import "slices"

// Level says how many nodes must take part in a [Node.Write] or [Node.Read]. It counts peers, and so
// it means the whole cluster only where every node is a peer of every other.
type Level uint8

const (
	// One is one peer, whichever is first.
	One Level = 1 + iota
	// Majority is more than half of this node and its peers, this node included. Whoever reads at
	// this level sees all that was written at it before.
	Majority
	// All is all peers.
	All
)

// String returns the level's name.
func (l Level) String() string {
	switch l {
	case One:
		return "one"
	case Majority:
		return "majority"
	case All:
		return "all"
	}
	return "unknown level"
}

// enough reports whether so many of n peers satisfy the level.
func (l Level) enough(done, n int) bool {
	switch l {
	case One:
		return done >= 1
	case Majority:
		return done+1 > (n+1)/2
	default:
		return done >= n
	}
}

// Ticket names a [Node.Write] or [Node.Read] that is under way. [Ready].Done lists it once it is
// complete; tickets of a node are never the same.
type Ticket uint64

// pending is a ticket that is not complete yet.
type pending struct {
	ticket Ticket
	level  Level
	// How far peers must be: in this node's log, or in the number of times that they were asked.
	log, asked uint64
	read       bool
}

// Write returns a ticket that is complete when the peers that the level wants have taken in, and
// persisted if they do, all that was changed at this node so far. Nothing more is sent for it. A
// change takes effect at once, whatever becomes of its ticket.
func (n *Node) Write(level Level) Ticket {
	return n.issue(pending{level: level, log: n.own})
}

// Read returns a ticket that is complete when all is here that the peers that the level wants have
// at this moment; the values to read are those of the State then, or later. Each peer is asked what
// it has that is not here, which costs little if nothing is (read repair: the peers learn what lacks
// there as well).
func (n *Node) Read(level Level) Ticket {
	for _, p := range n.peers {
		p.askPending = p.askPending || !p.lost
	}
	return n.issue(pending{level: level, asked: n.resyncs + 1, read: true})
}

// Cancel gives up a ticket, which is then never listed as done.
func (n *Node) Cancel(t Ticket) {
	n.waiting = slices.DeleteFunc(n.waiting, func(w pending) bool { return w.ticket == t })
	n.done = slices.DeleteFunc(n.done, func(d Ticket) bool { return d == t })
}

func (n *Node) issue(w pending) Ticket {
	n.tickets++
	w.ticket = Ticket(n.tickets)
	n.waiting = append(n.waiting, w)
	return w.ticket
}

// complete lists the tickets that are complete.
func (n *Node) complete() {
	n.waiting = slices.DeleteFunc(n.waiting, func(w pending) bool {
		done := 0
		for _, p := range n.peers {
			if w.read && p.asked >= w.asked || !w.read && p.whole >= w.log {
				done++
			}
		}
		if w.level.enough(done, len(n.peers)) {
			n.done = append(n.done, w.ticket)
			return true
		}
		return false
	})
}
