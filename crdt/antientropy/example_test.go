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
