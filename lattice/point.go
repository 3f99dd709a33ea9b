package lattice

import (
	"iter"
	"log/slog"

	"github.com/go-calm/calm/internal/wire"
)

// Point is the lattice of one state, the zero value, which is both bottom and top: there is
// nothing to merge.
// It stands where a composition asks for a lattice that a program has no use for: in
// [Lex] it leaves the key, in [WithTop] a flag, in a [Pair] the other part.
//
// A value that is fixed by its key, and where two different ones are a mistake to be found
// out, is a [Flat].
type Point struct{}

// Join returns the point; nothing ever grows.
func (p Point) Join(Point) (Point, bool) { return p, false }

// LessEq reports true.
func (p Point) LessEq(Point) bool { return true }

// Decompose yields nothing.
func (p Point) Decompose() iter.Seq[Point] { return one(p) }

// String returns "·".
func (p Point) String() string { return "·" }

// LogValue returns nil.
func (p Point) LogValue() slog.Value { return slog.AnyValue(nil) }

// MarshalJSON returns null.
func (p Point) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// UnmarshalJSON takes any JSON for the point.
func (p *Point) UnmarshalJSON([]byte) error { return nil }

// AppendBinary appends the canonical binary form of p to b.
func (p Point) AppendBinary(b []byte) ([]byte, error) { return appendForm(b, p) }

// MarshalBinary returns the canonical binary form of p.
func (p Point) MarshalBinary() ([]byte, error) { return p.AppendBinary(nil) }

// UnmarshalBinary replaces p by what AppendBinary wrote, keeping nothing of b; its errors
// match [ErrMalformed] and leave p as it was.
func (p *Point) UnmarshalBinary(b []byte) error { return decode(b, p) }

func (p Point) shape(dst []byte) ([]byte, error) { return append(dst, kindPoint), nil }

func (p Point) put(dst []byte) ([]byte, error) { return dst, nil }

func (p Point) get(*wire.Reader) Point { return p }
