package elem

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-calm/calm/internal/wire"
)

type (
	page  string
	id    uint32
	delta int8
	flag  bool
	ratio float32
	loud  [4]byte
	hash  [3]uint8
	blob  []byte
)

// sloppy decodes what it would not have written.
type sloppy byte

func (s sloppy) AppendBinary(b []byte) ([]byte, error) { return append(b, byte(s)), nil }
func (s *sloppy) UnmarshalBinary(b []byte) error {
	if len(b) == 0 {
		return errors.New("empty")
	}
	*s = sloppy(b[0] &^ 1)
	return nil
}

type broken struct{}

func (broken) AppendBinary(b []byte) ([]byte, error) { return b, errors.New("cannot") }
func (*broken) UnmarshalBinary([]byte) error         { return nil }

func mustFor[T any](t testing.TB) Codec[T] {
	c, err := For[T]()
	require.NoError(t, err)
	return c
}

func testCodec[T comparable](t *testing.T, id byte, gen *rapid.Generator[T]) {
	c := mustFor[T](t)
	require.Equal(t, id, c.ID())
	rapid.Check(t, func(t *rapid.T) {
		a, b := gen.Draw(t, "a"), gen.Draw(t, "b")
		payload := c.Append([]byte("before"), a)
		require.True(t, bytes.HasPrefix(payload, []byte("before")))
		payload = payload[6:]
		back, err := c.Decode(payload)
		require.NoError(t, err)
		require.Equal(t, a, back)
		_, err = c.Decode(append(bytes.Clone(payload), 0))
		if id != String {
			require.ErrorIs(t, err, wire.ErrMalformed)
		}

		two := c.Put(c.Put(nil, a), b)
		r := wire.NewReader(two)
		require.Equal(t, a, c.Get(&r))
		require.Equal(t, b, c.Get(&r))
		require.NoError(t, r.Done())

		require.Equal(t, a == b, bytes.Equal(payload, c.Append(nil, b)))
		require.Equal(t, a == b, c.Compare(a, b) == 0)
		require.Equal(t, c.Compare(a, b), -c.Compare(b, a))
	})
}

