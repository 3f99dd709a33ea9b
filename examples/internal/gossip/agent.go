package gossip

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/examples/internal/cutnet"
)

// Handler is what an [Agent] tells about its peers. The methods are called concurrently. PeerUp and
// PeerDown are called while memberlist holds its own lock, so they must neither wait for the
// network nor call the agent's Members.
type Handler interface {
	// Receive takes a message; msg is the handler's to keep.
	Receive(from crdt.ReplicaID, kind byte, msg []byte)
	PeerUp(Peer)
	PeerDown(crdt.ReplicaID)
}

// Peer is another agent.
type Peer struct {
	ID   crdt.ReplicaID // of one incarnation of it
	Name string
	Addr string
	Info string // its Config.Info
}

// Config says how an [Agent] is reached, and by whom it is told.
type Config struct {
	Bind    string // host:port to listen at; port 0 takes a free one
	Replica crdt.ReplicaID
	Info    string // anything that peers should know, up to 400 bytes
	Join    []string
	Key     []byte // encrypts all traffic: 16, 24 or 32 bytes, or none
	Handler Handler
	Network *cutnet.Network
	Log     io.Writer // memberlist's own log
	// Local tunes for processes on one machine: failures are noticed sooner.
	Local bool
}

// Agent is one member. It may be used concurrently.
type Agent struct {
	cfg       Config
	transport *cutnet.Transport
	list      *memberlist.Memberlist

	mu     sync.Mutex
	peers  map[crdt.ReplicaID]*outbox
	byName map[string]crdt.ReplicaID
	known  map[string]struct{} // addresses that were ever heard of

	stop    context.CancelFunc
	stopped context.Context
	done    sync.WaitGroup
}

// Start listens, and joins whom it reaches of cfg.Join; it goes on trying the others and whoever
// goes missing, so that members may start in any order and find each other again after a cut that
// was long enough for memberlist to give up.
func Start(cfg Config) (*Agent, error) {
	host, portText, err := net.SplitHostPort(cfg.Bind)
	if err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("gossip: %q is no port", portText)
	}
	ip, err := net.ResolveIPAddr("ip", host)
	if err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	if cfg.Log == nil {
		cfg.Log = io.Discard
	}
	logger := log.New(cfg.Log, "", log.LstdFlags|log.Lmicroseconds)
	transport, err := cutnet.New(cfg.Network, &memberlist.NetTransportConfig{
		BindAddrs: []string{ip.String()}, BindPort: int(port), Logger: logger,
	})
	if err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	a := &Agent{
		cfg: cfg, transport: transport,
		peers:  map[crdt.ReplicaID]*outbox{},
		byName: map[string]crdt.ReplicaID{},
		known:  map[string]struct{}{},
	}
	for _, addr := range cfg.Join {
		a.known[addr] = struct{}{}
	}
	a.stopped, a.stop = context.WithCancel(context.Background())

	// What memberlist says of who is there may be lost like any message, so it is repeated in full
	// more often than by default.
	m := memberlist.DefaultLANConfig()
	m.PushPullInterval = 10 * time.Second
	if cfg.Local {
		m = memberlist.DefaultLocalConfig()
		m.PushPullInterval = time.Second
	}
	m.Name = transport.Addr() // two processes at one address are one member that started again
	m.Transport = transport
	m.Logger = logger
	m.SecretKey = cfg.Key
	m.Delegate = delegate{a}
	m.Events = events{a}
	m.EnableCompression = false // its LZW costs more than the bytes it saves
	if a.list, err = memberlist.Create(m); err != nil {
		_ = transport.Shutdown()
		return nil, fmt.Errorf("gossip: %w", err)
	}
	if len(cfg.Join) > 0 {
		_, _ = a.list.Join(cfg.Join) // whom it does not reach is tried again
	}
	a.done.Go(a.rejoin)
	return a, nil
}

// Addr is the address that peers reach this agent at.
func (a *Agent) Addr() string { return a.transport.Addr() }

// Traffic counts what was sent, memberlist's own messages included.
func (a *Agent) Traffic() cutnet.Stats { return a.transport.Stats() }

// Members is how many members are thought to be alive, this one included.
func (a *Agent) Members() int { return a.list.NumMembers() }

