package gossip

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/go-calm/calm/crdt"
)

// members is what memberlist knows of who is there.
type members struct {
	agent *Agent
	list  *memberlist.Memberlist
	send  func(to *memberlist.Node, packet []byte)
}

// config is how members find each other: what memberlist says of who is there may be lost like any message,
// so it is repeated in full more often than by default.
func (m *members) config() *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.PushPullInterval = 10 * time.Second
	if m.agent.cfg.Local {
		c = memberlist.DefaultLocalConfig()
		c.PushPullInterval = time.Second
	}
	return c
}

// Join implements [Transport].
func (m *members) Join(addr string) error {
	n, err := m.list.Join([]string{addr})
	if n > 0 {
		return nil
	}
	if one := errors.Unwrap(err); one != nil {
		return one // the first of a list that takes several lines
	}
	return err
}

// NodeMeta implements [memberlist.Delegate]: what this member says of itself.
func (m *members) NodeMeta(limit int) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(m.agent.cfg.Replica))
	b = append(b, m.agent.cfg.Info...)
	return b[:min(len(b), limit)]
}

// peerOf reads what another one says of itself: its replica's id and its Info.
func peerOf(n *memberlist.Node) (Peer, bool) {
	if len(n.Meta) < idLen {
		return Peer{}, false
	}
	return Peer{crdt.ReplicaID(binary.BigEndian.Uint64(n.Meta)), n.Address(), string(n.Meta[idLen:])}, true
}

// NotifyJoin implements [memberlist.EventDelegate].
func (m *members) NotifyJoin(n *memberlist.Node) {
	if p, ok := peerOf(n); ok {
		to := *n // memberlist changes its own
		m.agent.up(p, func(packet []byte) error { m.send(&to, packet); return nil })
	}
}

// NotifyUpdate implements [memberlist.EventDelegate].
func (m *members) NotifyUpdate(n *memberlist.Node) { m.NotifyJoin(n) }

// NotifyLeave implements [memberlist.EventDelegate].
func (m *members) NotifyLeave(n *memberlist.Node) {
	if p, ok := peerOf(n); ok {
		m.agent.down(p)
	}
}

// GetBroadcasts implements [memberlist.Delegate].
func (*members) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState implements [memberlist.Delegate].
func (*members) LocalState(bool) []byte { return nil }

// MergeRemoteState implements [memberlist.Delegate].
func (*members) MergeRemoteState([]byte, bool) {}
