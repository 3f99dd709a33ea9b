package lattice

import (
	"encoding/binary"
	"encoding/json"
	"iter"
	"log/slog"
	"time"

	"github.com/go-calm/calm/internal/wire"
)

// MaxTime is the latest time put in: a [Max] of instants, whatever their zones and monotonic clock
// readings, which are dropped.
//
// The zero value is bottom, and the zero [time.Time] is no time. It is a plain value; all
// methods take constant time. A wall clock that is ahead decides what is latest: where that
// matters, order by package clock's timestamps in a [Lex].
type MaxTime struct{ t time.Time }

// MaxTimeOf returns the MaxTime of the given times.
func MaxTimeOf(ts ...time.Time) MaxTime {
	var m MaxTime
	for _, t := range ts {
		m, _ = m.Join(MaxTime{t.UTC().Round(0)})
	}
	return m
}

// Value returns the latest time put in, in UTC, the zero time if there is none. It is a snapshot
// read.
func (m MaxTime) Value() time.Time { return m.t }

// AtLeast reports whether a time of t or later was put in, a monotone read: once true, it
// stays true whatever is joined.
func (m MaxTime) AtLeast(t time.Time) bool { return !m.t.IsZero() && !m.t.Before(t) }

// Join returns the later of both.
func (m MaxTime) Join(o MaxTime) (MaxTime, bool) {
	if o.LessEq(m) {
		return m, false
	}
	return o, true
}

// LessEq reports whether m is bottom, or o is not bottom and as late or later.
func (m MaxTime) LessEq(o MaxTime) bool { return m.t.IsZero() || !o.t.IsZero() && !o.t.Before(m.t) }

// Decompose yields m unless it is bottom.
func (m MaxTime) Decompose() iter.Seq[MaxTime] { return one(m) }

// String returns the time as RFC 3339 has it, "⊥" for bottom.
func (m MaxTime) String() string {
	if m.t.IsZero() {
		return "⊥"
	}
	return m.t.Format(time.RFC3339Nano)
}

// LogValue returns the time, nil for bottom.
func (m MaxTime) LogValue() slog.Value {
	if m.t.IsZero() {
		return slog.AnyValue(nil)
	}
	return slog.TimeValue(m.t)
}

// MarshalJSON returns the time as RFC 3339 has it, null for bottom.
func (m MaxTime) MarshalJSON() ([]byte, error) {
	if m.t.IsZero() {
		return []byte("null"), nil
	}
	return json.Marshal(m.t)
}

// UnmarshalJSON replaces m by what MarshalJSON wrote.
func (m *MaxTime) UnmarshalJSON(b []byte) error {
	t, _, err := fromJSON[time.Time](b)
	if err == nil {
		*m = MaxTimeOf(t)
	}
	return err
}

// AppendBinary appends the canonical binary form of m to b.
func (m MaxTime) AppendBinary(b []byte) ([]byte, error) { return appendForm(b, m) }

// MarshalBinary returns the canonical binary form of m.
func (m MaxTime) MarshalBinary() ([]byte, error) { return m.AppendBinary(nil) }

// UnmarshalBinary replaces m by what AppendBinary wrote, keeping nothing of b; its errors
// match [ErrMalformed] and leave m as it was.
func (m *MaxTime) UnmarshalBinary(b []byte) error { return decode(b, m) }

func (m MaxTime) shape(dst []byte) ([]byte, error) { return append(dst, kindMaxTime), nil }

func (m MaxTime) put(dst []byte) ([]byte, error) { return putTime(dst, m.t), nil }

func (m MaxTime) get(r *wire.Reader) MaxTime { return MaxTime{getTime(r)} }

// putTime appends 1, the seconds since 1970 and the nanoseconds, or 0 for no time.
func putTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(dst, 0)
	}
	dst = binary.AppendVarint(append(dst, 1), t.Unix())
	return binary.AppendUvarint(dst, uint64(t.Nanosecond()))
}

func getTime(r *wire.Reader) time.Time {
	switch r.Byte() {
	case 0:
		return time.Time{}
	case 1:
		sec, nsec := r.Varint(), r.Uvarint()
		if nsec < uint64(time.Second) {
			if t := time.Unix(sec, int64(nsec)).UTC(); !t.IsZero() {
				return t
			}
		}
	}
	r.Fail("no time")
	return time.Time{}
}