func TestEveryKindRoundTrips(t *testing.T) {
	t.Run("bool", func(t *testing.T) { testCodec(t, Bool, rapid.Bool()) })
	t.Run("uint", func(t *testing.T) { testCodec(t, Uint, rapid.Uint()) })
	t.Run("uint8", func(t *testing.T) { testCodec(t, Uint, rapid.Uint8()) })
	t.Run("uint16", func(t *testing.T) { testCodec(t, Uint, rapid.Uint16()) })
	t.Run("uint32", func(t *testing.T) { testCodec(t, Uint, rapid.Uint32()) })
	t.Run("uint64", func(t *testing.T) { testCodec(t, Uint, rapid.Uint64()) })
	t.Run("uintptr", func(t *testing.T) { testCodec(t, Uint, rapid.Uintptr()) })
	t.Run("int", func(t *testing.T) { testCodec(t, Int, rapid.Int()) })
	t.Run("int8", func(t *testing.T) { testCodec(t, Int, rapid.Int8()) })
	t.Run("int16", func(t *testing.T) { testCodec(t, Int, rapid.Int16()) })
	t.Run("int32", func(t *testing.T) { testCodec(t, Int, rapid.Int32()) })
	t.Run("int64", func(t *testing.T) { testCodec(t, Int, rapid.Int64()) })
	t.Run("float32", func(t *testing.T) { testCodec(t, Float32, rapid.Float32()) })
	t.Run("float64", func(t *testing.T) { testCodec(t, Float64, rapid.Float64()) })
	t.Run("string", func(t *testing.T) { testCodec(t, String, rapid.String()) })
	t.Run("named string", func(t *testing.T) {
		testCodec(t, String, rapid.Map(rapid.String(), func(s string) page { return page(s) }))
	})
	t.Run("named uint32", func(t *testing.T) {
		testCodec(t, Uint, rapid.Map(rapid.Uint32(), func(v uint32) id { return id(v) }))
	})
	t.Run("named int8", func(t *testing.T) {
		testCodec(t, Int, rapid.Map(rapid.Int8(), func(v int8) delta { return delta(v) }))
	})
	t.Run("named bool", func(t *testing.T) {
		testCodec(t, Bool, rapid.Map(rapid.Bool(), func(v bool) flag { return flag(v) }))
	})
	t.Run("named float32", func(t *testing.T) {
		testCodec(t, Float32, rapid.Map(rapid.Float32(), func(v float32) ratio { return ratio(v) }))
	})
	t.Run("byte array", func(t *testing.T) {
		testCodec(t, Bytes, rapid.Map(rapid.Uint32(), func(v uint32) loud { return loud{byte(v), byte(v >> 8), 0, byte(v >> 16)} }))
	})
	t.Run("uint8 array", func(t *testing.T) {
		testCodec(t, Bytes, rapid.Map(rapid.Byte(), func(v byte) hash { return hash{v, v, 1} }))
	})
	t.Run("int array", func(t *testing.T) {
		testCodec(t, Array+Int, rapid.Custom(func(t *rapid.T) [2]int64 {
			return [2]int64{rapid.Int64().Draw(t, "x"), rapid.Int64().Draw(t, "y")}
		}))
	})
	t.Run("float array", func(t *testing.T) {
		testCodec(t, Array+Float64, rapid.Map(rapid.Float64(), func(v float64) [1]float64 { return [1]float64{v} }))
	})
	t.Run("string array", func(t *testing.T) {
		testCodec(t, Array+String, rapid.Custom(func(t *rapid.T) [2]page {
			return [2]page{page(rapid.String().Draw(t, "x")), page(rapid.String().Draw(t, "y"))}
		}))
	})
	t.Run("custom", func(t *testing.T) {
		testCodec(t, Custom, rapid.Map(rapid.Uint32(), func(v uint32) netip.Addr {
			return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
		}))
	})
}

// The encodings are part of every stored state: these bytes never change.
func TestGoldenBytes(t *testing.T) {
	golden := func(want string, got []byte) {
		t.Helper()
		require.Equal(t, want, hex.EncodeToString(got))
	}
	golden("01", mustFor[bool](t).Put(nil, true))
	golden("ac02", mustFor[uint64](t).Put(nil, 300))
	golden("d704", mustFor[int32](t).Put(nil, -300))
	golden("4038000000000000", mustFor[float64](t).Put(nil, 24))
	golden("0000000000000000", mustFor[float64](t).Put(nil, math.Copysign(0, -1)))
	golden("00000000", mustFor[float32](t).Put(nil, float32(math.Copysign(0, -1))))
	golden("0568656c6c6f", mustFor[string](t).Put(nil, "hello"))
	golden("68656c6c6f", mustFor[string](t).Append(nil, "hello"))
	golden("0568656c6c6f", mustFor[page](t).Put(nil, "hello"))
	golden("01020304", mustFor[loud](t).Put(nil, loud{1, 2, 3, 4}))
	golden("04ac02", mustFor[[2]int](t).Put(nil, [2]int{2, 150}))
	golden("036a736f", mustFor[blob](t).Put(nil, blob("jso")))
	golden("6a736f", mustFor[[]byte](t).Append(nil, []byte("jso")))
	instant, err := ByEncoding[time.Time]()
	require.NoError(t, err)
	golden("0105", instant.Put(nil, time.Unix(-1, 5)))
	nan, err := ByEncoding[[1]float32]()
	require.NoError(t, err)
	golden("7fc00000", nan.Put(nil, [1]float32{float32(math.NaN())}))
	golden("047f000001", mustFor[netip.Addr](t).Put(nil, netip.MustParseAddr("127.0.0.1")))
}

