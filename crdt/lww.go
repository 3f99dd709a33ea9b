package crdt

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/go-calm/calm/clock"
	"github.com/go-calm/calm/internal/elem"
)

// stampLen is the length of the stamp before a register's value.
const stampLen = 8

// LWW is a last-writer-wins register: of all writes the one with the greatest stamp counts, and of
// equal stamps the one of the greater replica, so all replicas choose the same one.
//
// Stamps come from the caller, best from a [clock.Clock]. A write counts over every write that its
// replica has seen, even where the caller's clock is behind. T may be what
// [Codec] lists. Each operation costs O(1), and the encoding of the value. An LWW belongs to a
// [Store]; like the store it is not safe for concurrent use.
type LWW[T any] struct {
	Handle
	codec *elem.Codec[T]
}

// NewLWW makes a replica that is a register. It panics if T cannot be encoded.
func NewLWW[T any](id ReplicaID) *LWW[T] { return Open[*LWW[T]](id) }

func (*LWW[T]) fresh() *LWW[T] { return new(LWW[T]) }

func (l *LWW[T]) put(h Handle) { l.Handle, l.codec = h, typed[T](h.types.value) }

func (*LWW[T]) schema(cs codecs, _ bool) *schema {
	c := codecFor[T](cs)
	return &schema{shape: shape{kindLWW, c.id}, value: c}
}

// Set writes v with the stamp at, or with the one after the greatest stamp seen here if at is not
// greater.
func (l *LWW[T]) Set(at clock.Timestamp, v T) Delta {
	if last, ok := l.last(); ok {
		at = after(last, at)
	}
	b := binary.BigEndian.AppendUint64(nil, uint64(at))
	return l.write(string(l.codec.Append(b, v)))
}

// Clear removes what this replica has seen written.
func (l *LWW[T]) Clear() Delta { return l.clear() }

// Value returns the last write as this replica sees it now (a snapshot read); false if there is
// none.
func (l *LWW[T]) Value() (v T, ok bool) {
	d, ok := l.last()
	if !ok {
		return v, false
	}
	v, err := l.codec.Decode([]byte(d.payload[stampLen:]))
	return v, err == nil
}

// Stamp returns when and where the last write was made; false if there is none.
func (l *LWW[T]) Stamp() (clock.Stamp[ReplicaID], bool) {
	d, ok := l.last()
	if !ok {
		return clock.Stamp[ReplicaID]{}, false
	}
	return clock.Stamp[ReplicaID]{Time: timeOf(d.payload), Node: l.store.lanes[d.lane].id}, true
}

func timeOf(payload string) clock.Timestamp {
	return clock.Timestamp(binary.BigEndian.Uint64([]byte(payload[:stampLen])))
}

func (l *LWW[T]) last() (d dot, ok bool) {
	at, ok := l.find()
	if !ok {
		return dot{}, false
	}
	return l.store.last(at)
}

// String returns the value, for people.
func (l *LWW[T]) String() string {
	v, ok := l.Value()
	if !ok {
		return "(unset)"
	}
	return fmt.Sprint(v)
}

// after returns at, or the stamp after last's if at is not greater. At the very end of time it is
// last's: a write still counts here, for it takes the other's place.
func after(last dot, at clock.Timestamp) clock.Timestamp {
	if seen := timeOf(last.payload); at <= seen {
		return seen + min(1, math.MaxInt64-seen)
	}
	return at
}

// last returns the event with the greatest stamp of those at a leaf, if there is any.
func (s *Store) last(at slot) (last dot, ok bool) {
	s.tree.dots(at, func(d dot) {
		if !ok || s.before(last, d) {
			last, ok = d, true
		}
	})
	return last, ok
}

func (s *Store) before(a, b dot) bool {
	if ta, tb := timeOf(a.payload), timeOf(b.payload); ta != tb {
		return ta < tb
	}
	if ra, rb := s.lanes[a.lane].id, s.lanes[b.lane].id; ra != rb {
		return ra < rb
	}
	return a.seq < b.seq
}
