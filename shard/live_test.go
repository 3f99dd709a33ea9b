package shard

import (
	"testing"

	"github.com/go-calm/calm/internal/lincheck"
	"github.com/go-calm/calm/internal/testenv"
)

// Live is a register of maps: every load returns the latest store, whole.
func TestLiveIsLinearizable(t *testing.T) {
	maps := make([]*Map, 6)
	for i := range maps {
		maps[i] = must(t, nodeSet(i+1), Slots(4<<i))
	}
	type op struct{ store int } // 0 loads
	model := lincheck.Model[int, op, int]{
		Step: func(s int, in op, out int) (int, bool) {
			if in.store > 0 {
				return in.store, true
			}
			return s, out == s
		},
	}
	model.Run(t, testenv.Checks(300), func(seed uint64) lincheck.History[op, int] {
		var live Live
		return lincheck.Record(4, seed, func(c *lincheck.Client[op, int]) {
			for range 12 {
				in := op{max(0, c.Rand().IntN(2*len(maps))-len(maps)+1)}
				c.Do(in, func() int {
					if in.store > 0 {
						live.Store(maps[in.store-1])
						return 0
					}
					m := live.Load()
					if m == nil {
						return 0
					}
					m.Owner("key")
					return len(m.nodes)
				})
			}
		})
	})
}
