package cutnet

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// Host is one end of a [Network]: it dials others, and listens for them. It may be used concurrently.
type Host struct {
	network *Network
	self    string // the advertised address, by which cuts know us
	count   counters

	mu      sync.Mutex
	streams map[*stream]struct{} // dialed and open
}

// NewHost returns the host that others reach at an address. A nil network is one of its own, which
// nobody cuts.
func NewHost(network *Network, addr string) *Host {
	if network == nil {
		network = &Network{}
	}
	h := &Host{network: network, self: addr, streams: map[*stream]struct{}{}}
	network.join(h)
	return h
}

// Addr is the address that others reach this host at.
func (h *Host) Addr() string { return h.self }

// Stats returns what was sent so far.
func (h *Host) Stats() Stats { return h.count.stats() }

// Leave makes the network forget the host, whose streams are then cut no more.
func (h *Host) Leave() { h.network.leave(h) }

// DialContext connects to an address, unless that is on the other side of a cut.
func (h *Host) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return h.dial(addr, func() (net.Conn, error) { return (&net.Dialer{}).DialContext(ctx, network, addr) })
}

func (h *Host) dial(addr string, dial func() (net.Conn, error)) (net.Conn, error) {
	if h.network.blocks(h.self, addr) {
		return nil, h.refuse(addr)
	}
	conn, err := dial()
	if err != nil {
		return nil, err
	}
	s := &stream{Conn: conn, of: h, peer: addr}
	h.mu.Lock()
	h.streams[s] = struct{}{}
	h.mu.Unlock()
	// A cut made between the first look and here did not see the stream.
	if h.network.blocks(h.self, addr) {
		s.Close()
		return nil, h.refuse(addr)
	}
	h.count.streamsOpened.Add(1)
	return s, nil
}

func (h *Host) refuse(addr string) error {
	h.count.streamsRefused.Add(1)
	return &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("cutnet: the network between %s and %s is cut", h.self, addr)}
}

// Listener counts what is answered on the streams that come in by l. Whose they are is not known; a cut
// has the side that dials refuse them, and break them.
func (h *Host) Listener(l net.Listener) net.Listener { return &listener{l, h} }

// breakStreams closes what is open across a cut. Every stream is known to the side that dialed it,
// so this breaks all of them in both directions.
func (h *Host) breakStreams() {
	h.mu.Lock()
	var broken []*stream
	for s := range h.streams {
		if h.network.blocks(h.self, s.peer) {
			broken = append(broken, s)
		}
	}
	h.mu.Unlock()
	for _, s := range broken {
		s.Close()
	}
}

func (h *Host) forget(s *stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.streams, s)
}

type listener struct {
	net.Listener
	of *Host
}

func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &stream{Conn: conn, of: l.of}, nil
}

// stream is a connection that counts what is written to it and is known to its host until it is
// closed.
type stream struct {
	net.Conn
	of   *Host
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

// drops reports whether a packet from or to addr is dropped, and counts it.
func (h *Host) drops(addr string) bool {
	if !h.network.blocks(h.self, addr) {
		return false
	}
	h.count.packetsDropped.Add(1)
	return true
}
