// Package cutnet is a network that can be cut in two: streams between the sides are refused and broken,
// and packets dropped, in both directions, while each side goes on as before. [Host] dials and listens
// on it, [Transport] is a memberlist transport over it. What is sent is counted. Where nothing is ever
// cut it costs a look at one atomic pointer.
package cutnet

import (
	"sync"
	"sync/atomic"
)

// Network is what the hosts of one process have in common: who is on which side of a cut. The zero
// value is a whole network. It may be used concurrently.
type Network struct {
	cut   atomic.Pointer[cut]
	mu    sync.Mutex
	hosts map[*Host]struct{}
}

// cut names the side of each address; an address that has none is reached from everywhere.
type cut struct {
	side map[string]int
}

// Cut divides the addresses ("host:port", as advertised) into sides that do not reach each other,
// and breaks the streams that are open between them.
func (n *Network) Cut(sides ...[]string) {
	c := &cut{side: map[string]int{}}
	for i, side := range sides {
		for _, addr := range side {
			c.side[addr] = i
		}
	}
	n.cut.Store(c)

	n.mu.Lock()
	defer n.mu.Unlock()
	for h := range n.hosts {
		h.breakStreams()
	}
}

// Heal makes the network whole again.
func (n *Network) Heal() { n.cut.Store(nil) }

// blocks reports whether a and b are on different sides.
func (n *Network) blocks(a, b string) bool {
	c := n.cut.Load()
	if c == nil {
		return false
	}
	sideA, okA := c.side[a]
	sideB, okB := c.side[b]
	return okA && okB && sideA != sideB
}

func (n *Network) join(h *Host) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hosts == nil {
		n.hosts = map[*Host]struct{}{}
	}
	n.hosts[h] = struct{}{}
}

func (n *Network) leave(h *Host) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.hosts, h)
}

// Stats counts what a [Host] did.
type Stats struct {
	PacketsSent, StreamsOpened     uint64
	PacketBytes, StreamBytes       uint64 // sent
	PacketsDropped, StreamsRefused uint64 // because of a cut
}

// Bytes is all that was sent.
func (s Stats) Bytes() uint64 { return s.PacketBytes + s.StreamBytes }

// counters are the atomic form of [Stats].
type counters struct {
	packetsSent, streamsOpened     atomic.Uint64
	packetBytes, streamBytes       atomic.Uint64
	packetsDropped, streamsRefused atomic.Uint64
}

func (c *counters) stats() Stats {
	return Stats{
		PacketsSent: c.packetsSent.Load(), StreamsOpened: c.streamsOpened.Load(),
		PacketBytes: c.packetBytes.Load(), StreamBytes: c.streamBytes.Load(),
		PacketsDropped: c.packetsDropped.Load(), StreamsRefused: c.streamsRefused.Load(),
	}
}
