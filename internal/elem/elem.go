// Package elem encodes the elements and keys of containers: the leaves of every binary form.
//
// One value has one encoding, the same on every machine, and nothing else decodes to it, so
// that equal states have equal bytes.
//
//	kind                                      payload (Append, Decode)
//	bool                                      one byte, 0 or 1
//	uint, uint8 … uint64, uintptr             LEB128 varint, shortest form
//	int, int8 … int64                         zig-zag LEB128 varint, shortest form
//	float32, float64                          IEEE 754 bits, 4 or 8 bytes, big endian; −0 is written as 0, for NaN see [ByEncoding]
//	string                                    its bytes, raw
//	[N]byte, []byte                           its bytes, raw
//	time.Time                                 its instant: zig-zag varint Unix seconds, varint nanoseconds below 10⁹
//	[N]T of one of the numbers, bool, string  its elements, one after the other, as Put writes them
//	anything with AppendBinary, UnmarshalBinary   what AppendBinary writes
//
// Integers are varints rather than order-preserving bytes: most ids and counts are small, and
// a container that needs an order has [Codec.Compare], which is faster than comparing bytes.
// The widths of one kind share an encoding: what a 64-bit machine wrote as int, a 32-bit one
// reads, unless the number does not fit, which is an error.
// Types that are merely named (type Page string) are encoded as what they are made of, by way
// of reflection, hence somewhat slower.
package elem

import (
	"bytes"
	"cmp"
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"

	"github.com/go-calm/calm/internal/wire"
)

// ErrUnsupported is matched by the error of [For] for a type that has no encoding.
var ErrUnsupported = errors.New("no binary form for elements of this type")

// The id of each kind of element; containers write it, so that a decoder refuses bytes of
// another kind. An array of a kind has the kind's id plus Array.
const (
	Bool byte = 1 + iota
	Uint
	Int
	Float32
	Float64
	String
	Bytes        // [N]byte
	Custom       // AppendBinary and UnmarshalBinary
	Slice        // []byte
	Time         // time.Time
	Array  = 16  // added to the id of what the array holds
	Given  = 128 // ids from here on are for encodings that a user gives
)

// Codec encodes values of T. [For] makes one; it is immutable and safe for concurrent use.
type Codec[T any] struct {
	id      byte
	append  func(dst []byte, v T) []byte
	read    func(r *wire.Reader) T    // for payloads that say themselves where they end
	parse   func(b []byte) (T, error) // for the others, which Put precedes with a length
	size    func(v T) int             // how long a payload of the latter is; nil: unknown
	compare func(a, b T) int          // nil: compare the payloads
}

// ID returns the id of the kind of element.
func (c Codec[T]) ID() byte { return c.id }

// Append appends the payload of v. It panics if v's own AppendBinary fails: the contract of
// element types is that theirs does not.
func (c Codec[T]) Append(dst []byte, v T) []byte { return c.append(dst, v) }

// Decode reads a payload that is exactly b, keeping nothing of b.
// Its errors match [wire.ErrMalformed].
func (c Codec[T]) Decode(b []byte) (T, error) {
	if c.parse != nil {
		return c.parse(b)
	}
	r := wire.NewReader(b)
	v := c.read(&r)
	if err := r.Done(); err != nil {
		var zero T
		return zero, err
	}
	return v, nil
}

// Put appends v in a form that says where it ends: the payload, with its length before it
// where it needs one. It is never empty, so that [wire.Reader.Count] (1) bounds a number of them.
func (c Codec[T]) Put(dst []byte, v T) []byte {
	switch {
	case c.read != nil:
		return c.append(dst, v)
	case c.size != nil:
		return c.append(binary.AppendUvarint(dst, uint64(c.size(v))), v)
	default:
		return wire.AppendBytes(dst, c.append(nil, v))
	}
}

// Get reads what Put wrote; r's error says whether it could.
func (c Codec[T]) Get(r *wire.Reader) T {
	if c.read != nil {
		return c.read(r)
	}
	b := r.Bytes()
	var zero T
	if r.Err() != nil {
		return zero
	}
	v, err := c.parse(b)
	if err != nil {
		r.Fail("%v", err)
		return zero
	}
	return v
}

// Compare orders values totally: numbers, strings and bools as Go does (false first), the
// rest by the bytes of their payloads.
func (c Codec[T]) Compare(a, b T) int {
	if c.compare != nil {
		return c.compare(a, b)
	}
	return bytes.Compare(c.append(nil, a), c.append(nil, b))
}

// For returns the codec of T for containers that tell elements apart as == does, or an error that
// matches [ErrUnsupported]. It refuses what is not equal though its encoding is: time.Time, and, when
// it decodes, NaN.
func For[T any]() (Codec[T], error) {
	if t := reflect.TypeFor[T](); t == reflect.TypeFor[time.Time]() {
		return Codec[T]{}, fmt.Errorf("%w: %v has many forms of one instant; use UnixNano", ErrUnsupported, t)
	}
	return codecOf[T](false)
}

