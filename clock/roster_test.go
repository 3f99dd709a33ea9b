package clock

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestRoster(t *testing.T) {
	r := NewRoster("e", "d", "c", "b", "a", "a")
	rapid.Check(t, func(t *rapid.T) {
		v, m := anyVector(t, "v")
		w := r.Vector()
		w.Merge(v)
		requireVector(t, m, w)
		b, err := r.Append(nil, v)
		require.NoError(t, err)
		require.Len(t, b, 10)
		back, err := r.Parse(b)
		require.NoError(t, err)
		requireVector(t, m, back)
		require.True(t, r.Share(&v))
		requireVector(t, m, v)
		require.True(t, back.sameIDs(v))
	})
	v := VectorOf(map[string]uint64{"x": 1})
	require.False(t, r.Share(&v))
	_, err := r.Append(nil, v)
	require.ErrorIs(t, err, ErrRoster)
	b, _ := r.Append(nil, Vector[string]{})
	_, err = NewRoster("a", "b", "c", "d", "f").Parse(b)
	require.ErrorIs(t, err, ErrRoster)
	for i := range b {
		_, err = r.Parse(b[:i])
		require.ErrorIs(t, err, ErrMalformed)
	}
	_, err = r.Parse(append(b, 0))
	require.ErrorIs(t, err, ErrMalformed)
	_, err = r.Parse(append(b[:5:5], 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0))
	require.ErrorIs(t, err, ErrMalformed)
	w := r.Vector()
	w.Add(Dot[string]{"a", maxCount + 1})
	_, err = r.Append(nil, w)
	require.ErrorContains(t, err, "cannot be encoded")
}

func FuzzRoster(f *testing.F) {
	r := NewRoster("a", "b")
	b, _ := r.Append(nil, VectorOf(map[string]uint64{"b": 300}))
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := r.Parse(b)
		if err != nil {
			return
		}
		again, err := r.Append(nil, v)
		require.NoError(t, err)
		require.Equal(t, b, again)
	})
}
