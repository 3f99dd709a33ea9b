package clock

import (
	"cmp"
	"encoding"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// model is the specification of Vector: a map without zeros.
type model map[string]uint64

func (m model) compare(o model) Order {
	var ord Order
	for id := range m {
		ord |= compareCount(m[id], o[id])
	}
	for id := range o {
		ord |= compareCount(m[id], o[id])
	}
	return ord
}

func anyModel(t *rapid.T, label string) model {
	m := rapid.MapOfN(anyNode(), rapid.Uint64Range(0, 3), 0, 5).Draw(t, label)
	maps.DeleteFunc(m, func(_ string, n uint64) bool { return n == 0 })
	return m
}

// anyVector draws a vector and its model; how its ids are shared differs.
func anyVector(t *rapid.T, label string) (Vector[string], model) {
	m := anyModel(t, label)
	v := VectorOf(m)
	switch rapid.IntRange(0, 2).Draw(t, label+" layout") {
	case 1: // has zeros inside
		v = VectorOf(map[string]uint64{"a": 1, "b": 1, "c": 1, "d": 1, "e": 1})
		v.Meet(Vector[string]{})
		v.Merge(VectorOf(m))
	case 2: // grown one by one
		v = Vector[string]{}
		for id, n := range m {
			for range n {
				v.Tick(id)
			}
		}
	}
	return v, m
}

func requireVector(t require.TestingT, m model, v Vector[string]) {
	got := maps.Collect(v.All())
	require.Equal(t, map[string]uint64(m), got)
	require.Equal(t, len(m), v.Len())
	require.True(t, slices.IsSorted(v.ids))
	require.Len(t, v.n, len(v.ids))
}

func TestVectorAgreesWithAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, m := anyVector(t, "v")
		o, p := anyVector(t, "o")
		if rapid.Bool().Draw(t, "shared") {
			u := v.Clone()
			u.Merge(o)
			v.Merge(u)
			v.Meet(VectorOf(m))
			u.Meet(o)
			o = u
		}
		requireVector(t, m, v)
		requireVector(t, p, o)

		require.Equal(t, m.compare(p), v.Compare(o))
		require.Equal(t, m.compare(p).Invert(), o.Compare(v))
		id, n := anyNode().Draw(t, "id"), rapid.Uint64Range(0, 4).Draw(t, "n")
		require.Equal(t, m[id], v.At(id))
		require.Equal(t, n > 0 && n <= m[id], v.Has(Dot[string]{id, n}))

		since := model{}
		for id, n := range m {
			if n > p[id] {
				since[id] = n
			}
		}
		d := v.Since(o)
		requireVector(t, since, d)

		join, meet := maps.Clone(p), model{}
		for id, n := range m {
			join[id] = max(join[id], n)
			if low := min(n, p[id]); low > 0 {
				meet[id] = low
			}
		}
		up := v.Clone()
		require.Equal(t, join.compare(m) != Equal, up.Merge(o))
		requireVector(t, join, up)
		down := v.Clone()
		require.Equal(t, meet.compare(m) != Equal, down.Meet(o))
		requireVector(t, meet, down)
		requireVector(t, m, v) // clones share ids and nothing else
		requireVector(t, p, o)
		caught := o.Clone()
		caught.Merge(d)
		require.Equal(t, Equal, caught.Compare(up))

		add := v.Clone()
		require.Equal(t, n > m[id], add.Add(Dot[string]{id, n}))
		require.Equal(t, max(n, m[id]), add.At(id))
		dot := add.Tick(id)
		require.Equal(t, Dot[string]{id, max(n, m[id]) + 1}, dot)
		require.True(t, add.Has(dot))
		add.Retire(id)
		require.Zero(t, add.At(id))
		requireVector(t, m, v)

		// Equal vectors have equal bytes, however they are laid out.
		b, err := v.MarshalBinary()
		require.NoError(t, err)
		plain, err := VectorOf(m).MarshalBinary()
		require.NoError(t, err)
		require.Equal(t, plain, b)
		var back Vector[string]
		require.NoError(t, back.UnmarshalBinary(b))
		requireVector(t, m, back)
	})
}

