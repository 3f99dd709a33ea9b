package lattice

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"

	"github.com/go-calm/calm/internal/elem"
	"github.com/go-calm/calm/internal/wire"
)

// Min is the least value put in: a chain upside down, whose join is the lesser of two.
//
// The zero value is bottom: nothing was put in yet. NaN is taken for nothing and −0 for 0.
// A Min is a plain value of T and a flag, since not every T has a greatest value that could
// stand for nothing. Its methods take constant time and allocate nothing; sharing one between
// goroutines needs a lock, as any variable does.
type Min[T cmp.Ordered] struct {
	v   T
	set bool
}

// MinOf returns the Min of the given values, bottom if there are none.
func MinOf[T cmp.Ordered](vs ...T) Min[T] {
	var m Min[T]
	var zero T
	for _, v := range vs {
		if v == zero {
			v = zero // −0 becomes 0
		}
		if v == v && (!m.set || v < m.v) {
			m = Min[T]{v, true}
		}
	}
	return m
}

// Value returns the least value put in, and whether any was. It is a snapshot read.
func (m Min[T]) Value() (v T, ok bool) { return m.v, m.set }

// AtMost reports whether a value of v or less was put in. It is a monotone read: once true,
// it stays true whatever is joined.
func (m Min[T]) AtMost(v T) bool { return m.set && m.v <= v }

// Join returns the lesser of m and o, and whether that is o.
func (m Min[T]) Join(o Min[T]) (Min[T], bool) {
	if o.LessEq(m) {
		return m, false
	}
	return o, true
}

// LessEq reports whether m is bottom or its value is o's or greater.
func (m Min[T]) LessEq(o Min[T]) bool { return !m.set || o.set && o.v <= m.v }

// Decompose yields m unless it is bottom: in a chain nothing can be taken apart.
func (m Min[T]) Decompose() iter.Seq[Min[T]] { return one(m) }

// String returns the value, "⊥" for bottom.
func (m Min[T]) String() string {
	if !m.set {
		return "⊥"
	}
	return fmt.Sprint(m.v)
}

// LogValue returns the value, nil for bottom.
func (m Min[T]) LogValue() slog.Value {
	if !m.set {
		return slog.AnyValue(nil)
	}
	return slog.AnyValue(m.v)
}

// MarshalJSON returns the value in JSON, null for bottom.
func (m Min[T]) MarshalJSON() ([]byte, error) {
	if !m.set {
		return []byte("null"), nil
	}
	return json.Marshal(m.v)
}

// UnmarshalJSON replaces m by what MarshalJSON wrote.
func (m *Min[T]) UnmarshalJSON(b []byte) error {
	v, ok, err := fromJSON[T](b)
	if err != nil {
		return err
	}
	*m = Min[T]{}
	if ok {
		*m = MinOf(v)
	}
	return nil
}

// AppendBinary appends the canonical binary form of m to b.
func (m Min[T]) AppendBinary(b []byte) ([]byte, error) { return appendForm(b, m) }

// MarshalBinary returns the canonical binary form of m.
func (m Min[T]) MarshalBinary() ([]byte, error) { return m.AppendBinary(nil) }

// UnmarshalBinary replaces m by what AppendBinary wrote; its errors match [ErrMalformed].
func (m *Min[T]) UnmarshalBinary(b []byte) error { return decode(b, m) }

func (m Min[T]) shape(dst []byte) ([]byte, error) { return shapeOfElement[T](append(dst, kindMin)) }

func (m Min[T]) put(dst []byte) ([]byte, error) { return putOption(dst, element[T](), m.v, m.set), nil }

func (m Min[T]) get(r *wire.Reader) Min[T] {
	v, ok := getOption(r, element[T]())
	return Min[T]{v, ok}
}

// putOption appends a value that may be absent.
func putOption[T any](dst []byte, c elem.Codec[T], v T, ok bool) []byte {
	if !ok {
		return append(dst, 0)
	}
	return c.Put(append(dst, 1), v)
}

func getOption[T any](r *wire.Reader, c elem.Codec[T]) (v T, ok bool) {
	switch r.Byte() {
	case 0:
	case 1:
		return c.Get(r), true
	default:
		r.Fail("neither absent nor present")
	}
	return v, false
}