// ByEncoding returns the codec of T for containers that tell elements apart by their encoding, or an
// error as [For]. There all NaNs are one value, before all other numbers, and times are equal if they
// are the same instant.
func ByEncoding[T any]() (Codec[T], error) { return codecOf[T](true) }

// From returns a codec with an id from [Given] on, made of functions. What it decodes it encodes
// again, and refuses bytes that differ.
func From[T any](id byte, appendTo func(dst []byte, v T) []byte, decode func(b []byte) (T, error), compare func(a, b T) int) Codec[T] {
	return Codec[T]{
		id: id, append: appendTo, compare: compare,
		parse: canonical(decode, func(dst []byte, v T) ([]byte, error) { return appendTo(dst, v), nil }),
	}
}

func codecOf[T any](nan bool) (Codec[T], error) {
	if c, ok := plain[T](nan); ok {
		return c, nil
	}
	t := reflect.TypeFor[T]()
	if c, ok := custom[T](t); ok {
		return c, nil
	}
	if t.Kind() == reflect.Array {
		return array[T](t, nan)
	}
	if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 {
		return slice[T](), nil
	}
	if c, ok := named[T](t, nan); ok {
		return c, nil
	}
	return Codec[T]{}, fmt.Errorf("%w: %v is not a bool, number, string, array of them, []byte or time, and has no AppendBinary and UnmarshalBinary", ErrUnsupported, t)
}

// plain returns the codec of a predeclared type, or of time.Time. A Codec[uint64] that is known to be
// a Codec[T] becomes one by way of an interface, so that no value is ever boxed.
func plain[T any](nan bool) (Codec[T], bool) {
	var zero T
	var c any
	switch any(zero).(type) {
	case string:
		c = text()
	case bool:
		c = Codec[bool]{id: Bool, append: appendBool, read: readBool, compare: compareBool}
	case uint64:
		c = unsigned[uint64](math.MaxUint64)
	case uint32:
		c = unsigned[uint32](math.MaxUint32)
	case uint16:
		c = unsigned[uint16](math.MaxUint16)
	case uint8:
		c = unsigned[uint8](math.MaxUint8)
	case uint:
		c = unsigned[uint](math.MaxUint)
	case uintptr:
		c = unsigned[uintptr](math.MaxUint)
	case int64:
		c = signed[int64](math.MinInt64, math.MaxInt64)
	case int32:
		c = signed[int32](math.MinInt32, math.MaxInt32)
	case int16:
		c = signed[int16](math.MinInt16, math.MaxInt16)
	case int8:
		c = signed[int8](math.MinInt8, math.MaxInt8)
	case int:
		c = signed[int](math.MinInt, math.MaxInt)
	case float64:
		c = Codec[float64]{id: Float64, append: appendFloat64, read: float64Reader(nan), compare: cmp.Compare[float64]}
	case float32:
		c = Codec[float32]{id: Float32, append: appendFloat32, read: float32Reader(nan), compare: cmp.Compare[float32]}
	case time.Time:
		c = Codec[time.Time]{id: Time, append: appendTime, read: readTime, compare: time.Time.Compare}
	default:
		return Codec[T]{}, false
	}
	return c.(Codec[T]), true
}

func text() Codec[string] {
	return Codec[string]{
		id:      String,
		append:  func(dst []byte, v string) []byte { return append(dst, v...) },
		parse:   func(b []byte) (string, error) { return string(b), nil },
		size:    func(v string) int { return len(v) },
		compare: cmp.Compare[string],
	}
}

func unsigned[U uint | uint8 | uint16 | uint32 | uint64 | uintptr](limit uint64) Codec[U] {
	return Codec[U]{
		id:      Uint,
		append:  func(dst []byte, v U) []byte { return binary.AppendUvarint(dst, uint64(v)) },
		read:    func(r *wire.Reader) U { return U(readUint(r, limit)) },
		compare: cmp.Compare[U],
	}
}

func signed[I int | int8 | int16 | int32 | int64](low, high int64) Codec[I] {
	return Codec[I]{
		id:      Int,
		append:  func(dst []byte, v I) []byte { return binary.AppendVarint(dst, int64(v)) },
		read:    func(r *wire.Reader) I { return I(readInt(r, low, high)) },
		compare: cmp.Compare[I],
	}
}

func readUint(r *wire.Reader, limit uint64) uint64 {
	v := r.Uvarint()
	if v > limit {
		r.Fail("%d does not fit", v)
		return 0
	}
	return v
}

