package gossip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/go-calm/calm/examples/internal/cutnet"
)

// Carrier takes packets to addresses, and brings back what is answered. It serves a listener until Shutdown,
// which waits for what is under way, or Close, which does not: so does an [http.Server].
type Carrier interface {
	Carry(ctx context.Context, addr string, packet []byte) (answer []byte, err error)
	Serve(l net.Listener) error
	Shutdown(ctx context.Context) error
	Close() error
}

// talk makes a [Transport] of a [Carrier] that knows addresses and nothing else: each packet begins with
// who speaks ([hello]), and so does the answer, so that agents learn of each other by talking, and of third
// ones by what they are answered. Who has not answered for a while is not there.
type talk struct {
	agent   *Agent
	seal    sealer
	host    *cutnet.Host
	carrier Carrier
	served  sync.WaitGroup
}

// dialer connects to an address.
type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// newTalk listens. The carrier that carry returns connects by dial, and hands what comes to take.
func newTalk(a *Agent, carry func(dial dialer, take func([]byte) ([]byte, error)) Carrier) (Transport, error) {
	seal, err := newSealer(a.cfg.Key)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", a.cfg.Bind)
	if err != nil {
		return nil, err
	}
	if l.Addr().(*net.TCPAddr).IP.IsUnspecified() {
		return nil, errors.Join(fmt.Errorf("others cannot reach %s; bind to one of this machine's addresses", l.Addr()), l.Close())
	}
	t := &talk{agent: a, seal: seal, host: cutnet.NewHost(a.cfg.Network, l.Addr().String())}
	t.carrier = carry(t.host.DialContext, t.take)
	t.served.Go(func() { _ = t.carrier.Serve(t.host.Listener(l)) }) // ends with Close
	return t, nil
}

// take takes in a packet, and returns what is said to it.
func (t *talk) take(packet []byte) (answer []byte, err error) {
	if err := t.hear(packet); err != nil {
		return nil, err
	}
	return t.say(header(t.agent.cfg.Replica), t.agent.addrs()), nil
}

// hear takes in what was said, and who did.
func (t *talk) hear(said []byte) error {
	said, err := t.seal.open(said)
	if err != nil {
		return err
	}
	who, packet, err := readHello(said)
	if err != nil {
		return err
	}
	from, parts, err := unpack(packet)
	if err != nil {
		return err
	}
	t.agent.up(Peer{from, who.Addr, who.Info}, func(packet []byte) error { return t.post(who.Addr, packet) })
	t.agent.hear(who.Known)
	t.agent.receive(from, parts)
	return nil
}

func (t *talk) say(packet []byte, known []string) []byte {
	return t.seal.seal(hello{t.Addr(), t.agent.cfg.Info, known}.with(packet))
}

// post sends a packet, and takes the answer.
func (t *talk) post(addr string, packet []byte) error {
	answer, err := t.carrier.Carry(t.agent.stopped, addr, t.say(packet, nil))
	if err != nil {
		return err
	}
	return t.hear(answer)
}

// Addr implements [Transport].
func (t *talk) Addr() string { return t.host.Addr() }

// Stats implements [Transport].
func (t *talk) Stats() cutnet.Stats { return t.host.Stats() }

// Join implements [Transport].
func (t *talk) Join(addr string) error { return t.post(addr, header(t.agent.cfg.Replica)) }

// Leave implements [Transport]: the others will notice.
func (t *talk) Leave(time.Duration) error { return nil }

// Close implements [Transport].
func (t *talk) Close() error {
	t.host.Leave()
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	err := t.carrier.Shutdown(ctx)
	if err != nil {
		err = t.carrier.Close() // somebody is still talking
	}
	t.served.Wait()
	return err
}