func TestVectorLaws(t *testing.T) {
	merged := func(v, o Vector[string]) Vector[string] { v = v.Clone(); v.Merge(o); return v }
	met := func(v, o Vector[string]) Vector[string] { v = v.Clone(); v.Meet(o); return v }
	equal := func(t require.TestingT, a, b Vector[string]) { require.Equal(t, Equal, a.Compare(b), "%v %v", a, b) }
	rapid.Check(t, func(t *rapid.T) {
		a, _ := anyVector(t, "a")
		b, _ := anyVector(t, "b")
		c, _ := anyVector(t, "c")
		equal(t, merged(a, b), merged(b, a))
		equal(t, merged(a, merged(b, c)), merged(merged(a, b), c))
		equal(t, merged(a, a), a)
		equal(t, merged(a, Vector[string]{}), a)
		equal(t, met(a, b), met(b, a))
		equal(t, met(a, met(b, c)), met(met(a, b), c))
		equal(t, met(a, merged(a, b)), a) // absorption
		equal(t, merged(a, met(a, b)), a)
		require.Equal(t, a.Compare(b)&After == 0, merged(a, b).Compare(b) == Equal)
		if a.Compare(b) == Before && b.Compare(c) == Before {
			require.Equal(t, Before, a.Compare(c))
		}
	})
}

func TestVectorsThatMetShareTheirIDs(t *testing.T) {
	a := VectorOf(map[string]uint64{"a": 1, "b": 1})
	b := VectorOf(map[string]uint64{"a": 2, "b": 2})
	require.False(t, a.sameIDs(b))
	a.Merge(b)
	require.True(t, a.sameIDs(b))
	var c Vector[string]
	c.Merge(b)
	require.True(t, c.sameIDs(b))
	d := VectorOf(map[string]uint64{"b": 5})
	d.Merge(b)
	require.True(t, d.sameIDs(b))
	require.Equal(t, "{a:2 b:5}", d.String())
	require.Equal(t, "{a:2 b:2}", b.String())
	clone := b.Clone()
	require.True(t, clone.sameIDs(b))
	clone.Tick("c")
	require.Equal(t, "{a:2 b:2}", b.String())
}

func TestVectorAllocations(t *testing.T) {
	counters := map[string]uint64{}
	for i := range 16 {
		counters[string(rune('a'+i))] = uint64(i + 1)
	}
	v, foreign := VectorOf(counters), VectorOf(counters)
	subset := VectorOf(map[string]uint64{"b": 50, "d": 60})
	shared := v.Clone()
	noAllocs(t, "Compare shared", func() { v.Compare(shared) })
	noAllocs(t, "Compare", func() { v.Compare(foreign) })
	noAllocs(t, "Merge shared", func() { v.Merge(shared) })
	noAllocs(t, "Merge", func() { v.Merge(subset) })
	noAllocs(t, "Meet", func() { v.Meet(foreign) })
	noAllocs(t, "Tick", func() { v.Tick("c") })
	noAllocs(t, "Has", func() { v.Has(Dot[string]{"c", 1}) })
}

func TestVectorCountersNearTheirEnd(t *testing.T) {
	v := VectorOf(map[string]uint64{"a": maxCount})
	b, err := v.MarshalBinary()
	require.NoError(t, err)
	require.NoError(t, new(Vector[string]).UnmarshalBinary(b))
	require.Equal(t, uint64(maxCount+1), v.Tick("a").N)
	b, err = v.AppendBinary([]byte("x"))
	require.ErrorContains(t, err, "clock: vector: event number 9223372036854775808 of node a")
	require.Equal(t, "x", string(b))
	v = VectorOf(map[string]uint64{"a": math.MaxUint64})
	require.Panics(t, func() { v.Tick("a") })
}

type (
	named  string
	number int8
)

