package shard

import (
	"encoding"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var (
	_ encoding.BinaryAppender    = (*Skew)(nil)
	_ encoding.BinaryMarshaler   = (*Skew)(nil)
	_ encoding.BinaryUnmarshaler = (*Skew)(nil)
)

func drawSkew(t *rapid.T, source string) *Skew {
	s := NewSkew(source, rapid.IntRange(1, 12).Draw(t, "capacity"))
	for _, k := range rapid.SliceOf(rapid.IntRange(0, 30)).Draw(t, "keys") {
		s.Add(strconv.Itoa(k * k / 30))
	}
	return s
}

func skewBytes(t require.TestingT, s *Skew) []byte {
	b, err := s.MarshalBinary()
	require.NoError(t, err)
	return b
}

func decodeSkew(t require.TestingT, b []byte) *Skew {
	s := new(Skew)
	require.NoError(t, s.UnmarshalBinary(b))
	return s
}

func TestSkewBinary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSkew(t, "a")
		for i := range rapid.IntRange(0, 3).Draw(t, "others") {
			s.Merge(drawSkew(t, strconv.Itoa(i)))
		}
		b := skewBytes(t, s)
		back := decodeSkew(t, b)
		require.Equal(t, b, skewBytes(t, back))
		require.Equal(t, s.Report(4), back.Report(4))
		require.False(t, back.Merge(s))
		require.False(t, s.Merge(back))

		// Merging goes on from the bytes as it does from what they are of.
		news := drawSkew(t, "b")
		require.Equal(t, s.Merge(news), back.Merge(decodeSkew(t, skewBytes(t, news))))
		require.Equal(t, skewBytes(t, s), skewBytes(t, back))

		require.ErrorIs(t, new(Skew).UnmarshalBinary(b[:len(b)-1]), ErrMalformed)
		require.ErrorIs(t, new(Skew).UnmarshalBinary(append(b, 0)), ErrMalformed)
	})
}

// A decoded skew counts on, and knows what it counts as well as the first one does.
func TestDecodedSkewCountsOn(t *testing.T) {
	const capacity = 100
	s := NewSkew("a", capacity)
	for i := range 10 {
		s.Add(strconv.Itoa(i))
	}
	back := decodeSkew(t, skewBytes(t, s))
	exact := map[string]uint64{}
	for i := range 10 {
		exact[strconv.Itoa(i)] = 1
	}
	for i := range 10_000 {
		key := strconv.Itoa(i * i % 1009 % (i%500 + 1))
		if i < 80 { // as long as there is room, which counters they are is no matter of chance
			key = strconv.Itoa(i)
		}
		s.Add(key)
		back.Add(key)
		exact[key]++
		if i == 79 {
			require.Equal(t, skewBytes(t, s), skewBytes(t, back))
		}
	}
	got, want := back.Report(8), s.Report(8)
	require.Equal(t, want.Events, got.Events)
	require.Equal(t, want.Distinct, got.Distinct)
	for _, h := range got.Top {
		require.GreaterOrEqual(t, h.Count, exact[h.Key])
		require.LessOrEqual(t, h.Count-h.Error, exact[h.Key])
		require.LessOrEqual(t, h.Error, got.Events/capacity)
	}
	require.Equal(t, skewBytes(t, back), skewBytes(t, decodeSkew(t, skewBytes(t, back))))
}

// What is equal has equal bytes, in whichever order it came about.
func TestSkewBytesDoNotTellTheOrder(t *testing.T) {
	keys := []string{"a", "b", "b", "c", "c", "d", "e", "e", "e"}
	want := NewSkew("x", 5)
	for _, k := range keys {
		want.Add(k)
	}
	slices.Reverse(keys)
	got := NewSkew("x", 5)
	for _, k := range keys {
		got.Add(k)
	}
	require.Equal(t, skewBytes(t, want), skewBytes(t, got))
	one, two := NewSkew("1", 5), NewSkew("2", 5)
	a, b := NewSkew("y", 5), NewSkew("y", 5)
	a.Merge(one)
	a.Merge(two)
	b.Merge(two)
	b.Merge(one)
	require.Equal(t, skewBytes(t, a), skewBytes(t, b))
	require.Equal(t, skewBytes(t, NewSkew("", 0)), skewBytes(t, new(Skew)))
}

