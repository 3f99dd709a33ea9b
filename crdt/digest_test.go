package crdt_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-calm/calm/crdt"
)

func TestDigestsJoinAndMeetAsStatesDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sets := []*crdt.Set[int]{crdt.NewSet[int](1), crdt.NewSet[int](2), crdt.NewSet[int](3)}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				sets[rapid.IntRange(0, 2).Draw(t, "who")].Add(rapid.IntRange(0, 9).Draw(t, "element"))
			},
			"remove": func(t *rapid.T) {
				sets[rapid.IntRange(0, 2).Draw(t, "who")].Remove(rapid.IntRange(0, 9).Draw(t, "element"))
			},
			"learn": func(t *rapid.T) {
				var pieces []crdt.Delta
				for d := range sets[rapid.IntRange(0, 2).Draw(t, "from")].State().Split(1) {
					pieces = append(pieces, d)
				}
				if len(pieces) > 0 {
					_, err := sets[rapid.IntRange(0, 2).Draw(t, "to")].Merge(pieces[rapid.IntRange(0, len(pieces)-1).Draw(t, "piece")])
					require.NoError(t, err)
				}
			},
		})
		a, b := sets[0].Digest(), sets[1].Digest()
		met := a.Meet(b)
		require.True(t, a.Covers(met) && b.Covers(met))
		require.True(t, met.Equal(b.Meet(a)))
		within := a.Within(b)
		require.True(t, within.Covers(met) && met.Covers(within))
		require.True(t, a.Join(within).Equal(a), "a part of it told something else")
		require.True(t, within.Meet(b).Equal(met))
		for _, id := range []crdt.ReplicaID{1, 2, 3} {
			for n := range uint64(40) {
				e := crdt.Dot{Node: id, N: n + 1}
				require.Equal(t, a.Seen(e) && b.Seen(e), met.Seen(e), "%v", e)
			}
		}
		size := rapid.IntRange(1, 200).Draw(t, "size")
		var all crdt.Digest
		for piece := range a.Split(size) {
			raw, _ := piece.MarshalBinary()
			var back crdt.Digest
			require.NoError(t, back.UnmarshalBinary(raw))
			require.True(t, len(raw) <= max(size, 100))
			all = all.Join(back)
		}
		require.True(t, all.Equal(a))
		require.Equal(t, a.Equal(crdt.Digest{}), a.IsZero())
		context := sets[0].Store().Context()
		require.True(t, context.Covers(a) && a.Covers(context))
		require.True(t, context.Meet(a).Equal(context))
		joined := a.Join(b)
		require.True(t, joined.Equal(b.Join(a)))
		_, err := sets[0].Merge(sets[1].State())
		require.NoError(t, err)
		require.True(t, joined.Equal(sets[0].Digest()))
	})
}
