package crdt

import (
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a merge allocates is in proportion to the delta, also where many events come before anything of
// them was read, and again after a gap.
func TestMergeAllocatesInProportion(t *testing.T) {
	s := NewSet[int](1)
	es := make([]int, 20_000)
	for i := range es {
		es[i] = i
	}
	s.Add(es...)
	for i := 0; i < len(es); i += 5_000 {
		s.Remove(es[i+1])
	}
	state := s.Store().State()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := NewSet[int](2).Merge(state)
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, 200*uint64(state.Len()))
}

// What an encoding allocates is not guessed from larger values that were encoded before.
func TestEncodeAllocatesInProportion(t *testing.T) {
	s := NewMap[int, *Register[string]](1)
	for i := range 40 {
		s.At(i).Set(strings.Repeat("x", 100_000))
	}
	s.Store().State() // 100 kB an event
	for i := range 40 {
		s.Remove(i)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	d := s.Store().Update(func() {
		for i := range 20_000 {
			s.At(i).Set("x")
		}
	})
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, 200*uint64(d.Len()))
}
