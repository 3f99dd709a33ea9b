package crdt

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// Counter counts up and down. Concurrent additions all count.
//
// In a [Map] or at a name of a [Store], removing the counter resets it: what the remover had seen
// is gone and what others add meanwhile counts, exactly (a counter of 5 that is removed while
// somebody adds 1 is 1). To that end the counter holds one event for each addition, or for all
// additions of one [Store.Update], until [Store.Compact] makes them into one. A Counter at the root
// ([NewCounter]) cannot be removed and holds one number for each replica.
//
// Sums wrap around at the ends of int64. A Counter belongs to a [Store]; like the store it is not
// safe for concurrent use.
type Counter struct {
	Handle
	sum int64  // the value at …
	at  uint64 // … this version of the store
}

// NewCounter makes a replica that is a counter.
func NewCounter(id ReplicaID) *Counter { return Open[*Counter](id) }

func (*Counter) fresh() *Counter { return new(Counter) }

func (c *Counter) put(h Handle) { c.Handle = h }

func (*Counter) schema(_ codecs, root bool) *schema {
	if root {
		return leafSchema(kindTotal)
	}
	return leafSchema(kindCounter)
}

// Add adds n, which may be negative.
func (c *Counter) Add(n int64) Delta {
	c.store.begin()
	if n != 0 {
		known := c.at == c.store.version
		c.addPayload(func(b []byte, old string) []byte {
			v, _ := binary.Varint([]byte(old))
			return binary.AppendVarint(b, v+n)
		})
		if known {
			c.sum, c.at = c.sum+n, c.store.version
		}
	}
	return c.store.end()
}

// Value returns the count as this replica sees it now (a snapshot read). O(1) where this Counter was
// asked before and only added to since; O(events held) after other changes to the store.
func (c *Counter) Value() int64 {
	if c.at != c.store.version {
		c.sum, c.at = 0, c.store.version
		c.payloads(func(p string) {
			v, _ := binary.Varint([]byte(p))
			c.sum += v
		})
	}
	return c.sum
}

// GCounter counts up only. At the root ([NewGCounter]) it never shrinks, so [GCounter.AtLeast] may
// be acted on without coordination. In a [Map] or at a name of a [Store], removing resets it, as
// with [Counter].
//
// Sums stop at the greatest uint64. A GCounter belongs to a [Store]; like the store it is not safe
// for concurrent use.
type GCounter struct {
	Handle
	sum uint64 // the value at …
	at  uint64 // … this version of the store
}

// NewGCounter makes a replica that is a grow-only counter.
func NewGCounter(id ReplicaID) *GCounter { return Open[*GCounter](id) }

func (*GCounter) fresh() *GCounter { return new(GCounter) }

func (c *GCounter) put(h Handle) { c.Handle = h }

func (*GCounter) schema(_ codecs, root bool) *schema {
	if root {
		return leafSchema(kindGTotal)
	}
	return leafSchema(kindGCounter)
}

// Add adds n.
func (c *GCounter) Add(n uint64) Delta {
	c.store.begin()
	if n != 0 {
		// An own total that is full takes no more: then the sum is not the old one plus n.
		known := c.at == c.store.version && c.sum <= math.MaxUint64-n
		c.addPayload(func(b []byte, old string) []byte {
			v, _ := binary.Uvarint([]byte(old))
			return binary.AppendUvarint(b, saturate(v, n))
		})
		if known {
			c.sum, c.at = c.sum+n, c.store.version
		}
	}
	return c.store.end()
}

// Value returns the count as this replica sees it now (a snapshot read). O(1) where this GCounter was
// asked before and only added to since; O(events held) after other changes to the store.
func (c *GCounter) Value() uint64 {
	if c.at != c.store.version {
		c.sum, c.at = 0, c.store.version
		c.payloads(func(p string) {
			v, _ := binary.Uvarint([]byte(p))
			c.sum = saturate(c.sum, v)
		})
	}
	return c.sum
}

// AtLeast reports whether the count has reached n. At the root it is a monotone read: once true it
// stays true, here and everywhere, so that it needs no coordination to act on it.
func (c *GCounter) AtLeast(n uint64) bool { return c.Value() >= n }

func saturate(a, b uint64) uint64 {
	sum, carry := bits.Add64(a, b, 0)
	if carry != 0 {
		return math.MaxUint64
	}
	return sum
}

// addPayload makes an event at a counter: fold appends the new payload, made of what it adds to. At the
// root that is the replica's total so far, which the event takes the place of; elsewhere it is what
// this update has added already.
func (h *Handle) addPayload(fold func(b []byte, old string) []byte) {
	s := h.store
	at := h.ensure()
	// Payloads of counters are short, and those at the root are soon replaced: they share blocks.
	keep := func(old string) string {
		s.tx.payload = fold(s.tx.payload[:0], old)
		return s.merger.keys.add(s.tx.payload)
	}
	if d := s.minted(at); d != nil {
		d.payload = keep(d.payload)
		s.version++
		return
	}
	mark := len(s.tx.removed)
	old := dot{}
	if h.up == nil {
		// All own events are here, and most often there is one: the leaf may hold those of a thousand
		// others.
		own := &s.lanes[s.own]
		for i, seq := range own.seqs {
			if own.slots[i] != noSlot {
				old = *s.tree.dot(at, uint32(s.own), seq)
				s.rememberDot(at, old, false)
				s.tx.removed = append(s.tx.removed, located{s.own, seq})
			}
		}
	}
	s.mint(at, keep(old.payload))
	s.over(mark)
	if h.up != nil && s.tree.at(at).live() > 1 {
		s.tallies.add(at)
	}
}

// payloads calls f for the payload of each event that counts: of all of them, but at the root of
// the newest of each replica, which holds its total.
func (h *Handle) payloads(f func(payload string)) {
	if h.up == nil {
		h.newest(func(d dot) { f(d.payload) })
	} else {
		h.dots(func(d dot) { f(d.payload) })
	}
}

// newest calls f for the newest event of each replica at the place. An older one may still be there
// if deltas came in another order.
func (h *Handle) newest(f func(dot)) {
	var ds []dot
	h.dots(func(d dot) { ds = append(ds, d) })
	slices.SortFunc(ds, func(a, b dot) int { return cmp.Or(cmp.Compare(a.lane, b.lane), cmp.Compare(a.seq, b.seq)) })
	for i, d := range ds {
		if i+1 == len(ds) || ds[i+1].lane != d.lane {
			f(d)
		}
	}
}
