package clock

import (
	"cmp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/internal/lincheck"
	"github.com/go-calm/calm/internal/testenv"
)

func TestLamport(t *testing.T) {
	var l Lamport
	require.EqualValues(t, 1, l.Tick())
	require.False(t, l.Witness(1))
	require.True(t, l.Witness(7))
	require.EqualValues(t, 7, l.Last())
	require.EqualValues(t, 8, l.Observe(3))
	require.EqualValues(t, 21, l.Observe(20))
	noAllocs(t, "Lamport", func() { l.Observe(l.Tick()) })
}

func TestLamportNumbersGrowAlongRealTime(t *testing.T) {
	var l Lamport
	h := lincheck.Record(4, 1, func(c *lincheck.Client[uint64, uint64]) {
		for i := range uint64(testenv.Checks(2000)) {
			c.Do(i, func() uint64 { return l.Observe(2 * i) })
		}
	})
	require.NoError(t, lincheck.Increasing(h, cmp.Compare[uint64]))
	for _, op := range h {
		require.Greater(t, op.Output, 2*op.Input)
	}
}