// A time is its instant: what zone it is told in and whether it has a monotonic part makes no
// difference, and what is read is in UTC.
func TestTime(t *testing.T) {
	c, err := ByEncoding[time.Time]()
	require.NoError(t, err)
	require.Equal(t, Time, c.ID())
	here := time.Date(2026, 11, 21, 12, 0, 0, 7, time.FixedZone("here", 3600))
	now := time.Now()
	for _, v := range []time.Time{here, now, {}, time.Unix(0, 0), time.Unix(math.MaxInt64, 999_999_999), time.Unix(math.MinInt64, 0)} {
		back, err := c.Decode(c.Append(nil, v))
		require.NoError(t, err)
		require.True(t, back.Equal(v), v)
		require.Equal(t, v.UTC().Round(0), back)
		require.Equal(t, c.Append(nil, v), c.Append(nil, back))
		require.Zero(t, c.Compare(v, back))
	}
	require.Positive(t, c.Compare(now, here.AddDate(-50, 0, 0)))
	for _, b := range [][]byte{
		binary.AppendUvarint(binary.AppendVarint(nil, 0), 1e9),
		{0},
		{0, 0, 0},
	} {
		_, err := c.Decode(b)
		require.ErrorIs(t, err, wire.ErrMalformed)
	}
}

// Bytes that are read are the reader's: they share nothing with what they were read from.
func TestSliceOwnsItsBytes(t *testing.T) {
	c := mustFor[[]byte](t)
	b := []byte("abc")
	v, err := c.Decode(b)
	require.NoError(t, err)
	b[0] = 'x'
	require.Equal(t, "abc", string(v))
	v, err = c.Decode(nil)
	require.NoError(t, err)
	require.NotNil(t, v)
	require.Negative(t, c.Compare([]byte("a"), []byte("b")))
}

func TestByEncoding(t *testing.T) {
	c, err := ByEncoding[float64]()
	require.NoError(t, err)
	odd := math.Float64frombits(0x7ff8000000000abc)
	require.Equal(t, c.Append(nil, math.NaN()), c.Append(nil, odd))
	v, err := c.Decode(c.Append(nil, odd))
	require.NoError(t, err)
	require.True(t, math.IsNaN(v))
	require.Zero(t, c.Compare(v, odd))
	require.Negative(t, c.Compare(v, math.Inf(-1)))
	_, err = c.Decode(binary.BigEndian.AppendUint64(nil, math.Float64bits(odd)))
	require.ErrorIs(t, err, wire.ErrMalformed)
	_, err = c.Decode([]byte{0x80, 0, 0, 0, 0, 0, 0, 0})
	require.ErrorIs(t, err, wire.ErrMalformed)

	f, err := ByEncoding[ratio]()
	require.NoError(t, err)
	w, err := f.Decode(f.Append(nil, ratio(math.NaN())))
	require.NoError(t, err)
	require.True(t, w != w)
	_, err = f.Decode([]byte{0x7f, 0xc0, 0, 1})
	require.ErrorIs(t, err, wire.ErrMalformed)
}

func TestFrom(t *testing.T) {
	type point struct{ x, y uint8 }
	c := From(Given+1,
		func(dst []byte, p point) []byte { return append(dst, p.x, p.y) },
		func(b []byte) (p point, err error) {
			if len(b) < 2 {
				return p, errors.New("short")
			}
			return point{b[0], b[1]}, nil
		}, nil)
	require.Equal(t, byte(Given+1), c.ID())
	p, err := c.Decode([]byte{1, 2})
	require.NoError(t, err)
	require.Equal(t, point{1, 2}, p)
	r := wire.NewReader(c.Put(nil, p))
	require.Equal(t, p, c.Get(&r))
	for _, b := range [][]byte{{1}, {1, 2, 3}} {
		_, err := c.Decode(b)
		require.ErrorIs(t, err, wire.ErrMalformed)
	}
	require.Positive(t, c.Compare(point{2, 0}, point{1, 9}))
}

