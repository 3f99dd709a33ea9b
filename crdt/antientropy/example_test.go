package antientropy_test

import (
	"fmt"

	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/crdt/antientropy"
)

// Two nodes over a "network" that hands messages over at once.
func ExampleNode() {
	sets := map[crdt.ReplicaID]*crdt.Set[string]{1: crdt.NewSet[string](1), 2: crdt.NewSet[string](2)}
	nodes := map[crdt.ReplicaID]*antientropy.Node{}
	for id, set := range sets {
		nodes[id] = antientropy.NewNode(antientropy.Config{Self: id, State: set.Store(), Seed: uint64(id)})
	}
	deliver := func(from crdt.ReplicaID, e antientropy.Envelope) {
		if err := nodes[e.To].Step(from, e.Message); err != nil {
			fmt.Println(err)
		}
	}
	nodes[1].AddPeer(2)
	nodes[2].AddPeer(1)

	sets[1].Add("milk", "eggs")
	sets[2].Add("tea")
	for range 5 {
		for from, node := range nodes {
			node.Tick()
			rd := node.Ready()
			for _, e := range rd.Messages {
				deliver(from, e)
			}
			node.Advance(rd)
		}
	}
	fmt.Println(sets[1].Sorted(), sets[2].Sorted(), nodes[1].Stats().Refused)
	// Output: [eggs milk tea] [eggs milk tea] 0
}

// A write that is done once a majority has it, on three nodes of which one is away.
func ExampleLevel() {
	counters := map[crdt.ReplicaID]*crdt.Counter{1: crdt.NewCounter(1), 2: crdt.NewCounter(2), 3: crdt.NewCounter(3)}
	nodes := map[crdt.ReplicaID]*antientropy.Node{}
	for id, c := range counters {
		nodes[id] = antientropy.NewNode(antientropy.Config{Self: id, State: c.Store(), Seed: uint64(id), Mesh: true})
		for other := range counters {
			nodes[id].AddPeer(other)
		}
	}
	counters[1].Add(5)
	write := nodes[1].Write(antientropy.Majority)
	for range 10 {
		for from, node := range nodes {
			node.Tick()
			rd := node.Ready()
			for _, t := range rd.Done {
				fmt.Println(from == 1 && t == write, counters[2].Value())
			}
			for _, e := range rd.Messages {
				if e.To != 3 && from != 3 {
					nodes[e.To].Step(from, e.Message)
				}
			}
			node.Advance(rd)
		}
	}
	// Output: true 5
}
