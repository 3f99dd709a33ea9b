package lattice

import (
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"

	"github.com/go-calm/calm/internal/wire"
)

// UnionFind is which elements are the same: classes that only ever melt together, such as
// names of one person, or nodes that are connected. The join makes the same what either side
// makes the same, and all that follows from it.
//
// The zero value and nil are bottom: every element is alone, and not kept. A nil one answers
// all reads but cannot be added to. An element that is not equal to itself (NaN) is left out.
// A UnionFind must not be copied, nor written to while others use it; reads change nothing.
// Uniting and asking take time that grows with the logarithm of a class, merging that of the
// argument.
type UnionFind[E comparable] struct {
	_ noCopy
	m map[E]node[E]
}

// node is an element's parent, itself at the root of a class, and there the size of the class.
type node[E comparable] struct {
	parent E
	size   int
}

// Union makes elements the same and reports whether any of them were not.
func (u *UnionFind[E]) Union(a, b E, more ...E) (grew bool) {
	grew = u.union(a, b)
	for _, e := range more {
		grew = u.union(a, e) || grew
	}
	return grew
}

func (u *UnionFind[E]) union(a, b E) (grew bool) {
	if a != a || b != b {
		return false
	}
	a, b = u.root(a), u.root(b)
	if a == b {
		return false
	}
	if u.m == nil {
		u.m = make(map[E]node[E])
	}
	// The smaller class goes below the larger, so that no path is longer than the logarithm.
	small, large := max(u.m[a].size, 1), max(u.m[b].size, 1)
	if small > large {
		a, b = b, a
	}
	u.m[a] = node[E]{parent: b}
	u.m[b] = node[E]{b, small + large}
	return true
}

func (u *UnionFind[E]) root(e E) E {
	if u == nil {
		return e
	}
	for {
		n, ok := u.m[e]
		if !ok || n.parent == e {
			return e
		}
		e = n.parent
	}
}

// Same reports whether a and b are the same. True is a monotone read, it stays; false is a
// snapshot.
func (u *UnionFind[E]) Same(a, b E) bool { return u.root(a) == u.root(b) }

// Len returns how many elements are the same as another one. It is a snapshot read.
func (u *UnionFind[E]) Len() int {
	if u == nil {
		return 0
	}
	return len(u.m)
}

// Classes returns the classes of more than one element, as new slices: each is in the order
// of [Set.Sorted], and so are their first elements. It is a snapshot read.
func (u *UnionFind[E]) Classes() [][]E {
	if u.Len() == 0 {
		return nil
	}
	byRoot := make(map[E][]E)
	all := make([]E, 0, len(u.m))
	for e := range u.m {
		all = append(all, e)
	}
	var order []E // of roots, by the first element of each class
	for _, e := range sorted(all) {
		root := u.root(e)
		if byRoot[root] == nil {
			order = append(order, root)
		}
		byRoot[root] = append(byRoot[root], e)
	}
	classes := make([][]E, len(order))
	for i, root := range order {
		classes[i] = byRoot[root]
	}
	return classes
}

// edges yields pairs of elements that are the same: enough to make all classes, and none too many.
func (u *UnionFind[E]) edges() iter.Seq2[E, E] {
	return func(yield func(E, E) bool) {
		if u == nil {
			return
		}
		for e, n := range u.m {
			if e != n.parent && !yield(e, n.parent) {
				return
			}
		}
	}
}

// Clone returns a copy that shares nothing with u.
func (u *UnionFind[E]) Clone() *UnionFind[E] {
	c := &UnionFind[E]{}
	c.Merge(u)
	return c
}

// Merge joins o and reports whether anything became the same. It keeps nothing of o.
func (u *UnionFind[E]) Merge(o *UnionFind[E]) (grew bool) {
	if u == o {
		return false
	}
	for a, b := range o.edges() {
		grew = u.union(a, b) || grew
	}
	return grew
}

// Join is Merge in the form that [Lattice] asks for: it returns u, or a new one for nil.
func (u *UnionFind[E]) Join(o *UnionFind[E]) (*UnionFind[E], bool) {
	if o.Len() == 0 {
		return u, false
	}
	if u == nil {
		u = &UnionFind[E]{}
	}
	return u, u.Merge(o)
}

