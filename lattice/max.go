package lattice

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"reflect"

	"github.com/go-calm/calm/internal/wire"
)

// Max is the greatest value put in: a chain, whose join is the greater of two.
//
// The zero value is bottom, which stands for the least value of T: 0 for unsigned integers,
// the empty string for strings, the smallest integer for signed ones, −Inf for floats. NaN is
// taken for bottom and −0 for 0, so that every float has its place in one order.
// A Max is a plain value of the size of T, whose methods take constant time and allocate
// nothing; sharing one between goroutines needs a lock, as any variable does.
type Max[T cmp.Ordered] struct {
	// Zero bits have to mean bottom, and 0 has to be storable too. So where 0 is not the
	// least value of T, the two change places: the least value is stored as 0, and 0 as the
	// least value. No flag is needed, and a map's entries stay as small as T.
	v T
}

// MaxOf returns the Max of the given values, bottom if there are none.
func MaxOf[T cmp.Ordered](vs ...T) Max[T] {
	var m Max[T]
	for _, v := range vs {
		m, _ = m.Join(Max[T]{store(v)})
	}
	return m
}

func store[T cmp.Ordered](v T) T {
	var zero T
	switch {
	case v == zero:
		return least[T]()
	case v != v || isLeast(v):
		return zero
	}
	return v
}

// isLeast reports whether v is the smallest value of its type, other than 0. Generic code has
// no constants of T to compare with, but only the smallest integer is negative and 0 when
// doubled, and only −Inf is negative and itself when doubled.
func isLeast[T cmp.Ordered](v T) bool {
	var zero T
	return v < zero && (v+v == zero || v+v == v)
}

// least returns the smallest value of T.
func least[T cmp.Ordered]() (v T) {
	var low any
	switch any(v).(type) {
	case string, uint64, uint32, uint:
		return v
	case int64:
		low = int64(math.MinInt64)
	case int:
		low = int(math.MinInt)
	case int32:
		low = int32(math.MinInt32)
	case float64:
		low = math.Inf(-1)
	default:
		r := reflect.ValueOf(&v).Elem()
		switch {
		case r.CanInt():
			r.SetInt(math.MinInt64 >> (64 - r.Type().Bits()))
		case r.CanFloat():
			r.SetFloat(math.Inf(-1))
		}
		return v
	}
	return low.(T)
}

// Value returns the greatest value put in, and the zero T if nothing above bottom was.
// It is a snapshot read.
func (m Max[T]) Value() T {
	if isLeast(m.v) {
		var zero T
		return zero
	}
	return m.v
}

// natural returns the value that m stands for: at bottom, the least one.
func (m Max[T]) natural() T {
	var zero T
	if m.v == zero {
		return least[T]()
	}
	return m.Value()
}

// AtLeast reports whether the value is v or greater. It is a monotone read: once true, it
// stays true whatever is joined.
func (m Max[T]) AtLeast(v T) bool { return Max[T]{store(v)}.LessEq(m) }

// Join returns the greater of m and o, and whether that is o.
func (m Max[T]) Join(o Max[T]) (Max[T], bool) {
	if o.LessEq(m) {
		return m, false
	}
	return o, true
}

// LessEq reports whether m is at most o.
func (m Max[T]) LessEq(o Max[T]) bool {
	var zero T
	if m.v == zero {
		return true
	}
	if o.v == zero {
		return false
	}
	return m.Value() <= o.Value()
}

// Decompose yields m unless it is bottom: in a chain nothing can be taken apart.
func (m Max[T]) Decompose() iter.Seq[Max[T]] { return one(m) }

// one yields x unless it is bottom.
func one[L Lattice[L]](x L) iter.Seq[L] {
	return func(yield func(L) bool) {
		if !IsBottom(x) {
			yield(x)
		}
	}
}

// String returns the value, "⊥" for bottom.
func (m Max[T]) String() string {
	if IsBottom(m) {
		return "⊥"
	}
	return fmt.Sprint(m.Value())
}

// LogValue returns the value, nil for bottom.
func (m Max[T]) LogValue() slog.Value {
	if IsBottom(m) {
		return slog.AnyValue(nil)
	}
	return slog.AnyValue(m.Value())
}

// MarshalJSON returns the value in JSON, null for bottom.
func (m Max[T]) MarshalJSON() ([]byte, error) {
	if IsBottom(m) {
		return []byte("null"), nil
	}
	return json.Marshal(m.Value())
}

// UnmarshalJSON replaces m by what MarshalJSON wrote.
func (m *Max[T]) UnmarshalJSON(b []byte) error {
	v, ok, err := fromJSON[T](b)
	if err != nil {
		return err
	}
	*m = Max[T]{}
	if ok {
		*m = MaxOf(v)
	}
	return nil
}

// fromJSON decodes a value that may be null.
func fromJSON[T any](b []byte) (v T, ok bool, err error) {
	var p *T
	if err = json.Unmarshal(b, &p); err != nil || p == nil {
		return v, false, err
	}
	return *p, true, nil
}

// AppendBinary appends the canonical binary form of m to b.
func (m Max[T]) AppendBinary(b []byte) ([]byte, error) { return appendForm(b, m) }

// MarshalBinary returns the canonical binary form of m.
func (m Max[T]) MarshalBinary() ([]byte, error) { return m.AppendBinary(nil) }

// UnmarshalBinary replaces m by what AppendBinary wrote; its errors match [ErrMalformed].
func (m *Max[T]) UnmarshalBinary(b []byte) error { return decode(b, m) }

func (m Max[T]) shape(dst []byte) ([]byte, error) { return shapeOfElement[T](append(dst, kindMax)) }

func (m Max[T]) put(dst []byte) ([]byte, error) { return element[T]().Put(dst, m.natural()), nil }

func (m Max[T]) get(r *wire.Reader) Max[T] { return Max[T]{store(element[T]().Get(r))} }
