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

// item is an event that lives; or several, of which each next one lives at the next node of a family and
// none has a payload: the elements of a set.
type item struct {
	seq     uint64
	def, n  uint32 // where they live, and how many there are
	payload uint32 // where its payload stands, after its length; 0: it has none
}

// part returns n of the events, after the first ones.
func (it *item) part(after, n uint32) *item {
	if n == it.n {
		return it
	}
	return &item{seq: it.seq + uint64(after), def: it.def + after, n: n, payload: it.payload}
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
	// Set by a merge:
	known  bool    // the others are set
	strict bool    // there are keys or payloads to be checked
	keys   *schema // of the parent; nil if nobody has opened it
	schema *schema // nil if nobody has opened the place
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
	return v.longText(at)
}

func (v *view) longText(at uint32) text {
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
	if f := &v.families[v.recent]; f.has(i) {
		return f
	}
	return v.seek(i)
}

// seek is family of a node of another one than before: mostly the root or the next one.
func (v *view) seek(i uint32) *family {
	if i == 0 {
		return &v.families[0]
	}
	if v.recent++; v.recent == len(v.families) || !v.families[v.recent].has(i) {
		v.recent = sort.Search(len(v.families), func(k int) bool { return v.families[k].first > i }) - 1
	}
	return &v.families[v.recent]
}

func (f *family) has(i uint32) bool { return i-f.first < f.n }

// name adds nodes below a parent, and reports whether each of them is a family by itself.
func (v *view) name(parent uint32, sh shape, n int, c *cursor) (defs []def, each bool) {
	first := len(v.defs)
	v.defs = room(v.defs, n, c)[:first+n]
	up := v.shape(parent).kind
	each = up == kindStore || up == kindStruct // children are of any types
	switch last := &v.families[len(v.families)-1]; {
	case each:
		for i := range n {
			v.addFamily(first+i, 1, parent, sh)
		}
	case last.parent == parent && last.shape == sh:
		last.n += uint32(n)
	default:
		v.addFamily(first, n, parent, sh)
	}
	return v.defs[first:], each
}

func (v *view) addFamily(first, n int, parent uint32, sh shape) {
	v.families = append(v.families, family{})
	f := &v.families[len(v.families)-1]
	f.first, f.n, f.parent, f.shape = uint32(first), uint32(n), parent, sh
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
	v.addFamily(0, 1, noDef, v.root)
	ids := c.at
	c.at += 8 * n
	for i := range n {
		v.lane(&c, ReplicaID(binary.BigEndian.Uint64(b[ids+8*i:])))
	}
	return nil
}

func (v *view) lane(c *cursor, id ReplicaID) {
	v.lanes = append(v.lanes, viewLane{})
	l := &v.lanes[len(v.lanes)-1]
	l.id, l.local, l.range0, l.item0 = id, -1, len(v.ranges), len(v.items)
	v.ranges = c.runs(v.ranges)
	l.range1 = len(v.ranges)
	all := c.runs(v.ranges)
	v.ranges = all[:l.range1]
	for live := all[l.range1:]; len(live) > 0; {
		live = v.group(c, live)
	}
	l.item1 = len(v.items)
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
	defs, each := v.name(uint32(node), c.shape(), count, c)
	events := form != formInner
	one := events && (payload || each) // at a time
	if one {
		v.items = room(v.items, count, c)
	}
	for k := range defs {
		defs[k] = def{c.skip(), noSlot}
		if payload {
			it.payload = c.skip()
		}
		if one {
			live = v.add(it, live)
			it.def++
		}
	}
	if events && !one {
		it.n = uint32(count)
		live = v.add(it, live)
	}
	return live
}

// add gives events the first numbers of those that live, and returns the others.
func (v *view) add(it item, live []interval.Range) []interval.Range {
	for {
		v.items = append(v.items, item{})
		part, run := &v.items[len(v.items)-1], &live[0]
		part.seq, part.def, part.n, part.payload = run.Lo, it.def, it.n, it.payload
		if left := run.Hi - run.Lo + 1; left > uint64(it.n) {
			run.Lo += uint64(it.n)
			return live
		} else {
			part.n = uint32(left)
			live = live[1:]
		}
		if it.def, it.n = it.def+part.n, it.n-part.n; it.n == 0 {
			return live
		}
	}
}

// expect makes room for what is fresh of items from the i-th on, if most were of those before.
func (v *view) expect(i int) {
	if n := len(v.fresh); n == cap(v.fresh) && n >= 16 && n >= i/2 {
		v.fresh = slices.Grow(v.fresh, len(v.items)-i)
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
