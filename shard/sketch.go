package shard

import "slices"

// sketch is a Space-Saving summary of one source. Counters are found by an open hash table and
// ordered by a heap, the least count on top. A count grows by one at a time, so a counter seldom
// sinks more than a level.
type sketch struct {
	events   uint64     // the sum of all counts, as a newcomer inherits one
	capacity int        // the most counters
	counters []counter  // a heap
	table    []int32    // hash table of indices into counters, plus 1; 0 is free
	mask     uint64     // of the table, which is at most half full
	distinct *registers // of all keys ever; nil while all of them have counters
}

type counter struct {
	key           string
	hash          uint64
	count, excess uint64
	at            int32 // in table
}

// newSketch returns a sketch with memory for room of its counters.
func newSketch(capacity, room int) *sketch {
	k := &sketch{capacity: capacity, counters: make([]counter, 0, room)}
	k.rehash(room)
	return k
}

// rehash makes the table anew, with room for as many keys.
func (k *sketch) rehash(room int) {
	size := ceilPow2(4 * max(room, 2))
	k.table, k.mask = make([]int32, size), uint64(size-1)
	for i := range k.counters {
		c := &k.counters[i]
		at, _ := k.find(c.key, c.hash)
		c.at, k.table[at] = int32(at), int32(i+1)
	}
}

func (k *sketch) clone() *sketch {
	c := *k
	c.counters = slices.Clone(k.counters)
	c.table = slices.Clone(k.table)
	if k.distinct != nil {
		d := *k.distinct
		c.distinct = &d
	}
	return &c
}

// addTo adds all keys ever seen to r.
func (k *sketch) addTo(r *registers) {
	if k.distinct != nil {
		r.merge(k.distinct)
		return
	}
	for i := range k.counters {
		r.add(k.counters[i].hash)
	}
}

// find returns where key is in the table, or the free place where it would be.
func (k *sketch) find(key string, h uint64) (at uint64, found bool) {
	for at = h & k.mask; k.table[at] != 0; at = (at + 1) & k.mask {
		if c := &k.counters[k.table[at]-1]; c.hash == h && c.key == key {
			return at, true
		}
	}
	return at, false
}

func (k *sketch) has(key string) bool {
	_, ok := k.find(key, Hash(key, 0))
	return ok
}

// least is the most that a key without a counter can have been counted.
func (k *sketch) least() uint64 {
	if len(k.counters) < k.capacity {
		return 0
	}
	return k.counters[0].count
}

func (k *sketch) add(key string) {
	h := Hash(key, 0)
	k.events++
	at, found := k.find(key, h)
	if found {
		i := int(k.table[at] - 1)
		k.counters[i].count++
		k.sink(i)
		return
	}
	if i := len(k.counters); i < k.capacity {
		if 2*(i+1) > len(k.table) { // only where it began with less room than its capacity
			k.rehash(2 * i)
			at, _ = k.find(key, h)
		}
		k.counters = append(k.counters, counter{key: key, hash: h, count: 1, at: int32(at)})
		k.table[at] = int32(i + 1)
		for ; i > 0 && k.counters[(i-1)/2].count > 1; i = (i - 1) / 2 {
			k.swap(i, (i-1)/2)
		}
		return
	}
	if k.distinct == nil {
		d := new(registers)
		k.addTo(d)
		k.distinct = d
	}
	k.distinct.add(h)
	// The newcomer inherits the least count, as the excess it may be wrong by.
	least := k.counters[0]
	k.free(uint64(least.at))
	at, _ = k.find(key, h)
	k.counters[0] = counter{key: key, hash: h, count: least.count + 1, excess: least.count, at: int32(at)}
	k.table[at] = 1
	k.sink(0)
}

// free takes an entry out of the table and moves up those that it pushed away.
func (k *sketch) free(at uint64) {
	for next := at; ; {
		next = (next + 1) & k.mask
		i := k.table[next]
		if i == 0 {
			break
		}
		home := k.counters[i-1].hash & k.mask
		if (next-home)&k.mask >= (next-at)&k.mask {
			k.table[at] = i
			k.counters[i-1].at = int32(at)
			at = next
		}
	}
	k.table[at] = 0
}

func (k *sketch) swap(i, j int) {
	c := k.counters
	c[i], c[j] = c[j], c[i]
	k.table[c[i].at], k.table[c[j].at] = int32(i+1), int32(j+1)
}

func (k *sketch) sink(i int) {
	c := k.counters
	for {
		child := 2*i + 1
		if child >= len(c) {
			return
		}
		if child+1 < len(c) && c[child+1].count < c[child].count {
			child++
		}
		if c[child].count >= c[i].count {
			return
		}
		k.swap(i, child)
		i = child
	}
}
