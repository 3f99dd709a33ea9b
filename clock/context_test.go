package clock

import (
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// dots is the specification of Context: one entry a dot.
type dots map[Dot[string]]bool

func (s dots) sorted() []Dot[string] { return slices.SortedFunc(maps.Keys(s), Dot[string].Compare) }

func (s dots) compare(o dots) Order {
	var ord Order
	for d := range s {
		if !o[d] {
			ord |= After
		}
	}
	for d := range o {
		if !s[d] {
			ord |= Before
		}
	}
	return ord
}

func anyDot(t *rapid.T, label string) Dot[string] {
	return Dot[string]{anyNode().Draw(t, label), rapid.Uint64Range(0, 12).Draw(t, label)}
}

func anyContext(t *rapid.T, label string) (Context[string], dots) {
	var c Context[string]
	s := dots{}
	for range rapid.IntRange(0, 12).Draw(t, label) {
		d := anyDot(t, label)
		if rapid.Bool().Draw(t, "range") {
			hi := d.N + rapid.Uint64Range(0, 4).Draw(t, "len") - 1
			if d.N == 0 && hi == math.MaxUint64 {
				hi = 0
			}
			c.AddRange(d.Node, d.N, hi)
			for n := max(d.N, 1); n <= hi; n++ {
				s[Dot[string]{d.Node, n}] = true
			}
			continue
		}
		if c.Add(d) != (d.N > 0 && !s[d]) {
			t.Fatalf("Add(%v) into %v", d, &c)
		}
		if d.N > 0 {
			s[d] = true
		}
	}
	return c, s
}

func requireContext(t require.TestingT, s dots, c Context[string]) {
	want := s.sorted()
	got := slices.Collect(c.Dots())
	require.Equal(t, want, got)
	require.Equal(t, len(s) == 0, c.IsEmpty())

	// The vector is all that there is without gaps.
	v := c.Vector()
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		n, top := uint64(0), uint64(0)
		for s[Dot[string]{id, n + 1}] {
			n++
		}
		for d := range s {
			if d.Node == id {
				top = max(top, d.N)
			}
		}
		require.Equal(t, n, v.At(id))
		require.Equal(t, top, c.Max(id))
		for n := range uint64(20) {
			require.Equal(t, s[Dot[string]{id, n}], c.Has(Dot[string]{id, n}))
		}
	}
	runs, gaps := 0, 0
	var last Run[string]
	for r := range c.Runs() {
		require.LessOrEqual(t, r.Lo, r.Hi)
		require.False(t, runs > 0 && r.Node == last.Node && r.Lo <= last.Hi+1, "runs touch")
		if r.Lo > 1 {
			gaps++
		}
		runs++
		last = r
	}
	require.Equal(t, gaps == 0, c.IsVector())
}

func TestContextAgreesWithASetOfDots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, s := anyContext(t, "c")
		o, p := anyContext(t, "o")
		requireContext(t, s, c)
		require.Equal(t, s.compare(p), c.Compare(o))
		require.Equal(t, s.compare(p)&Before == 0, c.Contains(o))

		union, minus := maps.Clone(s), dots{}
		maps.Copy(union, p)
		for d := range s {
			if !p[d] {
				minus[d] = true
			}
		}
		u := c.Clone()
		require.Equal(t, len(union) > len(s), u.Merge(o))
		requireContext(t, union, u)
		d := c.Since(o)
		requireContext(t, minus, d)
		requireContext(t, s, c)
		requireContext(t, p, o)

		w := o.Clone()
		w.Merge(c)
		a, err := u.MarshalBinary()
		require.NoError(t, err)
		b, err := w.MarshalBinary()
		require.NoError(t, err)
		require.Equal(t, a, b)
		var back Context[string]
		require.NoError(t, back.UnmarshalBinary(a))
		requireContext(t, union, back)
		require.Equal(t, u.String(), back.String())

		id := anyNode().Draw(t, "id")
		top := u.Max(id)
		require.Equal(t, Dot[string]{id, top + 1}, u.Next(id))
		require.True(t, u.Has(Dot[string]{id, top + 1}))
		u.Retire(id)
		require.Zero(t, u.Max(id))
		requireContext(t, s, c)
	})
}

func TestContextOfAVector(t *testing.T) {
	v := VectorOf(map[string]uint64{"a": 2, "b": 1})
	c := ContextOf(v)
	v.Tick("a")
	require.Equal(t, "{a:1-2 b:1}", c.String())
	c.AddRange("a", 6, 7)
	c.Add(Dot[string]{"a", 4})
	require.Equal(t, "{a:1-2,4,6-7 b:1}", c.String())
	for range c.Dots() {
		break
	}
	for range c.Runs() {
		break
	}
}

func TestContextNearTheEnd(t *testing.T) {
	var c Context[string]
	c.AddRange("a", 5, math.MaxUint64)
	require.Panics(t, func() { c.Next("a") })
	_, err := c.MarshalBinary()
	require.ErrorContains(t, err, "clock: context: event number")
	c.AddRange("a", 1, 4)
	require.True(t, c.IsVector())
	require.True(t, c.Has(Dot[string]{"a", math.MaxUint64}))
	require.Equal(t, 1, len(slices.Collect(c.Runs())))
}

func TestContextRefusesOtherBytes(t *testing.T) {
	var c Context[string]
	c.AddRange("x", 3, 4)
	refuses(t, &c, "", "\x02\x00", "\x01\x01\x01a\x00", "\x01\x01\x01a\x01\x00\x01", "\x01\x01\x01a\x01\x01", "\x01\x01\x01a\x02\x01\x00\x01\x00",
		"\x01\x02\x01b\x01\x01\x00\x01a\x01\x01\x00", "\x01\x02\x01a\x01\x01\x00\x01a\x01\x01\x00", "\x01\x00\x00",
		"\x01\x01\x01a\x01\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01\x00",
		"\x01\x01\x01a\x01\x02\xfe\xff\xff\xff\xff\xff\xff\xff\x7f", "\x01\x01\x01a\xff\xff\x03")
	require.Equal(t, "{x:3-4}", c.String())
}

func FuzzContext(f *testing.F) {
	var c Context[string]
	c.AddRange("a", 1, 5)
	c.AddRange("a", 8, 9)
	c.AddRange("b", 4, 4)
	b, _ := c.MarshalBinary()
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzDecoder(t, b, new(Context[string]), new(Context[string]))
		fuzzDecoder(t, b, new(Context[uint16]), new(Context[uint16]))
	})
}

func TestDotOrder(t *testing.T) {
	in := []Dot[string]{{"b", 1}, {"a", 2}, {"a", 1}}
	slices.SortFunc(in, Dot[string].Compare)
	require.Equal(t, []Dot[string]{{"a", 1}, {"a", 2}, {"b", 1}}, in)
	require.Zero(t, in[0].Compare(in[0]))
	require.Equal(t, "a:1", in[0].String())
}
