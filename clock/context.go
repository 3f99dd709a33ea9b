package clock

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"

	"github.com/go-calm/calm/internal/interval"
	"github.com/go-calm/calm/internal/wire"
)

// Context is a causal context: any set of dots, gaps included. What stands without a gap
// from 1 on is kept as a [Vector]; what is known above a gap, as runs of consecutive
// numbers. So events may arrive in any order and nothing is ever claimed that is not known.
//
// The zero value is the empty context, ready to use. Reads may run concurrently; a change
// needs the context for itself. An assignment is no copy: use [Context.Clone]. Operations
// on one dot cost O(log nodes + log runs); those on two contexts, O(nodes + runs).
//
// Source: Almeida, Shoker & Baquero, "Delta State Replicated Data Types" (2018), section 7.
type Context[ID cmp.Ordered] struct {
	v     Vector[ID]
	above []island[ID] // ascending by node; only nodes with something above a gap
}

// island is what is known of one node above its first gap: no run starts at or touches the
// node's counter in the vector, and there is at least one.
type island[ID cmp.Ordered] struct {
	node ID
	set  interval.Set
}

// Run is the dots of one node from Lo to Hi, both included.
type Run[ID cmp.Ordered] struct {
	Node   ID
	Lo, Hi uint64
}

// ContextOf returns the context of all dots that a vector counts.
func ContextOf[ID cmp.Ordered](v Vector[ID]) Context[ID] { return Context[ID]{v: v.Clone()} }

func (c *Context[ID]) find(id ID) (int, bool) {
	return slices.BinarySearchFunc(c.above, id, func(a island[ID], id ID) int { return cmp.Compare(a.node, id) })
}

// Add puts one dot in and reports whether it is new. A dot with an N of 0 is none.
func (c *Context[ID]) Add(d Dot[ID]) bool {
	if d.N == 0 || c.Has(d) {
		return false
	}
	c.AddRange(d.Node, d.N, d.N)
	return true
}

// AddRange puts the dots lo…hi of a node in; nothing if lo > hi.
func (c *Context[ID]) AddRange(id ID, lo, hi uint64) {
	lo = max(lo, 1)
	if lo > hi {
		return
	}
	i, ok := c.find(id)
	if at := c.v.At(id); lo-1 <= at { // joins the part without gaps
		if hi > at {
			c.v.set(id, hi)
			if ok {
				c.absorb(i)
			}
		}
		return
	}
	if !ok {
		c.above = slices.Insert(c.above, i, island[ID]{node: id})
	}
	c.above[i].set.AddRange(lo, hi)
}

// absorb moves what no longer stands above a gap of the i-th island's node into the vector
// and reports whether anything is left.
func (c *Context[ID]) absorb(i int) bool {
	a := &c.above[i]
	at := c.v.At(a.node)
	if runs := a.set.Runs(); runs[0].Lo-1 > at {
		return true
	}
	a.set.AddRange(1, at)
	// One run now starts at 1: it is the new part without gaps.
	c.v.set(a.node, a.set.Prefix())
	rest := a.set.Runs()[1:]
	if len(rest) == 0 {
		c.above = slices.Delete(c.above, i, i+1)
		return false
	}
	a.set = interval.Of(rest...)
	return true
}

// Has reports whether dot d is in.
func (c *Context[ID]) Has(d Dot[ID]) bool {
	if d.N == 0 {
		return false
	}
	if d.N <= c.v.At(d.Node) {
		return true
	}
	i, ok := c.find(d.Node)
	return ok && c.above[i].set.Has(d.N)
}

// Max returns the greatest event number known of a node, 0 if there is none.
func (c *Context[ID]) Max(id ID) uint64 {
	if i, ok := c.find(id); ok {
		return c.above[i].set.Max()
	}
	return c.v.At(id)
}

// Next puts the dot after [Context.Max] in and returns it: a new event of a node, called by
// that node alone. It panics at 2⁶⁴-1, which no counting reaches.
func (c *Context[ID]) Next(id ID) Dot[ID] {
	n := c.Max(id)
	if n == math.MaxUint64 {
		panic("clock: Next of a counter at its end")
	}
	c.AddRange(id, n+1, n+1)
	return Dot[ID]{id, n + 1}
}

