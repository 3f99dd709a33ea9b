package lattice

import (
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"

	"github.com/go-calm/calm/internal/wire"
)

// Triple is three lattices side by side, each growing on its own: a [Pair] of three.
//
// The zero value is bottom.
type Triple[A Lattice[A], B Lattice[B], C Lattice[C]] struct {
	First  A
	Second B
	Third  C
}

// TripleOf returns the triple of a, b and c, which it takes over.
func TripleOf[A Lattice[A], B Lattice[B], C Lattice[C]](a A, b B, c C) Triple[A, B, C] {
	return Triple[A, B, C]{a, b, c}
}

// Join joins all three parts and reports whether any grew.
func (p Triple[A, B, C]) Join(o Triple[A, B, C]) (Triple[A, B, C], bool) {
	first, a := p.First.Join(o.First)
	second, b := p.Second.Join(o.Second)
	third, c := p.Third.Join(o.Third)
	return Triple[A, B, C]{first, second, third}, a || b || c
}

// LessEq reports whether all three parts are below or equal to o's.
func (p Triple[A, B, C]) LessEq(o Triple[A, B, C]) bool {
	return p.First.LessEq(o.First) && p.Second.LessEq(o.Second) && p.Third.LessEq(o.Third)
}

// Delta returns of each part what have lacks.
func (p Triple[A, B, C]) Delta(have Triple[A, B, C]) Triple[A, B, C] {
	return Triple[A, B, C]{Delta(have.First, p.First), Delta(have.Second, p.Second), Delta(have.Third, p.Third)}
}

// Decompose yields the parts of the first, then those of the second and the third.
func (p Triple[A, B, C]) Decompose() iter.Seq[Triple[A, B, C]] {
	return func(yield func(Triple[A, B, C]) bool) {
		for a := range Decompose(p.First) {
			if !yield(Triple[A, B, C]{First: a}) {
				return
			}
		}
		for b := range Decompose(p.Second) {
			if !yield(Triple[A, B, C]{Second: b}) {
				return
			}
		}
		for c := range Decompose(p.Third) {
			if !yield(Triple[A, B, C]{Third: c}) {
				return
			}
		}
	}
}

// String returns the parts, as (a, b, c).
func (p Triple[A, B, C]) String() string {
	return fmt.Sprintf("(%v, %v, %v)", p.First, p.Second, p.Third)
}

// LogValue returns the parts.
func (p Triple[A, B, C]) LogValue() slog.Value {
	return slog.GroupValue(slog.Any("first", p.First), slog.Any("second", p.Second), slog.Any("third", p.Third))
}

// MarshalJSON returns an array of the parts.
func (p Triple[A, B, C]) MarshalJSON() ([]byte, error) {
	return json.Marshal([3]any{p.First, p.Second, p.Third})
}

// UnmarshalJSON replaces p by what MarshalJSON wrote.
func (p *Triple[A, B, C]) UnmarshalJSON(b []byte) error {
	var x Triple[A, B, C]
	if err := parts(b, &x.First, &x.Second, &x.Third); err != nil {
		return err
	}
	*p = x
	return nil
}

// AppendBinary appends the canonical binary form of p to b.
// Its error matches [ErrUnsupported] or is that of a value's own AppendBinary.
func (p Triple[A, B, C]) AppendBinary(b []byte) ([]byte, error) { return appendForm(b, p) }

// MarshalBinary returns the canonical binary form of p.
func (p Triple[A, B, C]) MarshalBinary() ([]byte, error) { return p.AppendBinary(nil) }

// UnmarshalBinary replaces p by what AppendBinary wrote, keeping nothing of b; its errors
// match [ErrMalformed] or [ErrUnsupported] and leave p as it was.
func (p *Triple[A, B, C]) UnmarshalBinary(b []byte) error { return decode(b, p) }

func (p Triple[A, B, C]) shape(dst []byte) ([]byte, error) {
	return shapes(append(dst, kindTriple), shapeOf[A], shapeOf[B], shapeOf[C])
}

func (p Triple[A, B, C]) put(dst []byte) ([]byte, error) {
	dst, err := valuesOf[A]().put(dst, p.First)
	if err == nil {
		dst, err = valuesOf[B]().put(dst, p.Second)
	}
	if err == nil {
		dst, err = valuesOf[C]().put(dst, p.Third)
	}
	return dst, err
}

func (p Triple[A, B, C]) get(r *wire.Reader) Triple[A, B, C] {
	return Triple[A, B, C]{valuesOf[A]().get(r), valuesOf[B]().get(r), valuesOf[C]().get(r)}
}
