package crdt

import (
	"hash/maphash"
	"slices"
)

// slot is the address of a node in the tree.
type slot = uint32

const (
	rootSlot slot = 0
	noSlot   slot = 1<<32 - 1
)

// node is a place in the tree of values: an element of a set, an entry of a map, a field, a leaf.
// It exists while it or something below it holds a live dot; only the root always exists.
type node struct {
	key string
	// x and y are the number and the lane of the node's dot if it is alone. Else they are how many dots
	// and children live, above the first child, and where the dots are.
	x          uint64
	y          uint32
	parent     slot
	next, prev slot   // siblings, in no particular order
	hash       uint32 // of parent, shape and key
	shape      shape
	alone      bool // there is one dot, without a payload, and nothing below: an element of a set
}

// live returns how many dots and children there are.
func (n *node) live() uint32 {
	if n.alone {
		return 1
	}
	return uint32(n.x >> 32)
}

// child returns the first child.
func (n *node) child() slot {
	if c := slot(n.x); c != rootSlot && !n.alone { // the root is nobody's child
		return c
	}
	return noSlot
}

// leaf returns the index into tree.leaves, plus 1, of dots that are several or have payloads.
func (n *node) leaf() uint32 {
	if n.alone {
		return 0
	}
	return n.y
}

// setChild is for a node that is not alone.
func (n *node) setChild(c slot) {
	if c == noSlot {
		c = rootSlot
	}
	n.x = n.x>>32<<32 | uint64(c)
}

// dot is an event that lives at a leaf, with what it brought.
type dot struct {
	lane    uint32
	seq     uint64
	payload string
}

const (
	pageBits = 9
	pageSize = 1 << pageBits
)

// tree holds all values of a store: nodes in pages, one hash table from (parent, shape, key) to
// node for all levels. Nodes know nothing of what their payloads mean.
type tree struct {
	pages      [][]node
	count      uint32 // slots handed out, free ones included
	free       slot   // list of free nodes through next
	leaves     [][]dot
	freeLeaves []uint32
	table      table
	coming     int // how many nodes will soon be made, at most: a hint
	found      int // where seek found a dot last: another
}

func newTree(root shape) *tree {
	t := &tree{free: noSlot, table: table{seed: maphash.MakeSeed()}}
	t.alloc()
	n := t.at(rootSlot)
	n.parent, n.next, n.prev, n.shape = noSlot, noSlot, noSlot, root
	return t
}

// at returns a node. The pointer is good until the next alloc.
func (t *tree) at(s slot) *node { return &t.pages[s>>pageBits][s&(pageSize-1)] }

// row returns the nodes of the first of the slots and of those after it, for as long as they stand side
// by side. In the order in which they were made they mostly do, and are gone through in half the time.
func (t *tree) row(slots []slot) []node {
	first := slots[0]
	page, from, n := t.pages[first>>pageBits], int(first&(pageSize-1)), 1
	for n < len(slots) && slots[n] == first+slot(n) && from+n < len(page) {
		n++
	}
	return page[from : from+n]
}

func (t *tree) alloc() slot {
	if s := t.free; s != noSlot {
		t.free = t.at(s).next
		return s
	}
	s := t.count
	t.count++
	if s == noSlot {
		panic("crdt: a store holds at most 2³² nodes")
	}
	switch p := int(s >> pageBits); {
	case p == 0: // the first page grows, so that small stores stay small
		if s == 0 {
			t.pages = [][]node{nil}
		}
		if n := len(t.pages[0]); n == cap(t.pages[0]) {
			t.pages[0] = slices.Grow(t.pages[0], min(max(1, n, t.coming), pageSize-n))
		}
		t.pages[0] = append(t.pages[0], node{})
	case p == len(t.pages):
		n := 1 + min(t.coming, 1<<16)>>pageBits
		slab := make([]node, n<<pageBits)
		t.pages = slices.Grow(t.pages, n)
		for ; n > 0; n-- {
			t.pages = append(t.pages, slab[:pageSize:pageSize])
			slab = slab[pageSize:]
		}
	}
	return s
}

// find returns the child of parent with the given shape and key.
func (t *tree) find(parent slot, sh shape, key string) (slot, bool) {
	return find(t, t.table.hash(parent, sh, key), parent, sh, key)
}

// ensure returns the child of parent with the given shape and key, making it if need be. What is
// made is not counted by its parent until a dot is attached below it: the caller must do so.
func (t *tree) ensure(parent slot, sh shape, key string) slot {
	h := t.table.hash(parent, sh, key)
	s, ok := find(t, h, parent, sh, key)
	if !ok {
		s = t.create(h, parent, sh, key)
	}
	return s
}

