package lattice

import (
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"

	"github.com/go-calm/calm/internal/wire"
)

// Pair is two lattices side by side, each growing on its own.
//
// The zero value is bottom. Copying a Pair copies pointers that are in it, so go on with one
// copy, as with a slice that was appended to; [Clone] makes a separate one. It costs what its
// parts cost. For "newest wins" use [Lex], which a Pair is not.
type Pair[A Lattice[A], B Lattice[B]] struct {
	First  A
	Second B
}

// PairOf returns the pair of a and b, which it takes over.
func PairOf[A Lattice[A], B Lattice[B]](a A, b B) Pair[A, B] { return Pair[A, B]{a, b} }

// Join joins both parts and reports whether either grew.
func (p Pair[A, B]) Join(o Pair[A, B]) (Pair[A, B], bool) {
	first, a := p.First.Join(o.First)
	second, b := p.Second.Join(o.Second)
	return Pair[A, B]{first, second}, a || b
}

// LessEq reports whether both parts are below or equal to o's.
func (p Pair[A, B]) LessEq(o Pair[A, B]) bool {
	return p.First.LessEq(o.First) && p.Second.LessEq(o.Second)
}

// Delta returns of each part what have lacks.
func (p Pair[A, B]) Delta(have Pair[A, B]) Pair[A, B] {
	return Pair[A, B]{Delta(have.First, p.First), Delta(have.Second, p.Second)}
}

// Decompose yields the parts of the first, then those of the second.
func (p Pair[A, B]) Decompose() iter.Seq[Pair[A, B]] {
	return func(yield func(Pair[A, B]) bool) {
		for a := range Decompose(p.First) {
			if !yield(Pair[A, B]{First: a}) {
				return
			}
		}
		for b := range Decompose(p.Second) {
			if !yield(Pair[A, B]{Second: b}) {
				return
			}
		}
	}
}

// String returns both parts, as (a, b).
func (p Pair[A, B]) String() string { return fmt.Sprintf("(%v, %v)", p.First, p.Second) }

// LogValue returns both parts.
func (p Pair[A, B]) LogValue() slog.Value {
	return slog.GroupValue(slog.Any("first", p.First), slog.Any("second", p.Second))
}

// MarshalJSON returns an array of both parts.
func (p Pair[A, B]) MarshalJSON() ([]byte, error) { return json.Marshal([2]any{p.First, p.Second}) }

// UnmarshalJSON replaces p by what MarshalJSON wrote.
func (p *Pair[A, B]) UnmarshalJSON(b []byte) error {
	var x Pair[A, B]
	if err := parts(b, &x.First, &x.Second); err != nil {
		return err
	}
	*p = x
	return nil
}

// parts decodes a JSON array of exactly as many things as it is given pointers.
func parts(b []byte, into ...any) error {
	var raw []json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	if len(raw) != len(into) {
		return fmt.Errorf("%w: %d parts, want %d", ErrMalformed, len(raw), len(into))
	}
	for i := range raw {
		if err := json.Unmarshal(raw[i], into[i]); err != nil {
			return err
		}
	}
	return nil
}

// AppendBinary appends the canonical binary form of p to b. Its error matches
// [ErrUnsupported] or is that of a part's own AppendBinary.
func (p Pair[A, B]) AppendBinary(b []byte) ([]byte, error) { return appendForm(b, p) }

// MarshalBinary returns the canonical binary form of p.
func (p Pair[A, B]) MarshalBinary() ([]byte, error) { return p.AppendBinary(nil) }

// UnmarshalBinary replaces p by what AppendBinary wrote; its errors match [ErrMalformed] or
// [ErrUnsupported], and leave p as it was.
func (p *Pair[A, B]) UnmarshalBinary(b []byte) error { return decode(b, p) }

func (p Pair[A, B]) shape(dst []byte) ([]byte, error) {
	return shapes(append(dst, kindPair), shapeOf[A], shapeOf[B])
}

func (p Pair[A, B]) put(dst []byte) ([]byte, error) {
	dst, err := valuesOf[A]().put(dst, p.First)
	if err != nil {
		return dst, err
	}
	return valuesOf[B]().put(dst, p.Second)
}

func (p Pair[A, B]) get(r *wire.Reader) Pair[A, B] {
	return Pair[A, B]{valuesOf[A]().get(r), valuesOf[B]().get(r)}
}