// LessEq reports whether all that is the same in u is the same in o.
func (u *UnionFind[E]) LessEq(o *UnionFind[E]) bool {
	for a, b := range u.edges() {
		if !o.Same(a, b) {
			return false
		}
	}
	return true
}

// Delta returns as few pairs as make have what it is joined with u.
func (u *UnionFind[E]) Delta(have *UnionFind[E]) *UnionFind[E] {
	d, sum := &UnionFind[E]{}, have.Clone()
	for a, b := range u.edges() {
		if sum.union(a, b) {
			d.union(a, b)
		}
	}
	return d
}

// Decompose yields pairs of elements that are the same, one fewer for each class than it has
// elements.
func (u *UnionFind[E]) Decompose() iter.Seq[*UnionFind[E]] {
	return func(yield func(*UnionFind[E]) bool) {
		for a, b := range u.edges() {
			part := &UnionFind[E]{}
			part.union(a, b)
			if !yield(part) {
				return
			}
		}
	}
}

// String returns the classes in order, as {a = b = c, d = e}.
func (u *UnionFind[E]) String() string {
	var b strings.Builder
	for i, class := range u.Classes() {
		if i > 0 {
			b.WriteString(", ")
		}
		for j, e := range class {
			if j > 0 {
				b.WriteString(" = ")
			}
			fmt.Fprint(&b, e)
		}
	}
	return "{" + b.String() + "}"
}

// LogValue returns the number of elements that are the same as another one.
func (u *UnionFind[E]) LogValue() slog.Value { return slog.GroupValue(slog.Int("len", u.Len())) }

// MarshalJSON returns an array of the classes, each an array.
func (u *UnionFind[E]) MarshalJSON() ([]byte, error) {
	if u.Len() == 0 {
		return []byte("[]"), nil
	}
	return json.Marshal(u.Classes())
}

// UnmarshalJSON replaces u by what MarshalJSON wrote.
func (u *UnionFind[E]) UnmarshalJSON(b []byte) error {
	var classes [][]E
	if err := json.Unmarshal(b, &classes); err != nil {
		return err
	}
	u.m = nil
	for _, class := range classes {
		for _, e := range class {
			u.union(class[0], e)
		}
	}
	return nil
}

// AppendBinary appends the canonical binary form of u to b: equal states have equal bytes.
// Its error matches [ErrUnsupported].
func (u *UnionFind[E]) AppendBinary(b []byte) ([]byte, error) { return appendForm(b, u) }

// MarshalBinary returns the canonical binary form of u.
func (u *UnionFind[E]) MarshalBinary() ([]byte, error) { return u.AppendBinary(nil) }

// UnmarshalBinary replaces u by what AppendBinary wrote, keeping nothing of b; its errors
// match [ErrMalformed] or [ErrUnsupported] and leave u as it was.
func (u *UnionFind[E]) UnmarshalBinary(b []byte) error { return decodeTo(b, u.take) }

func (u *UnionFind[E]) take(x *UnionFind[E]) { u.m = x.m }

func (u *UnionFind[E]) shape(dst []byte) ([]byte, error) {
	return shapeOfElement[E](append(dst, kindUnionFind))
}

func (u *UnionFind[E]) put(dst []byte) ([]byte, error) {
	classes := u.Classes()
	dst = appendCount(dst, len(classes))
	for _, class := range classes {
		dst = putElements(dst, class)
	}
	return dst, nil
}

func (u *UnionFind[E]) get(r *wire.Reader) *UnionFind[E] {
	x := &UnionFind[E]{}
	c := element[E]()
	var last E
	for i := range r.Count(3) {
		var class []E
		getElements(r, func(n int) { class = make([]E, 0, n) }, func(e E) { class = append(class, e) })
		if r.Err() == nil && len(class) < 2 {
			r.Fail("a class of one")
		}
		if r.Err() == nil && i > 0 && c.Compare(last, class[0]) >= 0 {
			r.Fail("classes are not ascending")
		}
		if r.Err() != nil {
			return x
		}
		last = class[0]
		if slices.ContainsFunc(class, func(e E) bool { _, ok := x.m[e]; return ok }) {
			r.Fail("an element is in two classes")
			return x
		}
		for _, e := range class[1:] {
			x.union(class[0], e)
		}
	}
	return x
}
