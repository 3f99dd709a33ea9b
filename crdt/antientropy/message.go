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
	// overhead is how much longer a message is than the delta, question or digest in it, at most.
	overhead = 48
	// minFrame is the least MaxFrame.
	minFrame = 256
)

type messageKind uint8

const (
	deltaMessage    messageKind = 1 // a stretch of the sender's log: session, after, upto, flags, delta
	ackMessage      messageKind = 2 // the receiver has the log up to: session, upto, flags
	probeMessage    messageKind = 3 // is our state the same? fingerprint, flags, who is retired
	questionMessage messageKind = 4 // tell me what I lack: token, question
	answerMessage   messageKind = 5 // token, which of how many, session, head, flags, delta or question
	reportMessage   messageKind = 6 // what I have seen: session, upto, who is member, context
	retiredMessage  messageKind = 7 // who is gone for ever: ids
)

const (
	// flagBase on a stretch: what came before in the log is not to be had from it any more.
	flagBase = 1
	// flagWhole on an acknowledgment: nothing lacks here of what is before.
	flagWhole = 1
	// flagAsk on a probe: ask at once if it differs, and say how far you are.
	flagAsk = 1
	// flagHole on a probe: a part of the log that you have not confirmed is gone, ask at once.
	flagHole = 2
	// flagQuestion on an answer: it is a question, to be answered in turn.
	flagQuestion = 1
	// flagMore on an answer: there is more than was sent, ask again.
	flagMore = 2
)

// message is one message, read.
type message struct {
	kind         messageKind
	flags        byte
	session      uint64
	after, upto  uint64 // of logs; of answers, upto is the head of the log
	print        uint64 // fingerprint of a state
	roster       uint64 // fingerprint of who is retired, or member
	token        uint64
	index, count uint64
	delta        crdt.Delta
	question     crdt.Question
	context      crdt.Digest
	ids          []crdt.ReplicaID
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
		b = append(b, m.flags)
	case probeMessage:
		b = binary.BigEndian.AppendUint64(b, m.print)
		b = append(b, m.flags)
		b = binary.BigEndian.AppendUint64(b, m.roster)
	case questionMessage:
		b = binary.AppendUvarint(b, m.token)
		b, _ = m.question.AppendBinary(b)
	case answerMessage:
		b = binary.AppendUvarint(b, m.token)
		b = binary.AppendUvarint(b, m.index)
		b = binary.AppendUvarint(b, m.count)
		b = binary.BigEndian.AppendUint64(b, m.session)
		b = binary.AppendUvarint(b, m.upto)
		b = append(b, m.flags)
		if m.flags&flagQuestion != 0 {
			b, _ = m.question.AppendBinary(b)
		} else {
			b, _ = m.delta.AppendBinary(b)
		}
	case reportMessage:
		b = binary.BigEndian.AppendUint64(b, m.session)
		b = binary.AppendUvarint(b, m.upto)
		b = binary.BigEndian.AppendUint64(b, m.roster)
		b, _ = m.context.AppendBinary(b)
	case retiredMessage:
		b = binary.AppendUvarint(b, uint64(len(m.ids)))
		for _, id := range m.ids {
			b = binary.BigEndian.AppendUint64(b, uint64(id))
		}
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
	flags := byte(0) // that are known
	switch m.kind {
	case deltaMessage:
		m.session, m.after, m.upto, m.flags = r.Uint64(), r.Uvarint(), r.Uvarint(), r.Byte()
		if flags = flagBase; m.after >= m.upto {
			r.Fail("a stretch from %d to %d", m.after, m.upto)
		}
		m.delta, err = body(&r, lim)
	case ackMessage:
		m.session, m.upto, m.flags = r.Uint64(), r.Uvarint(), r.Byte()
		flags = flagWhole
	case probeMessage:
		m.print, m.flags, m.roster = r.Uint64(), r.Byte(), r.Uint64()
		flags = flagAsk | flagHole
	case questionMessage:
		m.token = r.Uvarint()
		err = m.question.UnmarshalBinary(r.Take(r.Len()))
	case answerMessage:
		m.token, m.index, m.count = r.Uvarint(), r.Uvarint(), r.Uvarint()
		m.session, m.upto, m.flags = r.Uint64(), r.Uvarint(), r.Byte()
		if flags = flagQuestion | flagMore; m.index >= m.count {
			r.Fail("answer %d of %d", m.index, m.count)
		}
		if m.flags&flagQuestion != 0 {
			err = m.question.UnmarshalBinary(r.Take(r.Len()))
		} else {
			m.delta, err = body(&r, lim)
		}
	case reportMessage:
		m.session, m.upto, m.roster = r.Uint64(), r.Uvarint(), r.Uint64()
		if r.Err() == nil {
			err = m.context.UnmarshalBinary(r.Take(r.Len()))
		}
	case retiredMessage:
		for n := r.Count(8); n > 0 && r.Err() == nil; n-- {
			m.ids = append(m.ids, crdt.ReplicaID(r.Uint64()))
		}
	default:
		r.Fail("unknown kind of message %d", m.kind)
	}
	if m.flags&^flags != 0 {
		r.Fail("flags %x", m.flags)
	}
	if e := r.Done(); e != nil {
		return message{}, fmt.Errorf("%w: %w", crdt.ErrCorrupt, e)
	}
	return m, err
}

func body(r *wire.Reader, lim crdt.Limits) (crdt.Delta, error) {
	return crdt.ParseDelta(append([]byte(nil), r.Take(r.Len())...), lim)
}
