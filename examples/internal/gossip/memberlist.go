package gossip

import (
	"log"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/go-calm/calm/examples/internal/cutnet"
)

// overMemberlist is a [Transport].
type overMemberlist struct {
	members // who is there
	line    *cutnet.Transport
}

// Memberlist is the transport over hashicorp/memberlist: who is there and at what address is memberlist's
// to know; packets go directly, in datagrams while they are small and in streams where they are not.
func Memberlist(a *Agent) (Transport, error) {
	logger := log.New(a.cfg.Log, "", log.LstdFlags|log.Lmicroseconds)
	line, err := cutnet.Listen(a.cfg.Network, a.cfg.Bind, logger)
	if err != nil {
		return nil, err
	}
	m := &overMemberlist{members: members{agent: a}, line: line}
	m.members.send = m.send
	c := m.config()
	c.Name = line.Addr() // two processes at one address are one member that started again
	c.Transport, c.Logger, c.SecretKey = line, logger, a.cfg.Key
	c.Delegate, c.Events = m, m
	c.EnableCompression = false // its LZW costs more than the bytes it saves
	if m.list, err = memberlist.Create(c); err != nil {
		_ = line.Shutdown()
		return nil, err
	}
	return m, nil
}

// send takes a packet to a member, by a stream if it is long. Memberlist finds out by itself who is not there.
func (m *overMemberlist) send(to *memberlist.Node, packet []byte) {
	if len(packet) > maxPacket {
		_ = m.list.SendReliable(to, packet)
	} else {
		_ = m.list.SendBestEffort(to, packet)
	}
}

// NotifyMsg implements [memberlist.Delegate].
func (m *overMemberlist) NotifyMsg(b []byte) {
	// memberlist takes the bytes back; the copy also frees the 64 KiB that a packet is read into.
	if from, parts, err := unpack(append([]byte(nil), b...)); err == nil {
		m.agent.receive(from, parts)
	}
}

func (m *overMemberlist) Addr() string                { return m.line.Addr() }
func (m *overMemberlist) Stats() cutnet.Stats         { return m.line.Stats() }
func (m *overMemberlist) Leave(t time.Duration) error { return m.list.Leave(t) }
func (m *overMemberlist) Close() error                { return m.list.Shutdown() }
