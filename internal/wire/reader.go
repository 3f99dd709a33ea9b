// Package wire reads binary forms that came from outside.
//
// A [Reader] never panics and never allocates: it hands out sub-slices of its input,
// refuses every length that the input cannot hold, and accepts one encoding for each
// number, so that equal values have equal bytes. Its first error sticks: code reads a
// whole structure and looks at the error once.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrMalformed is what every error of a [Reader] matches.
var ErrMalformed = errors.New("malformed bytes")

// Reader decodes from a byte slice. The zero value reads from an empty input.
// It is not safe for concurrent use.
type Reader struct {
	b   []byte
	off int
	err error
}

// NewReader reads from b, which it neither copies nor changes.
func NewReader(b []byte) Reader { return Reader{b: b} }

// Err returns the first error met, or nil.
func (r *Reader) Err() error { return r.err }

// Len returns how many bytes are left; it is 0 after an error.
func (r *Reader) Len() int {
	if r.err != nil {
		return 0
	}
	return len(r.b) - r.off
}

// Offset returns how many bytes have been read.
func (r *Reader) Offset() int { return r.off }

// Fail records an error found by the caller, at the current offset, unless one is there.
func (r *Reader) Fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w at byte %d: %s", ErrMalformed, r.off, fmt.Sprintf(format, args...))
	}
}

// Done returns the first error met, or an error if input is left over.
func (r *Reader) Done() error {
	if r.err == nil && r.off < len(r.b) {
		r.Fail("%d bytes too many", len(r.b)-r.off)
	}
	return r.err
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if r.Len() < 1 {
		r.Fail("want 1 byte, have none")
		return 0
	}
	r.off++
	return r.b[r.off-1]
}

// Uvarint reads a number in LEB128 form and refuses all but its shortest encoding.
func (r *Reader) Uvarint() uint64 {
	if r.err != nil {
		return 0
	}
	// The one-byte case is nearly all of them; the rest is the standard library's.
	if r.off < len(r.b) && r.b[r.off] < 0x80 {
		r.off++
		return uint64(r.b[r.off-1])
	}
	v, n := binary.Uvarint(r.b[r.off:])
	switch {
	case n == 0:
		r.Fail("a number is cut off")
		return 0
	case n < 0:
		r.Fail("a number exceeds 64 bits")
		return 0
	case r.b[r.off+n-1] == 0:
		r.Fail("a number is not in its shortest form")
		return 0
	}
	r.off += n
	return v
}

// Varint reads a signed number in zig-zag LEB128 form, as [binary.AppendVarint] writes it.
func (r *Reader) Varint() int64 {
	u := r.Uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// Uint64 reads 8 bytes, the most significant one first.
func (r *Reader) Uint64() uint64 {
	b := r.Take(8)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// Take reads n bytes as a sub-slice of the input; nil means an error.
func (r *Reader) Take(n int) []byte {
	if n < 0 || r.Len() < n || r.err != nil {
		r.Fail("want %d bytes, have %d", n, r.Len())
		return nil
	}
	r.off += n
	return r.b[r.off-n : r.off : r.off]
}

// Bytes reads a length and that many bytes, as a sub-slice of the input.
func (r *Reader) Bytes() []byte { return r.Take(r.Count(1)) }

// SkipBytes passes over n of what Bytes reads.
func (r *Reader) SkipBytes(n uint64) {
	for ; n > 0 && r.err == nil; n-- {
		// A length of one byte is nearly all of them.
		if left := r.b[r.off:]; len(left) > 0 && left[0] < 0x80 && int(left[0]) < len(left) {
			r.off += 1 + int(left[0])
			continue
		}
		r.Bytes()
	}
}

// Count reads a number of things of which each takes at least size ≥ 1 bytes of what is left,
// so that a caller may allocate in proportion to it.
func (r *Reader) Count(size int) int {
	n := r.Uvarint()
	// Multiplied, not divided: this is read before every key. No product wraps, as n is at most a length.
	if left := uint64(r.Len()); n > left || n*uint64(size) > left {
		r.Fail("%d things announced, but only %d bytes are left", n, r.Len())
		return 0
	}
	return int(n)
}

// AppendBytes appends the length of p and p itself, as [Reader.Bytes] reads it.
func AppendBytes(dst, p []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(p)))
	return append(dst, p...)
}

// AppendString appends the length of s and s itself, as [Reader.Bytes] reads it.
func AppendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}
