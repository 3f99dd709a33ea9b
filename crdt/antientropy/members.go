package antientropy

import (
	"cmp"
	"errors"
	"slices"

	"github.com/go-calm/calm/crdt"
)

// member is one of those who must have seen what is called stable.
type member struct {
	id   crdt.ReplicaID
	seen crdt.Digest // what it has said that it has seen, everything it had done before being here
}

// ErrRetired is what [Node.Step] returns for a message from a peer that was retired, and for every
// message once the node itself was.
var ErrRetired = errors.New("antientropy: retired")

// Retire takes a replica that is gone for ever out of the membership, here and, as they hear of it,
// at all other nodes: it is no peer any more, nothing is kept for it, and what is stable does not
// wait for it. This cannot be undone, and need be told to one node only. Retirements made at several
// nodes at once add up.
//
// What the replica did before stays, as far as any node has it. If it comes back after all, nothing
// of what it still has is taken in: its messages are refused with [ErrRetired], and it is told, so
// that its own Step returns ErrRetired and it sends nothing any more. It must start again with an
// empty store under a new [crdt.ReplicaID], be added as a newcomer, and catch up. Changes that only
// it has seen can be made anew by the program; they must not be merged, because what the others have
// compacted meanwhile took their absence for granted.
//
// Let the operator, or a failure detector with much patience, retire what is not expected back:
// crashed incarnations above all, since who starts again takes a new name. Who is only slow or cut
// off need not be retired: until it is back, what is stable stays as it is.
//
// What was retired is remembered for ever, 8 bytes each. A node that starts again with its old name
// must be given what [Node.Retired] returned before, as [Config.Retired].
func (n *Node) Retire(replica crdt.ReplicaID) { n.retire([]crdt.ReplicaID{replica}, n.cfg.Self) }

// Retired returns who was retired, ascending. If the node itself is among them, it must not go on.
func (n *Node) Retired() []crdt.ReplicaID { return slices.Clone(n.retired) }

func (n *Node) isRetired(id crdt.ReplicaID) bool {
	_, ok := slices.BinarySearch(n.retired, id)
	return ok
}

// retire takes note of who is retired and passes it on if it is news. What is lost of it, probes mend.
func (n *Node) retire(ids []crdt.ReplicaID, from crdt.ReplicaID) {
	news := false
	for _, id := range ids {
		i, known := slices.BinarySearch(n.retired, id)
		if known || id == 0 {
			continue
		}
		news = true
		n.retired = slices.Insert(n.retired, i, id)
		n.members = slices.DeleteFunc(n.members, func(m member) bool { return m.id == id })
		n.RemovePeer(id)
	}
	if !news {
		return
	}
	n.dirty = true
	// This begins an epoch. What others have of those that are gone must be here before anything
	// more is stable, and nobody may take in more of it. A new log tells who has come so far, and
	// makes everybody ask everybody for what lacks.
	n.session = n.rng.Uint64()
	for i := range n.members {
		n.members[i].seen = crdt.Digest{}
	}
	for _, p := range n.peers {
		p.acked, p.sent, p.confirmed, p.mark, p.whole = n.head, n.head, n.head, n.head, 0
		p.base = true
		if !p.lost && p.id != from && (from == n.cfg.Self || !n.isRetired(n.cfg.Self)) {
			n.tellRetired(p.id)
		}
	}
	n.trim()
}

// tellRetired tells somebody who is retired.
func (n *Node) tellRetired(to crdt.ReplicaID) {
	for ids := range slices.Chunk(n.retired, (n.cfg.MaxFrame-overhead)/8) {
		n.send(to, &message{kind: retiredMessage, ids: ids})
	}
}

func (n *Node) addMember(id crdt.ReplicaID) {
	i, ok := slices.BinarySearchFunc(n.members, id, func(m member, id crdt.ReplicaID) int { return cmp.Compare(m.id, id) })
	if !ok {
		n.members = slices.Insert(n.members, i, member{id: id})
		n.dirty = true
	}
}

// roster returns the fingerprint of who is member and who is retired: nodes that differ in it count
// on different ones for what is stable.
func (n *Node) roster() uint64 {
	ids := []crdt.ReplicaID{n.cfg.Self}
	for _, m := range n.members {
		ids = append(ids, m.id)
	}
	slices.Sort(ids)
	return fingerprint(ids) + 3*fingerprint(n.retired)
}

// fingerprint returns a number for a sorted list of names, 0 for none (FNV-1a of 64 bits, by names).
func fingerprint(ids []crdt.ReplicaID) (h uint64) {
	for _, id := range ids {
		h = (h ^ uint64(id) ^ 14695981039346656037) * 1099511628211
		h ^= h >> 29
	}
	return h
}

// sendReport tells a peer what this node has seen. It counts once the peer has this node's log up to
// here: then all that this node had done by now, removals too, is there.
func (n *Node) sendReport(p *peer) {
	if !n.cfg.Mesh || n.tick < p.reportTick+n.cfg.StableTicks || p.silent > 0 {
		return
	}
	roster := n.roster()
	told := roster ^ n.session ^ n.cfg.State.Fingerprint()
	if told != p.reported {
		p.reported, p.reports = told, 0
	}
	// It may be lost: the same is told again, more and more rarely.
	if n.tick < p.reportTick+n.cfg.StableTicks<<min(p.reports, 6) {
		return
	}
	p.reportTick = n.tick
	p.reports++
	context := n.cfg.State.Context()
	for piece := range context.Split(n.cfg.MaxFrame - overhead) {
		n.send(p.id, &message{kind: reportMessage, session: n.session, upto: n.head, roster: roster, context: piece})
	}
}

// report takes in what a member has seen.
func (n *Node) report(p *peer, m *message) {
	if m.session != p.session {
		n.listen(p, m.session)
		p.hole = m.upto
		p.askPending = p.askPending || p.resync == nil
		return
	}
	if !p.complete || p.applied < m.upto || m.roster != n.roster() {
		return
	}
	for i := range n.members {
		if n.members[i].id == p.id {
			n.members[i].seen = n.members[i].seen.Join(m.context)
			n.dirty = true
		}
	}
}

// compacter is a [State] that can make itself smaller where it is told what every member has seen.
type compacter interface {
	Digest() crdt.Digest
	Compact(stable crdt.Digest) (fused int)
}

// settle finds out what is stable by now, and has the state compacted.
func (n *Node) settle() {
	if !n.cfg.Mesh || len(n.members) == 0 || !n.dirty || n.tick < n.settleTick {
		return
	}
	n.dirty, n.settleTick = false, n.tick+n.cfg.StableTicks
	all := n.cfg.State.Context()
	for i := range n.members {
		all = all.Meet(n.members[i].seen)
	}
	if n.stable.Covers(all) {
		return
	}
	n.stable = n.stable.Join(all)
	if c, ok := n.cfg.State.(compacter); ok {
		// What is stable and lives here was live at each member at one moment: what anybody ended of
		// it before it had seen all is known here.
		c.Compact(c.Digest().Within(n.stable))
	}
}
