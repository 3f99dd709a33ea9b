package clock

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/go-calm/calm/internal/wire"
)

// ErrOverlap is matched by the error of [Tree.Join] for trees that own a part of the id
// space both: one of them is a copy that went on counting.
var ErrOverlap = errors.New("clock: trees overlap")

// Tree is an interval tree clock: a causal clock for groups whose members come and go. No
// member needs an id: one starts as the [Seed] and others are forked from those there are,
// each owning a part of the unit interval; who leaves is joined with someone who stays, and
// what it owned is used again. The size follows the number of present members and not of
// all there ever were. For a fixed group a [Vector] is smaller and faster.
//
// The zero value owns nothing and knows of no event. Trees never change: all methods return
// new ones, and any number of goroutines may share one. Operations cost O(size).
//
// Source: Almeida, Baquero & Fonte, "Interval Tree Clocks: A Logical Clock for Dynamic
// Systems" (OPODIS 2008).
type Tree struct {
	// Both trees are flat, in preorder, so that an operation is a walk or two over an array
	// and makes one new one. nil is a leaf of 0.

	// id holds idNone or idAll for a leaf and idInner for an inner node, which has at least
	// one child that is neither nothing nor all of it.
	id []byte
	// ev holds for a leaf how many events its part of the interval has seen, and for an inner
	// node the least of its leaves, each shifted left by one with evInner as the lowest bit.
	// Counts are absolute (the paper's are relative to the parent's), so that a subtree can
	// be copied as it is. No inner node has two equal leaves.
	ev []uint64
}

const (
	idNone  = 0
	idAll   = 1
	idInner = 2

	evInner = 1
	evMax   = 1 << 62 // of counts in bytes from outside

	// treeDepth bounds the recursion on trees from outside.
	treeDepth = 10_000
)

// Seed returns the tree that owns everything and knows of no event. There must be one in a
// group, ever.
func Seed() Tree { return Tree{id: []byte{idAll}} }

func (t Tree) ids() []byte {
	if t.id == nil {
		return []byte{idNone}
	}
	return t.id
}

func (t Tree) evs() []uint64 {
	if t.ev == nil {
		return []uint64{0}
	}
	return t.ev
}

// IsAnonymous reports whether t owns nothing and so cannot count events.
func (t Tree) IsAnonymous() bool { return t.ids()[0] == idNone }

// Peek returns the knowledge of t without what it owns: the tree to put into a message.
func (t Tree) Peek() Tree { return Tree{ev: t.ev} }

// idEnd returns where the subtree at i ends.
func idEnd(id []byte, i int) int {
	for open := 1; open > 0; i++ {
		if id[i] == idInner {
			open++
		} else {
			open--
		}
	}
	return i
}

// evEnd returns where the subtree at i ends.
func evEnd(ev []uint64, i int) int {
	for open := 1; open > 0; i++ {
		open += int(ev[i]&evInner)<<1 - 1
	}
	return i
}

// Fork divides what t owns in two. Both know all that t knows; t must not be used to count
// or fork any more.
func (t Tree) Fork() (Tree, Tree) {
	id := t.ids()
	var a, b []byte
	i := 0
	// Go down while one side owns nothing.
	tail := 0 // leaves of nothing to append once the way is done
	for id[i] == idInner {
		right := idEnd(id, i+1)
		if id[i+1] == idNone {
			a, b = append(a, idInner, idNone), append(b, idInner, idNone)
			i = right
			continue
		}
		if id[right] != idNone {
			a = append(append(append(a, idInner), id[i+1:right]...), idNone)
			b = append(append(b, idInner, idNone), id[right:idEnd(id, right)]...)
			i = -1
			break
		}
		a, b = append(a, idInner), append(b, idInner)
		tail++
		i++
	}
	if i >= 0 {
		if id[i] == idAll {
			a, b = append(a, idInner, idAll, idNone), append(b, idInner, idNone, idAll)
		} else {
			a, b = append(a, idNone), append(b, idNone)
		}
	}
	for range tail {
		a, b = append(a, idNone), append(b, idNone)
	}
	return Tree{a, t.ev}, Tree{b, t.ev}
}