func readInt(r *wire.Reader, low, high int64) int64 {
	v := r.Varint()
	if v < low || v > high {
		r.Fail("%d does not fit", v)
		return 0
	}
	return v
}

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func readBool(r *wire.Reader) bool {
	b := r.Byte()
	if b > 1 {
		r.Fail("%d is not a bool", b)
	}
	return b == 1
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// Adding 0 turns −0 into 0: they are equal as map keys, so they have one encoding. NaNs are not, and
// have one nevertheless.
func appendFloat64(dst []byte, v float64) []byte {
	if v != v {
		v = math.NaN()
	}
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(v+0))
}

func float64Reader(nan bool) func(r *wire.Reader) float64 {
	return func(r *wire.Reader) float64 {
		bits := r.Uint64()
		v := math.Float64frombits(bits)
		if bits == 1<<63 || v != v && (!nan || bits != math.Float64bits(math.NaN())) {
			r.Fail("%v is no element", v)
			return 0
		}
		return v
	}
}

// nan32 is what all NaNs of 32 bits are written as.
const nan32 = 0x7fc00000

func appendFloat32(dst []byte, v float32) []byte {
	if v != v {
		return binary.BigEndian.AppendUint32(dst, nan32)
	}
	return binary.BigEndian.AppendUint32(dst, math.Float32bits(v+0))
}

func float32Reader(nan bool) func(r *wire.Reader) float32 {
	return func(r *wire.Reader) float32 {
		b := r.Take(4)
		if b == nil {
			return 0
		}
		bits := binary.BigEndian.Uint32(b)
		v := math.Float32frombits(bits)
		if bits == 1<<31 || v != v && (!nan || bits != nan32) {
			r.Fail("%v is no element", v)
			return 0
		}
		return v
	}
}

func appendTime(dst []byte, v time.Time) []byte {
	return binary.AppendUvarint(binary.AppendVarint(dst, v.Unix()), uint64(v.Nanosecond()))
}

// readTime reads an instant, and gives it the zone that all that are read have. The last seconds of
// an int64 are beyond what a time.Time tells apart from its earliest, but it gives them back: what
// can be written can be read.
func readTime(r *wire.Reader) time.Time {
	sec, nsec := r.Varint(), r.Uvarint()
	if nsec >= 1e9 {
		r.Fail("no instant: %d seconds, %d nanoseconds", sec, nsec)
		return time.Time{}
	}
	return time.Unix(sec, int64(nsec)).UTC()
}

// custom returns the codec of a type that encodes itself. What it decodes it encodes again,
// and refuses bytes that differ: only then do equal values have equal bytes.
func custom[T any](t reflect.Type) (Codec[T], bool) {
	var zero T
	if _, ok := any(zero).(encoding.BinaryAppender); !ok || t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface {
		return Codec[T]{}, false
	}
	if _, ok := any(&zero).(encoding.BinaryUnmarshaler); !ok {
		return Codec[T]{}, false
	}
	appendTo := func(dst []byte, v T) ([]byte, error) { return any(v).(encoding.BinaryAppender).AppendBinary(dst) }
	return Codec[T]{
		id: Custom,
		append: func(dst []byte, v T) []byte {
			b, err := appendTo(dst, v)
			if err != nil {
				panic(fmt.Sprintf("elem: %v.AppendBinary: %v", t, err))
			}
			return b
		},
		parse: canonical(func(b []byte) (v T, err error) {
			err = any(&v).(encoding.BinaryUnmarshaler).UnmarshalBinary(b)
			return v, err
		}, appendTo),
	}, true
}

// canonical returns a decoder that refuses what appendTo would not have written.
func canonical[T any](decode func(b []byte) (T, error), appendTo func(dst []byte, v T) ([]byte, error)) func(b []byte) (T, error) {
	return func(b []byte) (v T, err error) {
		var zero T
		if v, err = decode(b); err != nil {
			return zero, fmt.Errorf("%w: %v: %w", wire.ErrMalformed, reflect.TypeFor[T](), err)
		}
		if again, err := appendTo(nil, v); err != nil || !bytes.Equal(again, b) {
			return zero, fmt.Errorf("%w: not the canonical form of %v", wire.ErrMalformed, reflect.TypeFor[T]())
		}
		return v, nil
	}
}

// slice returns the codec of a type that is a []byte.
func slice[T any]() Codec[T] {
	return Codec[T]{
		id:     Slice,
		append: func(dst []byte, v T) []byte { return append(dst, reflect.ValueOf(v).Bytes()...) },
		parse: func(b []byte) (v T, err error) {
			reflect.ValueOf(&v).Elem().SetBytes(append([]byte{}, b...))
			return v, nil
		},
		size: func(v T) int { return reflect.ValueOf(v).Len() },
	}
}

// kind is what [named] and [array] know of one value behind reflection.
type kind struct {
	id     byte
	append func(dst []byte, v reflect.Value) []byte
	read   func(r *wire.Reader, v reflect.Value) // nil for strings
}

