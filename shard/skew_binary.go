package shard

import (
	"cmp"
	"encoding/binary"
	"maps"
	"math/bits"
	"slices"

	"github.com/go-calm/calm/internal/wire"
)

const (
	skewVersion = 1
	maxCapacity = 1 << 24
)

// AppendBinary appends the canonical binary form: skews that know the same have equal bytes.
//
// Version 1: the version byte; the number of sources; the number of its own one among them; each
// source in the order of the names as name, capacity, number of counters, and the counters by
// count and then key. A counter is its key, how much more it counts than the one before, and its
// error. If any error is not 0, the 4096 bytes of the HyperLogLog follow; else it is that of the
// keys. Numbers are varints, and strings have their length before them.
func (s *Skew) AppendBinary(b []byte) ([]byte, error) {
	if s.own == nil { // the zero value
		return NewSkew("", 0).AppendBinary(b)
	}
	names := slices.Sorted(maps.Keys(s.sources))
	b = binary.AppendUvarint(append(b, skewVersion), uint64(len(names)))
	b = binary.AppendUvarint(b, uint64(slices.Index(names, s.source)))
	for _, name := range names {
		b = s.sources[name].append(wire.AppendString(b, name))
	}
	return b, nil
}

// MarshalBinary returns the canonical binary form; see [Skew.AppendBinary].
func (s *Skew) MarshalBinary() ([]byte, error) { return s.AppendBinary(nil) }

// UnmarshalBinary replaces s with what a binary form says: it has the same source and the same
// reports, and may count on. Which of several least frequent keys makes room for the next one is
// not part of the form. Memory is in proportion to the input, from which nothing is kept.
// Errors match [ErrMalformed] and leave s as it was.
func (s *Skew) UnmarshalBinary(b []byte) error {
	r := wire.NewReader(b)
	if v := r.Byte(); v != skewVersion {
		r.Fail("version %d of a skew is unknown", v)
	}
	n, own := r.Count(3), r.Uvarint()
	if own >= uint64(n) {
		r.Fail("source %d of %d", own, n)
	}
	decoded := Skew{sources: map[string]*sketch{}}
	last := ""
	for i := range n {
		name := string(r.Bytes())
		if i > 0 && name <= last {
			r.Fail("sources must be unique and in order")
		}
		k := decodeSketch(&r)
		if r.Err() != nil {
			break
		}
		if uint64(i) == own {
			decoded.source, decoded.own = name, k
		}
		decoded.sources[name] = k
		last = name
	}
	if err := r.Done(); err != nil {
		return malformed(err)
	}
	*s = decoded
	return nil
}

func (k *sketch) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(k.capacity))
	b = binary.AppendUvarint(b, uint64(len(k.counters)))
	last, members := uint64(0), []*counter(nil)
	for at := k.bottom; at != none; at = k.buckets[at].above {
		g := &k.buckets[at]
		members = members[:0]
		for i := g.first; len(members) == 0 || i != g.first; i = k.counters[i].next {
			members = append(members, &k.counters[i])
		}
		slices.SortFunc(members, func(a, b *counter) int { return cmp.Compare(a.key, b.key) })
		for _, c := range members {
			b = wire.AppendString(b, c.key)
			b = binary.AppendUvarint(b, g.count-last)
			b = binary.AppendUvarint(b, c.excess)
			last = g.count
		}
	}
	if k.distinct != nil {
		b = append(b, k.distinct[:]...)
	}
	return b
}

// decodeSketch reads a sketch; what it returns after an error is of no use. It refuses what no
// stream of events leads to, as far as the bounds of a report rest on it.
func decodeSketch(r *wire.Reader) *sketch {
	capacity := r.Uvarint()
	if capacity < 1 || capacity > maxCapacity {
		r.Fail("a capacity of %d", capacity)
	}
	n := r.Count(3)
	if uint64(n) > capacity {
		r.Fail("%d counters where %d are allowed", n, capacity)
	}
	if r.Err() != nil {
		return nil
	}
	k := newSketch(int(capacity), n)
	last, lastKey, top, evicted := uint64(0), "", int32(none), false
	for i := range n {
		c := counter{key: string(r.Bytes())}
		count, carry := bits.Add64(last, r.Uvarint(), 0)
		c.excess = r.Uvarint()
		if r.Err() != nil {
			return nil
		}
		c.hash = Hash(c.key, 0)
		at, found := k.find(c.key, c.hash)
		events, over := bits.Add64(k.events, count, 0)
		switch {
		case carry != 0 || over != 0:
			r.Fail("more than 2^64 events")
		case found || i > 0 && count == last && c.key <= lastKey:
			r.Fail("counters must be of different keys, and in order")
		case c.excess >= count || i > 0 && c.excess > k.count(0):
			r.Fail("an error of %d in a count of %d", c.excess, count)
		}
		c.at, k.table[at] = int32(at), int32(i+1)
		k.counters = append(k.counters, c)
		if top == none || count > last {
			top = k.above(top, count)
		}
		k.join(int32(i), top)
		k.events = events
		evicted = evicted || c.excess > 0
		last, lastKey = count, c.key
	}
	if !evicted {
		return k
	}
	if n < int(capacity) {
		r.Fail("an error without need")
	}
	var least registers
	k.addTo(&least)
	all := r.Take(len(least))
	if r.Err() != nil {
		return nil
	}
	k.distinct = new(registers)
	for i, v := range all {
		if v < least[i] || v > maxRegister {
			r.Fail("the number of distinct keys contradicts the keys")
		}
		k.distinct[i] = v
	}
	return k
}
