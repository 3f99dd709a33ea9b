package gossip

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/examples/internal/cutnet"
)

// Handler is what an [Agent] tells about its peers. Receive is called concurrently, the others one after
// the other, while memberlist holds its own lock: they must not wait for the network.
type Handler interface {
	// Receive takes a message; msg is the handler's to keep.
	Receive(from crdt.ReplicaID, kind byte, msg []byte)
	PeerUp(Peer)
	PeerDown(crdt.ReplicaID)
}

// Peer is another agent.
type Peer struct {
	ID   crdt.ReplicaID
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
	Over    func(*Agent) (Transport, error) // Memberlist, which it is if not set, or HTTP
	Network *cutnet.Network
	Log     io.Writer // memberlist's own log
	// Unreached, if set, is told of an address of Join at which nobody has answered a few times in a
	// row, and why; of each once, until somebody does. It must not wait.
	Unreached func(addr string, err error)
	// Local tunes for processes on one machine: failures are noticed sooner.
	Local bool
}

// Agent is one member. It may be used concurrently.
type Agent struct {
	cfg       Config
	transport Transport

	telling sync.Mutex // held while the handler is told of a peer

	mu     sync.Mutex
	peers  map[crdt.ReplicaID]*outbox
	byAddr map[string]crdt.ReplicaID
	known  map[string]struct{} // addresses that were ever heard of
	closed bool                // nobody comes any more

	stop    context.CancelFunc
	stopped context.Context
	done    sync.WaitGroup
	sending sync.WaitGroup // the outboxes
}

const (
	rejoinEvery = time.Second // how often somebody who is missing is looked for
	tellAfter   = 3           // so many failures in a row: see Config.Unreached
)

// Start listens, and joins whom it reaches of cfg.Join; it goes on trying the others and whoever
// goes missing, so that members may start in any order and find each other again after a cut that
// was long enough for them to be given up.
func Start(cfg Config) (*Agent, error) {
	if cfg.Log == nil {
		cfg.Log = io.Discard
	}
	if cfg.Over == nil {
		cfg.Over = Memberlist
	}
	a := &Agent{
		cfg:    cfg,
		peers:  map[crdt.ReplicaID]*outbox{},
		byAddr: map[string]crdt.ReplicaID{},
		known:  map[string]struct{}{},
	}
	a.hear(cfg.Join)
	a.stopped, a.stop = context.WithCancel(context.Background())
	var err error
	if a.transport, err = cfg.Over(a); err != nil {
		a.stop()
		return nil, fmt.Errorf("gossip: %w", err)
	}
	for _, addr := range cfg.Join {
		_ = a.transport.Join(addr) // whom it does not reach is tried again
	}
	a.done.Go(a.rejoin)
	return a, nil
}

// Addr is the address that peers reach this agent at.
func (a *Agent) Addr() string { return a.transport.Addr() }

// Traffic counts what was sent, the transport's own messages included.
func (a *Agent) Traffic() cutnet.Stats { return a.transport.Stats() }

// Members is how many members are thought to be alive, this one included.
func (a *Agent) Members() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.peers) + 1
}

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

// rejoin asks again and again for one of those who are known and missing.
func (a *Agent) rejoin() {
	tick := time.NewTicker(rejoinEvery)
	defer tick.Stop()
	failed := map[string]int{} // in a row
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
		if err := a.transport.Join(addr); err != nil {
			failed[addr]++
			if failed[addr] == tellAfter && a.cfg.Unreached != nil && slices.Contains(a.cfg.Join, addr) && a.stopped.Err() == nil {
				a.cfg.Unreached(addr, err)
			}
		} else {
			delete(failed, addr)
			// Who answered is known by the address it goes by, which may be written otherwise.
			a.mu.Lock()
			if _, up := a.byAddr[addr]; !up {
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
		if _, up := a.byAddr[addr]; !up && addr != a.Addr() {
			return addr, true // a map begins anywhere
		}
	}
	return "", false
}

// hear takes note of addresses, within limits.
func (a *Agent) hear(addrs []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, addr := range addrs {
		if len(a.known) < maxKnown {
			a.known[addr] = struct{}{}
		}
	}
}

// addrs returns the addresses of the peers.
func (a *Agent) addrs() (addrs []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for addr := range a.byAddr {
		addrs = append(addrs, addr)
	}
	return addrs
}

// Leave sends what is still waiting to be sent, and tells the others that this member goes of its own
// will. What is sent after that goes nowhere.
func (a *Agent) Leave(timeout time.Duration) error {
	a.close()
	sent := make(chan struct{})
	go func() { a.sending.Wait(); close(sent) }()
	select {
	case <-sent:
	case <-time.After(timeout):
	}
	return a.transport.Leave(timeout)
}

// Shutdown ends the agent. Messages that are still waiting to be sent are not.
func (a *Agent) Shutdown() error {
	a.stop()
	a.close()
	err := a.transport.Close()
	a.done.Wait()
	a.sending.Wait()
	return err
}

// close closes the outboxes, for good.
func (a *Agent) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	for _, o := range a.peers {
		o.close()
	}
}

// up makes an outbox for a peer, unless it has one. What send fails to send is lost.
func (a *Agent) up(p Peer, send func(packet []byte) error) {
	if p.ID == a.cfg.Replica {
		return
	}
	a.telling.Lock()
	defer a.telling.Unlock()
	a.mu.Lock()
	o, ok := a.peers[p.ID]
	a.mu.Unlock()
	if ok && o.peer == p {
		return
	}
	if ok {
		a.gone(o.peer) // it is somewhere else now, or says something else of itself
	}
	a.mu.Lock()
	before, ok := a.peers[a.byAddr[p.Addr]]
	a.mu.Unlock()
	if ok {
		a.gone(before.peer) // it has started again before anybody missed it
	}
	o = newOutbox(a, p, send)
	a.mu.Lock()
	closed := a.closed
	if !closed {
		a.peers[p.ID], a.byAddr[p.Addr], a.known[p.Addr] = o, p.ID, struct{}{}
		a.sending.Go(o.run)
	}
	a.mu.Unlock()
	if !closed {
		a.cfg.Handler.PeerUp(p)
	}
}

// down takes note that a peer is not there any more.
func (a *Agent) down(p Peer) {
	a.telling.Lock()
	defer a.telling.Unlock()
	a.mu.Lock()
	o, ok := a.peers[p.ID]
	a.mu.Unlock()
	if ok && o.peer == p {
		a.gone(p)
	}
}

// gone forgets a peer. a.telling is held.
func (a *Agent) gone(p Peer) {
	a.mu.Lock()
	a.peers[p.ID].close()
	delete(a.peers, p.ID)
	delete(a.byAddr, p.Addr)
	a.mu.Unlock()
	a.cfg.Handler.PeerDown(p.ID)
}

// receive hands on messages, which are the handler's to keep.
func (a *Agent) receive(from crdt.ReplicaID, parts []message) {
	for _, p := range parts {
		a.cfg.Handler.Receive(from, p.kind, p.body)
	}
}
