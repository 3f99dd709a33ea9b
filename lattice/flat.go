package lattice

import (
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"

	"github.com/go-calm/calm/internal/wire"
)

// Flat is a value that is set once: two equal ones are one, two different ones are a
// conflict, which stays. It finds out that writers who should agree do not.
//
// The zero value is bottom: nothing was set. A value that is not equal to itself (NaN) is
// taken for nothing. It is a plain value; all methods take constant time.
type Flat[T comparable] struct {
	is flatness
	v  T
}

type flatness uint8

const (
	flatBottom flatness = iota
	flatValue
	flatConflict
)

// FlatOf returns the Flat of the given values: a conflict if they differ.
func FlatOf[T comparable](vs ...T) Flat[T] {
	var f Flat[T]
	for _, v := range vs {
		if v == v {
			f, _ = f.Join(Flat[T]{flatValue, v})
		}
	}
	return f
}

// Conflict returns the top of Flat[T].
func Conflict[T comparable]() Flat[T] { return Flat[T]{is: flatConflict} }

// Value returns the value, and whether there is one. It is a snapshot read.
func (f Flat[T]) Value() (v T, ok bool) { return f.v, f.is == flatValue }

// IsConflict reports whether different values were set. True is a monotone read, it stays;
// false is a snapshot.
func (f Flat[T]) IsConflict() bool { return f.is == flatConflict }

// Join returns the one value of both, or a conflict.
func (f Flat[T]) Join(o Flat[T]) (Flat[T], bool) {
	switch {
	case o.LessEq(f):
		return f, false
	case f.is == flatBottom:
		return o, true
	}
	return Conflict[T](), true
}

// LessEq reports whether f is bottom, equal to o, or o a conflict.
func (f Flat[T]) LessEq(o Flat[T]) bool { return f.is == flatBottom || o.is == flatConflict || f == o }

// Decompose yields f unless it is bottom.
func (f Flat[T]) Decompose() iter.Seq[Flat[T]] { return one(f) }

// String returns the value, "⊥" for bottom, "⊤" for a conflict.
func (f Flat[T]) String() string {
	switch f.is {
	case flatBottom:
		return "⊥"
	case flatConflict:
		return "⊤"
	}
	return fmt.Sprint(f.v)
}

// LogValue returns the value, nil for bottom, "⊤" for a conflict.
func (f Flat[T]) LogValue() slog.Value {
	switch f.is {
	case flatBottom:
		return slog.AnyValue(nil)
	case flatConflict:
		return slog.StringValue("⊤")
	}
	return slog.AnyValue(f.v)
}

// MarshalJSON returns null, {"value":…}, or {"top":true} for a conflict.
func (f Flat[T]) MarshalJSON() ([]byte, error) {
	switch f.is {
	case flatBottom:
		return []byte("null"), nil
	case flatConflict:
		return []byte(`{"top":true}`), nil
	}
	return json.Marshal(topJSON[T]{Value: f.v})
}

// UnmarshalJSON replaces f by what MarshalJSON wrote.
func (f *Flat[T]) UnmarshalJSON(b []byte) error {
	x, ok, err := fromJSON[topJSON[T]](b)
	switch {
	case err != nil:
		return err
	case !ok:
		*f = Flat[T]{}
	case x.Top:
		*f = Conflict[T]()
	default:
		*f = FlatOf(x.Value)
	}
	return nil
}

// AppendBinary appends the canonical binary form of f to b.
// Its error matches [ErrUnsupported].
func (f Flat[T]) AppendBinary(b []byte) ([]byte, error) { return appendForm(b, f) }

// MarshalBinary returns the canonical binary form of f.
func (f Flat[T]) MarshalBinary() ([]byte, error) { return f.AppendBinary(nil) }

// UnmarshalBinary replaces f by what AppendBinary wrote, keeping nothing of b; its errors
// match [ErrMalformed] or [ErrUnsupported] and leave f as it was.
func (f *Flat[T]) UnmarshalBinary(b []byte) error { return decode(b, f) }

func (f Flat[T]) shape(dst []byte) ([]byte, error) { return shapeOfElement[T](append(dst, kindFlat)) }

func (f Flat[T]) put(dst []byte) ([]byte, error) {
	dst = append(dst, byte(f.is))
	if f.is == flatValue {
		dst = element[T]().Put(dst, f.v)
	}
	return dst, nil
}

func (f Flat[T]) get(r *wire.Reader) Flat[T] {
	switch flatness(r.Byte()) {
	case flatBottom:
		return Flat[T]{}
	case flatValue:
		return Flat[T]{flatValue, element[T]().Get(r)}
	case flatConflict:
		return Conflict[T]()
	}
	r.Fail("neither nothing, a value nor a conflict")
	return Flat[T]{}
}
