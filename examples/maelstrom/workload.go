package main

import (
	"encoding/json"

	"github.com/go-calm/calm/clock"
	"github.com/go-calm/calm/crdt"
)

var workloadNames = []string{"broadcast", "g-set", "pn-counter", "unique-ids"}

// workload answers the requests of clients, from the state of this node alone.
type workload func(request) (reply, error)

// newWorkload opens what a workload needs in a node's store.
func newWorkload(name, node string, store *crdt.Store, ids *clock.Clock) workload {
	switch name {
	case "broadcast":
		return broadcast(crdt.At[*crdt.GSet[string]](store, name))
	case "g-set":
		return gset(crdt.At[*crdt.GSet[string]](store, name))
	case "pn-counter":
		return counter(crdt.At[*crdt.Counter](store, name))
	case "unique-ids":
		return uniqueIDs(node, ids)
	}
	panic("no workload " + name)
}

// broadcast brings messages to all nodes: they are a set that only grows.
func broadcast(messages *crdt.GSet[string]) workload {
	return func(r request) (reply, error) {
		switch r.Type {
		case "topology": // see node.handle
			return reply{}, nil
		case "broadcast":
			return reply{}, add(messages, r.Message)
		case "read":
			return reply{"messages": all(messages)}, nil
		}
		return nil, failed(notSupported, "broadcast has no %q", r.Type)
	}
}

// gset is a set that only grows.
func gset(elements *crdt.GSet[string]) workload {
	return func(r request) (reply, error) {
		switch r.Type {
		case "add":
			return reply{}, add(elements, r.Element)
		case "read":
			return reply{"value": all(elements)}, nil
		}
		return nil, failed(notSupported, "a g-set has no %q", r.Type)
	}
}

// counter counts up and down.
func counter(c *crdt.Counter) workload {
	return func(r request) (reply, error) {
		switch r.Type {
		case "add":
			c.Add(r.Delta)
			return reply{}, nil
		case "read":
			return reply{"value": c.Value()}, nil
		}
		return nil, failed(notSupported, "a pn-counter has no %q", r.Type)
	}
}

// uniqueIDs makes ids that no other node makes: the time, which no clock issues twice, and the
// node's name, for two clocks may issue the same.
func uniqueIDs(node string, ids *clock.Clock) workload {
	return func(r request) (reply, error) {
		if r.Type == "generate" {
			return reply{"id": clock.Stamp[string]{Time: ids.Now(), Node: node}.String()}, nil
		}
		return nil, failed(notSupported, "unique-ids has no %q", r.Type)
	}
}

func add(s *crdt.GSet[string], value json.RawMessage) error {
	text, err := canonical(value)
	if err == nil {
		s.Add(text)
	}
	return err
}

func all(s *crdt.GSet[string]) []json.RawMessage {
	values := []json.RawMessage{}
	for _, text := range s.Sorted() {
		values = append(values, json.RawMessage(text))
	}
	return values
}
