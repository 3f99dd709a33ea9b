package shard

import "slices"

// sketch is a Space-Saving summary of one source, kept as the paper keeps its Stream-Summary: counters
// of one count are a bucket, and the buckets are a list by rising count. A count grows by one at a time,
// so a counter goes to the bucket above or is the first of one, in constant time, and the bucket of the
// least count is at hand. Counters stay where they are in memory, found by an open hash table; links
// are indices.
type sketch struct {
	events   uint64     // the sum of all counts, as a newcomer inherits one
	capacity int        // the most counters
	counters []counter  // in no order
	buckets  []bucket   // in no order
	bottom   int32      // the bucket of the least count
	unused   int32      // a list, by above, of buckets without counters
	table    []int32    // hash table of indices into counters, plus 1; 0 is free
	mask     uint64     // of the table, which is at most half full
	distinct *registers // of all keys ever; nil while all of them have counters
}

// counter is the key, what it may be counted too much, and its places.
type counter struct {
	key        string
	hash       uint64
	excess     uint64
	bucket     int32
	prev, next int32 // of the bucket, in a ring
	at         int32 // in table
}

// bucket is the counters of one count. Those that came first leave first.
type bucket struct {
	count        uint64
	first        int32 // a counter
	below, above int32 // the buckets of lower and higher count
}

const none = -1 // a link to nothing

// newSketch returns a sketch with memory for room of its counters.
func newSketch(capacity, room int) *sketch {
	k := &sketch{
		capacity: capacity, counters: make([]counter, 0, room), buckets: make([]bucket, 0, room),
		bottom: none, unused: none,
	}
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
	c.buckets = slices.Clone(k.buckets)
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

// count returns what counter i counts.
func (k *sketch) count(i int) uint64 { return k.buckets[k.counters[i].bucket].count }

// least is the most that a key without a counter can have been counted.
func (k *sketch) least() uint64 {
	if len(k.counters) < k.capacity {
		return 0
	}
	return k.buckets[k.bottom].count
}

func (k *sketch) add(key string) {
	h := Hash(key, 0)
	k.events++
	at, found := k.find(key, h)
	if found {
		k.grow(k.table[at] - 1)
		return
	}
	if i := len(k.counters); i < k.capacity {
		if 2*(i+1) > len(k.table) { // only where it began with less room than its capacity
			k.rehash(2 * i)
			at, _ = k.find(key, h)
		}
		k.counters = append(k.counters, counter{key: key, hash: h, at: int32(at)})
		k.table[at] = int32(i + 1)
		k.join(int32(i), k.above(none, 1))
		return
	}
	if k.distinct == nil {
		d := new(registers)
		k.addTo(d)
		k.distinct = d
	}
	k.distinct.add(h)
	// The newcomer takes over a least count, as the excess it may be wrong by.
	least := &k.buckets[k.bottom]
	i := least.first
	c := &k.counters[i]
	if hole := k.free(uint64(c.at)); (hole-h)&k.mask < (at-h)&k.mask {
		at = hole // it is nearer to where the key belongs
	}
	c.key, c.hash, c.at, c.excess = key, h, int32(at), least.count
	k.table[at] = i + 1
	k.grow(i)
}

// free takes an entry out of the table, moves up those that it pushed away, and returns which place
// is free then.
func (k *sketch) free(at uint64) uint64 {
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
	return at
}

// grow makes counter i count one more.
func (k *sketch) grow(i int32) {
	c := &k.counters[i]
	at := c.bucket
	g := &k.buckets[at]
	alone := c.next == i
	if alone && (g.above == none || k.buckets[g.above].count > g.count+1) {
		g.count++
		return
	}
	up := k.above(at, g.count+1)
	g = &k.buckets[at] // buckets may have moved
	if alone {
		k.drop(at)
	} else {
		k.counters[c.prev].next, k.counters[c.next].prev = c.next, c.prev
		if g.first == i {
			g.first = c.next
		}
	}
	k.join(i, up)
}

// join makes counter i the last of a bucket, which may be empty.
func (k *sketch) join(i, at int32) {
	g, c := &k.buckets[at], &k.counters[i]
	c.bucket = at
	if g.first == none {
		g.first, c.prev, c.next = i, i, i
		return
	}
	first := &k.counters[g.first]
	c.prev, c.next = first.prev, g.first
	k.counters[c.prev].next, first.prev = i, i
}

// above returns the bucket of a count, given the one below it, and makes it if there is none.
func (k *sketch) above(below int32, count uint64) int32 {
	next := k.bottom
	if below != none {
		next = k.buckets[below].above
	}
	if next != none && k.buckets[next].count == count {
		return next
	}
	at := k.unused
	if at == none {
		at = int32(len(k.buckets))
		k.buckets = append(k.buckets, bucket{})
	} else {
		k.unused = k.buckets[at].above
	}
	k.buckets[at] = bucket{count: count, first: none, below: below, above: next}
	if next != none {
		k.buckets[next].below = at
	}
	if below == none {
		k.bottom = at
	} else {
		k.buckets[below].above = at
	}
	return at
}

// drop takes a bucket out of the list.
func (k *sketch) drop(at int32) {
	g := &k.buckets[at]
	if g.above != none {
		k.buckets[g.above].below = g.below
	}
	if g.below == none {
		k.bottom = g.above
	} else {
		k.buckets[g.below].above = g.above
	}
	g.above, k.unused = k.unused, at
}
