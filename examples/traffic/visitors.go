package main

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/go-calm/calm/lattice"
)

const (
	visitorsPerMessage = 50_000                 // bounds the messages that visitors go out in
	resendAfter        = 300 * time.Millisecond // how long one of them may go unanswered
	flightLen          = 8                      // bytes of what numbers them
)

// tellVisitors sends each peer the visitors that it may lack: the new ones, and those that it did
// not say it has. Sets that only grow may be joined in any order and as often as they come, so all
// that is owed to a peer, for whatever reason, is one set, and any part of it may go first. n.mu is
// held.
func (n *node) tellVisitors() {
	fresh := n.unsaidNew
	n.unsaidNew = &lattice.Set[string]{}
	for _, p := range n.peers {
		p.owed.Merge(fresh)
		n.tellVisitorsTo(p)
	}
}

func (n *node) tellVisitorsTo(p *peerState) {
	if p.flight != nil {
		if time.Since(p.flightAt) < resendAfter {
			return
		}
		p.owed.Merge(p.flight)
		p.flight = nil
	}
	if p.owed.Len() == 0 {
		return
	}
	p.flight, p.owed = split(p.owed, visitorsPerMessage)
	p.flightID++
	p.flightAt = time.Now()
	msg, err := p.flight.AppendBinary(binary.BigEndian.AppendUint64(nil, p.flightID))
	if err != nil {
		panic(err) // a set of strings has a binary form
	}
	n.agent.Send(p.ID, kindVisitors, msg)
}

// split takes up to size elements out of s.
func split(s *lattice.Set[string], size int) (part, rest *lattice.Set[string]) {
	part, rest = s, &lattice.Set[string]{}
	if s.Len() <= size {
		return part, rest
	}
	part = &lattice.Set[string]{}
	for v := range s.All() {
		if part.Len() < size {
			part.Add(v)
		} else {
			rest.Add(v)
		}
	}
	return part, rest
}

// takeVisitors takes in visitors, and says so to who sent them. n.mu is held.
func (n *node) takeVisitors(r received) error {
	if len(r.msg) < flightLen {
		return errors.New("message of visitors cut short")
	}
	var set lattice.Set[string]
	if err := set.UnmarshalBinary(r.msg[flightLen:]); err != nil {
		return err
	}
	n.visitors.Merge(&set)
	n.agent.Send(r.from, kindHave, r.msg[:flightLen])
	return nil
}
