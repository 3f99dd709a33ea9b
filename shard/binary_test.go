package shard

import (
	"encoding"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var (
	_ encoding.BinaryAppender    = (*Map)(nil)
	_ encoding.BinaryMarshaler   = (*Map)(nil)
	_ encoding.BinaryUnmarshaler = (*Map)(nil)
)

func TestMapBinary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, err := New(drawNodes(t, 10), drawOptions(t)...)
		require.NoError(t, err)
		b, err := m.MarshalBinary()
		require.NoError(t, err)
		back := new(Map)
		require.NoError(t, back.UnmarshalBinary(b))
		requireSame(t, m, back)
		require.ErrorIs(t, new(Map).UnmarshalBinary(b[:len(b)-1]), ErrMalformed)
		require.ErrorIs(t, new(Map).UnmarshalBinary(append(b, 0)), ErrMalformed)
	})
}

func TestMapBinaryWide(t *testing.T) {
	m := must(t, nodeSet(300), Slots(1024), Replicas(2))
	b, err := m.MarshalBinary()
	require.NoError(t, err)
	back := new(Map)
	require.NoError(t, back.UnmarshalBinary(b))
	requireSame(t, m, back)
}

func TestMapBinaryRefuses(t *testing.T) {
	good, err := must(t, []Node{{ID: "a"}, {ID: "b"}}, Slots(2), Replicas(2)).MarshalBinary()
	require.NoError(t, err)
	for name, c := range map[string]struct {
		at int
		to byte
	}{
		"a version to come":        {0, 2},
		"an unknown flag":          {1, 2},
		"another number of slots":  {2, 2},
		"too many slots":           {2, 60},
		"too many slots asked for": {3, 60},
		"no replicas":              {4, 0},
		"a negative slack":         {5, 0xbf},
		"a NaN slack":              {5, 0x7f},
		"many nodes":               {21, 200},
		"an empty ID":              {22, 0},
		"IDs out of order":         {23, 'c'},
		"a negative weight":        {24, 0xbf},
		"a bad owner":              {len(good) - 1, 7},
		"a node twice in a slot":   {len(good) - 1, good[len(good)-3]},
	} {
		t.Run(name, func(t *testing.T) {
			b := append([]byte(nil), good...)
			require.NotEqual(t, b[c.at], c.to)
			b[c.at] = c.to
			m := new(Map)
			require.ErrorIs(t, m.UnmarshalBinary(b), ErrMalformed)
			require.Equal(t, new(Map), m)
		})
	}
}

func FuzzMapUnmarshal(f *testing.F) {
	for _, n := range []int{1, 2, 300} {
		nodes := nodeSet(n)
		for i := range nodes {
			nodes[i].Zone = fmt.Sprint("z/", i%2)
		}
		b, _ := must(f, nodes, Slots(16), Replicas(min(n, 2))).MarshalBinary()
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := new(Map)
		if m.UnmarshalBinary(b) != nil {
			return
		}
		again, err := m.MarshalBinary()
		require.NoError(t, err)
		require.Equal(t, b, again)
		m.Owner("key")
		m.Stats()
	})
}
