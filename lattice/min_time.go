package lattice

import (
	"encoding/json"
	"iter"
	"log/slog"
	"time"

	"github.com/go-calm/calm/internal/wire"
)

// MinTime is the earliest time put in: a [Min] of instants, whatever their zones and monotonic clock
// readings, which are dropped.
//
// The zero value is bottom, and the zero [time.Time] is no time. It is a plain value; all
// methods take constant time. A wall clock that is ahead decides what is earliest: where that
// matters, order by package clock's timestamps in a [Lex].
type MinTime struct{ t time.Time }

// MinTimeOf returns the MinTime of the given times.
func MinTimeOf(ts ...time.Time) MinTime {
	var m MinTime
	for _, t := range ts {
		m, _ = m.Join(MinTime{t.UTC().Round(0)})
	}
	return m
}

// Value returns the earliest time put in, in UTC, the zero time if there is none. It is a snapshot
// read.
func (m MinTime) Value() time.Time { return m.t }

// AtMost reports whether a time of t or earlier was put in, a monotone read: once true, it
// stays true whatever is joined.
func (m MinTime) AtMost(t time.Time) bool { return !m.t.IsZero() && !m.t.After(t) }

// Join returns the earlier of both.
func (m MinTime) Join(o MinTime) (MinTime, bool) {
	if o.LessEq(m) {
		return m, false
	}
	return o, true
}

// LessEq reports whether m is bottom, or o is not bottom and as early or earlier.
func (m MinTime) LessEq(o MinTime) bool { return m.t.IsZero() || !o.t.IsZero() && !o.t.After(m.t) }

// Decompose yields m unless it is bottom.
func (m MinTime) Decompose() iter.Seq[MinTime] { return one(m) }

// String returns the time as RFC 3339 has it, "⊥" for bottom.
func (m MinTime) String() string {
	if m.t.IsZero() {
		return "⊥"
	}
	return m.t.Format(time.RFC3339Nano)
}

// LogValue returns the time, nil for bottom.
func (m MinTime) LogValue() slog.Value {
	if m.t.IsZero() {
		return slog.AnyValue(nil)
	}
	return slog.TimeValue(m.t)
}

// MarshalJSON returns the time as RFC 3339 has it, null for bottom.
func (m MinTime) MarshalJSON() ([]byte, error) {
	if m.t.IsZero() {
		return []byte("null"), nil
	}
	return json.Marshal(m.t)
}

// UnmarshalJSON replaces m by what MarshalJSON wrote.
func (m *MinTime) UnmarshalJSON(b []byte) error {
	t, _, err := fromJSON[time.Time](b)
	if err == nil {
		*m = MinTimeOf(t)
	}
	return err
}

// AppendBinary appends the canonical binary form of m to b.
func (m MinTime) AppendBinary(b []byte) ([]byte, error) { return appendForm(b, m) }

// MarshalBinary returns the canonical binary form of m.
func (m MinTime) MarshalBinary() ([]byte, error) { return m.AppendBinary(nil) }

// UnmarshalBinary replaces m by what AppendBinary wrote, keeping nothing of b; its errors
// match [ErrMalformed] and leave m as it was.
func (m *MinTime) UnmarshalBinary(b []byte) error { return decode(b, m) }

func (m MinTime) shape(dst []byte) ([]byte, error) { return append(dst, kindMinTime), nil }

func (m MinTime) put(dst []byte) ([]byte, error) { return putTime(dst, m.t), nil }

func (m MinTime) get(r *wire.Reader) MinTime { return MinTime{getTime(r)} }