func TestSkewBinaryRefuses(t *testing.T) {
	full := NewSkew("", 1)
	full.Add("a")
	full.Add("b")
	evicted := skewBytes(t, full)
	for name, b := range map[string][]byte{
		"nothing":                  {},
		"a version to come":        {2, 1, 0, 0, 9, 0},
		"no source":                {1, 0, 0},
		"its own one not there":    {1, 1, 1, 0, 9, 0},
		"a source twice":           {1, 2, 0, 1, 'a', 9, 0, 1, 'a', 9, 0},
		"sources out of order":     {1, 2, 0, 1, 'b', 9, 0, 1, 'a', 9, 0},
		"many sources announced":   {1, 100, 0, 0, 9, 0},
		"no capacity":              {1, 1, 0, 0, 0, 0},
		"a capacity out of range":  {1, 1, 0, 0, 0x81, 0x80, 0x80, 0x08, 0},
		"more counters than that":  {1, 1, 0, 0, 1, 2, 1, 'a', 1, 0, 1, 'b', 0, 0},
		"many counters announced":  {1, 1, 0, 0, 99, 90, 1, 'a', 1, 0},
		"a count of nothing":       {1, 1, 0, 0, 9, 1, 1, 'a', 0, 0},
		"a key twice":              {1, 1, 0, 0, 9, 2, 1, 'a', 1, 0, 1, 'a', 1, 0},
		"counters out of order":    {1, 1, 0, 0, 9, 2, 1, 'b', 1, 0, 1, 'a', 0, 0},
		"an error without need":    {1, 1, 0, 0, 9, 1, 1, 'a', 2, 1},
		"an error above the least": append([]byte{1, 1, 0, 0, 2, 2, 1, 'a', 1, 0, 1, 'b', 4, 2}, make([]byte, 1<<12)...),
		"an error of all":          append([]byte{1, 1, 0, 0, 1, 1, 1, 'b', 2, 2}, evicted[10:]...),
		"a count above 2^64": {
			1, 1, 0, 0, 9, 2, 1, 'a', 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0,
			1, 'b', 1, 0,
		},
		"more than 2^64 events": {
			1, 1, 0, 0, 9, 2, 1, 'a', 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0,
			1, 'b', 0, 0,
		},
		"a key that was never seen": append(slices.Clone(evicted[:10]), make([]byte, 1<<12)...),
		"a register out of range":   append(slices.Clone(evicted[:10]), slices.Repeat([]byte{54}, 1<<12)...),
	} {
		t.Run(name, func(t *testing.T) {
			s := NewSkew("mine", 3)
			s.Add("x")
			before := skewBytes(t, s)
			require.ErrorIs(t, s.UnmarshalBinary(b), ErrMalformed)
			require.Equal(t, before, skewBytes(t, s))
		})
	}
	// But for what is wrong with them they are in order.
	decodeSkew(t, evicted)
	decodeSkew(t, append(slices.Clone(evicted[:10]), slices.Repeat([]byte{maxRegister}, 1<<12)...))
	decodeSkew(t, []byte{1, 2, 1, 1, 'a', 9, 0, 1, 'b', 9, 2, 1, 'a', 1, 0, 1, 'b', 0, 0})
}

// A few bytes that speak of a large capacity cost a few bytes.
func TestSkewDecodesInProportion(t *testing.T) {
	s := decodeSkew(t, []byte{1, 1, 0, 0, 0x80, 0x80, 0x80, 0x08, 1, 1, 'a', 1, 0})
	require.Equal(t, 1<<24, s.own.capacity)
	require.Equal(t, 1, cap(s.own.counters))
	require.Len(t, s.own.table, 8)
	require.Nil(t, s.own.distinct)
}

func FuzzSkewUnmarshal(f *testing.F) {
	s := NewSkew("a", 3)
	for i := range 40 {
		f.Add(skewBytes(f, s))
		s.Add(strconv.Itoa(i * i % 7))
	}
	other := NewSkew("b", 0)
	other.Add("x")
	s.Merge(other)
	f.Add(skewBytes(f, s))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := new(Skew)
		if s.UnmarshalBinary(b) != nil {
			return
		}
		require.Equal(t, b, skewBytes(t, s))
		s.Report(2)
		for i := range 20 {
			s.Add(strconv.Itoa(i))
		}
		again := decodeSkew(t, skewBytes(t, s))
		require.Equal(t, s.Report(2), again.Report(2))
	})
}