// Merge puts all of o in and reports whether anything of it is new. It keeps nothing of o
// but, perhaps, the node ids of its vector, which never change.
func (c *Context[ID]) Merge(o Context[ID]) bool {
	changed := c.v.Merge(o.v)
	if changed {
		for i := 0; i < len(c.above); {
			if c.absorb(i) {
				i++
			}
		}
	}
	for _, a := range o.above {
		for _, r := range a.set.Runs() {
			if !c.hasRange(a.node, r.Lo, r.Hi) {
				c.AddRange(a.node, r.Lo, r.Hi)
				changed = true
			}
		}
	}
	return changed
}

func (c *Context[ID]) hasRange(id ID, lo, hi uint64) bool {
	if hi <= c.v.At(id) {
		return true
	}
	// What joins the vector's part is not above it, so lo…hi is in one of them alone.
	i, ok := c.find(id)
	return ok && c.above[i].set.ContainsRange(max(lo, c.v.At(id)+1), hi)
}

// Contains reports whether all of o is in c.
func (c *Context[ID]) Contains(o Context[ID]) bool {
	// A run that o counts in its vector starts at 1, so it is in c's vector or not in c.
	if c.v.Compare(o.v)&Before != 0 {
		return false
	}
	for _, a := range o.above {
		for _, r := range a.set.Runs() {
			if !c.hasRange(a.node, r.Lo, r.Hi) {
				return false
			}
		}
	}
	return true
}

// Compare returns how the sets of dots relate: [Before] if o has all of c, and more.
func (c *Context[ID]) Compare(o Context[ID]) Order {
	var ord Order
	if !c.Contains(o) {
		ord |= Before
	}
	if !o.Contains(*c) {
		ord |= After
	}
	return ord
}

// Since returns the dots of c that o has not: what to send to someone who has o.
func (c *Context[ID]) Since(o Context[ID]) Context[ID] {
	var d Context[ID]
	for id, set := range c.sets() {
		rest := set.Minus(o.set(id))
		for _, r := range rest.Runs() {
			d.AddRange(id, r.Lo, r.Hi)
		}
	}
	return d
}

// set returns all that is known of a node as one set.
func (c *Context[ID]) set(id ID) interval.Set {
	var s interval.Set
	if i, ok := c.find(id); ok {
		s = c.above[i].set.Clone()
	}
	s.AddRange(1, c.v.At(id))
	return s
}

// sets iterates over the nodes of which anything is known, ascending.
func (c *Context[ID]) sets() iter.Seq2[ID, interval.Set] {
	return func(yield func(ID, interval.Set) bool) {
		rest := c.above
		for id := range c.v.All() {
			for len(rest) > 0 && cmp.Less(rest[0].node, id) {
				if !yield(rest[0].node, rest[0].set) {
					return
				}
				rest = rest[1:]
			}
			if len(rest) > 0 && cmp.Compare(rest[0].node, id) == 0 {
				rest = rest[1:]
			}
			if !yield(id, c.set(id)) {
				return
			}
		}
		for _, a := range rest {
			if !yield(a.node, a.set) {
				return
			}
		}
	}
}

// Vector returns the part without gaps: for each node the greatest n of which 1…n are all
// in.
func (c *Context[ID]) Vector() Vector[ID] { return c.v.Clone() }

// IsVector reports whether there are no gaps.
func (c *Context[ID]) IsVector() bool { return len(c.above) == 0 }

// IsEmpty reports whether there are no dots.
func (c *Context[ID]) IsEmpty() bool { return len(c.above) == 0 && c.v.Len() == 0 }

// Runs iterates over the maximal runs of dots, ascending by node and number. The context
// must not be changed meanwhile.
func (c *Context[ID]) Runs() iter.Seq[Run[ID]] {
	return func(yield func(Run[ID]) bool) {
		for id, set := range c.sets() {
			for _, r := range set.Runs() {
				if !yield(Run[ID]{id, r.Lo, r.Hi}) {
					return
				}
			}
		}
	}
}

// Dots iterates over the dots one by one, ascending by node and number. There may be far
// more of them than runs. The context must not be changed meanwhile.
func (c *Context[ID]) Dots() iter.Seq[Dot[ID]] {
	return func(yield func(Dot[ID]) bool) {
		for r := range c.Runs() {
			for n := r.Lo; ; n++ {
				if !yield(Dot[ID]{r.Node, n}) {
					return
				}
				if n == r.Hi {
					break
				}
			}
		}
	}
}

// Retire forgets a node; see [Vector.Retire] for when that is sound.
func (c *Context[ID]) Retire(id ID) {
	c.v.Retire(id)
	if i, ok := c.find(id); ok {
		c.above = slices.Delete(c.above, i, i+1)
	}
}

