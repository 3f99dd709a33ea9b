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
	key        string
	seq        uint64 // a leaf's only dot, if it has no payload; 0 if there is none or leaf is set
	parent     slot
	child      slot // first child
	next, prev slot // siblings, in no particular order
	live       uint32
	lane       uint32
	leaf       uint32 // index into tree.leaves plus 1, if there are several dots or payloads
	shape      shape
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
}

func newTree(root shape) *tree {
	t := &tree{free: noSlot, table: table{seed: maphash.MakeSeed()}}
	t.alloc()
	n := t.at(rootSlot)
	n.parent, n.child, n.next, n.prev, n.shape = noSlot, noSlot, noSlot, noSlot, root
	return t
}

// at returns a node. The pointer is good until the next alloc.
func (t *tree) at(s slot) *node { return &t.pages[s>>pageBits][s&(pageSize-1)] }

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
	return find(t, hashOf(&t.table, parent, sh, key), parent, sh, key)
}

// ensure returns the child of parent with the given shape and key, making it if need be. What is
// made is not counted by its parent until a dot is attached below it: the caller must do so.
func (t *tree) ensure(parent slot, sh shape, key string) slot {
	s, isNew := ensure(t, parent, sh, key)
	if isNew {
		t.at(s).key = key
	}
	return s
}

// ensure is tree.ensure, but for the key of what is new, which the caller must set.
func ensure[K string | []byte](t *tree, parent slot, sh shape, key K) (s slot, isNew bool) {
	h := hashOf(&t.table, parent, sh, key)
	if s, ok := find(t, h, parent, sh, key); ok {
		return s, false
	}
	return t.create(h, parent, sh), true
}

// create makes the child of parent of which h is the hash, but for its key, which the caller must set.
func (t *tree) create(h uint64, parent slot, sh shape) slot {
	if 5*(t.table.used+1) > 4*len(t.table.tags) {
		t.table.rebuild(t)
	}
	s := t.alloc()
	p, n := t.at(parent), t.at(s)
	n.shape, n.parent, n.child, n.next, n.prev = sh, parent, noSlot, p.child, noSlot // the rest is zero
	if p.child != noSlot {
		t.at(p.child).prev = s
	}
	p.child = s
	t.table.put(h, s)
	t.coming = max(0, t.coming-1)
	return s
}

// attach adds a dot to a leaf.
func (t *tree) attach(s slot, d dot) {
	n := t.at(s)
	switch {
	case n.leaf != 0:
		i := n.leaf - 1
		t.leaves[i] = append(t.leaves[i], d)
	case n.seq == 0 && d.payload == "":
		n.lane, n.seq = d.lane, d.seq
	default:
		var i uint32
		if k := len(t.freeLeaves); k > 0 {
			i, t.freeLeaves = t.freeLeaves[k-1], t.freeLeaves[:k-1]
		} else {
			i = uint32(len(t.leaves))
			t.leaves = append(t.leaves, nil)
		}
		if n.seq != 0 {
			t.leaves[i] = append(t.leaves[i], dot{lane: n.lane, seq: n.seq})
		}
		t.leaves[i] = append(t.leaves[i], d)
		n.seq, n.leaf = 0, i+1
	}
	for n.live++; n.live == 1 && n.parent != noSlot; n.live++ {
		n = t.at(n.parent)
	}
}

// detach removes a dot from a leaf; places that hold nothing any more go.
func (t *tree) detach(s slot, laneIndex uint32, seq uint64) {
	n := t.at(s)
	if n.leaf == 0 {
		n.seq = 0
	} else {
		dots := t.leaves[n.leaf-1]
		for i := range slices.Backward(dots) {
			if dots[i].lane == laneIndex && dots[i].seq == seq {
				dots[i] = dots[len(dots)-1]
				dots[len(dots)-1] = dot{}
				dots = dots[:len(dots)-1]
				break
			}
		}
		t.leaves[n.leaf-1] = dots
		if len(dots) == 0 {
			t.freeLeaves = append(t.freeLeaves, n.leaf-1)
			n.leaf = 0
		}
	}
	for {
		n.live--
		if n.live > 0 || n.parent == noSlot {
			return
		}
		parent := n.parent
		t.release(s, n)
		s, n = parent, t.at(parent)
	}
}

