package shard

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLiveShowsWholeMaps(t *testing.T) {
	var live Live
	require.Nil(t, live.Load())
	maps := []*Map{must(t, nodeSet(3), Slots(64)), must(t, nodeSet(9), Slots(1024))}
	live.Store(maps[0])
	var wg sync.WaitGroup
	for r := range 2 {
		wg.Go(func() {
			for i := range 2000 {
				m := live.Load()
				if o := m.OwnerUint64(uint64(i*2 + r)); o != maps[0].OwnerUint64(uint64(i*2+r)) && o != maps[1].OwnerUint64(uint64(i*2+r)) {
					t.Error("an owner of neither map")
				}
			}
		})
	}
	for i := range 2000 {
		live.Store(maps[i%2])
	}
	wg.Wait()
}