// Clone returns a copy of its own.
func (c *Context[ID]) Clone() Context[ID] {
	d := Context[ID]{v: c.v.Clone()}
	if len(c.above) > 0 {
		d.above = make([]island[ID], len(c.above))
		for i, a := range c.above {
			d.above[i] = island[ID]{a.node, a.set.Clone()}
		}
	}
	return d
}

// String returns the runs as {a:1-5,7 b:2}.
func (c *Context[ID]) String() string {
	var b strings.Builder
	b.WriteByte('{')
	var last *ID
	for r := range c.Runs() {
		switch {
		case last == nil:
			fmt.Fprintf(&b, "%v:%d", r.Node, r.Lo)
		case cmp.Compare(*last, r.Node) != 0:
			fmt.Fprintf(&b, " %v:%d", r.Node, r.Lo)
		default:
			fmt.Fprintf(&b, ",%d", r.Lo)
		}
		if r.Hi > r.Lo {
			fmt.Fprintf(&b, "-%d", r.Hi)
		}
		last = &r.Node
	}
	b.WriteByte('}')
	return b.String()
}

// AppendBinary implements [encoding.BinaryAppender]: a version byte, the number of nodes,
// and for each, ascending, its id, the number of its runs, and for each run the distance of
// its first number from the end of the run before it (0 for the first) and its length less
// 1. Equal contexts have equal bytes. It fails only for numbers above 2⁶³-1, which no
// decoder takes.
func (c *Context[ID]) AppendBinary(dst []byte) ([]byte, error) {
	start := len(dst)
	nodes := c.v.Len()
	for _, a := range c.above {
		if c.v.At(a.node) == 0 {
			nodes++
		}
	}
	dst = binary.AppendUvarint(append(dst, version), uint64(nodes))
	for id, set := range c.sets() {
		if m := set.Max(); m > maxCount {
			return dst[:start], errCount("context", id, m)
		}
		dst = binary.AppendUvarint(appendID(dst, id), uint64(len(set.Runs())))
		end := uint64(0)
		for _, r := range set.Runs() {
			dst = binary.AppendUvarint(dst, r.Lo-end)
			dst = binary.AppendUvarint(dst, r.Hi-r.Lo)
			end = r.Hi
		}
	}
	return dst, nil
}

// MarshalBinary implements [encoding.BinaryMarshaler].
func (c *Context[ID]) MarshalBinary() ([]byte, error) { return c.AppendBinary(nil) }

// UnmarshalBinary implements [encoding.BinaryUnmarshaler]. It takes exactly what
// AppendBinary writes and keeps nothing of b. Its errors match [ErrMalformed] and leave c
// as it was.
func (c *Context[ID]) UnmarshalBinary(b []byte) error {
	r := wire.NewReader(b)
	d := readContext[ID](&r)
	if err := r.Done(); err != nil {
		return fmt.Errorf("clock: context: %w", err)
	}
	*c = d
	return nil
}

func readContext[ID cmp.Ordered](r *wire.Reader) Context[ID] {
	readVersion(r)
	var (
		c    Context[ID]
		last ID
	)
	for k := range r.Count(idSize[ID]() + 3) {
		id := readID[ID](r)
		if k > 0 && cmp.Compare(last, id) >= 0 {
			r.Fail("node ids not ascending")
		}
		last = id
		runs := r.Count(2)
		if runs == 0 {
			r.Fail("a node without runs")
		}
		var set interval.Set
		end := uint64(0)
		for range runs {
			gap, more := r.Uvarint(), r.Uvarint()
			if r.Err() != nil {
				return Context[ID]{}
			}
			if gap > maxCount-end || more > maxCount-end-gap || gap == 0 || !set.Push(interval.Range{Lo: end + gap, Hi: end + gap + more}) {
				r.Fail("a run that is out of order or range")
				return Context[ID]{}
			}
			end = end + gap + more
		}
		if r.Err() != nil {
			return Context[ID]{}
		}
		// Nodes come ascending, so all of them are appended.
		if p := set.Prefix(); p > 0 {
			c.v.ids, c.v.n = append(c.v.ids, id), append(c.v.n, p)
			if rest := set.Runs()[1:]; len(rest) > 0 {
				c.above = append(c.above, island[ID]{id, interval.Of(rest...)})
			}
		} else {
			c.above = append(c.above, island[ID]{id, set})
		}
	}
	return c
}