func (t *tree) release(s slot, n *node) {
	t.table.remove(hashOf(&t.table, n.parent, n.shape, n.key), s)
	if n.prev != noSlot {
		t.at(n.prev).next = n.next
	} else {
		t.at(n.parent).child = n.next
	}
	if n.next != noSlot {
		t.at(n.next).prev = n.prev
	}
	*n = node{next: t.free, child: noSlot, prev: noSlot, parent: noSlot}
	t.free = s
}

// dots calls f for each dot of a leaf, in no particular order; f must not change the tree.
func (t *tree) dots(s slot, f func(dot)) {
	n := t.at(s)
	if n.leaf != 0 {
		for _, d := range t.leaves[n.leaf-1] {
			f(d)
		}
	} else if n.seq != 0 {
		f(dot{lane: n.lane, seq: n.seq})
	}
}

// dot returns the dot of a leaf with the given name; it must be there. The search begins at the end,
// where the own one of a counter stays: it is appended there, and what is detached is replaced by the
// last one.
func (t *tree) dot(s slot, laneIndex uint32, seq uint64) *dot {
	n := t.at(s)
	if n.leaf == 0 {
		return &dot{lane: n.lane, seq: n.seq}
	}
	dots := t.leaves[n.leaf-1]
	for i := range slices.Backward(dots) {
		if dots[i].lane == laneIndex && dots[i].seq == seq {
			return &dots[i]
		}
	}
	panic("crdt: internal error: a lane names a dot that its leaf does not hold")
}

// table is an open-addressing hash table of slots with one-byte tags; keys live in the nodes.
type table struct {
	seed  maphash.Seed
	tags  []uint8
	slots []slot
	used  int // slots that are or were taken
	full  int // slots that are taken
}

const (
	tagFree = 0
	tagDead = 1 // was taken: a search goes on past it
)

func hashOf[K string | []byte](t *table, parent slot, sh shape, key K) uint64 {
	var h uint64
	switch key := any(key).(type) {
	case string:
		h = maphash.String(t.seed, key)
	case []byte:
		h = maphash.Bytes(t.seed, key) // the same for the same bytes
	}
	return mix(h ^ uint64(parent)<<16 ^ uint64(sh.kind)<<8 ^ uint64(sh.codec))
}

func tagOf(h uint64) uint8 { return uint8(h>>56) | 2 }

func find[K string | []byte](tr *tree, h uint64, parent slot, sh shape, key K) (slot, bool) {
	t := &tr.table
	if len(t.tags) == 0 {
		return 0, false
	}
	mask := uint64(len(t.tags) - 1)
	tag := tagOf(h)
	for i := h & mask; ; i = (i + 1) & mask {
		switch t.tags[i] {
		case tagFree:
			return 0, false
		case tag:
			if n := tr.at(t.slots[i]); n.parent == parent && n.shape == sh && n.key == string(key) {
				return t.slots[i], true
			}
		}
	}
}

func (t *table) put(h uint64, s slot) {
	mask := uint64(len(t.tags) - 1)
	i := h & mask
	for t.tags[i] > tagDead {
		i = (i + 1) & mask
	}
	if t.tags[i] == tagFree {
		t.used++
	}
	t.full++
	t.tags[i], t.slots[i] = tagOf(h), s
}

func (t *table) remove(h uint64, s slot) {
	mask := uint64(len(t.tags) - 1)
	i := h & mask
	for t.tags[i] <= tagDead || t.slots[i] != s {
		i = (i + 1) & mask
	}
	t.full--
	t.tags[i] = tagDead
	if t.tags[(i+1)&mask] == tagFree { // nobody searches past it: it and dead ones before it are free
		for t.tags[i] == tagDead {
			t.tags[i] = tagFree
			t.used--
			i = (i - 1) & mask
		}
	}
}

// rebuild makes room for at least as many entries again, or shrinks if most are gone.
func (t *table) rebuild(tr *tree) {
	size := 8
	for 5*size < 8*(t.full+1) || 4*size < 5*(t.full+1+tr.coming) { // at most 5/8 full after it, 4/5 in a moment
		size *= 2
	}
	t.tags, t.slots = make([]uint8, size), make([]slot, size)
	t.used, t.full = 0, 0
	// In the order of nodes, which is that of memory.
	for at := range tr.count {
		if n := tr.at(at); n.parent != noSlot {
			t.put(hashOf(t, n.parent, n.shape, n.key), at)
		}
	}
}

// mix spreads every bit of x over all bits (the finalizer of SplitMix64, Steele et al. 2014).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
