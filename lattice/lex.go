package lattice

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"

	"github.com/go-calm/calm/internal/wire"
)

// Lex is a value that belongs to a key, ordered as words are: the greater key wins whatever
// its value, and under one key the values are joined. It is "the newest wins" made a lattice:
// the key is a version or a time, and what two writers did under the same one is merged
// rather than lost.
//
// The keys must be totally ordered: with keys that can be incomparable, such as version
// vectors, there is no such lattice, since either of two values might win; keep them all
// in an [Antichain]. The zero value is bottom; the keys' own order is that of [Max], so that
// bottom's key is the least K. Copying a Lex copies pointers in its value: go on with one copy.
type Lex[K cmp.Ordered, V Lattice[V]] struct {
	key   Max[K]
	value V
}

// LexOf returns v, which it takes over, under the key k.
func LexOf[K cmp.Ordered, V Lattice[V]](k K, v V) Lex[K, V] { return Lex[K, V]{MaxOf(k), v} }

// Key returns the greatest key seen, the zero K if none was. It is a snapshot read.
func (l Lex[K, V]) Key() K { return l.key.Value() }

// KeyAtLeast reports whether the key is k or greater, a monotone read.
func (l Lex[K, V]) KeyAtLeast(k K) bool { return l.key.AtLeast(k) }

// Value returns what was joined under the greatest key, to be read only. It is a snapshot
// read: a greater key replaces it.
func (l Lex[K, V]) Value() V { return l.value }

// Join returns the one of the greater key, or of equal keys the join of the values.
func (l Lex[K, V]) Join(o Lex[K, V]) (Lex[K, V], bool) {
	switch {
	case !o.key.LessEq(l.key):
		return Lex[K, V]{o.key, Clone(o.value)}, true
	case !l.key.LessEq(o.key):
		return l, false
	}
	v, grew := l.value.Join(o.value)
	return Lex[K, V]{l.key, v}, grew
}

// LessEq reports whether l's key is below o's, or equal and the value too.
func (l Lex[K, V]) LessEq(o Lex[K, V]) bool {
	if !o.key.LessEq(l.key) {
		return true
	}
	return l.key.LessEq(o.key) && l.value.LessEq(o.value)
}

// Delta returns what have lacks of l: under the same key, of the value alone.
func (l Lex[K, V]) Delta(have Lex[K, V]) Lex[K, V] {
	switch {
	case l.LessEq(have):
		return Lex[K, V]{}
	case !l.key.LessEq(have.key):
		return Clone(l)
	}
	return Lex[K, V]{l.key, Delta(have.value, l.value)}
}

// Decompose yields each part of the value under the key, or the key alone.
func (l Lex[K, V]) Decompose() iter.Seq[Lex[K, V]] {
	return func(yield func(Lex[K, V]) bool) {
		if IsBottom(l.value) {
			one(Lex[K, V]{key: l.key})(yield)
			return
		}
		for v := range Decompose(l.value) {
			if !yield(Lex[K, V]{l.key, v}) {
				return
			}
		}
	}
}

// String returns the value and its key, as value@key.
func (l Lex[K, V]) String() string { return fmt.Sprintf("%v@%v", l.value, l.key) }

// LogValue returns key and value.
func (l Lex[K, V]) LogValue() slog.Value {
	return slog.GroupValue(slog.Any("key", l.key), slog.Any("value", l.value))
}

// MarshalJSON returns an array of key and value.
func (l Lex[K, V]) MarshalJSON() ([]byte, error) { return json.Marshal([2]any{l.key, l.value}) }

// UnmarshalJSON replaces l by what MarshalJSON wrote.
func (l *Lex[K, V]) UnmarshalJSON(b []byte) error {
	var x Lex[K, V]
	if err := parts(b, &x.key, &x.value); err != nil {
		return err
	}
	*l = x
	return nil
}

// AppendBinary appends the canonical binary form of l to b.
// Its error matches [ErrUnsupported] or is that of a value's own AppendBinary.
func (l Lex[K, V]) AppendBinary(b []byte) ([]byte, error) { return appendForm(b, l) }

// MarshalBinary returns the canonical binary form of l.
func (l Lex[K, V]) MarshalBinary() ([]byte, error) { return l.AppendBinary(nil) }

// UnmarshalBinary replaces l by what AppendBinary wrote, keeping nothing of b; its errors
// match [ErrMalformed] or [ErrUnsupported] and leave l as it was.
func (l *Lex[K, V]) UnmarshalBinary(b []byte) error { return decode(b, l) }

func (l Lex[K, V]) shape(dst []byte) ([]byte, error) {
	return shapes(append(dst, kindLex), shapeOfElement[K], shapeOf[V])
}

func (l Lex[K, V]) put(dst []byte) ([]byte, error) {
	dst, _ = l.key.put(dst)
	return valuesOf[V]().put(dst, l.value)
}

func (l Lex[K, V]) get(r *wire.Reader) Lex[K, V] {
	return Lex[K, V]{l.key.get(r), valuesOf[V]().get(r)}
}
