package lattice

import (
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"

	"github.com/go-calm/calm/internal/wire"
)

// Vec gives each index from 0 a value that only grows; the join joins the values index by
// index. It is a [Map] for small dense keys, at a fraction of the cost: a version vector is a
// Vec of Max.
//
// What lies beyond the last value is bottom, and a value that is bottom at the end is not
// kept. The zero value and nil are empty; a nil one answers all reads but cannot be put to.
// A Vec must not be copied, nor written to while others use it. Merging takes the time of the
// argument.
type Vec[V Lattice[V]] struct {
	_  noCopy
	vs []V
}

// VecOf returns a new vector of the given values, which it takes over.
func VecOf[V Lattice[V]](vs ...V) *Vec[V] {
	v := &Vec[V]{vs: vs}
	v.trim()
	return v
}

func (v *Vec[V]) trim() {
	for len(v.vs) > 0 && IsBottom(v.vs[len(v.vs)-1]) {
		v.vs = v.vs[:len(v.vs)-1]
	}
}

// Put joins x to the value of index i and reports whether that grew. It keeps nothing of x.
// It panics if i is negative, and takes memory for all indexes up to i.
func (v *Vec[V]) Put(i int, x V) (grew bool) {
	if i >= len(v.vs) {
		if IsBottom(x) {
			return false
		}
		v.vs = append(v.vs, make([]V, i+1-len(v.vs))...)
	}
	v.vs[i], grew = v.vs[i].Join(x)
	return grew
}

// Get returns the value of index i, to be read only: bottom if there is none. It is a
// snapshot read; that it is at least some value is monotone.
func (v *Vec[V]) Get(i int) V {
	if i < 0 || i >= v.Len() {
		var bottom V
		return bottom
	}
	return v.vs[i]
}

// Len returns the index after the last value above bottom: a snapshot read; that it is at
// least so great is monotone.
func (v *Vec[V]) Len() int {
	if v == nil {
		return 0
	}
	return len(v.vs)
}

// All yields the indexes below Len and their values, to be read only. It is a snapshot read; that
// a value is such or more is monotone.
func (v *Vec[V]) All() iter.Seq2[int, V] {
	return func(yield func(int, V) bool) {
		for i := range v.Len() {
			if !yield(i, v.vs[i]) {
				return
			}
		}
	}
}

// Clone returns a copy that shares no changeable memory with v.
func (v *Vec[V]) Clone() *Vec[V] {
	c := &Vec[V]{}
	c.Merge(v)
	return c
}

// Merge joins o and reports whether anything grew. It keeps nothing of o.
func (v *Vec[V]) Merge(o *Vec[V]) (grew bool) {
	if o.Len() > len(v.vs) {
		v.vs = append(v.vs, make([]V, len(o.vs)-len(v.vs))...)
	}
	for i, x := range o.All() {
		joined, more := v.vs[i].Join(x)
		v.vs[i] = joined
		grew = grew || more
	}
	return grew
}

// Join is Merge in the form that [Lattice] asks for: it returns v, or a new vector for nil.
func (v *Vec[V]) Join(o *Vec[V]) (*Vec[V], bool) {
	if o.Len() == 0 {
		return v, false
	}
	if v == nil {
		v = &Vec[V]{}
	}
	return v, v.Merge(o)
}

// LessEq reports whether each value of v is below or equal to o's of the same index.
func (v *Vec[V]) LessEq(o *Vec[V]) bool {
	if v.Len() > o.Len() {
		return false
	}
	for i, x := range v.All() {
		if !x.LessEq(o.vs[i]) {
			return false
		}
	}
	return true
}

// Delta returns what v has and have lacks, index by index, as a new vector.
func (v *Vec[V]) Delta(have *Vec[V]) *Vec[V] {
	d := &Vec[V]{vs: make([]V, v.Len())}
	for i, x := range v.All() {
		d.vs[i] = Delta(have.Get(i), x)
	}
	d.trim()
	return d
}

// Decompose yields a vector of one value above bottom for each part of each value.
func (v *Vec[V]) Decompose() iter.Seq[*Vec[V]] {
	return func(yield func(*Vec[V]) bool) {
		for i, x := range v.All() {
			for part := range Decompose(x) {
				d := &Vec[V]{vs: make([]V, i+1)}
				d.vs[i] = part
				if !yield(d) {
					return
				}
			}
		}
	}
}

// String returns the values, as [a b c].
func (v *Vec[V]) String() string {
	if v.Len() == 0 {
		return "[]"
	}
	return fmt.Sprint(v.vs)
}

// LogValue returns the length.
func (v *Vec[V]) LogValue() slog.Value { return slog.GroupValue(slog.Int("len", v.Len())) }

// MarshalJSON returns an array of the values.
func (v *Vec[V]) MarshalJSON() ([]byte, error) {
	if v.Len() == 0 {
		return []byte("[]"), nil
	}
	return json.Marshal(v.vs)
}

// UnmarshalJSON replaces v by what MarshalJSON wrote.
func (v *Vec[V]) UnmarshalJSON(b []byte) error {
	var vs []V
	if err := json.Unmarshal(b, &vs); err != nil {
		return err
	}
	v.vs = vs
	v.trim()
	return nil
}

// AppendBinary appends the canonical binary form of v to b: equal states have equal bytes.
// Its error matches [ErrUnsupported] or is that of a value's own AppendBinary.
func (v *Vec[V]) AppendBinary(b []byte) ([]byte, error) { return appendForm(b, v) }

// MarshalBinary returns the canonical binary form of v.
func (v *Vec[V]) MarshalBinary() ([]byte, error) { return v.AppendBinary(nil) }

// UnmarshalBinary replaces v by what AppendBinary wrote, keeping nothing of b; its errors
// match [ErrMalformed] or [ErrUnsupported] and leave v as it was.
func (v *Vec[V]) UnmarshalBinary(b []byte) error { return decodeTo(b, v.take) }

func (v *Vec[V]) take(x *Vec[V]) { v.vs = x.vs }

func (v *Vec[V]) shape(dst []byte) ([]byte, error) { return shapeOf[V](append(dst, kindVec)) }

func (v *Vec[V]) put(dst []byte) ([]byte, error) {
	dst = appendCount(dst, v.Len())
	values := valuesOf[V]()
	for _, x := range v.All() {
		var err error
		if dst, err = values.put(dst, x); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func (v *Vec[V]) get(r *wire.Reader) *Vec[V] {
	x := &Vec[V]{}
	values := valuesOf[V]()
	if n := r.Count(1); n > 0 {
		x.vs = make([]V, 0, n)
		for range n {
			x.vs = append(x.vs, values.get(r))
			if r.Err() != nil {
				return x
			}
		}
		if IsBottom(x.vs[n-1]) {
			r.Fail("the last value is bottom")
		}
	}
	return x
}
