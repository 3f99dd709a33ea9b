package clock

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTimex(t *testing.T) {
	const now = int64(1795247190_996366_000)
	for name, c := range map[string]struct {
		frac          int64
		status, state int
		synced        bool
	}{
		"microseconds":   {996366, 0x0001, 0, true},
		"nanoseconds":    {996366_000, 0x2001, 0, true},
		"unsynchronized": {996366, 0x0040, 0, false},
		"clock error":    {996366, 0x1000, 0, false},
		"time error":     {996366, 0x0001, 5, false},
		"leap second":    {996366, 0x0001, 3, true},
	} {
		a := readTimex(1795247190, c.frac, 1500, c.status, c.state)
		require.Equal(t, adjtime{now, 1500_000, c.synced}, a, name)
		e, l, err := a.bound()
		if !c.synced {
			require.ErrorIs(t, err, ErrUnsynchronized, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, []int64{now - 1500_000, now + 1500_000}, []int64{e, l}, name)
	}
}

func TestKernelKnowsTheTime(t *testing.T) {
	k, err := Kernel()
	if err != nil {
		t.Skip("adjtimex is not permitted here: ", err)
	}
	require.InDelta(t, time.Now().UnixNano(), k.Now(), 1e9)
	e, l, err := k.Bound()
	if err != nil {
		require.ErrorIs(t, err, ErrUnsynchronized)
		return
	}
	require.LessOrEqual(t, e, l)
	now := time.Now().UnixNano()
	require.InDelta(t, now, e+(l-e)/2, 1e9)
	require.Nil(t, New(WithSource(k)).source)
}
