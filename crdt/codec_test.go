package crdt_test

import (
	"encoding/binary"
	"errors"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/clock"
	"github.com/go-calm/calm/crdt"
)

type point struct{ x, y int16 }

var errPoint = errors.New("no point")

// points encodes a point in four bytes, most significant first; swapped in the other order.
func points(id uint8, order binary.AppendByteOrder, get func([]byte) uint16) crdt.Codec[point] {
	return crdt.Codec[point]{
		ID: id,
		Append: func(dst []byte, p point) []byte {
			return order.AppendUint16(order.AppendUint16(dst, uint16(p.x)), uint16(p.y))
		},
		Decode: func(b []byte) (point, error) {
			if len(b) < 4 {
				return point{}, errPoint
			}
			return point{int16(get(b)), int16(get(b[2:]))}, nil
		},
		Compare: func(a, b point) int { return int(a.x) - int(b.x) },
	}
}

func bigPoints() crdt.Codec[point] { return points(128, binary.BigEndian, binary.BigEndian.Uint16) }

func littlePoints() crdt.Codec[point] {
	return points(129, binary.LittleEndian, binary.LittleEndian.Uint16)
}

func TestGivenCodec(t *testing.T) {
	require.Panics(t, func() { crdt.NewSet[point](1) }, "a struct has no encoding of its own")

	type track = crdt.Map[point, *crdt.LWW[point]]
	a, b := crdt.Open[*track](1, bigPoints()), crdt.Open[*track](2, bigPoints())
	merge(t, b, a.At(point{5, 1}).Set(1, point{1, 2}), a.At(point{-5, 1}).Set(1, point{3, 4}))
	require.Equal(t, []point{{-5, 1}, {5, 1}}, b.Sorted(), "as Compare orders them")
	v, ok := b.At(point{5, 1}).Value()
	require.True(t, ok)
	require.Equal(t, point{1, 2}, v)

	// A codec holds for all that is opened in a store.
	s := crdt.NewStore(3, bigPoints())
	crdt.At[*crdt.Set[point]](s, "set").Add(point{1, 1})
	type shape struct {
		Corners *crdt.Register[point] `crdt:"1"`
	}
	crdt.OpenStruct[shape](s, "shape").Corners.Set(point{2, 2})

	// Two replicas with other codecs refuse each other, at the root and below.
	_, err := a.Merge(crdt.Open[*track](3, littlePoints()).At(point{1, 1}).Set(1, point{}))
	require.ErrorIs(t, err, crdt.ErrSchema)
	o := crdt.NewStore(4, littlePoints())
	crdt.At[*crdt.Set[point]](o, "set")
	_, err = o.Merge(s.State())
	require.ErrorIs(t, err, crdt.ErrSchema)
	require.ErrorContains(t, err, "codec 128")

	// A codec may take the place of what is built in.
	hidden := crdt.Codec[string]{
		ID:     200,
		Append: func(dst []byte, v string) []byte { return append(append(dst, v...), '!') },
		Decode: func(b []byte) (string, error) {
			if len(b) == 0 {
				return "", errPoint
			}
			return string(b[:len(b)-1]), nil
		},
	}
	h, g := crdt.Open[*crdt.Set[string]](1, hidden), crdt.Open[*crdt.Set[string]](2, hidden)
	merge(t, g, h.Add("b", "a"))
	require.Equal(t, []string{"a", "b"}, g.Sorted())
	require.True(t, g.Contains("a"))
	_, err = crdt.NewSet[string](3).Merge(h.State())
	require.ErrorIs(t, err, crdt.ErrSchema)
}

// What Append would not have written is refused, whatever Decode makes of it.
func TestGivenCodecRefusesOtherForms(t *testing.T) {
	long := bigPoints()
	write := long.Append
	long.Append = func(dst []byte, p point) []byte { return append(write(dst, p), 0) }
	long.Decode = func(b []byte) (point, error) { return bigPoints().Decode(b) }
	a, b := crdt.Open[*crdt.Set[point]](1, long), crdt.Open[*crdt.Set[point]](2, bigPoints())
	_, err := b.Merge(a.Add(point{1, 2}))
	require.ErrorIs(t, err, crdt.ErrSchema)
	require.Zero(t, b.Len())
	short := crdt.Codec[point]{ID: 128, Append: func(dst []byte, p point) []byte { return dst }, Decode: bigPoints().Decode}
	_, err = b.Merge(crdt.Open[*crdt.Set[point]](3, short).Add(point{}))
	require.ErrorIs(t, err, crdt.ErrSchema)
}

func TestWrongCodecsPanicWhenGiven(t *testing.T) {
	same := crdt.Codec[netip.Addr]{ID: 128, Append: func(dst []byte, _ netip.Addr) []byte { return dst }, Decode: func([]byte) (netip.Addr, error) { return netip.Addr{}, nil }}
	low, none, half := bigPoints(), bigPoints(), bigPoints()
	low.ID, none.Append, half.Decode = 127, nil, nil
	for name, opts := range map[string][]crdt.Option{
		"an ID of the built in": {low},
		"no Append":             {none},
		"no Decode":             {half},
		"two of one type":       {bigPoints(), littlePoints()},
		"two of one ID":         {bigPoints(), same},
	} {
		require.Panics(t, func() { crdt.NewStore(1, opts...) }, name)
	}
}