func kindOf(t reflect.Type, nan bool) (kind, bool) {
	switch t.Kind() {
	case reflect.Bool:
		return kind{
			Bool,
			func(dst []byte, v reflect.Value) []byte { return appendBool(dst, v.Bool()) },
			func(r *wire.Reader, v reflect.Value) { v.SetBool(readBool(r)) },
		}, true
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		limit := uint64(math.MaxUint64) >> (64 - t.Bits())
		return kind{
			Uint,
			func(dst []byte, v reflect.Value) []byte { return binary.AppendUvarint(dst, v.Uint()) },
			func(r *wire.Reader, v reflect.Value) { v.SetUint(readUint(r, limit)) },
		}, true
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		high := int64(math.MaxInt64) >> (64 - t.Bits())
		return kind{
			Int,
			func(dst []byte, v reflect.Value) []byte { return binary.AppendVarint(dst, v.Int()) },
			func(r *wire.Reader, v reflect.Value) { v.SetInt(readInt(r, -high-1, high)) },
		}, true
	case reflect.Float32:
		return kind{
			Float32,
			func(dst []byte, v reflect.Value) []byte { return appendFloat32(dst, float32(v.Float())) },
			func(r *wire.Reader, v reflect.Value) { v.SetFloat(float64(float32Reader(nan)(r))) },
		}, true
	case reflect.Float64:
		return kind{
			Float64,
			func(dst []byte, v reflect.Value) []byte { return appendFloat64(dst, v.Float()) },
			func(r *wire.Reader, v reflect.Value) { v.SetFloat(float64Reader(nan)(r)) },
		}, true
	case reflect.String:
		return kind{id: String, append: func(dst []byte, v reflect.Value) []byte { return append(dst, v.String()...) }}, true
	}
	return kind{}, false
}

// named returns the codec of a type whose underlying type is a predeclared one.
func named[T any](t reflect.Type, nan bool) (Codec[T], bool) {
	k, ok := kindOf(t, nan)
	if !ok {
		return Codec[T]{}, false
	}
	c := Codec[T]{
		id:      k.id,
		append:  func(dst []byte, v T) []byte { return k.append(dst, reflect.ValueOf(v)) },
		compare: func(a, b T) int { return compare(reflect.ValueOf(a), reflect.ValueOf(b)) },
	}
	if k.read == nil {
		c.parse = func(b []byte) (v T, err error) {
			reflect.ValueOf(&v).Elem().SetString(string(b))
			return v, nil
		}
		return c, true
	}
	c.read = func(r *wire.Reader) (v T) {
		k.read(r, reflect.ValueOf(&v).Elem())
		return v
	}
	return c, true
}

func compare(a, b reflect.Value) int {
	switch {
	case a.Kind() == reflect.Bool:
		return compareBool(a.Bool(), b.Bool())
	case a.CanInt():
		return cmp.Compare(a.Int(), b.Int())
	case a.CanUint():
		return cmp.Compare(a.Uint(), b.Uint())
	case a.CanFloat():
		return cmp.Compare(a.Float(), b.Float())
	}
	return cmp.Compare(a.String(), b.String())
}

// array returns the codec of an array of at least one bool, number or string.
func array[T any](t reflect.Type, nan bool) (Codec[T], error) {
	k, ok := kindOf(t.Elem(), nan)
	if !ok || t.Len() == 0 {
		return Codec[T]{}, fmt.Errorf("%w: %v is not an array of bools, numbers or strings", ErrUnsupported, t)
	}
	if t.Elem().Kind() == reflect.Uint8 {
		n := t.Len()
		return Codec[T]{
			id: Bytes,
			append: func(dst []byte, v T) []byte {
				dst = append(dst, make([]byte, n)...)
				reflect.Copy(reflect.ValueOf(dst[len(dst)-n:]), reflect.ValueOf(v))
				return dst
			},
			read: func(r *wire.Reader) (v T) {
				reflect.Copy(reflect.ValueOf(&v).Elem(), reflect.ValueOf(r.Take(n)))
				return v
			},
		}, nil
	}
	return Codec[T]{
		id: Array + k.id,
		append: func(dst []byte, v T) []byte {
			a := reflect.ValueOf(v)
			for i := range a.Len() {
				if e := a.Index(i); k.read == nil {
					dst = wire.AppendString(dst, e.String())
				} else {
					dst = k.append(dst, e)
				}
			}
			return dst
		},
		read: func(r *wire.Reader) (v T) {
			a := reflect.ValueOf(&v).Elem()
			for i := range a.Len() {
				if e := a.Index(i); k.read == nil {
					e.SetString(string(r.Bytes()))
				} else {
					k.read(r, e)
				}
			}
			return v
		},
	}, nil
}