func TestForRefuses(t *testing.T) {
	refuses := func(_ any, err error) {
		t.Helper()
		require.ErrorIs(t, err, ErrUnsupported)
		t.Log(err)
	}
	refuses(For[struct{ A int }]())
	refuses(For[*int]())
	refuses(For[*netip.Addr]())
	refuses(For[any]())
	refuses(For[time.Time]())
	refuses(For[[0]int]())
	refuses(For[[2][2]int]())
	refuses(For[[]int]())
	refuses(For[[2]time.Time]())
	refuses(For[complex128]())
}

func TestDecodeRefuses(t *testing.T) {
	refuses := func(_ any, err error) {
		t.Helper()
		require.ErrorIs(t, err, wire.ErrMalformed)
	}
	refuses(mustFor[bool](t).Decode([]byte{2}))
	refuses(mustFor[uint8](t).Decode([]byte{0x80, 0x02}))
	refuses(mustFor[id](t).Decode(mustFor[uint64](t).Append(nil, 1<<32)))
	refuses(mustFor[int8](t).Decode(mustFor[int](t).Append(nil, 128)))
	refuses(mustFor[delta](t).Decode(mustFor[int](t).Append(nil, -129)))
	refuses(mustFor[float64](t).Decode([]byte{0x80, 0, 0, 0, 0, 0, 0, 0}))
	refuses(mustFor[float64](t).Decode([]byte{0x7f, 0xf8, 0, 0, 0, 0, 0, 1}))
	refuses(mustFor[float32](t).Decode([]byte{0x80, 0, 0, 0}))
	refuses(mustFor[float32](t).Decode([]byte{0x7f, 0xc0, 0}))
	refuses(mustFor[loud](t).Decode([]byte{1, 2, 3}))
	refuses(mustFor[sloppy](t).Decode([]byte{3}))
	refuses(mustFor[sloppy](t).Decode(nil))
	refuses(mustFor[netip.Addr](t).Decode([]byte{1}))

	r := wire.NewReader([]byte{1, 3})
	mustFor[sloppy](t).Get(&r)
	require.ErrorIs(t, r.Done(), wire.ErrMalformed)
}

func TestAnElementThatCannotBeEncodedPanics(t *testing.T) {
	require.Panics(t, func() { mustFor[broken](t).Append(nil, broken{}) })
}

func TestAppendDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 64)
	u, s := mustFor[uint64](t), mustFor[string](t)
	require.Zero(t, testing.AllocsPerRun(100, func() { buf = s.Put(u.Put(buf[:0], 1<<60), "hello") }))
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{0xac, 0x02})
	f.Add([]byte("\x05hello"))
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzOne[uint16](t, b)
		fuzzOne[int](t, b)
		fuzzOne[float64](t, b)
		fuzzOne[float32](t, b)
		fuzzOne[string](t, b)
		fuzzOne[page](t, b)
		fuzzOne[loud](t, b)
		fuzzOne[[2]page](t, b)
		fuzzOne[[3]delta](t, b)
		fuzzOne[blob](t, b)
		fuzzOne[time.Time](t, b)
		fuzzOne[netip.Addr](t, b)
		fuzzOne[sloppy](t, b)
	})
}

func fuzzOne[T any](t *testing.T, b []byte) {
	c, err := ByEncoding[T]()
	require.NoError(t, err)
	if v, err := c.Decode(b); err == nil && !bytes.Equal(c.Append(nil, v), b) {
		t.Fatalf("%T: %x decodes to %v, which encodes to %x", v, b, v, c.Append(nil, v))
	}
	r := wire.NewReader(b)
	if v := c.Get(&r); r.Err() == nil && !bytes.Equal(c.Put(nil, v), b[:r.Offset()]) {
		t.Fatalf("%T: %x reads as %v, which is put as %x", v, b[:r.Offset()], v, c.Put(nil, v))
	}
}
