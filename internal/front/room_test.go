package front

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A slice that grows and shrinks at both ends, and a copy that grows too, hold what they should.
func TestRoomAgreesWithInsert(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var room Room[int]
		slice, want := make([][]int, 2), make([][]int, 2)
		next := 0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			i := rapid.IntRange(0, 1).Draw(t, "which")
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0, 1:
				n := rapid.IntRange(1, 5).Draw(t, "n")
				slice[i] = room.Grow(slice[i], n)
				want[i] = slices.Insert(want[i], 0, make([]int, n)...)
				for k := range n {
					next++
					slice[i][k], want[i][k] = next, next
				}
			case 2:
				next++
				slice[i], want[i] = append(slices.Clip(slice[i]), next), append(want[i], next)
			case 3:
				next++
				slice[i], want[i] = append(slice[i], next), append(want[i], next)
				slice[1-i] = slices.Clone(want[1-i]) // as of arrays that two share, only one grows in place
			case 4:
				n := rapid.IntRange(0, len(slice[i])).Draw(t, "cut")
				slice[i], want[i] = slice[i][n:], want[i][n:]
			}
			require.Equal(t, len(want[i]), len(slice[i]))
			require.True(t, slices.Equal(want[0], slice[0]) && slices.Equal(want[1], slice[1]))
		}
	})
}

// What grows at both ends by turns moves as rarely as what grows at one.
func TestRoomAtBothEnds(t *testing.T) {
	const n = 10_000
	var room Room[int]
	s, moved, last := []int{0}, 0, (*int)(nil)
	for i := 1; i <= n; i++ {
		s = append(s, i)
		s = room.Grow(s, 1)
		s[0] = -i
		if at := &s[i]; at != last { // the 0 in the middle
			last = at
			moved++
		}
	}
	require.Equal(t, []int{-n, 0, n}, []int{s[0], s[n], s[2*n]})
	require.LessOrEqual(t, moved, 60)
}
