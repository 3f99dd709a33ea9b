package gossip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"net"
	"strconv"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/examples/internal/cutnet"
)

// overMemberlist is a [Transport].
type overMemberlist struct {
	agent *Agent
	line  *cutnet.Transport
	list  *memberlist.Memberlist
}

// Memberlist is the transport over hashicorp/memberlist: who is there and at what address is
// memberlist's to know; packets go directly, in datagrams while they are small and in streams where
// they are not.
func Memberlist(a *Agent) (Transport, error) {
	logger := log.New(a.cfg.Log, "", log.LstdFlags|log.Lmicroseconds)
	bind, err := bindTo(a.cfg.Bind)
	if err != nil {
		return nil, err
	}
	bind.Logger = logger
	line, err := cutnet.New(a.cfg.Network, bind)
	if err != nil {
		return nil, err
	}
	m := &overMemberlist{agent: a, line: line}
	// What memberlist says of who is there may be lost like any message, so it is repeated in full
	// more often than by default.
	c := memberlist.DefaultLANConfig()
	c.PushPullInterval = 10 * time.Second
	if a.cfg.Local {
		c = memberlist.DefaultLocalConfig()
		c.PushPullInterval = time.Second
	}
	c.Name = line.Addr() // two processes at one address are one member that started again
	c.Transport = line
	c.Logger = logger
	c.SecretKey = a.cfg.Key
	c.Delegate, c.Events = m, m
	c.EnableCompression = false // its LZW costs more than the bytes it saves
	if m.list, err = memberlist.Create(c); err != nil {
		_ = line.Shutdown()
		return nil, err
	}
	return m, nil
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

func (m *overMemberlist) Addr() string                { return m.line.Addr() }
func (m *overMemberlist) Stats() cutnet.Stats         { return m.line.Stats() }
func (m *overMemberlist) Leave(t time.Duration) error { return m.list.Leave(t) }
func (m *overMemberlist) Close() error                { return m.list.Shutdown() }

func (m *overMemberlist) Join(addr string) error {
	n, err := m.list.Join([]string{addr})
	if n > 0 {
		return nil
	}
	if one := errors.Unwrap(err); one != nil {
		return one // the first of a list that takes several lines
	}
	return err
}

// send takes a packet to a member, by a stream if it is long. Memberlist finds out by itself who is
// not there.
func (m *overMemberlist) send(to *memberlist.Node, packet []byte) {
	if len(packet) > maxPacket {
		_ = m.list.SendReliable(to, packet)
	} else {
		_ = m.list.SendBestEffort(to, packet)
	}
}

// peerOf reads what a member says of itself: its replica's id and its Info.
func peerOf(n *memberlist.Node) (Peer, bool) {
	if len(n.Meta) < idLen {
		return Peer{}, false
	}
	return Peer{crdt.ReplicaID(binary.BigEndian.Uint64(n.Meta)), n.Address(), string(n.Meta[idLen:])}, true
}

// NotifyJoin implements [memberlist.EventDelegate].
func (m *overMemberlist) NotifyJoin(n *memberlist.Node) {
	if p, ok := peerOf(n); ok {
		to := *n // memberlist changes its own
		m.agent.up(p, func(packet []byte) error { m.send(&to, packet); return nil })
	}
}

// NotifyUpdate implements [memberlist.EventDelegate].
func (m *overMemberlist) NotifyUpdate(n *memberlist.Node) { m.NotifyJoin(n) }

// NotifyLeave implements [memberlist.EventDelegate].
func (m *overMemberlist) NotifyLeave(n *memberlist.Node) {
	if p, ok := peerOf(n); ok {
		m.agent.down(p)
	}
}

// NodeMeta implements [memberlist.Delegate].
func (m *overMemberlist) NodeMeta(limit int) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(m.agent.cfg.Replica))
	b = append(b, m.agent.cfg.Info...)
	return b[:min(len(b), limit)]
}

// NotifyMsg implements [memberlist.Delegate].
func (m *overMemberlist) NotifyMsg(b []byte) {
	// memberlist takes the bytes back; the copy also frees the 64 KiB that a packet is read into.
	if from, parts, err := unpack(append([]byte(nil), b...)); err == nil {
		m.agent.receive(from, parts)
	}
}

// GetBroadcasts implements [memberlist.Delegate].
func (*overMemberlist) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState implements [memberlist.Delegate].
func (*overMemberlist) LocalState(bool) []byte { return nil }

// MergeRemoteState implements [memberlist.Delegate].
func (*overMemberlist) MergeRemoteState([]byte, bool) {}
