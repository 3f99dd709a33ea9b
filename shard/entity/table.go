package entity

import "math"

// table holds the states of a lane's keys. The index is in open addressing by the upper half of the hash
// that routed the message, so nothing is hashed twice and no key is read in vain; what it points to is
// dense. A key takes 24 bytes, up to a quarter more of them as they grow, and 9 to 18 in the index.
type table[S any] struct {
	index   []uint64 // the upper half of a hash and a place in entries, which is 0 where it is free
	entries []entry[S]
	free    []uint32 // places in entries
	n       int
	changes uint64 // how often a key was removed or given another state
}

// entry is a key and its state. The first is empty, so that free places of the index can be followed.
type entry[S any] struct {
	key   string
	state *S
}

const placeBits = 32

// get returns the state of a key, a new zero state if it has none.
func (t *table[S]) get(hash uint64, key string) *S {
	if 8*(t.n+1) > 7*len(t.index) {
		t.grow()
	}
	i := t.find(hash, key)
	if w := t.index[i]; w != 0 {
		return t.entries[uint32(w)].state
	}
	state := new(S)
	t.add(i, hash, entry[S]{key, state})
	return state
}

// find returns the place in the index of a key, or where it would be.
func (t *table[S]) find(hash uint64, key string) int {
	mask := len(t.index) - 1
	i := int(hash>>placeBits) & mask
	for {
		w := t.index[i]
		if w == 0 || (w^hash)>>placeBits == 0 && t.entries[uint32(w)].key == key {
			return i
		}
		i = (i + 1) & mask
	}
}

func (t *table[S]) add(i int, hash uint64, e entry[S]) {
	at := len(t.entries)
	if n := len(t.free); n > 0 {
		at = int(t.free[n-1])
		t.free, t.entries[at] = t.free[:n-1], e
	} else if uint64(at) <= math.MaxUint32 {
		t.entries = append(t.entries, e)
	} else {
		panic("entity: a lane has as many keys as it can hold; use more lanes")
	}
	t.index[i] = hash>>placeBits<<placeBits | uint64(at)
	t.n++
}

func (t *table[S]) grow() {
	old := t.index
	if len(old) == 0 {
		t.entries = make([]entry[S], 1, 16)
	}
	t.index = make([]uint64, max(16, 2*len(old)))
	mask := len(t.index) - 1
	for _, w := range old {
		if w != 0 {
			i := int(w>>placeBits) & mask
			for t.index[i] != 0 {
				i = (i + 1) & mask
			}
			t.index[i] = w
		}
	}
}

// put sets a state.
func (t *table[S]) put(hash uint64, key string, state *S) {
	t.get(hash, key)
	t.changes++
	t.entries[uint32(t.index[t.find(hash, key)])].state = state
}

// remove forgets a key and moves up what it pushed away in the index.
func (t *table[S]) remove(hash uint64, key string) {
	if t.n == 0 {
		return
	}
	mask := len(t.index) - 1
	free := t.find(hash, key)
	if t.index[free] == 0 {
		return
	}
	at := uint32(t.index[free])
	t.entries[at] = entry[S]{}
	t.free = append(t.free, at)
	t.n--
	t.changes++
	for i := free; ; {
		i = (i + 1) & mask
		w := t.index[i]
		if w == 0 {
			break
		}
		if home := int(w>>placeBits) & mask; (i-home)&mask >= (i-free)&mask {
			t.index[free] = w
			free = i
		}
	}
	t.index[free] = 0
}

// take removes the keys of whose hash's upper half of is true, and returns them with their states.
func (t *table[S]) take(of func(hash uint64) bool) (taken []entry[S]) {
	var hashes []uint64
	for _, w := range t.index {
		if hash := w >> placeBits << placeBits; w != 0 && of(hash) {
			hashes = append(hashes, hash)
			taken = append(taken, t.entries[uint32(w)])
		}
	}
	for i, e := range taken {
		t.remove(hashes[i], e.key)
	}
	return taken
}
