package crdt

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/go-calm/calm/internal/interval"
)

// view is a delta, read. Its slices are reused from one reading to the next. Of each event and node
// little is kept, and no pointer: what a merge costs is mostly the memory that it goes through.
type view struct {
	b        []byte // what was read
	root     shape
	lanes    []viewLane
	ranges   []interval.Range
	items    []item
	fresh    []item // those not seen here before; set by a merge
	defs     []def
	families []family
	recent   int // index of the family that was looked up last

	few struct { // of the above, as many as a small delta needs
		lanes    [1]viewLane
		ranges   [2]interval.Range
		items    [1]item
		fresh    [1]item
		defs     [2]def
		families [2]family
	}
}

type viewLane struct {
	id             ReplicaID
	range0, range1 int // of view.ranges: the events told
	item0, item1   int // of view.items: those that live
	fresh0, fresh1 int // of view.fresh
	local          int // index of the store's lane, or -1
}

// item is an event that lives; or several, of which each next one lives at the next node and none has
// a payload: the elements of a set.
type item struct {
	seq     uint64
	def, n  uint32 // where they live, and how many there are
	payload uint32 // where its payload stands, after its length; 0: it has none
}

// cut returns the first n events of an item, and leaves the rest.
func (it *item) cut(n uint32) item {
	first := *it
	first.n = n
	it.seq, it.def, it.n = it.seq+uint64(n), it.def+n, it.n-n
	return first
}

// def is a node that a delta names. defs[0] is the root.
type def struct {
	key  uint32 // where its key stands, after its length
	slot slot   // set by a merge
}

// family is nodes that were named one after the other and are alike in all but their keys.
type family struct {
	first, n uint32 // of view.defs
	parent   uint32
	shape    shape
	known    bool    // keys and schema are set, by a merge
	keys     *schema // of the parent, where the keys are to be checked
	schema   *schema // nil if nobody has opened the place
}

// noDef is the number of no node.
const noDef = 1<<32 - 1

// text is a part of what was read.
type text struct{ from, len uint32 }

func (v *view) bytes(t text) []byte { return v.b[t.from : t.from+t.len] }

// text returns what stands at an offset, after its length.
func (v *view) text(at uint32) text {
	if n := v.b[at]; n < 0x80 {
		return text{at + 1, uint32(n)}
	}
	n, size := binary.Uvarint(v.b[at:])
	return text{at + uint32(size), uint32(n)}
}

func (v *view) key(i uint32) []byte { return v.bytes(v.text(v.defs[i].key)) }

// payload returns what an event brought, empty if it is nothing.
func (v *view) payload(it *item) []byte {
	if it.payload == 0 {
		return nil
	}
	return v.bytes(v.text(it.payload))
}

// family returns that of a node.
func (v *view) family(i uint32) *family {
	if f := &v.families[v.recent]; i-f.first < f.n {
		return f
	}
	v.recent = sort.Search(len(v.families), func(k int) bool { return v.families[k].first > i }) - 1
	return &v.families[v.recent]
}

// name adds nodes below a parent and returns them.
func (v *view) name(parent uint32, sh shape, n int, c *cursor) []def {
	first := len(v.defs)
	v.defs = room(v.defs, n, c)[:first+n]
	f := family{first: uint32(first), n: uint32(n), parent: parent, shape: sh}
	if up := v.shape(parent).kind; up == kindStore || up == kindStruct { // where each child is of its own type
		for f.n = 1; int(f.first) < len(v.defs); f.first++ {
			v.families = append(v.families, f)
		}
	} else if last := &v.families[len(v.families)-1]; last.parent == parent && last.shape == sh {
		last.n += f.n
	} else {
		v.families = append(v.families, f)
	}
	return v.defs[first:]
}

func (v *view) shape(i uint32) shape { return v.family(i).shape }

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

