package gossip

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/go-calm/calm/backpressure"
	"github.com/go-calm/calm/crdt"
)

const (
	outboxLen  = 256
	maxPacket  = 1200    // fits a datagram of any network, encryption included
	maxStream  = 4 << 20 // what is put together into one stream; memberlist takes up to 20 MiB
	idLen      = 8
	wireFormat = 1
	giveUp     = 3 * time.Second // see outbox.run; a third of it where all are on one machine
)

// message is one message on its way out.
type message struct {
	kind byte
	body []byte
}

// outbox sends to one peer, so that one that answers slowly holds up nobody else.
type outbox struct {
	agent *Agent
	peer  Peer
	send  func(packet []byte) error
	queue *backpressure.Queue[message]
}

func newOutbox(a *Agent, p Peer, send func(packet []byte) error) *outbox {
	return &outbox{
		agent: a,
		peer:  p,
		send:  send,
		queue: backpressure.NewQueue(outboxLen, backpressure.DropOldest[message](nil)),
	}
}

// put adds a message; once the outbox is closed, it goes nowhere.
func (o *outbox) put(m message) { _ = o.queue.TryPut(m) }

func (o *outbox) close() { o.queue.Close() }

// run sends until the outbox is closed and empty, or the agent stops. What is waiting goes out
// together: the busier it gets, the fewer packets and streams there are for each message. If nothing
// that is sent arrives for a while, the peer is given up.
func (o *outbox) run() {
	var batch [outboxLen]message
	var failing time.Time // since when
	patience := giveUp
	if o.agent.cfg.Local {
		patience /= 3
	}
	for {
		n, err := o.queue.GetBatch(context.Background(), batch[:])
		if err != nil {
			return
		}
		for rest := batch[:n]; len(rest) > 0; {
			var packet []byte
			packet, rest = pack(o.agent.cfg.Replica, rest)
			switch {
			case o.agent.stopped.Err() != nil:
			case o.send(packet) == nil:
				failing = time.Time{}
			case failing.IsZero():
				failing = time.Now()
			case time.Since(failing) > patience:
				o.agent.down(o.peer)
				return
			}
		}
		clear(batch[:n])
	}
}

// pack puts as many of the messages as go together into one packet, and returns the others.
func pack(from crdt.ReplicaID, ms []message) (packet []byte, rest []message) {
	packet = header(from)
	for i, m := range ms {
		size := 1 + binary.MaxVarintLen32 + len(m.body)
		if i > 0 && len(packet)+size > maxStream {
			return packet, ms[i:]
		}
		packet = appendMessage(packet, m.kind, m.body)
	}
	return packet, nil
}

// header begins a packet: who speaks.
func header(id crdt.ReplicaID) []byte {
	return binary.BigEndian.AppendUint64([]byte{wireFormat}, uint64(id))
}

func appendMessage(b []byte, kind byte, body []byte) []byte {
	b = append(b, kind)
	b = binary.AppendUvarint(b, uint64(len(body)))
	return append(b, body...)
}

var errMalformed = errors.New("gossip: malformed packet")

// unpack reads a packet. The bodies are parts of b.
func unpack(b []byte) (from crdt.ReplicaID, parts []message, err error) {
	if len(b) < 1+idLen || b[0] != wireFormat {
		return 0, nil, errMalformed
	}
	from = crdt.ReplicaID(binary.BigEndian.Uint64(b[1:]))
	for b = b[1+idLen:]; len(b) > 0; {
		size, n := binary.Uvarint(b[1:])
		if n <= 0 || size > uint64(len(b)-1-n) {
			return 0, nil, errMalformed
		}
		end := 1 + n + int(size)
		parts = append(parts, message{kind: b[0], body: b[1+n : end : end]})
		b = b[end:]
	}
	return from, parts, nil
}
