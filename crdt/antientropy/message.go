package antientropy

import (
	"encoding/binary"
	"fmt"

	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/internal/wire"
)

// A message is a version byte, a kind byte and the fields of the kind (crdt/FORMAT.md).
const (
	messageVersion = 1
	headerLen      = 2
)

type messageKind uint8

const (
	deltaMessage  messageKind = 1 // a stretch of the sender's log: session, after, upto, flags, delta
	ackMessage    messageKind = 2 // the receiver has the log up to: session, upto
	probeMessage  messageKind = 3 // is our state the same? fingerprint
	digestMessage messageKind = 4 // tell me what I lack: flags, digest
	patchMessage  messageKind = 5 // what you lack: delta
)

const (
	// flagBase on a delta: what came before in the log is not to be had from it any more.
	flagBase = 1
	// flagAsk on a digest: send yours if you lack something.
	flagAsk = 1
)

// message is one message, read.
type message struct {
	kind        messageKind
	flags       byte
	session     uint64
	after, upto uint64
	fingerprint uint64
	delta       crdt.Delta
	digest      crdt.Digest
}

func (m *message) append(b []byte) []byte {
	b = append(b, messageVersion, byte(m.kind))
	switch m.kind {
	case deltaMessage:
		b = binary.BigEndian.AppendUint64(b, m.session)
		b = binary.AppendUvarint(b, m.after)
		b = binary.AppendUvarint(b, m.upto)
		b = append(b, m.flags)
		b, _ = m.delta.AppendBinary(b)
	case ackMessage:
		b = binary.BigEndian.AppendUint64(b, m.session)
		b = binary.AppendUvarint(b, m.upto)
	case probeMessage:
		b = binary.BigEndian.AppendUint64(b, m.fingerprint)
	case digestMessage:
		b = append(b, m.flags)
		b, _ = m.digest.AppendBinary(b)
	case patchMessage:
		b, _ = m.delta.AppendBinary(b)
	}
	return b
}

// parse reads a message. What it returns keeps nothing of b.
func parse(b []byte, lim crdt.Limits) (m message, err error) {
	r := wire.NewReader(b)
	if v := r.Byte(); v != messageVersion && r.Err() == nil {
		return m, fmt.Errorf("%w: message version %d, this package reads %d", crdt.ErrVersion, v, messageVersion)
	}
	m.kind = messageKind(r.Byte())
	switch m.kind {
	case deltaMessage:
		m.session, m.after, m.upto, m.flags = r.Uint64(), r.Uvarint(), r.Uvarint(), r.Byte()
		if m.after >= m.upto || m.flags&^flagBase != 0 {
			r.Fail("a stretch from %d to %d, flags %x", m.after, m.upto, m.flags)
		}
		m.delta, err = rest(&r, lim)
	case ackMessage:
		m.session, m.upto = r.Uint64(), r.Uvarint()
	case probeMessage:
		m.fingerprint = r.Uint64()
	case digestMessage:
		if m.flags = r.Byte(); m.flags&^flagAsk != 0 {
			r.Fail("flags %x", m.flags)
		}
		if r.Err() == nil {
			err = m.digest.UnmarshalBinary(r.Take(r.Len()))
		}
	case patchMessage:
		m.delta, err = rest(&r, lim)
	default:
		r.Fail("unknown kind of message %d", m.kind)
	}
	if e := r.Done(); e != nil {
		return message{}, fmt.Errorf("%w: %w", crdt.ErrCorrupt, e)
	}
	return m, err
}

func rest(r *wire.Reader, lim crdt.Limits) (crdt.Delta, error) {
	return crdt.ParseDelta(append([]byte(nil), r.Take(r.Len())...), lim)
}
