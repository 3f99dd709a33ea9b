package crdt

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Ranges of which each side removed others, as many and with the same sum, are told apart: of every
// four events one side has removed the outer ones, and the other the inner ones.
func TestRangesThatAddUpToTheSame(t *testing.T) {
	const n, size = 40_000, 4 << 10
	writer := NewSet[int](1)
	a, b := NewSet[int](2), NewSet[int](3)
	writer.Store().Update(func() {
		for i := range n {
			writer.Add(i)
		}
	})
	for _, s := range []*Set[int]{a, b} {
		_, err := s.Merge(writer.State())
		require.NoError(t, err)
	}
	remove := func(s *Set[int], of ...int) {
		s.Store().Update(func() {
			for i := 0; i < n; i += 40 {
				for _, k := range of {
					s.Remove(i + k)
				}
			}
		})
	}
	remove(a, 0, 3)
	remove(b, 1, 2)
	for range 2 { // each asks the other
		queue := a.Store().Questions(size)
		for ; len(queue) > 0; queue = queue[1:] {
			ans := b.Store().Answer(queue[0], size, 1<<20)
			learn(t, a, ans.Patch...)
			learn(t, b, ans.Over)
			for _, q := range ans.Questions {
				back := a.Store().Answer(q, size, 1<<20)
				learn(t, a, back.Over)
				learn(t, b, back.Patch...)
				queue = append(queue, back.Questions...)
			}
		}
		a, b = b, a
	}
	require.Equal(t, n-n/10, a.Len())
	require.Equal(t, a.State(), b.State())
}

func learn[E comparable](t *testing.T, s *Set[E], ds ...Delta) {
	t.Helper()
	for _, d := range ds {
		_, err := s.Merge(d)
		require.NoError(t, err)
	}
}
