// Package cutnet is a memberlist transport whose network can be cut in two: packets between the
// sides are dropped and streams refused, in both directions, while each side goes on as before. It
// also counts what it sends. Where nothing is ever cut it costs a look at one atomic pointer.
package cutnet

import (
	"net"
	"sync"
	"sync/atomic"
)

// Network is what the transports of one process have in common: who is on which side of a cut.
// The zero value is a whole network. It may be used concurrently.
type Network struct {
	cut        atomic.Pointer[cut]
	mu         sync.Mutex
	transports map[*Transport]struct{}
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
	for t := range n.transports {
		t.breakStreams()
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

func (n *Network) join(t *Transport) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.transports == nil {
		n.transports = map[*Transport]struct{}{}
	}
	n.transports[t] = struct{}{}
}

func (n *Network) leave(t *Transport) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.transports, t)
}

// Stats counts what a [Transport] did.
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

// stream is a connection that counts what is written to it and is known to its transport until it
// is closed.
type stream struct {
	net.Conn
	of   *Transport
	peer string // the address that was dialed; empty for a stream that came in
}

func (s *stream) Write(b []byte) (int, error) {
	n, err := s.Conn.Write(b)
	s.of.count.streamBytes.Add(uint64(n))
	return n, err
}

func (s *stream) Close() error {
	s.of.forget(s)
	return s.Conn.Close()
}
