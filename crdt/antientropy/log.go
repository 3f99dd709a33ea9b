package antientropy

import (
	"slices"

	"github.com/go-calm/calm/crdt"
)

// entry is a delta in a node's log.
type entry struct {
	seq    uint64
	delta  crdt.Delta
	origin crdt.ReplicaID // who need not be told
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
	for piece := range d.Split(n.cfg.MaxFrame - overhead) {
		n.head++
		n.log = append(n.log, entry{n.head, piece, origin})
		n.bytes += piece.Len()
	}
	if origin == n.cfg.Self {
		n.own = n.head
	}
	for n.bytes > n.cfg.BufferBytes {
		n.drop()
	}
	n.trim()
}

// drop forgets the oldest entry of the log. Who needs it is told, with what comes after, to ask.
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

// trim forgets what every peer that is there has acknowledged.
func (n *Node) trim() {
	for len(n.log) > 0 && !slices.ContainsFunc(n.peers, func(p *peer) bool { return !p.lost && p.acked < n.log[0].seq }) {
		n.drop()
	}
}

// stretch takes in a part of the peer's log, in order: a part that comes too early is dropped, and
// the acknowledgment of what is there makes the peer send from there again.
func (n *Node) stretch(p *peer, m *message) error {
	known := m.session == p.session
	hole := !known || m.flags&flagBase != 0 && (!p.complete || m.after > p.applied)
	if known && hole && m.upto <= p.applied || !hole && m.after > p.applied {
		p.owesAck = true // an old one, or one that is early
		return nil
	}
	if err := n.learn(p, m.delta); err != nil {
		return err
	}
	if hole {
		// What came before is to be asked for.
		n.listen(p, m.session)
		p.complete, p.hole = false, m.upto
		p.askPending = true
	}
	p.applied = max(p.applied, m.upto)
	p.owesAck = true
	return nil
}

// listen turns to a log of a peer.
func (n *Node) listen(p *peer, session uint64) {
	if p.session != session {
		p.session, p.applied, p.hole, p.complete = session, 0, 0, false
	}
}

func (n *Node) ack(p *peer, m *message) {
	if m.session != n.session || m.upto > n.head {
		return
	}
	if m.flags&flagWhole != 0 {
		p.whole = max(p.whole, m.upto)
		p.base = p.base && m.upto < p.acked
	}
	switch {
	case m.upto > p.confirmed:
		p.confirmed, p.sentTick = m.upto, n.tick
		p.acked, p.sent, p.mark = max(p.acked, m.upto), max(p.sent, m.upto), max(p.mark, m.upto)
		p.base = p.base && p.mark > p.confirmed
		n.skip(p)
		n.trim()
	case p.wentBack == n.tick:
	case m.upto == p.confirmed && p.mark > p.confirmed:
		// It has seen something later than what it waits for.
		n.again(p)
	}
}

// wants returns what a peer to whom there is nothing to send must be asked for all the same: to fill
// a hole, or, if a Write waits for it, to say once more that nothing lacks there, which may be lost.
func (n *Node) wants(p *peer) byte {
	switch {
	case p.lost || p.mark > p.confirmed || p.sent < n.head:
		return 0
	case p.base && p.acked > p.confirmed:
		return flagAsk | flagHole
	case slices.ContainsFunc(n.waiting, func(w pending) bool { return !w.read && p.whole < w.log }):
		return flagAsk
	}
	return 0
}

// again has the peer sent again what it did not confirm.
func (n *Node) again(p *peer) {
	if p.mark > p.confirmed {
		n.stats.Resent++
	}
	p.sent, p.mark, p.wentBack = p.acked, p.confirmed, n.tick
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

// stretchKey names a message that several peers may be sent.
type stretchKey struct {
	mark, last uint64
}

// sendLog sends a peer the log from where it was last sent it. A peer that stays silent is sent no
// more than it has not acknowledged, when its time comes; one that is lost is sent nothing.
func (n *Node) sendLog(p *peer, cache map[stretchKey][]byte) {
	if p.lost {
		return
	}
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
			if size += e.delta.Len(); size > n.cfg.MaxFrame-overhead && len(ds) > 0 {
				break
			}
			ds = append(ds, e.delta)
		}
		last := n.log[to-1].seq
		if len(ds) == 0 {
			p.sent = last
			continue
		}
		key := stretchKey{p.mark, last}
		shared := skipped == 0 && !p.base && p.sent == p.mark
		body, ok := cache[key]
		if !ok || !shared {
			joined, err := crdt.Join(ds...)
			if err != nil { // two histories under one name: let the peer find out by itself
				joined = ds[len(ds)-1]
			}
			m := message{kind: deltaMessage, session: n.session, after: p.mark, upto: last, delta: joined}
			if p.base {
				m.flags, m.after = flagBase, p.sent
			}
			body = m.append(nil)
			if shared {
				cache[key] = body
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
