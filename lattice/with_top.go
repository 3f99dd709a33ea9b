package lattice

import (
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"

	"github.com/go-calm/calm/internal/wire"
)

// WithTop is a lattice with a new greatest element above all of its own: "too much", "give
// up", "anything". Once there, it stays there and no longer costs memory.
//
// The zero value is bottom. Copying copies pointers in the value: go on with one copy.
type WithTop[L Lattice[L]] struct {
	top   bool
	value L
}

// WithTopOf returns v, which it takes over, below the new top.
func WithTopOf[L Lattice[L]](v L) WithTop[L] { return WithTop[L]{value: v} }

// Top returns the new top.
func Top[L Lattice[L]]() WithTop[L] { return WithTop[L]{top: true} }

// IsTop reports whether it is the top. True is a monotone read, it stays; false is a snapshot.
func (w WithTop[L]) IsTop() bool { return w.top }

// Value returns the value, to be read only, and false instead if it is the top. It is a
// snapshot read.
func (w WithTop[L]) Value() (L, bool) { return w.value, !w.top }

// Join joins the values, unless one of the two is the top.
func (w WithTop[L]) Join(o WithTop[L]) (WithTop[L], bool) {
	switch {
	case w.top:
		return w, false
	case o.top:
		return o, true
	}
	v, grew := w.value.Join(o.value)
	return WithTop[L]{value: v}, grew
}

// LessEq reports whether o is the top, or neither is and the values are in order.
func (w WithTop[L]) LessEq(o WithTop[L]) bool { return o.top || !w.top && w.value.LessEq(o.value) }

// Delta returns what have lacks of w.
func (w WithTop[L]) Delta(have WithTop[L]) WithTop[L] {
	switch {
	case have.top:
		return WithTop[L]{}
	case w.top:
		return w
	}
	return WithTop[L]{value: Delta(have.value, w.value)}
}

// Decompose yields the parts of the value, or the top, which has none.
func (w WithTop[L]) Decompose() iter.Seq[WithTop[L]] {
	return func(yield func(WithTop[L]) bool) {
		if w.top {
			yield(w)
			return
		}
		for v := range Decompose(w.value) {
			if !yield(WithTop[L]{value: v}) {
				return
			}
		}
	}
}

// String returns the value, "⊤" for the top.
func (w WithTop[L]) String() string {
	if w.top {
		return "⊤"
	}
	return fmt.Sprint(w.value)
}

// LogValue returns the value, "⊤" for the top.
func (w WithTop[L]) LogValue() slog.Value {
	if w.top {
		return slog.StringValue("⊤")
	}
	return slog.AnyValue(w.value)
}

// topJSON is the JSON form of types with a top.
type topJSON[V any] struct {
	Top   bool `json:"top,omitempty"`
	Value V    `json:"value"`
}

// MarshalJSON returns {"value":…}, or {"top":true}.
func (w WithTop[L]) MarshalJSON() ([]byte, error) {
	if w.top {
		return []byte(`{"top":true}`), nil
	}
	return json.Marshal(topJSON[L]{Value: w.value})
}

// UnmarshalJSON replaces w by what MarshalJSON wrote.
func (w *WithTop[L]) UnmarshalJSON(b []byte) error {
	var x topJSON[L]
	if err := json.Unmarshal(b, &x); err != nil {
		return err
	}
	*w = WithTop[L]{value: x.Value}
	if x.Top {
		*w = Top[L]()
	}
	return nil
}

// AppendBinary appends the canonical binary form of w to b.
// Its error matches [ErrUnsupported] or is that of a value's own AppendBinary.
func (w WithTop[L]) AppendBinary(b []byte) ([]byte, error) { return appendForm(b, w) }

// MarshalBinary returns the canonical binary form of w.
func (w WithTop[L]) MarshalBinary() ([]byte, error) { return w.AppendBinary(nil) }

// UnmarshalBinary replaces w by what AppendBinary wrote, keeping nothing of b; its errors
// match [ErrMalformed] or [ErrUnsupported] and leave w as it was.
func (w *WithTop[L]) UnmarshalBinary(b []byte) error { return decode(b, w) }

func (w WithTop[L]) shape(dst []byte) ([]byte, error) { return shapeOf[L](append(dst, kindWithTop)) }

func (w WithTop[L]) put(dst []byte) ([]byte, error) {
	if w.top {
		return append(dst, 1), nil
	}
	return valuesOf[L]().put(append(dst, 0), w.value)
}

func (w WithTop[L]) get(r *wire.Reader) WithTop[L] {
	if element[bool]().Get(r) {
		return Top[L]()
	}
	return WithTop[L]{value: valuesOf[L]().get(r)}
}
