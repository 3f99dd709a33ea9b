package crdttest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/crdt/crdttest"
)

// What a specification sees: every operation after those that it saw, and the relation itself.
func TestHistory(t *testing.T) {
	typ := orsetType("")
	longest := 0
	typ.Spec = func(h crdttest.History[setOp]) string {
		longest = max(longest, h.Len())
		for i, e := range h.All() {
			require.Equal(t, e.Op, h.At(i).Op)
			require.Positive(t, e.Replica)
			require.True(t, len(e.Delta) > 0 || i == h.Len()-1, "who changes nothing is not part of what others see")
			require.False(t, e.Time.IsZero())
			require.False(t, h.Sees(i, i))
			for j := range h.Len() {
				if h.Sees(i, j) {
					require.Less(t, j, i)
					require.True(t, h.SeenBy(j, func(o setOp) bool { return o == e.Op }))
				}
				if j < i && h.At(j).Replica == e.Replica {
					require.True(t, h.Sees(i, j), "a replica saw its own operations")
				}
			}
			require.False(t, h.SeenBy(i, func(setOp) bool { return false }))
		}
		return setSpec(h)
	}
	// The specification decides only what is free of gaps: what an operation saw, the history has.
	_, err := crdttest.CheckExhaustive(typ, crdttest.World{Replicas: 2, Steps: 3})
	require.NoError(t, err)
	require.Equal(t, 3, longest)
	_, err = crdttest.CheckSimulation(typ, 1, 20)
	require.NoError(t, err)
	require.Greater(t, longest, 5)
}
