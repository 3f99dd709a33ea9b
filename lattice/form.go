package lattice

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"slices"

	"github.com/go-calm/calm/internal/elem"
	"github.com/go-calm/calm/internal/wire"
)

// ErrMalformed is matched by the error of every UnmarshalBinary that was given bytes which
// are no canonical form of its type. The receiver is then unchanged.
var ErrMalformed = wire.ErrMalformed

// ErrUnsupported is matched by the error of MarshalBinary and UnmarshalBinary of a container
// whose elements, keys or values have no binary form. Elements and keys have one if they are
// bools, numbers, strings, arrays of these, or have AppendBinary and UnmarshalBinary; values
// if they are lattices of this package or have these two methods.
var ErrUnsupported = elem.ErrUnsupported

// The binary form of a state is a version byte, the shape of its type, and its body:
//
//	form  = version shape body
//	shape = kind { id of element or key } { shape of value }
//
// The shape is written once, at the top; nested values are bodies alone. A decoder knows its
// own shape and refuses any other, so that bytes of one type are never read as another's.
const version = 1

const (
	kindMax byte = 1 + iota
	kindMin
	kindAny
	kindAll
	kindSet
	kindMap
	kindPair
	kindTriple
	kindLex
	kindAntichain
	kindWithTop
	kindFlat
	kindPoint
	kindPrefix
	kindVec
	kindInterval
	kindBoundedSet
	kindBits
	kindUnionFind
	kindTopK
	kindMaxMap
	kindIntSet
	kindTombSet
	kindTombMap
	kindHyperLogLog
	kindKMV
	kindBloom
	kindMaxTime
	kindMinTime
	kindForeign = 255 // a value of a type from elsewhere, which encodes itself
)

// form is what each type here does for its binary form. All three methods work on bottom.
type form[L any] interface {
	// shape appends what tells this type's forms from others'. It fails with ErrUnsupported,
	// and is called before put and get, which need not look again.
	shape(dst []byte) ([]byte, error)
	// put appends the body; it fails only where a foreign value does.
	put(dst []byte) ([]byte, error)
	// get reads a body into a new value; whether it could is in r. The receiver is not used.
	get(r *wire.Reader) L
}

func appendForm[L any](dst []byte, x form[L]) ([]byte, error) {
	b, err := x.shape(append(dst, version))
	if err == nil {
		b, err = x.put(b)
	}
	if err != nil {
		return dst, fmt.Errorf("lattice: %w", err)
	}
	return b, nil
}

func parseForm[L form[L]](b []byte) (x L, err error) {
	want, err := x.shape(nil)
	if err != nil {
		return x, fmt.Errorf("lattice: %w", err)
	}
	r := wire.NewReader(b)
	if v := r.Byte(); r.Err() == nil && v != version {
		r.Fail("version %d, want %d", v, version)
	}
	if got := r.Take(len(want)); got != nil && !bytes.Equal(got, want) {
		r.Fail("not a %v: shape %x, want %x", reflect.TypeFor[L](), got, want)
	}
	if r.Err() == nil {
		x = x.get(&r)
	}
	if err := r.Done(); err != nil {
		var bottom L
		return bottom, fmt.Errorf("lattice: %w", err)
	}
	return x, nil
}

// decode reads a form into a value, which it leaves as it was if it cannot.
func decode[L form[L]](b []byte, into *L) error {
	x, err := parseForm[L](b)
	if err == nil {
		*into = x
	}
	return err
}

// decodeTo is decode for what must not be copied: take takes over what is in its argument.
func decodeTo[L form[L]](b []byte, take func(L)) error {
	x, err := parseForm[L](b)
	if err == nil {
		take(x)
	}
	return err
}

// element returns the codec of an element type whose shape has been asked for before.
func element[E any]() elem.Codec[E] {
	c, _ := elem.For[E]()
	return c
}

func shapeOfElement[E any](dst []byte) ([]byte, error) {
	c, err := elem.For[E]()
	return append(dst, c.ID()), err
}

