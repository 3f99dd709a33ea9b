package clock

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestStabilityNeverOvertakesAMember(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := NewStability("b", "a", "c", "a")
		seen := map[string]Vector[string]{"a": {}, "b": {}, "c": {}}
		last := Vector[string]{}
		t.Repeat(map[string]func(*rapid.T){
			"saw": func(t *rapid.T) {
				id := anyNode().Draw(t, "member")
				v, _ := anyVector(t, "v")
				old, ok := seen[id]
				news := s.Saw(id, v)
				if !ok {
					require.False(t, news)
					return
				}
				require.Equal(t, old.Compare(v)&Before != 0, news)
				old.Merge(v)
				seen[id] = old
			},
			"join": func(t *rapid.T) {
				id := anyNode().Draw(t, "member")
				v, _ := anyVector(t, "v")
				_, member := seen[id]
				stable := s.Stable()
				require.Equal(t, !member && stable.Compare(v)&After == 0, s.Join(id, v))
				if !member && stable.Compare(v)&After == 0 {
					seen[id] = v.Clone()
				}
			},
			"retire": func(t *rapid.T) {
				id := anyNode().Draw(t, "member")
				_, member := seen[id]
				require.Equal(t, member, s.Retire(id))
				delete(seen, id)
			},
			"": func(t *rapid.T) {
				stable := s.Stable()
				require.Zero(t, last.Compare(stable)&After, "went back")
				if len(seen) > 0 {
					var low Vector[string]
					for i, id := range slices.Sorted(maps.Keys(seen)) {
						if i == 0 {
							low = seen[id].Clone()
						}
						low.Meet(seen[id])
					}
					low.Merge(last) // when a member goes, what was stable stays so
					require.Equal(t, Equal, stable.Compare(low))
				}
				for id, v := range s.Members() {
					require.Equal(t, Equal, v.Compare(seen[id]))
					require.Zero(t, stable.Compare(v)&After, "stable, but %s has not seen it", id)
				}
				for id, n := range stable.All() {
					require.True(t, s.Has(Dot[string]{id, n}))
					require.False(t, s.Has(Dot[string]{id, n + 1}))
				}
				last = stable
			},
		})
	})
}