func roundTrip[ID cmp.Ordered](t *testing.T, size int, ids ...ID) {
	var v Vector[ID]
	var c Context[ID]
	for i, id := range ids {
		for range i + 1 {
			v.Tick(id)
		}
		c.AddRange(id, 3, 4)
	}
	b, err := v.MarshalBinary()
	require.NoError(t, err)
	require.Len(t, b, size, "%x", b)
	var w Vector[ID]
	require.NoError(t, w.UnmarshalBinary(b))
	require.Equal(t, Equal, w.Compare(v))
	require.Equal(t, v.String(), w.String())

	b, err = c.MarshalBinary()
	require.NoError(t, err)
	var d Context[ID]
	require.NoError(t, d.UnmarshalBinary(b))
	require.Equal(t, Equal, d.Compare(c))
}

func TestEveryKindOfNodeID(t *testing.T) {
	roundTrip(t, 7, "x", "")
	roundTrip(t, 9, named("yy"), "x")
	roundTrip(t, 7, uint64(200), 3)
	roundTrip(t, 7, uint8(200), 3)
	roundTrip(t, 7, number(-128), 3)
	roundTrip(t, 6, -1, 1)
	roundTrip(t, 20, math.Inf(-1), math.NaN())
	roundTrip(t, 20, float32(1.5), float32(math.NaN()))
	v := VectorOf(map[float64]uint64{math.Copysign(0, -1): 1})
	w := VectorOf(map[float64]uint64{0: 1})
	require.Equal(t, Equal, v.Compare(w))
	a, _ := v.MarshalBinary()
	b, _ := w.MarshalBinary()
	require.Equal(t, a, b)
}

func refuses(t *testing.T, u encoding.BinaryUnmarshaler, forms ...string) {
	t.Helper()
	for _, b := range forms {
		err := u.UnmarshalBinary([]byte(b))
		require.ErrorIs(t, err, ErrMalformed, "%q", b)
		require.ErrorContains(t, err, "clock: ", "%q", b)
	}
}

func TestVectorRefusesOtherBytes(t *testing.T) {
	v := VectorOf(map[string]uint64{"x": 7})
	refuses(t, &v, "", "\x02\x00", "\x01", "\x01\x01", "\x01\x00x", "\x01\x01\x01a", "\x01\x01\x01a\x00", "\x01\x02\x01a\x01",
		"\x01\x02\x01b\x01\x01a\x01", "\x01\x02\x01a\x01\x01a\x01", "\x01\x01\x09a\x01", "\x01\x01\x01a\x80\x01\x01",
		"\x01\x01\x01a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", "\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7f")
	require.Equal(t, "{x:7}", v.String())
	refuses(t, new(Vector[uint8]), "\x01\x01\x80\x02\x01")
	refuses(t, new(Vector[int8]), "\x01\x01\x80\x02\x01")
	refuses(t, new(Vector[float64]), "\x01\x01\x80\x00\x00\x00\x00\x00\x00\x00\x01", "\x01\x01\x7f\xf8\x00\x00\x00\x00\x00\x02\x01")
	refuses(t, new(Vector[float32]), "\x01\x01\x7f\xe0\x00\x00\x00\x00\x00\x00\x01", "\x01\x01\x3f\xf0\x00\x00\x00\x00\x00\x01\x01")
}

func FuzzVector(f *testing.F) {
	b, _ := VectorOf(map[string]uint64{"a": 1, "b": 300}).MarshalBinary()
	f.Add(b)
	f.Add([]byte{1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzDecoder(t, b, new(Vector[string]), new(Vector[string]))
		fuzzDecoder(t, b, new(Vector[int16]), new(Vector[int16]))
		fuzzDecoder(t, b, new(Vector[float32]), new(Vector[float32]))
	})
}

type codec interface {
	encoding.BinaryUnmarshaler
	encoding.BinaryMarshaler
}

// fuzzDecoder demands that bytes are refused with the right error or are the one form of
// what they decode to.
func fuzzDecoder(t *testing.T, b []byte, v, again codec) bool {
	t.Helper()
	if err := v.UnmarshalBinary(b); err != nil {
		require.ErrorIs(t, err, ErrMalformed)
		return false
	}
	out, err := v.MarshalBinary()
	require.NoError(t, err)
	require.Equal(t, b, out)
	require.NoError(t, again.UnmarshalBinary(out))
	return true
}
