package entity

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestTableIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tab table[int]
		model := map[string]int{}
		// Few hashes, so that keys collide and wrap around the end.
		hash := func(key string) uint64 { return []uint64{0, 15, 31, 14, 63}[int(key[0])%5] << placeBits }
		for range rapid.IntRange(0, 80).Draw(t, "steps") {
			key := string('a'+rune(rapid.IntRange(0, 25).Draw(t, "key"))) + "x"
			switch rapid.IntRange(0, 2).Draw(t, "op") {
			case 0:
				*tab.get(hash(key), key)++
				model[key]++
			case 1:
				tab.remove(hash(key), key)
				delete(model, key)
			case 2:
				v := 7
				tab.put(hash(key), key, &v)
				model[key] = 7
			}
			require.Equal(t, len(model), tab.n)
			for key, v := range model {
				i := tab.find(hash(key), key)
				require.NotZero(t, tab.index[i], key)
				require.Equal(t, v, *tab.entries[uint32(tab.index[i])].state)
			}
		}
	})
}