// Event counts one event: the tree returned is [After] t. It grows the tree as little as
// possible. It panics if t is anonymous.
func (t Tree) Event() Tree {
	id, ev := t.ids(), t.evs()
	if id[0] == idNone {
		panic("clock: Event of an anonymous tree")
	}
	w := treeWriter{make([]uint64, 0, len(ev)+2*len(id))}
	w.fill(id, 0, ev, 0)
	if !slices.Equal(w.out, ev) {
		return Tree{t.id, w.out}
	}
	_, leaf, _, _ := cheapest(id, 0, ev, 0, false)
	w.out = w.out[:0]
	w.grow(id, 0, ev, 0, leaf)
	return Tree{t.id, w.out}
}

// treeWriter writes an event tree.
type treeWriter struct{ out []uint64 }

// open starts an inner node, close ends it, given where its right child starts.
func (w *treeWriter) open() int {
	w.out = append(w.out, 0)
	return len(w.out) - 1
}

func (w *treeWriter) close(at, right int) {
	l, r := w.out[at+1], w.out[right]
	if l == r && l&evInner == 0 {
		w.out[at] = l
		w.out = w.out[:at+1]
		return
	}
	w.out[at] = min(l|evInner, r|evInner)
}

// fill makes what is owned as high as it can be without an event that nobody knows of, so
// that the tree gets simpler. It returns where the subtrees end.
func (w *treeWriter) fill(id []byte, i int, ev []uint64, j int) (int, int) {
	if ev[j]&evInner == 0 {
		w.out = append(w.out, ev[j])
		return idEnd(id, i), j + 1
	}
	switch id[i] {
	case idNone:
		end := evEnd(ev, j)
		w.out = append(w.out, ev[j:end]...)
		return i + 1, end
	case idAll:
		top, end := evTop(ev, j)
		w.out = append(w.out, top)
		return i + 1, end
	}
	at := w.open()
	i, j = i+1, j+1
	var right int
	if id[i] == idAll {
		// The left may rise to the least of the right, which is known afterwards.
		top, end := evTop(ev, j)
		w.out = append(w.out, 0)
		right = len(w.out)
		i, j = w.fill(id, i+1, ev, end)
		w.out[right-1] = max(top, w.out[right]&^evInner)
	} else {
		i, j = w.fill(id, i, ev, j)
		right = len(w.out)
		if id[i] == idAll {
			top, end := evTop(ev, j)
			w.out = append(w.out, max(top, w.out[at+1]&^evInner))
			i, j = i+1, end
		} else {
			i, j = w.fill(id, i, ev, j)
		}
	}
	w.close(at, right)
	return i, j
}

// evTop returns the greatest leaf of a subtree, and where it ends.
func evTop(ev []uint64, j int) (top uint64, end int) {
	end = evEnd(ev, j)
	for _, e := range ev[j:end] {
		top = max(top, e&^evInner)
	}
	return top, end
}

// cheapest finds the owned part whose growth enlarges the tree the least: a leaf of id. An
// event leaf that has to be divided is worse than any depth. inside says that ev[j] is a
// leaf above all of the subtree at i.
func cheapest(id []byte, i int, ev []uint64, j int, inside bool) (cost uint64, leaf, iEnd, jEnd int) {
	const divided, never = 1 << 32, 1 << 63
	switch id[i] {
	case idNone:
		if !inside {
			j = evEnd(ev, j)
		}
		return never, -1, i + 1, j
	case idAll: // after fill there is a leaf of ev here
		if !inside {
			j++
		}
		return 0, i, i + 1, j
	}
	more := uint64(1)
	below := inside
	if ev[j]&evInner == 0 {
		more += divided
		below = true
	} else {
		j++
	}
	lc, ll, i, j := cheapest(id, i+1, ev, j, below)
	rc, rl, i, j := cheapest(id, i, ev, j, below)
	if below && !inside {
		j++
	}
	if lc < rc {
		return lc + more, ll, i, j
	}
	return min(rc, never-more) + more, rl, i, j
}

