package main

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/go-calm/calm/clock"
	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/crdt/antientropy"
)

// node is one node of a workload, as a state machine: lines go in, lines come out, and time passes
// when tick is called. What runs it is serve, over standard input and output, or a simulation.
type node struct {
	workload string
	clock    *clock.Clock

	// From here on: since init.
	id      string
	ids     []string // of all nodes; a node's replica is named by its place here
	answer  workload
	store   *crdt.Store
	engine  *antientropy.Node
	refused int // messages of other nodes that made no sense
}

func newNode(workload string, c *clock.Clock) *node { return &node{workload: workload, clock: c} }

// receive takes in a line, and returns what is to be sent.
func (n *node) receive(line []byte) []message {
	var m message
	var r request
	if err := json.Unmarshal(line, &m); err != nil {
		return nil // it does not even say whom to answer
	}
	answer, err := reply(nil), json.Unmarshal(m.Body, &r)
	if err != nil {
		err = failed(malformed, "the body is not as expected")
	} else {
		answer, err = n.handle(m.Src, r)
	}
	var out []message
	if f := (*failure)(nil); errors.As(err, &f) {
		answer = reply{"type": "error", "code": f.code, "text": f.text}
	}
	if answer != nil {
		if answer["type"] == nil {
			answer["type"] = r.Type + "_ok"
		}
		answer["in_reply_to"] = r.MsgID
		out = append(out, message{n.id, m.Src, encode(answer)})
	}
	return append(out, n.send()...)
}

// handle answers a request; gossip has no answer.
func (n *node) handle(from string, r request) (reply, error) {
	if r.Type == "init" {
		return n.begin(r)
	}
	if n.engine == nil {
		return nil, failed(unavailable, "not initialized")
	}
	switch r.Type {
	case "gossip":
		if err := n.engine.Step(n.replica(from), r.Gossip); err != nil {
			n.refused++ // it counts as lost
		}
		return nil, nil
	case "topology":
		n.meet(r.Topology[n.id])
	}
	return n.answer(r)
}

// begin makes the node what init says that it is.
func (n *node) begin(r request) (reply, error) {
	if n.engine != nil {
		return nil, failed(malformed, "initialized already")
	}
	if !slices.Contains(r.NodeIDs, r.NodeID) {
		return nil, failed(malformed, "the node is none of the nodes")
	}
	n.id, n.ids = r.NodeID, r.NodeIDs
	// Maelstrom starts each node once, so its place in the list may name its history. A node that
	// can come back without its state needs crdt.NewReplicaID, and has to tell it to the others.
	n.store = crdt.NewStore(n.replica(n.id))
	n.answer = newWorkload(n.workload, n.id, n.store, n.clock)
	n.engine = antientropy.NewNode(antientropy.Config{Self: n.replica(n.id), State: n.store, Seed: uint64(n.replica(n.id))})
	n.meet(n.ids)
	return reply{}, nil
}

// meet makes some nodes, and no others, those that this one talks to. What they learn, they pass on.
func (n *node) meet(ids []string) {
	for _, id := range n.ids {
		switch {
		case id == n.id:
		case slices.Contains(ids, id):
			n.engine.AddPeer(n.replica(id))
		default:
			n.engine.RemovePeer(n.replica(id))
		}
	}
}

// replica is the name of a node's replica; 0, which nobody has, if there is no such node.
func (n *node) replica(id string) crdt.ReplicaID {
	return crdt.ReplicaID(slices.Index(n.ids, id) + 1)
}

// tick lets time pass, and returns what is to be sent.
func (n *node) tick() []message {
	if n.engine == nil {
		return nil
	}
	n.engine.Tick()
	return n.send()
}

// send returns what the anti-entropy wants sent.
func (n *node) send() (out []message) {
	if n.engine == nil {
		return nil
	}
	ready := n.engine.Ready()
	for _, e := range ready.Messages {
		out = append(out, message{n.id, n.ids[e.To-1], encode(reply{"type": "gossip", "gossip": e.Message})})
	}
	n.engine.Advance(ready)
	return out
}

// encode never fails: what nodes say is made of strings, numbers and JSON.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
