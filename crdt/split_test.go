package crdt_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/internal/testenv"
)

// tiny returns a delta of n tiny values in a map of registers, each a place below a place, so that the
// encoder must keep account of what it has named.
func tiny(n int) crdt.Delta {
	m := crdt.NewMap[uint64, *crdt.LWW[byte]](1)
	return m.Store().Update(func() {
		for i := range n {
			m.At(uint64(i)).Set(1, byte(i))
		}
	})
}

// Cutting a delta into many frames allocates so much an event, however many there are: what it names is
// kept account of once, not once a frame.
func TestSplitCostsWhatItSplits(t *testing.T) {
	if testenv.Race {
		t.Skip("not counted with the race detector")
	}
	const frame = 1 << 10
	cost := func(n int) (bytes, frames int) {
		d := tiny(n)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range d.Split(frame) {
			frames++
		}
		runtime.ReadMemStats(&after)
		return int(after.TotalAlloc-before.TotalAlloc) / n, frames
	}
	few, n := cost(4_000)
	many, k := cost(64_000)
	t.Logf("%d frames: %d bytes an event; %d frames: %d bytes an event", n, few, k, many)
	require.Greater(t, k, 12*n)
	require.Less(t, many, 2*few)
}

// A delta of many replicas of which each has made little is split too.
func TestSplitOfManyReplicas(t *testing.T) {
	all := crdt.NewSet[int](1 << 40)
	for i := range 300 {
		merge(t, all, crdt.NewSet[int](crdt.ReplicaID(i+1)).Add(i))
	}
	got := crdt.NewSet[int](1 << 41)
	for d := range all.State().Split(100) {
		require.LessOrEqual(t, d.Len(), 100)
		merge(t, got, d)
	}
	require.Equal(t, all.State(), got.State())
}
