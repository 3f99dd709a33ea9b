package clock

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestStampsAreTotallyOrdered(t *testing.T) {
	stamp := rapid.Custom(func(t *rapid.T) Stamp[string] {
		return Stamp[string]{Timestamp(rapid.Int64Range(-2, 2).Draw(t, "time")), anyNode().Draw(t, "node")}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := stamp.Draw(t, "a"), stamp.Draw(t, "b"), stamp.Draw(t, "c")
		require.Equal(t, a == b, a.Compare(b) == 0)
		require.Equal(t, -b.Compare(a), a.Compare(b))
		require.Equal(t, a.Compare(b) < 0, a.Before(b))
		if a.Time != b.Time {
			require.Equal(t, a.Time < b.Time, a.Before(b))
		}
		if a.Before(b) && b.Before(c) {
			require.True(t, a.Before(c))
		}
		s := Stamp[string]{}
		bin, err := a.MarshalBinary()
		require.NoError(t, err)
		require.NoError(t, s.UnmarshalBinary(bin))
		require.Equal(t, a, s)
	})
	var u Stamp[uint64]
	refuses(t, &u, "", "1234567", "12345678", "12345678\x80", "12345678\x01\x01")
	require.Zero(t, u)
}

func FuzzStamp(f *testing.F) {
	b, _ := Stamp[string]{noon, "a"}.MarshalBinary()
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzDecoder(t, b, new(Stamp[string]), new(Stamp[string]))
		fuzzDecoder(t, b, new(Stamp[uint64]), new(Stamp[uint64]))
	})
}
