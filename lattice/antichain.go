package lattice

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"slices"

	"github.com/go-calm/calm/internal/wire"
)

// Poset is a type with a partial order: reflexive, transitive, and two values that are each
// LessEq the other are the same one. It need not have joins.
type Poset[E any] interface{ LessEq(E) bool }

// Antichain is the values that no other one is above: what is left when all that is obsolete
// is dropped. With values that carry the version vector they were written at, it keeps one
// value where writes followed one another and all of them where they were concurrent.
//
// The zero value and nil are empty; a nil one answers all reads but cannot be added to. The
// values are kept and handed out as they are, and must not be changed once they were put in.
// An Antichain must not be copied, nor written to while others use it. Adding a value compares
// it to each one there, so that merging takes the product of both sizes: it is meant for few.
type Antichain[E Poset[E]] struct {
	_  noCopy
	es []E
}

// AntichainOf returns the greatest of the given values.
func AntichainOf[E Poset[E]](es ...E) *Antichain[E] {
	a := &Antichain[E]{}
	a.Add(es...)
	return a
}

// Add puts values in, drops what is below them, and reports whether anything changed.
func (a *Antichain[E]) Add(es ...E) (grew bool) {
	for _, e := range es {
		if a.Covers(e) {
			continue
		}
		a.es = append(slices.DeleteFunc(a.es, func(x E) bool { return x.LessEq(e) }), e)
		grew = true
	}
	return grew
}

// Covers reports whether e or something above it is in. True is a monotone read, it stays;
// false is a snapshot.
func (a *Antichain[E]) Covers(e E) bool {
	return slices.ContainsFunc(a.elements(), func(x E) bool { return e.LessEq(x) })
}

func (a *Antichain[E]) elements() []E {
	if a == nil {
		return nil
	}
	return a.es
}

// Len returns how many values there are. It is a snapshot read, and may fall.
func (a *Antichain[E]) Len() int { return len(a.elements()) }

// All yields the values in no particular order. It is a snapshot read.
func (a *Antichain[E]) All() iter.Seq[E] { return slices.Values(a.elements()) }

// Merge joins o and reports whether anything changed. Of o it keeps the values.
func (a *Antichain[E]) Merge(o *Antichain[E]) (grew bool) { return a.Add(o.elements()...) }

// Join is Merge in the form that [Lattice] asks for: it returns a, or a new one for nil.
func (a *Antichain[E]) Join(o *Antichain[E]) (*Antichain[E], bool) {
	if o.Len() == 0 {
		return a, false
	}
	if a == nil {
		a = &Antichain[E]{}
	}
	return a, a.Merge(o)
}

// LessEq reports whether o covers each value of a.
func (a *Antichain[E]) LessEq(o *Antichain[E]) bool {
	for _, e := range a.elements() {
		if !o.Covers(e) {
			return false
		}
	}
	return true
}

// Delta returns the values of a that have does not cover.
func (a *Antichain[E]) Delta(have *Antichain[E]) *Antichain[E] {
	d := &Antichain[E]{}
	for _, e := range a.elements() {
		if !have.Covers(e) {
			d.es = append(d.es, e)
		}
	}
	return d
}

// Decompose yields each value alone.
func (a *Antichain[E]) Decompose() iter.Seq[*Antichain[E]] {
	return func(yield func(*Antichain[E]) bool) {
		for _, e := range a.elements() {
			if !yield(AntichainOf(e)) {
				return
			}
		}
	}
}

// String returns the values in the order of their printed forms, as {a, b}.
func (a *Antichain[E]) String() string {
	texts := make([]string, a.Len())
	for i, e := range a.elements() {
		texts[i] = fmt.Sprint(e)
	}
	slices.Sort(texts)
	return braced(texts)
}

// LogValue returns the number of values.
func (a *Antichain[E]) LogValue() slog.Value { return slog.GroupValue(slog.Int("len", a.Len())) }

// MarshalJSON returns an array of the values.
func (a *Antichain[E]) MarshalJSON() ([]byte, error) {
	raw := make([]json.RawMessage, len(a.es))
	for i, e := range a.es {
		var err error
		if raw[i], err = json.Marshal(e); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(raw, func(x, y json.RawMessage) int { return bytes.Compare(x, y) })
	return json.Marshal(raw)
}

// UnmarshalJSON replaces a by what MarshalJSON wrote.
func (a *Antichain[E]) UnmarshalJSON(b []byte) error {
	var es []E
	if err := json.Unmarshal(b, &es); err != nil {
		return err
	}
	a.es = nil
	a.Add(es...)
	return nil
}

// AppendBinary appends the canonical binary form of a to b: equal states have equal bytes.
// The values are to be lattices of this package, or to have AppendBinary and UnmarshalBinary.
// Its error matches [ErrUnsupported] or is that of a value's own AppendBinary.
func (a *Antichain[E]) AppendBinary(b []byte) ([]byte, error) { return appendForm(b, a) }

// MarshalBinary returns the canonical binary form of a.
func (a *Antichain[E]) MarshalBinary() ([]byte, error) { return a.AppendBinary(nil) }

// UnmarshalBinary replaces a by what AppendBinary wrote, keeping nothing of b; its errors
// match [ErrMalformed] or [ErrUnsupported] and leave a as it was. It compares every two
// values: bound the length of bytes from strangers.
func (a *Antichain[E]) UnmarshalBinary(b []byte) error { return decodeTo(b, a.take) }

func (a *Antichain[E]) take(x *Antichain[E]) { a.es = x.es }

func (a *Antichain[E]) shape(dst []byte) ([]byte, error) {
	return shapeOf[E](append(dst, kindAntichain))
}

func (a *Antichain[E]) put(dst []byte) ([]byte, error) {
	values := valuesOf[E]()
	bodies := make([][]byte, a.Len())
	for i, e := range a.elements() {
		var err error
		if bodies[i], err = values.put(nil, e); err != nil {
			return dst, err
		}
	}
	slices.SortFunc(bodies, bytes.Compare)
	dst = appendCount(dst, len(bodies))
	for _, body := range bodies {
		dst = wire.AppendBytes(dst, body)
	}
	return dst, nil
}

func (a *Antichain[E]) get(r *wire.Reader) *Antichain[E] {
	values := valuesOf[E]()
	x := &Antichain[E]{}
	var last []byte
	for i := range r.Count(1) {
		body := r.Bytes()
		if r.Err() == nil && i > 0 && bytes.Compare(last, body) >= 0 {
			r.Fail("values are not ascending")
		}
		inner := wire.NewReader(body)
		e := values.get(&inner)
		if err := inner.Done(); err != nil {
			r.Fail("%v", err)
		}
		if r.Err() != nil {
			return x
		}
		if before := len(x.es); !x.Add(e) || len(x.es) != before+1 {
			r.Fail("one value is above another")
			return x
		}
		last = body
	}
	return x
}