// grow counts one event in the part that a leaf of id owns. It returns where the subtree of
// ev ends.
func (w *treeWriter) grow(id []byte, i int, ev []uint64, j, leaf int) int {
	if i == leaf {
		w.out = append(w.out, ev[j]+2)
		return j + 1
	}
	rightID := idEnd(id, i+1)
	at := w.open()
	if ev[j]&evInner == 0 {
		if leaf < rightID {
			w.grow(id, i+1, ev, j, leaf)
			w.out = append(w.out, ev[j])
			w.close(at, len(w.out)-1)
		} else {
			w.out = append(w.out, ev[j])
			w.grow(id, rightID, ev, j, leaf)
			w.close(at, at+2)
		}
		return j + 1
	}
	var end int
	if leaf < rightID {
		mid := w.grow(id, i+1, ev, j+1, leaf)
		right := len(w.out)
		end = evEnd(ev, mid)
		w.out = append(w.out, ev[mid:end]...)
		w.close(at, right)
		return end
	}
	mid := evEnd(ev, j+1)
	w.out = append(w.out, ev[j+1:mid]...)
	right := len(w.out)
	end = w.grow(id, rightID, ev, mid, leaf)
	w.close(at, right)
	return end
}

// Join returns a tree that knows all that both know and owns all that both own. Join a
// message's tree, which is anonymous, to take it in; join another member's tree when it
// leaves; then neither of the two must be used to count or fork any more. Its error
// matches [ErrOverlap].
func (t Tree) Join(o Tree) (Tree, error) {
	var j Tree
	switch {
	case o.IsAnonymous():
		j.id = t.id
	case t.IsAnonymous():
		j.id = o.id
	default:
		s := idSum{out: make([]byte, 0, max(len(t.id), len(o.id)))}
		s.sum(t.id, 0, o.id, 0)
		if s.overlap {
			return Tree{}, ErrOverlap
		}
		j.id = s.out
	}
	a, b := t.evs(), o.evs()
	if len(a) == len(b) && &a[0] == &b[0] {
		j.ev = t.ev
		return j, nil
	}
	w := treeWriter{make([]uint64, 0, len(a)+len(b))}
	w.join(a, 0, b, 0)
	j.ev = w.out
	return j, nil
}

type idSum struct {
	out     []byte
	overlap bool
}

func (s *idSum) sum(a []byte, i int, b []byte, j int) (int, int) {
	switch {
	case a[i] == idNone:
		end := idEnd(b, j)
		s.out = append(s.out, b[j:end]...)
		return i + 1, end
	case b[j] == idNone:
		end := idEnd(a, i)
		s.out = append(s.out, a[i:end]...)
		return end, j + 1
	case a[i] == idAll || b[j] == idAll:
		s.overlap = true
		return idEnd(a, i), idEnd(b, j)
	}
	at := len(s.out)
	s.out = append(s.out, idInner)
	i, j = s.sum(a, i+1, b, j+1)
	i, j = s.sum(a, i, b, j)
	if last := s.out[at+1:]; len(last) == 2 && last[0] == last[1] && last[0] != idInner {
		s.out = append(s.out[:at], last[0])
	}
	return i, j
}

func (w *treeWriter) join(a []uint64, i int, b []uint64, j int) (int, int) {
	x, y := a[i], b[j]
	switch {
	case (x|y)&evInner == 0:
		w.out = append(w.out, max(x, y))
		return i + 1, j + 1
	case x&evInner == 0:
		return i + 1, w.lift(b, j, x)
	case y&evInner == 0:
		return w.lift(a, i, y), j + 1
	}
	at := w.open()
	i, j = w.join(a, i+1, b, j+1)
	right := len(w.out)
	i, j = w.join(a, i, b, j)
	w.close(at, right)
	return i, j
}