// create makes the child of parent that has the shape and the key, of which h is the hash.
func (t *tree) create(h uint32, parent slot, sh shape, key string) slot {
	if 5*(t.table.used+1) > 4*len(t.table.slots) {
		t.table.rebuild(t)
	}
	s := t.alloc()
	p, n := t.at(parent), t.at(s)
	t.spread(p)
	first := p.child()
	n.key, n.shape, n.hash, n.parent, n.next, n.prev = key, sh, h, parent, first, noSlot // the rest is zero
	if first != noSlot {
		t.at(first).prev = s
	}
	p.setChild(s)
	t.table.put(h, s)
	t.coming = max(0, t.coming-1)
	return s
}

// attach adds a dot to a leaf.
func (t *tree) attach(s slot, d dot) {
	n := t.at(s)
	if d.payload == "" && n.x == 0 && !n.alone {
		n.x, n.y, n.alone = d.seq, d.lane, true
	} else {
		t.spread(n)
		if n.y == 0 {
			n.y = t.newLeaf()
		}
		t.leaves[n.y-1] = append(t.leaves[n.y-1], d)
		if n.x += 1 << 32; n.x>>32 > 1 {
			return
		}
	}
	// Something lives where nothing did.
	for n.parent != noSlot {
		n = t.at(n.parent)
		if n.x += 1 << 32; n.x>>32 > 1 {
			return
		}
	}
}

// spread makes room at a node for more than one dot.
func (t *tree) spread(n *node) {
	if n.alone {
		d := dot{lane: n.y, seq: n.x}
		n.x, n.y, n.alone = 1<<32, t.newLeaf(), false
		t.leaves[n.y-1] = append(t.leaves[n.y-1], d)
	}
}

// newLeaf returns the index plus 1 of an empty list of dots.
func (t *tree) newLeaf() uint32 {
	if k := len(t.freeLeaves); k > 0 {
		i := t.freeLeaves[k-1]
		t.freeLeaves = t.freeLeaves[:k-1]
		return i + 1
	}
	t.leaves = append(t.leaves, nil)
	return uint32(len(t.leaves))
}

// detach removes a dot from a leaf; places that hold nothing any more go.
func (t *tree) detach(s slot, laneIndex uint32, seq uint64) {
	n := t.at(s)
	if n.alone {
		n.x, n.y, n.alone = 1<<32, 0, false
	} else {
		dots := t.leaves[n.y-1]
		if i := t.seek(dots, laneIndex, seq); i >= 0 {
			dots[i] = dots[len(dots)-1]
			dots[len(dots)-1] = dot{}
			dots = dots[:len(dots)-1]
		}
		t.leaves[n.y-1] = dots
		if len(dots) == 0 {
			t.freeLeaves = append(t.freeLeaves, n.y-1)
			n.y = 0
		}
	}
	for {
		n.x -= 1 << 32
		if n.x>>32 > 0 || n.parent == noSlot {
			return
		}
		parent := n.parent
		t.release(s, n)
		s, n = parent, t.at(parent)
	}
}

func (t *tree) release(s slot, n *node) {
	t.table.remove(n.hash, s)
	if n.prev != noSlot {
		t.at(n.prev).next = n.next
	} else {
		t.at(n.parent).setChild(n.next)
	}
	if n.next != noSlot {
		t.at(n.next).prev = n.prev
	}
	*n = node{next: t.free, prev: noSlot, parent: noSlot}
	t.free = s
}

// dots calls f for each dot of a leaf, in no particular order; f must not change the tree.
func (t *tree) dots(s slot, f func(dot)) {
	n := t.at(s)
	if n.alone {
		f(dot{lane: n.y, seq: n.x})
	} else if n.y != 0 {
		for _, d := range t.leaves[n.y-1] {
			f(d)
		}
	}
}

// dot returns the dot of a leaf with the given name; it must be there.
func (t *tree) dot(s slot, laneIndex uint32, seq uint64) *dot {
	n := t.at(s)
	if n.alone {
		return &dot{lane: n.y, seq: n.x}
	}
	dots := t.leaves[n.y-1]
	if i := t.seek(dots, laneIndex, seq); i >= 0 {
		return &dots[i]
	}
	panic("crdt: internal error: a lane names a dot that its leaf does not hold")
}

// seek returns the index of a dot of a leaf, or -1. It looks at the end first, where the own dot of a
// counter stays (it is appended there, and what is detached is replaced by the last one), and then
// around where the last one was found: many dots of a leaf are asked for in about the order in which
// they came, and a search through all of them for each would take a square of their number.
func (t *tree) seek(dots []dot, laneIndex uint32, seq uint64) int {
	is := func(i int) bool { return dots[i].lane == laneIndex && dots[i].seq == seq }
	last := len(dots) - 1
	if is(last) {
		t.found = last
		return last
	}
	for below, above := min(t.found, last), t.found+1; below >= 0 || above <= last; below, above = below-1, above+1 {
		if below >= 0 && is(below) {
			t.found = below
			return below
		}
		if above <= last && is(above) {
			t.found = above
			return above
		}
	}
	return -1
}

// mix spreads every bit of x over all bits (the finalizer of SplitMix64, Steele et al. 2014).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
