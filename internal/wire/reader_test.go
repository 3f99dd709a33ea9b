package wire

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestReaderReadsWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u, i := rapid.Uint64().Draw(t, "u"), rapid.Int64().Draw(t, "i")
		p := rapid.SliceOf(rapid.Byte()).Draw(t, "p")
		s := rapid.String().Draw(t, "s")
		b := binary.AppendUvarint(nil, u)
		b = binary.AppendVarint(b, i)
		b = AppendBytes(b, p)
		b = AppendString(b, s)
		b = binary.BigEndian.AppendUint64(b, u)
		b = append(b, 7)

		r := NewReader(b)
		require.Equal(t, u, r.Uvarint())
		require.Equal(t, i, r.Varint())
		require.Equal(t, string(p), string(r.Bytes()))
		require.Equal(t, s, string(r.Bytes()))
		require.Equal(t, u, r.Uint64())
		require.Equal(t, byte(7), r.Byte())
		require.NoError(t, r.Done())
	})
}

func TestReaderRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		in   []byte
		read func(*Reader)
	}{
		"an empty input":            {nil, func(r *Reader) { r.Byte() }},
		"a number that is cut off":  {[]byte{0x80}, func(r *Reader) { r.Uvarint() }},
		"a number over 64 bits":     {[]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 2}, func(r *Reader) { r.Uvarint() }},
		"a longer form of a number": {[]byte{0x81, 0x00}, func(r *Reader) { r.Uvarint() }},
		"a length past the end":     {[]byte{5, 1, 2}, func(r *Reader) { r.Bytes() }},
		"a huge length":             {binary.AppendUvarint(nil, math.MaxUint64), func(r *Reader) { r.Bytes() }},
		"more things than bytes":    {[]byte{3, 1, 2, 3}, func(r *Reader) { r.Count(2) }},
		"a short fixed number":      {[]byte{1, 2, 3}, func(r *Reader) { r.Uint64() }},
		"a negative length":         {[]byte{1}, func(r *Reader) { r.Take(-1) }},
		"bytes left over":           {[]byte{1, 2}, func(r *Reader) { r.Byte() }},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewReader(c.in)
			c.read(&r)
			require.ErrorIs(t, r.Done(), ErrMalformed)
		})
	}
}

func TestReaderKeepsItsFirstError(t *testing.T) {
	r := NewReader([]byte{1})
	r.Byte()
	r.Byte()
	first := r.Err()
	r.Fail("another")
	require.Zero(t, r.Uvarint())
	require.Zero(t, r.Uint64())
	require.Nil(t, r.Take(0))
	require.Zero(t, r.Len())
	require.Equal(t, first, r.Done())
}

func FuzzReader(f *testing.F) {
	f.Add([]byte{3, 1, 2, 3, 0x81, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(b)
		for i := 0; r.Len() > 0; i++ {
			switch i % 5 {
			case 0:
				r.Uvarint()
			case 1:
				if got := r.Bytes(); len(got) > len(b) {
					t.Fatalf("%d bytes out of %d", len(got), len(b))
				}
			case 2:
				r.Varint()
			case 3:
				if n := r.Count(2); n > len(b)/2 {
					t.Fatalf("count %d of two-byte things in %d bytes", n, len(b))
				}
			case 4:
				r.Byte()
			}
		}
	})
}

// Passing over is reading without looking: it stops where reading does, with the same error.
func TestSkipBytesIsReading(t *testing.T) {
	inputs := [][]byte{
		nil,
		{0},
		{1},
		{2, 'a'},
		{1, 'a', 0, 2, 'b', 'c'},
		{0x80},
		{0x80, 0},
		{0xff, 0x01},
		AppendBytes(AppendBytes([]byte{1, 'x'}, make([]byte, 127)), make([]byte, 128)),
		AppendBytes(nil, make([]byte, 300))[:100],
		{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 1},
	}
	for _, in := range inputs {
		for n := range uint64(5) {
			read, skip := NewReader(in), NewReader(in)
			for range n {
				read.Bytes()
			}
			skip.SkipBytes(n)
			require.Equal(t, read, skip, "%d of %x", n, in)
		}
	}
	r := NewReader([]byte{1, 2, 3})
	r.Fail("before")
	r.SkipBytes(1)
	require.Zero(t, r.Offset())
}