// lift writes a subtree with all leaves at x at least. It returns where it ends.
func (w *treeWriter) lift(ev []uint64, j int, x uint64) int {
	switch e := ev[j]; {
	case e&evInner == 0:
		w.out = append(w.out, max(e, x))
		return j + 1
	case x <= e&^evInner:
		end := evEnd(ev, j)
		w.out = append(w.out, ev[j:end]...)
		return end
	}
	at := w.open()
	j = w.lift(ev, j+1, x)
	right := len(w.out)
	j = w.lift(ev, j, x)
	w.close(at, right)
	return j
}

// Compare returns how the knowledge of t relates to that of o: [Before] if o knows all
// events that t knows, and more. What they own does not matter. It does not allocate.
func (t Tree) Compare(o Tree) Order {
	var zero [1]uint64
	a, b := t.ev, o.ev
	if a == nil {
		a = zero[:]
	}
	if b == nil {
		b = zero[:]
	}
	ord, _, _ := compareTrees(a, 0, b, 0)
	return ord
}

func compareTrees(a []uint64, i int, b []uint64, j int) (Order, int, int) {
	x, y := a[i], b[j]
	switch {
	case (x|y)&evInner == 0:
		return compareCount(x, y), i + 1, j + 1
	case x&evInner == 0:
		ord, end := compareLeaves(b, j, x)
		return ord.Invert(), i + 1, end
	case y&evInner == 0:
		ord, end := compareLeaves(a, i, y)
		return ord, end, j + 1
	}
	l, i, j := compareTrees(a, i+1, b, j+1)
	r, i, j := compareTrees(a, i, b, j)
	return l | r, i, j
}

// compareLeaves compares each leaf of a subtree to x.
func compareLeaves(ev []uint64, j int, x uint64) (Order, int) {
	var ord Order
	end := evEnd(ev, j)
	for _, e := range ev[j:end] {
		if e&evInner == 0 {
			ord |= compareCount(e, x)
		}
	}
	return ord, end
}

// String returns the tree in the notation of the paper: what it owns, and the events it
// knows of, relative to the node above.
func (t Tree) String() string {
	b := append(make([]byte, 0, 64), '(')
	b, _ = appendIDText(b, t.ids(), 0)
	b, _ = appendEventText(append(b, ", "...), t.evs(), 0, 0)
	return string(append(b, ')'))
}

func appendIDText(b []byte, id []byte, i int) ([]byte, int) {
	if id[i] != idInner {
		return append(b, '0'+id[i]), i + 1
	}
	b, i = appendIDText(append(b, '('), id, i+1)
	b, i = appendIDText(append(b, ", "...), id, i)
	return append(b, ')'), i
}

func appendEventText(b []byte, ev []uint64, j int, base uint64) ([]byte, int) {
	n := ev[j] >> 1
	if ev[j]&evInner == 0 {
		return strconv.AppendUint(b, n-base, 10), j + 1
	}
	b = strconv.AppendUint(append(b, '('), n-base, 10)
	b, j = appendEventText(append(b, ", "...), ev, j+1, n)
	b, j = appendEventText(append(b, ", "...), ev, j, n)
	return append(b, ')'), j
}

