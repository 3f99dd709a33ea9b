package cutnet

import (
	"fmt"
	"log"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// Transport wraps memberlist's transport over UDP and TCP.
type Transport struct {
	*memberlist.NetTransport
	host    *Host
	packets chan *memberlist.Packet
	arrived chan net.Conn
	stop    chan struct{}
	done    sync.WaitGroup
}

var _ memberlist.NodeAwareTransport = (*Transport)(nil)

// Listen listens at host:port; port 0 takes a free one, see [Transport.Addr]. A nil network is one of this
// transport's own, which nobody cuts.
func Listen(network *Network, addr string, logger *log.Logger) (*Transport, error) {
	config, err := bindTo(addr)
	if err != nil {
		return nil, err
	}
	config.Logger = logger
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
		host:         NewHost(network, (&net.TCPAddr{IP: ip, Port: port}).String()),
		packets:      make(chan *memberlist.Packet),
		arrived:      make(chan net.Conn),
		stop:         make(chan struct{}),
	}
	t.done.Go(t.receive)
	t.done.Go(t.accept)
	return t, nil
}

func bindTo(addr string) (*memberlist.NetTransportConfig, error) {
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%q is no port", portText)
	}
	ip, err := net.ResolveIPAddr("ip", host)
	if err != nil {
		return nil, err
	}
	return &memberlist.NetTransportConfig{BindAddrs: []string{ip.String()}, BindPort: int(port)}, nil
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
func (t *Transport) Addr() string { return t.host.Addr() }

// Stats returns what was sent so far.
func (t *Transport) Stats() Stats { return t.host.Stats() }

// receive passes on the packets that come in, except those that a cut holds back: those that were
// on their way when it was made.
func (t *Transport) receive() {
	in := t.NetTransport.PacketCh()
	for {
		select {
		case p := <-in:
			if t.host.drops(p.From.String()) {
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

// accept passes on the streams that come in, so that what is answered on them is counted.
func (t *Transport) accept() {
	in := t.NetTransport.StreamCh()
	for {
		select {
		case conn := <-in:
			select {
			case t.arrived <- &stream{Conn: conn, of: t.host}:
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
	if t.host.drops(addr.Addr) {
		return time.Now(), nil
	}
	t.host.count.packetsSent.Add(1)
	t.host.count.packetBytes.Add(uint64(len(b)))
	return t.NetTransport.WriteToAddress(b, addr)
}

// DialTimeout implements [memberlist.Transport].
func (t *Transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout implements [memberlist.NodeAwareTransport].
func (t *Transport) DialAddressTimeout(addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.host.dial(addr.Addr, func() (net.Conn, error) { return t.NetTransport.DialAddressTimeout(addr, timeout) })
}

// Shutdown implements [memberlist.Transport].
func (t *Transport) Shutdown() error {
	t.host.Leave()
	// The listeners may be waiting to hand on a last packet, so they are told first and the one
	// who takes it from them last.
	err := t.NetTransport.Shutdown()
	close(t.stop)
	t.done.Wait()
	return err
}