// skip passes over a length and what is as long, and returns where they stand.
func (c *cursor) skip() uint32 {
	at := uint32(c.at)
	n := c.uvarint()
	c.at += int(n)
	return at
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
	if v.b = b; v.defs == nil {
		f := &v.few
		v.lanes, v.ranges, v.items, v.fresh = f.lanes[:], f.ranges[:], f.items[:], f.fresh[:]
		v.defs, v.families = f.defs[:], f.families[:]
	}
	v.lanes, v.ranges, v.items, v.fresh = v.lanes[:0], v.ranges[:0], v.items[:0], v.fresh[:0]
	v.defs, v.families, v.recent = v.defs[:0], v.families[:0], 0
	if uint64(len(b)) > math.MaxUint32 {
		return fmt.Errorf("%w: a delta of %d bytes, at most 4 GiB can be read", ErrLimit, len(b))
	}
	v.root = shape{kind(b[3]), b[4]}
	c := cursor{b, headerLen}
	n := int(c.uvarint())
	v.lanes = slices.Grow(v.lanes, n)
	v.defs = append(v.defs, def{slot: noSlot})
	v.families = append(v.families, family{n: 1, parent: noDef, shape: v.root})
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
	for live := all[l.range1:]; len(live) > 0; {
		live = v.group(c, live)
	}
	l.item1 = len(v.items)
	v.lanes = append(v.lanes, l)
}

// room makes room for n more, and as many as the rest of the delta will need if it goes on as it began.
// What is left of it has at least one byte for each.
func room[T any](s []T, n int, c *cursor) []T {
	if len(s)+n <= cap(s) {
		return s
	}
	guess := float64(len(s)) * (1.1*float64(len(c.b))/float64(c.at) - 1)
	return slices.Grow(s, max(n, int(min(guess, float64(len(c.b)-c.at)))))
}

// group reads the content of some of the lane's live events and returns the others.
func (v *view) group(c *cursor, live []interval.Range) []interval.Range {
	head := c.uvarint()
	form, count := head&(1<<formBits-1), int(head>>formBits)
	payload, node := form&formFlag != 0, c.uvarint() // the first one named, or the parent
	it := item{n: 1}
	if form&^formFlag == formRef {
		v.items = room(v.items, count, c)
		for ; ; node = c.uvarint() {
			it.def = uint32(node)
			if payload {
				it.payload = c.skip()
			}
			live = v.add(it, live)
			if count--; count == 0 {
				return live
			}
		}
	}
	it.def = uint32(len(v.defs))
	defs := v.name(uint32(node), c.shape(), count, c)
	if payload {
		v.items = room(v.items, count, c)
		for k := range defs {
			defs[k] = def{c.skip(), noSlot}
			it.payload = c.skip()
			live = v.add(it, live)
			it.def++
		}
		return live
	}
	for k := range defs {
		defs[k] = def{c.skip(), noSlot}
	}
	if form == formNew {
		it.n = uint32(count)
		live = v.add(it, live)
	}
	return live
}

// add gives events the first numbers of those that live, and returns the others.
func (v *view) add(it item, live []interval.Range) []interval.Range {
	for {
		run := &live[0]
		it.seq = run.Lo
		part := it.cut(uint32(min(uint64(it.n), run.Hi-run.Lo+1)))
		v.items = append(v.items, part)
		if run.Lo += uint64(part.n); run.Lo > run.Hi {
			live = live[1:]
		}
		if it.n == 0 {
			return live
		}
	}
}

// absorbed returns the first and the last event that an event has absorbed, empty if there is none.
func (v *view) absorbed(it *item) interval.Range {
	if it.payload == 0 {
		return interval.Range{}
	}
	return absorbed(v.shape(it.def).kind, v.payload(it))
}

// tells reports whether the delta tells of an event.
func (l *viewLane) tells(v *view, seq uint64) bool { return within(v.ranges[l.range0:l.range1], seq) }

// lives reports whether the delta tells that an event lives.
func (l *viewLane) lives(v *view, seq uint64) bool {
	items := v.items[l.item0:l.item1]
	i := sort.Search(len(items), func(i int) bool { return items[i].seq > seq }) - 1
	return i >= 0 && seq-items[i].seq < uint64(items[i].n)
}