// AppendBinary implements [encoding.BinaryAppender]: a version byte; what is owned in
// preorder, as bits, the highest of a byte first: 1 for an inner node, 00 or 01 for a leaf,
// filled up with zeros to whole bytes; and the events in preorder, for each node twice its
// count relative to the node above, plus 1 for an inner node. Equal trees have equal bytes.
// It fails for trees deeper than 10 000 and counts above 2⁶², which no decoder takes.
func (t Tree) AppendBinary(dst []byte) ([]byte, error) {
	start := len(dst)
	dst = append(dst, version)
	var bits, free byte = 0, 8
	put := func(bit byte) {
		free--
		bits |= bit << free
		if free == 0 {
			dst = append(dst, bits)
			bits, free = 0, 8
		}
	}
	depth := 0
	var open []byte // how many children of each node above are still to come
	for _, n := range t.ids() {
		if n == idInner {
			put(1)
		} else {
			put(0)
			put(n)
		}
		open, depth = descend(open, depth, n == idInner)
	}
	if free < 8 {
		dst = append(dst, bits)
	}
	bases := []uint64{0}
	for _, e := range t.evs() {
		n := e >> 1
		if n > evMax {
			return dst[:start], fmt.Errorf("clock: tree: a count of %d cannot be encoded", n)
		}
		base := bases[len(bases)-1]
		bases = bases[:len(bases)-1]
		dst = binary.AppendUvarint(dst, (n-base)<<1|e&evInner)
		if e&evInner != 0 {
			bases = append(bases, n, n)
		}
		open, depth = descend(open, depth, e&evInner != 0)
	}
	if depth > treeDepth {
		return dst[:start], fmt.Errorf("clock: tree: a depth of %d cannot be encoded", depth)
	}
	return dst, nil
}

// descend follows a preorder walk and keeps the greatest depth met.
func descend(open []byte, depth int, inner bool) ([]byte, int) {
	if inner {
		open = append(open, 2)
		return open, max(depth, len(open))
	}
	for len(open) > 0 {
		if open[len(open)-1]--; open[len(open)-1] > 0 {
			break
		}
		open = open[:len(open)-1]
	}
	return open, depth
}

// MarshalBinary implements [encoding.BinaryMarshaler].
func (t Tree) MarshalBinary() ([]byte, error) { return t.AppendBinary(nil) }

// UnmarshalBinary implements [encoding.BinaryUnmarshaler]. It takes exactly what
// AppendBinary writes and keeps nothing of b. Its errors match [ErrMalformed] and leave t
// as it was.
func (t *Tree) UnmarshalBinary(b []byte) error {
	r := wire.NewReader(b)
	readVersion(&r)
	d := treeReader{r: &r}
	d.readID(0)
	if d.bits != 0 {
		r.Fail("stray bits")
	}
	d.readEvents(0, 0)
	if err := r.Done(); err != nil {
		return fmt.Errorf("clock: tree: %w", err)
	}
	*t = Tree{d.id, d.ev}
	return nil
}

type treeReader struct {
	r    *wire.Reader
	id   []byte
	ev   []uint64
	bits byte // what is left of the byte being read, shifted up
	have int
}

func (d *treeReader) bit() byte {
	if d.have == 0 {
		d.bits, d.have = d.r.Byte(), 8
	}
	bit := d.bits >> 7
	d.bits <<= 1
	d.have--
	return bit
}

func (d *treeReader) readID(depth int) {
	if d.bit() == 0 {
		d.id = append(d.id, d.bit())
		return
	}
	at := len(d.id)
	d.id = append(d.id, idInner)
	if d.enter(depth) {
		d.readID(depth + 1)
		d.readID(depth + 1)
		if kids := d.id[at+1:]; len(kids) == 2 && kids[0] == kids[1] {
			d.r.Fail("an id that is not in its simplest form")
		}
	}
}

func (d *treeReader) enter(depth int) bool {
	if depth >= treeDepth {
		d.r.Fail("deeper than %d", treeDepth)
	}
	return d.r.Err() == nil
}

func (d *treeReader) readEvents(depth int, base uint64) {
	e := d.r.Uvarint()
	n := e >> 1
	if n > evMax-base {
		d.r.Fail("a count out of range")
		return
	}
	n += base
	at := len(d.ev)
	d.ev = append(d.ev, n<<1|e&evInner)
	if e&evInner == 0 || !d.enter(depth) {
		return
	}
	d.readEvents(depth+1, n)
	right := len(d.ev)
	d.readEvents(depth+1, n)
	if d.r.Err() != nil {
		return
	}
	l, r := d.ev[at+1], d.ev[right]
	if min(l, r)>>1 != n || l == r && l&evInner == 0 {
		d.r.Fail("events that are not in their simplest form")
	}
}
