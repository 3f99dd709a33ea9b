package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-calm/calm/crdt/journal"
)

// place is how far a node has read its input. It is written in the update that counts what was read,
// so that no crash can put one of them ahead of the other.
type place struct {
	Node      string `json:"node"`
	Input     string `json:"input"`
	Offset    int64  `json:"offset"` // into the unpacked input
	Head      uint32 `json:"head"`   // checksum of the input's first bytes
	Lines     int64  `json:"lines"`
	Malformed int64  `json:"malformed"`
	Dropped   int64  `json:"dropped"`
}

// errRetired is why a node must not go on.
var errRetired = errors.New("this node was retired: the others no longer take in what it counts")

// restore opens a journal in the directory of a node that is being made. The node goes on under the name
// that the journal knows, since all that it ever told under this name is in there. A damaged journal is an
// error and not a fresh start: the others know what this node counted, so that counting the same input
// again would count it twice.
func (n *node) restore() error {
	j, err := journal.Open(n.cfg.dir, journal.Options{})
	if err != nil {
		return err
	}
	n.journal = j
	n.open(j.Replica())
	if err := j.Restore(n.store); err != nil {
		return fmt.Errorf("%s: %w", n.cfg.dir, err)
	}
	if n.site.Retired.Contains(n.id) {
		return fmt.Errorf("%s: %w", n.cfg.dir, errRetired)
	}
	n.known = n.site.span()
	if text, conflict := n.site.Places.At(n.id).Value(); text != "" {
		var p place
		if err := json.Unmarshal([]byte(text), &p); err != nil || conflict {
			return errors.Join(fmt.Errorf("%s: it does not say how far the node has read", n.cfg.dir), err)
		}
		n.resumed = true
		if p.Input == n.cfg.input {
			n.saved = position{p.Offset, p.Head, p.Lines, p.Malformed, p.Dropped}
		}
	}
	n.in.pos = n.saved
	n.in.lines.Store(n.saved.lines)
	n.in.malformed.Store(n.saved.malformed)
	n.in.dropped.n.Store(n.saved.dropped)
	n.in.lost = n.saved.dropped
	// Whoever hears of this node waits for it, from now on. It is told at each start, because a store
	// compacts what it did before only after it has done something.
	_, err = n.store.TryUpdate(func() { n.site.Places.At(n.id).Set(n.place(n.saved)) })
	return err
}

// place says how far the node has read.
func (n *node) place(end position) string {
	text, err := json.Marshal(place{n.cfg.name, n.cfg.input, end.offset, end.head, end.lines, end.malformed, end.dropped})
	if err != nil {
		panic(err) // it is made of strings and numbers
	}
	return string(text)
}

// count makes the tallies of an epoch part of the node's state, and saves it: all or nothing. n.mu is
// held.
func (n *node) count(e *epoch) error {
	if n.stuck {
		// Nobody knows what the disk holds. A snapshot begins anew.
		if err := n.journal.Snapshot(); err != nil {
			return err
		}
		n.stuck = false
	}
	d, err := n.store.TryUpdate(func() {
		n.known.add(n.site.apply(n.in.workers, e.parity))
		n.site.assert(&n.known, n.clock)
		if n.journal != nil {
			if e.end != n.saved {
				n.site.Places.At(n.id).Set(n.place(e.end))
			}
			n.keepRetired()
		}
	})
	if err != nil {
		n.stuck = errors.Is(err, journal.ErrBroken)
		return err
	}
	n.late = nil
	for _, w := range n.in.workers {
		w.reset(e.parity)
	}
	if n.journal == nil {
		return nil
	}
	n.saved = e.end
	if !d.IsZero() {
		n.saves++
	}
	if n.journal.Due() {
		return n.journal.Snapshot() // if it fails, what was counted is safe as it is
	}
	return nil
}

// keepRetired writes down who was retired, and forgets their places. It must run within a
// [crdt.Store.Update].
func (n *node) keepRetired() {
	for _, id := range n.engine.Retired() {
		if !n.site.Retired.Contains(id) {
			n.site.Retired.Add(id)
		}
		if n.site.Places.Contains(id) {
			n.site.Places.Remove(id)
		}
	}
}

// awaitOthers has the anti-entropy wait for nodes that have a journal and so will be back, though this
// node has not met them since it started. n.mu is held.
func (n *node) awaitOthers() {
	for id := range n.site.Places.Keys() {
		if !n.awaited[id] && id != n.id {
			n.awaited[id] = true
			if n.peers[id] == nil {
				n.engine.AddPeer(id)
				n.engine.RemovePeer(id)
			}
		}
	}
}

// missing lists the nodes that are waited for, and not here. n.mu is held.
func (n *node) missing() []string {
	list, retired := []string{}, n.engine.Retired()
	for _, id := range n.site.Places.Sorted() {
		if id != n.id && n.peers[id] == nil && !slices.Contains(retired, id) {
			text, _ := n.site.Places.At(id).Value()
			var p place
			_ = json.Unmarshal([]byte(text), &p) // it may come from anybody
			list = append(list, fmt.Sprintf("%v %s", id, p.Node))
		}
	}
	return list
}

// replaced retires the former node at a peer's address, if that one kept nothing: nobody can be there
// again under its name. n.mu is held.
func (n *node) replaced(p peerState) {
	before, ok := n.lastAt[p.Addr]
	if ok && before.card.Started > p.card.Started {
		return // an old message that was late
	}
	n.lastAt[p.Addr] = p
	if ok && before.ID != p.ID && !before.card.Keeps {
		n.engine.Retire(before.ID)
	}
}

// card is what a node tells of itself to those who meet it.
type card struct {
	Name    string `json:"name"`
	Keeps   bool   `json:"keeps"`   // it has a journal, and comes back under the same replica's name
	Started int64  `json:"started"` // Unix nanoseconds
}

// readCard never fails: who does not make sense is taken to be called what it says, and to keep all.
func readCard(text string) card {
	c := card{Keeps: true}
	if json.Unmarshal([]byte(text), &c) != nil {
		return card{Name: text, Keeps: true}
	}
	return c
}