// Send hands a message to a peer, without waiting. If that one is too far behind, its oldest
// messages are dropped; if there is no such peer, this one is.
func (a *Agent) Send(to crdt.ReplicaID, kind byte, msg []byte) {
	a.mu.Lock()
	o := a.peers[to]
	a.mu.Unlock()
	if o != nil {
		o.put(message{kind, msg})
	}
}

// Broadcast sends a message to all peers.
func (a *Agent) Broadcast(kind byte, msg []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, o := range a.peers {
		o.put(message{kind, msg})
	}
}

// rejoin asks every second for one of those who are known and missing.
func (a *Agent) rejoin() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-a.stopped.Done():
			return
		case <-tick.C:
		}
		addr, ok := a.missing()
		if !ok {
			continue
		}
		if n, _ := a.list.Join([]string{addr}); n > 0 {
			// Who answered is known by the address it goes by, which may be written otherwise.
			a.mu.Lock()
			if _, up := a.byName[addr]; !up {
				delete(a.known, addr)
			}
			a.mu.Unlock()
		}
	}
}

// missing returns the address of one who is known and is no peer now, any of them.
func (a *Agent) missing() (addr string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for addr := range a.known {
		if _, up := a.byName[addr]; !up && addr != a.Addr() {
			return addr, true // a map begins anywhere
		}
	}
	return "", false
}

// Leave tells the others that this member goes of its own will.
func (a *Agent) Leave(timeout time.Duration) error { return a.list.Leave(timeout) }

// Shutdown ends the agent. Messages that are still waiting to be sent are not.
func (a *Agent) Shutdown() error {
	a.stop()
	err := a.list.Shutdown()
	a.mu.Lock()
	for _, o := range a.peers {
		o.close()
	}
	a.mu.Unlock()
	a.done.Wait()
	return err
}

// up makes an outbox for a member.
func (a *Agent) up(n *memberlist.Node) {
	p, ok := peerOf(n)
	if !ok || p.ID == a.cfg.Replica {
		return
	}
	a.down(n.Name) // it may have started again before anybody missed it
	o := newOutbox(a, n)
	a.mu.Lock()
	a.peers[p.ID], a.byName[n.Name], a.known[p.Addr] = o, p.ID, struct{}{}
	a.mu.Unlock()
	a.done.Go(o.run)
	a.cfg.Handler.PeerUp(p)
}

func (a *Agent) down(name string) {
	a.mu.Lock()
	id, ok := a.byName[name]
	if ok {
		a.peers[id].close()
		delete(a.peers, id)
		delete(a.byName, name)
	}
	a.mu.Unlock()
	if ok {
		a.cfg.Handler.PeerDown(id)
	}
}

// peerOf reads what a member says of itself: its replica's id and its Info.
func peerOf(n *memberlist.Node) (Peer, bool) {
	if len(n.Meta) < idLen {
		return Peer{}, false
	}
	return Peer{
		ID:   crdt.ReplicaID(binary.BigEndian.Uint64(n.Meta)),
		Name: n.Name,
		Addr: n.Address(),
		Info: string(n.Meta[idLen:]),
	}, true
}

// events passes on who comes and goes.
type events struct{ a *Agent }

func (e events) NotifyJoin(n *memberlist.Node)   { e.a.up(n) }
func (e events) NotifyUpdate(n *memberlist.Node) { e.a.up(n) }
func (e events) NotifyLeave(n *memberlist.Node)  { e.a.down(n.Name) }

// delegate passes on what arrives.
type delegate struct{ a *Agent }

func (d delegate) NodeMeta(limit int) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(d.a.cfg.Replica))
	b = append(b, d.a.cfg.Info...)
	return b[:min(len(b), limit)]
}

func (d delegate) NotifyMsg(b []byte) {
	// memberlist takes the bytes back; the copy also frees the 64 KiB that a packet is read into.
	from, parts, err := unpack(append([]byte(nil), b...))
	if err != nil {
		return
	}
	for _, p := range parts {
		d.a.cfg.Handler.Receive(from, p.kind, p.body)
	}
}

func (delegate) GetBroadcasts(int, int) [][]byte { return nil }
func (delegate) LocalState(bool) []byte          { return nil }
func (delegate) MergeRemoteState([]byte, bool)   {}