func TestBuiltInCodecs(t *testing.T) {
	// Values of any bytes.
	a, b := crdt.NewLWW[[]byte](1), crdt.NewLWW[[]byte](2)
	raw := []byte{0, 0xff, 1}
	merge(t, b, a.Set(1, raw))
	raw[0] = 9
	v, _ := b.Value()
	require.Equal(t, []byte{0, 0xff, 1}, v)
	v[0] = 7
	again, _ := b.Value()
	require.Equal(t, []byte{0, 0xff, 1}, again, "what was read is the reader's")
	type blob []byte
	r := crdt.NewRegister[blob](1)
	r.Set(nil)
	require.Equal(t, []blob{{}}, r.Values())
	_, err := b.Merge(crdt.NewLWW[string](3).Set(2, "x"))
	require.ErrorIs(t, err, crdt.ErrSchema)

	// A time is its instant.
	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	ts, us := crdt.NewSet[time.Time](1), crdt.NewSet[time.Time](2)
	merge(t, us, ts.Add(noon, noon.In(time.FixedZone("there", 7200)), noon.Add(-time.Nanosecond)))
	require.Equal(t, []time.Time{noon.Add(-time.Nanosecond), noon}, us.Sorted())
	require.True(t, us.Contains(noon.Local()))
	merge(t, ts, us.Remove(noon.Local()))
	require.Equal(t, 1, ts.Len())

	// NaN is one value, and −0 is 0.
	f, g := crdt.NewSet[float64](1), crdt.NewSet[float64](2)
	merge(t, g, f.Add(math.NaN(), math.Float64frombits(0x7ff8000000000123), 0, math.Copysign(0, -1), math.Inf(-1)))
	require.Equal(t, 3, g.Len())
	require.True(t, g.Contains(math.NaN()))
	require.True(t, math.IsNaN(g.Sorted()[0]))
	gauge := crdt.NewLWW[float32](1)
	gauge.Set(1, float32(math.NaN()))
	n, ok := gauge.Value()
	require.True(t, ok && n != n)

	// Types that encode themselves.
	ip := crdt.NewSet[netip.Addr](1)
	ip.Add(netip.MustParseAddr("::1"), netip.MustParseAddr("10.0.0.1"))
	require.True(t, ip.Contains(netip.MustParseAddr("10.0.0.1")))
	require.Panics(t, func() { crdt.NewSet[*netip.Addr](1) })
}

// A replica whose clock is hours ahead is refused before its writes win over all others.
func TestStampsTooFarAheadAreRefused(t *testing.T) {
	now := clock.At(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	lim := crdt.Limits{Latest: func() clock.Timestamp { return now.Add(time.Second) }}
	parse := func(d crdt.Delta) error {
		b, err := d.MarshalBinary()
		require.NoError(t, err)
		_, err = crdt.ParseDelta(b, lim)
		return err
	}
	r, s := crdt.NewLWW[int](1), crdt.NewLWWSet[int](1)
	require.NoError(t, parse(r.Set(now.Add(time.Second), 1)))
	for _, d := range []crdt.Delta{r.Set(now.Add(time.Second+1), 1), s.Add(now.Add(time.Hour), 1), s.Remove(now, 1)} {
		err := parse(d)
		require.ErrorIs(t, err, crdt.ErrLimit)
		require.ErrorIs(t, err, clock.ErrDrift)
	}
	require.NoError(t, parse(crdt.NewCounter(1).Add(math.MaxInt64)))
}

// A codec that panics leaves what was done before it, and a store that works.
func TestCodecThatPanics(t *testing.T) {
	fussy := crdt.Codec[string]{
		ID: 130,
		Append: func(dst []byte, v string) []byte {
			if v == "bad" {
				panic("bad")
			}
			return append(dst, v...)
		},
		Decode: func(b []byte) (string, error) { return string(b), nil },
	}
	s := crdt.Open[*crdt.Set[string]](1, fussy)
	o := crdt.Open[*crdt.Set[string]](2, fussy)
	require.Panics(t, func() { s.Add("good", "bad") })
	require.Panics(t, func() { s.Remove("bad") })
	merge(t, s, o.Add("theirs"))
	require.Equal(t, []string{"good", "theirs"}, s.Sorted())
	merge(t, o, s.State())
	m := crdt.Open[*crdt.Map[string, *crdt.Flag]](1, fussy)
	require.Panics(t, func() { m.Remove("bad") })
	require.False(t, m.At("good").Enable().IsZero())

	none := crdt.NewSet[int](0)
	require.Panics(t, func() { none.Add(1) })
	merge(t, none, crdt.NewSet[int](1).Add(1))
	require.Equal(t, 1, none.Len(), "who has no name may read")
}
