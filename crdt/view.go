package crdt

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/go-calm/calm/internal/interval"
)

// view is a delta, read. Its slices are reused from one reading to the next.
type view struct {
	b       []byte // what was read
	root    shape
	lanes   []viewLane
	ranges  []interval.Range
	items   []item
	defs    []def
	schemas []*schema // set by a merge
}

// text is a part of what was read. Items and defs hold no pointers, so that a hundred thousand of
// them cost the garbage collector nothing.
type text struct{ from, len uint32 }

func (v *view) bytes(t text) []byte { return v.b[t.from : t.from+t.len] }

type viewLane struct {
	id             ReplicaID
	range0, range1 int // of view.ranges: the events told
	item0, item1   int // of view.items: those that live
	local          int // index of the store's lane, or -1
}

type item struct {
	seq     uint64
	payload text
	def     uint32
	fresh   bool // set by a merge: not yet seen here
}

// def is a node that a delta names. defs[0] is the root.
type def struct {
	key    text
	parent uint32
	slot   slot   // set by a merge
	schema uint32 // set by a merge: index into view.schemas plus 1, 0 if nobody has opened the place
	shape  shape
	known  bool // schema is set
}

// cursor reads what was written or checked here, and so looks for no errors.
type cursor struct {
	b  []byte
	at int
}

func (c *cursor) uvarint() uint64 {
	if x := c.b[c.at]; x < 0x80 {
		c.at++
		return uint64(x)
	}
	return c.long()
}

func (c *cursor) long() uint64 {
	x, n := binary.Uvarint(c.b[c.at:])
	c.at += n
	return x
}

func (c *cursor) text() text {
	n := c.uvarint()
	t := text{uint32(c.at), uint32(n)}
	c.at += int(n)
	return t
}

func (c *cursor) shape() shape {
	c.at += 2
	return shape{kind(c.b[c.at-2]), c.b[c.at-1]}
}

// runs is readRuns.
func (c *cursor) runs(runs []interval.Range) []interval.Range {
	next := uint64(1)
	for n := c.uvarint(); n > 0; n-- {
		lo := next + c.uvarint()
		hi := lo + c.uvarint()
		runs = append(runs, interval.Range{Lo: lo, Hi: hi})
		next = hi + 2
	}
	return runs
}

// read reads a delta that was made or checked here. It fails, with [ErrLimit], only if it is too long.
func (v *view) read(b []byte) error {
	v.b = b
	v.lanes, v.ranges, v.items, v.defs, v.schemas = v.lanes[:0], v.ranges[:0], v.items[:0], v.defs[:0], v.schemas[:0]
	if uint64(len(b)) > math.MaxUint32 {
		return fmt.Errorf("%w: a delta of %d bytes, at most 4 GiB can be read", ErrLimit, len(b))
	}
	v.root = shape{kind(b[3]), b[4]}
	c := cursor{b, headerLen}
	n := int(c.uvarint())
	v.lanes, v.ranges = slices.Grow(v.lanes, n), slices.Grow(v.ranges, 2)
	v.defs = append(v.defs, def{shape: v.root, slot: noSlot})
	ids := c.at
	c.at += 8 * n
	for i := range n {
		v.lane(&c, ReplicaID(binary.BigEndian.Uint64(b[ids+8*i:])))
	}
	return nil
}

func (v *view) lane(c *cursor, id ReplicaID) {
	l := viewLane{id: id, local: -1, range0: len(v.ranges), item0: len(v.items)}
	v.ranges = c.runs(v.ranges)
	l.range1 = len(v.ranges)
	all := c.runs(v.ranges)
	v.ranges = all[:l.range1]
	for _, run := range all[l.range1:] {
		at, n := len(v.items), int(run.Hi-run.Lo+1)
		v.items = room(v.items, n, l.item0, c)[:at+n]
		for i := range v.items[at:] {
			v.items[at+i] = item{seq: run.Lo + uint64(i)}
		}
	}
	l.item1 = len(v.items)
	for i := l.item0; i < l.item1; {
		i = v.group(c, i)
	}
	v.lanes = append(v.lanes, l)
}

// room makes room for n more, and as many as the rest of the delta will need if it goes on as it began:
// with so many that were read whole. What is left of it has at least one byte for each.
func room[T any](s []T, n, read int, c *cursor) []T {
	if len(s)+n <= cap(s) {
		return s
	}
	guess := float64(read) * (1.1*float64(len(c.b))/float64(c.at) - 1)
	return slices.Grow(s, max(n, int(min(guess, float64(len(c.b)-c.at)))))
}

// group reads the content of events from items[i] on and returns the index of the next one.
func (v *view) group(c *cursor, i int) int {
	head := c.uvarint()
	form, count := head&(1<<formBits-1), int(head>>formBits)
	payload, node := form&formFlag != 0, c.uvarint() // the first one named, or the parent
	if form&^formFlag == formRef {
		for ; ; node = c.uvarint() {
			it := &v.items[i]
			it.def = uint32(node)
			if payload {
				it.payload = c.text()
			}
			i++
			if count--; count == 0 {
				return i
			}
		}
	}
	d := def{parent: uint32(node), shape: c.shape(), slot: noSlot}
	first := len(v.defs)
	v.defs = room(v.defs, count, first, c)[:first+count]
	defs := v.defs[first:]
	switch {
	case form == formInner:
		for k := range defs {
			d.key = c.text()
			defs[k] = d
		}
		return i
	case payload:
		items := v.items[i : i+count]
		for k := range defs {
			d.key = c.text()
			defs[k] = d
			items[k].def, items[k].payload = uint32(first+k), c.text()
		}
	default:
		items := v.items[i : i+count]
		for k := range defs {
			d.key = c.text()
			defs[k] = d
			items[k].def = uint32(first + k)
		}
	}
	return i + count
}

// absorbed returns the first and the last event that an event has absorbed, empty if there is none.
func (v *view) absorbed(it *item) interval.Range {
	if it.payload.len == 0 {
		return interval.Range{}
	}
	return absorbed(v.defs[it.def].shape.kind, v.bytes(it.payload))
}

// tells reports whether the delta tells of an event.
func (l *viewLane) tells(v *view, seq uint64) bool { return within(v.ranges[l.range0:l.range1], seq) }

// lives reports whether the delta tells that an event lives.
func (l *viewLane) lives(v *view, seq uint64) bool {
	items := v.items[l.item0:l.item1]
	i := sort.Search(len(items), func(i int) bool { return items[i].seq >= seq })
	return i < len(items) && items[i].seq == seq
}
