package lattice

import (
	"encoding/json"
	"iter"
	"log/slog"
	"strconv"

	"github.com/go-calm/calm/internal/wire"
)

// Any is whether anything was true: the join is "or".
//
// The zero value is bottom, false; true is the top. It is a plain value; sharing one between
// goroutines needs a lock, as any variable does.
type Any struct{ yes bool }

// AnyOf returns whether any of vs is true.
func AnyOf(vs ...bool) Any {
	for _, v := range vs {
		if v {
			return Any{true}
		}
	}
	return Any{}
}

// Value returns whether anything was true. True is a monotone read, it stays; false is a
// snapshot.
func (a Any) Value() bool { return a.yes }

// Join returns a or o, and whether that turned true.
func (a Any) Join(o Any) (Any, bool) { return Any{a.yes || o.yes}, !a.yes && o.yes }

// LessEq reports whether a implies o.
func (a Any) LessEq(o Any) bool { return !a.yes || o.yes }

// Decompose yields a if it is true.
func (a Any) Decompose() iter.Seq[Any] { return one(a) }

// String returns "true" or "false".
func (a Any) String() string { return strconv.FormatBool(a.yes) }

// LogValue returns the value.
func (a Any) LogValue() slog.Value { return slog.BoolValue(a.yes) }

// MarshalJSON returns true or false.
func (a Any) MarshalJSON() ([]byte, error) { return json.Marshal(a.yes) }

// UnmarshalJSON replaces a by what MarshalJSON wrote.
func (a *Any) UnmarshalJSON(b []byte) error {
	v, _, err := fromJSON[bool](b)
	if err == nil {
		a.yes = v
	}
	return err
}

// AppendBinary appends the canonical binary form of a to b.
func (a Any) AppendBinary(b []byte) ([]byte, error) { return appendForm(b, a) }

// MarshalBinary returns the canonical binary form of a.
func (a Any) MarshalBinary() ([]byte, error) { return a.AppendBinary(nil) }

// UnmarshalBinary replaces a by what AppendBinary wrote; its errors match [ErrMalformed].
func (a *Any) UnmarshalBinary(b []byte) error { return decode(b, a) }

func (a Any) shape(dst []byte) ([]byte, error) { return append(dst, kindAny), nil }

func (a Any) put(dst []byte) ([]byte, error) { return element[bool]().Put(dst, a.yes), nil }

func (a Any) get(r *wire.Reader) Any { return Any{element[bool]().Get(r)} }
