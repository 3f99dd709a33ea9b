package crdt

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/go-calm/calm/internal/elem"
)

// Codec encodes keys, elements or values of a type that cannot be encoded otherwise, or is to be
// encoded in another way. It is given to [Open] or [NewStore], and holds for every T in that store:
//
//	points := crdt.Codec[Point]{ID: 128, Append: appendPoint, Decode: decodePoint}
//	s := crdt.Open[*crdt.Set[Point]](id, points)
//
// Without a Codec T may be
//
//   - a bool, number or string, or of a type made of one. −0 is 0, and all NaNs are one value, before
//     all other numbers. Integers of different widths are the same type to peers; a number that does
//     not fit is refused with [ErrSchema].
//   - an array of those
//   - a []byte, where T is a value; for a key or an element take a string, which may hold any bytes
//   - a time.Time, which stands for its instant: it is read back in UTC, without a monotonic part, and
//     two times that are the same instant are one key or element
//   - a type with AppendBinary and UnmarshalBinary, such as netip.Addr. Equal values must have equal
//     bytes; AppendBinary must not fail, or the mutator panics.
//
// Other types, structs among them, make the constructor panic.
type Codec[T any] struct {
	// ID names the encoding between replicas, from 128 to 255. It is part of the schema: replicas
	// whose codecs differ must have other IDs, so that they refuse each other's deltas with
	// [ErrSchema] rather than misread them.
	ID uint8
	// Append appends the encoding of v to dst. Equal values must have equal encodings.
	Append func(dst []byte, v T) []byte
	// Decode reads what Append wrote and keeps nothing of b, which may be anything: it comes from
	// outside. An encoding that Append would not give back is refused too.
	Decode func(b []byte) (T, error)
	// Compare orders values. Nil orders them by their encoding.
	Compare func(a, b T) int
}

// Option is what [Open] and [NewStore] take besides an id: a [Codec].
type Option interface{ option(codecs) }

func (c Codec[T]) option(cs codecs) {
	t := reflect.TypeFor[T]()
	if c.ID < elem.Given || c.Append == nil || c.Decode == nil {
		panic(fmt.Sprintf("crdt: a Codec of %v needs Append, Decode and an ID from %d to 255", t, elem.Given))
	}
	for other, o := range cs {
		if other == t || o.id == c.ID {
			panic(fmt.Sprintf("crdt: codecs of %v and %v are the same type or have the same ID", other, t))
		}
	}
	cs[t] = codingOf(elem.From(c.ID, c.Append, c.Decode, c.Compare))
}

// codecs are those given to a store, by type.
type codecs map[reflect.Type]coding

// coding is a codec, and what can be said of it without naming its type.
type coding struct {
	id     uint8
	codec  any                        // *elem.Codec[T]
	check  func(b []byte) error       // whether b is the encoding of a T; nil if anything is
	decode func(s string) (any, bool) // a T
	list   func(ss []string) any      // a []T, ascending
}

// codecFor returns the encoding of T, or panics: which types can be encoded is known when a program
// is written.
func codecFor[T any](cs codecs) coding {
	if c, ok := cs[reflect.TypeFor[T]()]; ok {
		return c
	}
	c, err := elem.ByEncoding[T]()
	if err != nil {
		panic("crdt: " + err.Error() + "; give Open or NewStore a crdt.Codec")
	}
	return codingOf(c)
}

func codingOf[T any](c elem.Codec[T]) coding {
	out := coding{id: c.ID(), codec: &c}
	out.decode = func(s string) (any, bool) {
		v, ok := keyFrom(&c, s)
		return v, ok
	}
	out.list = func(ss []string) any {
		vs := make([]T, 0, len(ss))
		for _, s := range ss {
			if v, ok := keyFrom(&c, s); ok {
				vs = append(vs, v)
			}
		}
		slices.SortFunc(vs, c.Compare)
		return vs
	}
	if c.ID() != elem.String && c.ID() != elem.Slice {
		out.check = func(b []byte) error {
			_, err := c.Decode(b)
			return err
		}
	}
	return out
}

// typed returns the codec of a place's T.
func typed[T any](c coding) *elem.Codec[T] { return c.codec.(*elem.Codec[T]) }

// keyOf encodes a key. A string is its own encoding.
func keyOf[T any](c *elem.Codec[T], v T) string {
	if s, ok := any(v).(string); ok && c.ID() == elem.String {
		return s
	}
	return string(c.Append(nil, v))
}

// keyFrom decodes what keyOf encoded; false if it is no T, which Merge refuses for a place that is
// open when it happens.
func keyFrom[T any](c *elem.Codec[T], key string) (v T, ok bool) {
	if s, isString := any(&v).(*string); isString && c.ID() == elem.String {
		*s = key
		return v, true
	}
	v, err := c.Decode([]byte(key))
	return v, err == nil
}
