package lattice

import (
	"hash/maphash"
	"math/bits"
)

// Integer is what the flat tables take for keys.
type Integer interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr
}

// minTable is the number of slots that a table starts with, a power of two.
const minTable = 8

// ahead is how many keys a merge looks up at once. In a large table each of them misses the
// caches; a processor waits for all of them together if it need not know what is at one place
// to find the next. So each key's first place is read before any is dealt with, and most keys
// are done with by what was read: what is kept only grows.
const ahead = 64

// place is how a table of 1<<k slots scatters its keys: by their product with an odd number,
// of which the k bits in the middle depend on all bits of the key. The seed is drawn anew for
// each size of each table: strangers who choose the keys cannot make them collide, and one
// table's order is not another's, without which copying one into the other would pile up.
type place struct {
	seed  uint64
	shift uint
}

func newPlace(slots int) place {
	seed := maphash.Comparable(maphash.MakeSeed(), 0)
	return place{seed, uint(64 - bits.TrailingZeros(uint(slots)))}
}

func (p place) of(k uint64) uint {
	hi, lo := bits.Mul64(k^p.seed, 0x9e3779b97f4a7c15)
	return uint((hi ^ lo) * 0xd6e8feb86659fd93 >> (p.shift & 63)) // the mask spares a test for shifts of 64 and more
}

// slotsFor returns how many slots hold n keys at most three quarters full.
func slotsFor(n int) int {
	slots := minTable
	for slots/4*3 < n {
		slots *= 2
	}
	return slots
}
