package crdt

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
)

// table is an open-addressing hash table of slots with one-byte tags; keys and hashes live in the
// nodes. Tags are looked at eight at a time.
type table struct {
	seed  maphash.Seed
	tags  []uint8 // one for each of slots, and the first ones once more, so that any eight can be read
	slots []slot
	used  int // slots that are or were taken
	full  int // slots that are taken
}

const (
	tagFree = 0
	tagDead = 1 // was taken: a search goes on past it

	group   = 8
	lowBits = 0x0101010101010101
)

// hash returns where to look for a place.
func (t *table) hash(parent slot, sh shape, key string) uint32 {
	return spot(maphash.String(t.seed, key), parent, sh)
}

// hashBytes is hash, of a key that is no string yet.
func (t *table) hashBytes(parent slot, sh shape, key []byte) uint32 {
	return spot(maphash.Bytes(t.seed, key), parent, sh) // the same for the same bytes
}

func spot(h uint64, parent slot, sh shape) uint32 {
	return uint32((h ^ mix(uint64(parent)<<16|uint64(sh.kind)<<8|uint64(sh.codec))) >> 32)
}

// tagOf returns neither tagFree nor tagDead. It depends on all of the hash, as slots that are looked at
// together have its low bits in common.
func tagOf(h uint32) uint8 { return uint8(h*0x9e3779b1>>24) | 2 }

// zeros returns a word with the top bit of each zero byte of x set. Of those above the lowest some may
// be wrong.
func zeros(x uint64) uint64 { return (x - lowBits) &^ x & (lowBits << 7) }

// eight returns the tags from the i-th slot on.
func (t *table) eight(i uint32) uint64 { return binary.LittleEndian.Uint64(t.tags[i:]) }

func (t *table) mask() uint32 { return uint32(len(t.slots) - 1) }

// find returns the child of parent with the given shape and key, of which h is the hash.
func find[K string | []byte](tr *tree, h uint32, parent slot, sh shape, key K) (slot, bool) {
	t := &tr.table
	if len(t.slots) == 0 {
		return 0, false
	}
	mask, tags := t.mask(), lowBits*uint64(tagOf(h))
	for i := h & mask; ; i = (i + group) & mask {
		g := t.eight(i)
		for m := zeros(g ^ tags); m != 0; m &= m - 1 {
			s := t.slots[(i+uint32(bits.TrailingZeros64(m))/8)&mask]
			if n := tr.at(s); n.hash == h && n.key == string(key) && n.parent == parent && n.shape == sh {
				return s, true
			}
		}
		if zeros(g) != 0 {
			return 0, false
		}
	}
}

func (t *table) put(h uint32, s slot) {
	i, mask := h&t.mask(), t.mask()
	for {
		if m := zeros(t.eight(i) &^ (lowBits * tagDead)); m != 0 { // free or dead
			i = (i + uint32(bits.TrailingZeros64(m))/8) & mask
			break
		}
		i = (i + group) & mask
	}
	if t.tags[i] == tagFree {
		t.used++
	}
	t.full++
	t.slots[i] = s
	t.tag(i, tagOf(h))
}

func (t *table) tag(i uint32, tag uint8) {
	t.tags[i] = tag
	if i < group {
		t.tags[len(t.slots)+int(i)] = tag
	}
}

func (t *table) remove(h uint32, s slot) {
	mask := t.mask()
	i := h & mask
	for t.tags[i] <= tagDead || t.slots[i] != s {
		i = (i + 1) & mask
	}
	t.full--
	t.tag(i, tagDead)
	if t.tags[(i+1)&mask] == tagFree { // nobody searches past it: it and dead ones before it are free
		for t.tags[i] == tagDead {
			t.tag(i, tagFree)
			t.used--
			i = (i - 1) & mask
		}
	}
}

// rebuild makes room for at least as many entries again, or shrinks if most are gone.
func (t *table) rebuild(tr *tree) {
	size := group
	for 5*size < 8*(t.full+1) || 4*size < 5*(t.full+1+tr.coming) { // at most 5/8 full after it, 4/5 in a moment
		size *= 2
	}
	t.tags, t.slots = make([]uint8, size+group), make([]slot, size)
	t.used, t.full = 0, 0
	// In the order of nodes, which is that of memory.
	for at := range tr.count {
		if n := tr.at(at); n.parent != noSlot {
			t.put(n.hash, at)
		}
	}
}
