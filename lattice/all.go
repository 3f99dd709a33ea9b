package lattice

import (
	"encoding/json"
	"iter"
	"log/slog"
	"strconv"

	"github.com/go-calm/calm/internal/wire"
)

// All is whether everything was true: the join is "and".
//
// The zero value is bottom, true, since nothing was false yet; false is the top. It is a
// plain value; sharing one between goroutines needs a lock, as any variable does.
type All struct{ no bool }

// AllOf returns whether all of vs are true.
func AllOf(vs ...bool) All {
	for _, v := range vs {
		if !v {
			return All{true}
		}
	}
	return All{}
}

// Value returns whether everything was true. False is a monotone read, it stays; true is a
// snapshot.
func (a All) Value() bool { return !a.no }

// Join returns a and o, and whether that turned false.
func (a All) Join(o All) (All, bool) { return All{a.no || o.no}, !a.no && o.no }

// LessEq reports whether o implies a.
func (a All) LessEq(o All) bool { return !a.no || o.no }

// Decompose yields a if it is false.
func (a All) Decompose() iter.Seq[All] { return one(a) }

// String returns "true" or "false".
func (a All) String() string { return strconv.FormatBool(!a.no) }

// LogValue returns the value.
func (a All) LogValue() slog.Value { return slog.BoolValue(!a.no) }

// MarshalJSON returns true or false.
func (a All) MarshalJSON() ([]byte, error) { return json.Marshal(!a.no) }

// UnmarshalJSON replaces a by what MarshalJSON wrote.
func (a *All) UnmarshalJSON(b []byte) error {
	v, ok, err := fromJSON[bool](b)
	if err == nil {
		a.no = ok && !v
	}
	return err
}

// AppendBinary appends the canonical binary form of a to b.
func (a All) AppendBinary(b []byte) ([]byte, error) { return appendForm(b, a) }

// MarshalBinary returns the canonical binary form of a.
func (a All) MarshalBinary() ([]byte, error) { return a.AppendBinary(nil) }

// UnmarshalBinary replaces a by what AppendBinary wrote; its errors match [ErrMalformed].
func (a *All) UnmarshalBinary(b []byte) error { return decode(b, a) }

func (a All) shape(dst []byte) ([]byte, error) { return append(dst, kindAll), nil }

func (a All) put(dst []byte) ([]byte, error) { return element[bool]().Put(dst, !a.no), nil }

func (a All) get(r *wire.Reader) All { return All{!element[bool]().Get(r)} }
