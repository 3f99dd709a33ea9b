package antientropy_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"

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

// host is a replica that others reach by POST requests: a message is a body.
type host struct {
	mu   sync.Mutex // guards the set and the node
	set  *crdt.Set[string]
	node *antientropy.Node
	urls map[crdt.ReplicaID]string
}

// do changes something, or ticks, and then sends what there is to be sent.
func (h *host) do(f func()) {
	h.mu.Lock()
	f()
	rd := h.node.Ready()
	h.node.Advance(rd) // a replica that is to survive a crash writes down rd.Persist first
	h.mu.Unlock()
	for _, e := range rd.Messages {
		from := "?from=" + h.set.Store().ID().String()
		resp, err := http.Post(h.urls[e.To]+from, "application/octet-stream", bytes.NewReader(e.Message))
		if err == nil { // what is lost is sent again
			resp.Body.Close()
		}
	}
}

// ServeHTTP takes a message.
func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	from, err := strconv.ParseUint(r.FormValue("from"), 16, 64)
	message, e := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20)) // well over MaxFrame
	if err = errors.Join(err, e); err == nil {
		h.do(func() { err = h.node.Step(crdt.ReplicaID(from), message) })
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

// A transport over net/http: do and ServeHTTP are all of it. A program calls do with the node's Tick some
// ten times a second.
func Example_http() {
	hosts, urls := map[crdt.ReplicaID]*host{}, map[crdt.ReplicaID]string{}
	for id := range crdt.ReplicaID(3) {
		set := crdt.NewSet[string](id + 1)
		node := antientropy.NewNode(antientropy.Config{Self: id + 1, State: set.Store(), Seed: uint64(id), Mesh: true})
		hosts[id+1] = &host{set: set, node: node, urls: urls}
	}
	for id, h := range hosts {
		server := httptest.NewServer(h)
		defer server.Close()
		urls[id] = server.URL
		for peer := range hosts {
			h.node.AddPeer(peer)
		}
	}
	hosts[1].do(func() { hosts[1].set.Add("milk", "eggs") })
	hosts[2].do(func() { hosts[2].set.Add("tea") })
	for range 10 {
		for _, h := range hosts {
			h.do(h.node.Tick)
		}
	}
	for id := range crdt.ReplicaID(3) {
		fmt.Println(hosts[id+1].set.Sorted())
	}
	// Output:
	// [eggs milk tea]
	// [eggs milk tea]
	// [eggs milk tea]
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
