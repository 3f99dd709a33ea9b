package cutnet

import (
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// Transport wraps memberlist's transport over UDP and TCP.
type Transport struct {
	*memberlist.NetTransport
	network *Network
	self    string // the advertised address, by which cuts know us
	packets chan *memberlist.Packet
	arrived chan net.Conn
	stop    chan struct{}
	done    sync.WaitGroup
	count   counters

	mu      sync.Mutex
	streams map[*stream]struct{} // dialed and open
}

var _ memberlist.NodeAwareTransport = (*Transport)(nil)

// New listens at config's address and port; port 0 takes a free one, see [Transport.Addr]. A nil
// network is one of this transport's own, which nobody cuts.
func New(network *Network, config *memberlist.NetTransportConfig) (*Transport, error) {
	if network == nil {
		network = &Network{}
	}
	inner, err := listen(config)
	if err != nil {
		return nil, err
	}
	ip, port, err := inner.FinalAdvertiseAddr("", 0)
	if err != nil {
		_ = inner.Shutdown()
		return nil, err
	}
	t := &Transport{
		NetTransport: inner,
		network:      network,
		self:         (&net.TCPAddr{IP: ip, Port: port}).String(),
		packets:      make(chan *memberlist.Packet),
		arrived:      make(chan net.Conn),
		stop:         make(chan struct{}),
		streams:      map[*stream]struct{}{},
	}
	network.join(t)
	t.done.Go(t.receive)
	t.done.Go(t.accept)
	return t, nil
}

// listen tries a few times where the port is to be any: memberlist takes a free TCP port and then
// needs the UDP port of the same number.
func listen(config *memberlist.NetTransportConfig) (t *memberlist.NetTransport, err error) {
	tries := 1
	if config.BindPort == 0 {
		tries = 10
	}
	for range tries {
		if t, err = memberlist.NewNetTransport(config); err == nil {
			return t, nil
		}
	}
	return nil, err
}

// Addr is the address that others reach this transport at.
func (t *Transport) Addr() string { return t.self }

// Stats returns what was sent so far.
func (t *Transport) Stats() Stats { return t.count.stats() }

// receive passes on the packets that come in, except those that a cut holds back: those that were
// on their way when it was made.
func (t *Transport) receive() {
	in := t.NetTransport.PacketCh()
	for {
		select {
		case p := <-in:
			if t.network.blocks(t.self, p.From.String()) {
				t.count.packetsDropped.Add(1)
				continue
			}
			select {
			case t.packets <- p:
			case <-t.stop:
				return
			}
		case <-t.stop:
			return
		}
	}
}

// accept passes on the streams that come in, so that what is answered on them is counted. Whose
// they are is not known; a cut has the side that dials refuse them.
func (t *Transport) accept() {
	in := t.NetTransport.StreamCh()
	for {
		select {
		case conn := <-in:
			select {
			case t.arrived <- &stream{Conn: conn, of: t}:
			case <-t.stop:
				conn.Close()
				return
			}
		case <-t.stop:
			return
		}
	}
}

// StreamCh implements [memberlist.Transport].
func (t *Transport) StreamCh() <-chan net.Conn { return t.arrived }

// PacketCh implements [memberlist.Transport].
func (t *Transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// WriteTo implements [memberlist.Transport].
func (t *Transport) WriteTo(b []byte, addr string) (time.Time, error) {
	return t.WriteToAddress(b, memberlist.Address{Addr: addr})
}

// WriteToAddress implements [memberlist.NodeAwareTransport]. A packet that a cut holds back is lost
// without an error, as the network loses packets.
func (t *Transport) WriteToAddress(b []byte, addr memberlist.Address) (time.Time, error) {
	if t.network.blocks(t.self, addr.Addr) {
		t.count.packetsDropped.Add(1)
		return time.Now(), nil
	}
	t.count.packetsSent.Add(1)
	t.count.packetBytes.Add(uint64(len(b)))
	return t.NetTransport.WriteToAddress(b, addr)
}

// DialTimeout implements [memberlist.Transport].
func (t *Transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout implements [memberlist.NodeAwareTransport].
func (t *Transport) DialAddressTimeout(addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
	if t.network.blocks(t.self, addr.Addr) {
		return nil, t.refuse(addr.Addr)
	}
	conn, err := t.NetTransport.DialAddressTimeout(addr, timeout)
	if err != nil {
		return nil, err
	}
	s := &stream{Conn: conn, of: t, peer: addr.Addr}
	t.mu.Lock()
	t.streams[s] = struct{}{}
	t.mu.Unlock()
	// A cut made between the first look and here did not see the stream.
	if t.network.blocks(t.self, addr.Addr) {
		s.Close()
		return nil, t.refuse(addr.Addr)
	}
	t.count.streamsOpened.Add(1)
	return s, nil
}

func (t *Transport) refuse(addr string) error {
	t.count.streamsRefused.Add(1)
	return &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("cutnet: the network between %s and %s is cut", t.self, addr)}
}

// breakStreams closes what is open across a cut. Every stream is known to the side that dialed it,
// so this breaks all of them in both directions.
func (t *Transport) breakStreams() {
	t.mu.Lock()
	var broken []*stream
	for s := range t.streams {
		if t.network.blocks(t.self, s.peer) {
			broken = append(broken, s)
		}
	}
	t.mu.Unlock()
	for _, s := range broken {
		s.Close()
	}
}

func (t *Transport) forget(s *stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.streams, s)
}

// Shutdown implements [memberlist.Transport].
func (t *Transport) Shutdown() error {
	t.network.leave(t)
	// The listeners may be waiting to hand on a last packet, so they are told first and the one
	// who takes it from them last.
	err := t.NetTransport.Shutdown()
	close(t.stop)
	t.done.Wait()
	return err
}