// shapes appends one shape after the other.
func shapes(dst []byte, each ...func([]byte) ([]byte, error)) (_ []byte, err error) {
	for _, shape := range each {
		if dst, err = shape(dst); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// values encodes the nested values of a container.
type values[V any] struct {
	own     form[V] // the zero V, if it is of this package
	scratch *V      // where a V that is no pointer is put to be encoded: boxing each would allocate
	putter  putter  // scratch
}

type putter interface {
	put(dst []byte) ([]byte, error)
}

func valuesOf[V any]() values[V] {
	var bottom V
	own, ok := any(bottom).(form[V])
	if !ok {
		return values[V]{}
	}
	v := values[V]{own: own, scratch: new(V)}
	v.putter, _ = any(v.scratch).(putter) // nil where V is a pointer
	return v
}

func shapeOf[V any](dst []byte) ([]byte, error) {
	var bottom V
	if own, ok := any(bottom).(form[V]); ok {
		return own.shape(dst)
	}
	if _, ok := any(bottom).(encoding.BinaryAppender); !ok {
		return dst, fmt.Errorf("%w: %v has no AppendBinary", ErrUnsupported, reflect.TypeFor[V]())
	}
	if _, ok := unmarshaler(&bottom); !ok {
		return dst, fmt.Errorf("%w: %v has no UnmarshalBinary", ErrUnsupported, reflect.TypeFor[V]())
	}
	return append(dst, kindForeign), nil
}

func (c values[V]) put(dst []byte, v V) ([]byte, error) {
	switch {
	case c.putter != nil:
		*c.scratch = v
		return c.putter.put(dst)
	case c.own != nil:
		return any(v).(putter).put(dst)
	}
	b, err := any(v).(encoding.BinaryAppender).AppendBinary(nil)
	if err != nil {
		return dst, fmt.Errorf("%v: %w", reflect.TypeFor[V](), err)
	}
	return wire.AppendBytes(dst, b), nil
}

func (c values[V]) get(r *wire.Reader) (v V) {
	if c.own != nil {
		return c.own.get(r)
	}
	b := r.Bytes()
	if r.Err() != nil {
		return v
	}
	u, _ := unmarshaler(&v)
	if err := u.UnmarshalBinary(b); err != nil {
		r.Fail("%v: %v", reflect.TypeFor[V](), err)
		return v
	}
	// Only what is written back as it was read has one form.
	if again, err := any(v).(encoding.BinaryAppender).AppendBinary(nil); err != nil || !bytes.Equal(again, b) {
		r.Fail("not the canonical form of %v", reflect.TypeFor[V]())
	}
	return v
}

// unmarshaler returns what decodes into *v: v itself, or what v, a pointer, is made to point to.
func unmarshaler[V any](v *V) (encoding.BinaryUnmarshaler, bool) {
	if t := reflect.TypeFor[V](); t.Kind() == reflect.Pointer {
		*v = reflect.New(t.Elem()).Interface().(V)
		u, ok := any(*v).(encoding.BinaryUnmarshaler)
		return u, ok
	}
	u, ok := any(v).(encoding.BinaryUnmarshaler)
	return u, ok
}

// sorted puts elements in the order of their codec, which is that of every binary form, or,
// where they have none, of their printed forms.
func sorted[E any](all []E) []E {
	if c, err := elem.For[E](); err == nil {
		slices.SortFunc(all, c.Compare)
	} else {
		slices.SortFunc(all, func(a, b E) int { return bytes.Compare(fmt.Append(nil, a), fmt.Append(nil, b)) })
	}
	return all
}

// putElements appends how many elements there are and each of them, in order.
func putElements[E any](dst []byte, all []E) []byte {
	c := element[E]()
	slices.SortFunc(all, c.Compare)
	dst = appendCount(dst, len(all))
	for _, e := range all {
		dst = c.Put(dst, e)
	}
	return dst
}

// getElements reads what putElements wrote and hands each element to each.
func getElements[E comparable](r *wire.Reader, grow func(n int), each func(E)) {
	c := element[E]()
	n := r.Count(1)
	if n > 0 {
		grow(n)
	}
	var last E
	for i := range n {
		e := c.Get(r)
		if r.Err() == nil && i > 0 && c.Compare(last, e) >= 0 {
			r.Fail("elements are not ascending")
		}
		if r.Err() != nil {
			return
		}
		each(e)
		last = e
	}
}

func appendCount(dst []byte, n int) []byte { return binary.AppendUvarint(dst, uint64(n)) }

// getInt reads a number that is not negative and fits an int32, so that every machine takes
// the same forms.
func getInt(r *wire.Reader) int {
	v := r.Uvarint()
	if v > math.MaxInt32 {
		r.Fail("%d is too large", v)
		return 0
	}
	return int(v)
}
