package lattice

import (
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"slices"

	"github.com/go-calm/calm/internal/wire"
)

// Prefix is a sequence that is only appended to, such as a log that has one writer and many
// readers: of two states one is the beginning of the other, and the join is the longer one.
// Two states that contradict each other are a conflict, the top, which stays and has no
// elements.
//
// The zero value and nil are the empty sequence; a nil one answers all reads but cannot be
// appended to. An element that is not equal to itself (NaN) is left out. A Prefix must not be
// copied, nor written to while others use it. Merging takes the time to compare what both have.
type Prefix[E comparable] struct {
	_        noCopy
	es       []E
	conflict bool
}

// PrefixOf returns a new sequence of copies of the given elements.
func PrefixOf[E comparable](es ...E) *Prefix[E] {
	p := &Prefix[E]{}
	p.Append(es...)
	return p
}

// Append appends elements and reports whether that changed anything; to a conflict, it does not. Only the
// one writer of the sequence is to append to it.
func (p *Prefix[E]) Append(es ...E) (grew bool) {
	before := len(p.es)
	for _, e := range es {
		if e == e && !p.conflict {
			p.es = append(p.es, e)
		}
	}
	return len(p.es) > before
}

// Len returns how many elements there are, a snapshot read.
func (p *Prefix[E]) Len() int {
	if p == nil {
		return 0
	}
	return len(p.es)
}

// At returns element i, counted from 0, and whether it is there. Short of a conflict it is a
// monotone read: what is there stays as it is.
func (p *Prefix[E]) At(i int) (e E, ok bool) {
	if i < 0 || i >= p.Len() {
		return e, false
	}
	return p.es[i], true
}

// All yields the elements that are there when it is called, with their indexes. It is a snapshot
// read; of each, [Prefix.At] says what is monotone.
func (p *Prefix[E]) All() iter.Seq2[int, E] {
	if p == nil {
		return func(func(int, E) bool) {}
	}
	return slices.All(p.es)
}

// IsConflict reports whether contradicting states were joined. True is a monotone read, it
// stays; false is a snapshot.
func (p *Prefix[E]) IsConflict() bool { return p != nil && p.conflict }

// Merge joins o and reports whether p changed. It keeps nothing of o.
func (p *Prefix[E]) Merge(o *Prefix[E]) (grew bool) {
	switch {
	case o.LessEq(p):
		return false
	case p.LessEq(o) && !o.conflict:
		p.es = append(p.es, o.es[len(p.es):]...)
	default:
		p.es, p.conflict = nil, true
	}
	return true
}

// Join is Merge in the form that [Lattice] asks for: it returns p, or a new sequence for nil.
func (p *Prefix[E]) Join(o *Prefix[E]) (*Prefix[E], bool) {
	if o.LessEq(p) {
		return p, false
	}
	if p == nil {
		p = &Prefix[E]{}
	}
	return p, p.Merge(o)
}

// LessEq reports whether o begins with p or is a conflict.
func (p *Prefix[E]) LessEq(o *Prefix[E]) bool {
	if o.IsConflict() || p.Len() == 0 {
		return o.IsConflict() || !p.IsConflict()
	}
	return p.Len() <= o.Len() && slices.Equal(p.es, o.es[:len(p.es)])
}

// String returns the elements, as [a b c], "⊤" for a conflict.
func (p *Prefix[E]) String() string {
	switch {
	case p == nil:
		return "[]"
	case p.conflict:
		return "⊤"
	}
	return fmt.Sprint(p.es)
}

// LogValue returns the number of elements, "⊤" for a conflict.
func (p *Prefix[E]) LogValue() slog.Value {
	if p.IsConflict() {
		return slog.StringValue("⊤")
	}
	return slog.GroupValue(slog.Int("len", p.Len()))
}

// MarshalJSON returns an array of the elements, {"top":true} for a conflict.
func (p *Prefix[E]) MarshalJSON() ([]byte, error) {
	if p.conflict {
		return []byte(`{"top":true}`), nil
	}
	return json.Marshal(slices.AppendSeq(make([]E, 0, len(p.es)), slices.Values(p.es)))
}

// UnmarshalJSON replaces p by what MarshalJSON wrote.
func (p *Prefix[E]) UnmarshalJSON(b []byte) error {
	var top topJSON[json.RawMessage]
	if json.Unmarshal(b, &top) == nil && top.Top {
		p.es, p.conflict = nil, true
		return nil
	}
	var es []E
	if err := json.Unmarshal(b, &es); err != nil {
		return err
	}
	p.es, p.conflict = nil, false
	p.Append(es...)
	return nil
}

// AppendBinary appends the canonical binary form of p to b: equal states have equal bytes.
// Its error matches [ErrUnsupported].
func (p *Prefix[E]) AppendBinary(b []byte) ([]byte, error) { return appendForm(b, p) }

// MarshalBinary returns the canonical binary form of p.
func (p *Prefix[E]) MarshalBinary() ([]byte, error) { return p.AppendBinary(nil) }

// UnmarshalBinary replaces p by what AppendBinary wrote, keeping nothing of b; its errors
// match [ErrMalformed] or [ErrUnsupported] and leave p as it was.
func (p *Prefix[E]) UnmarshalBinary(b []byte) error { return decodeTo(b, p.take) }

func (p *Prefix[E]) take(x *Prefix[E]) { p.es, p.conflict = x.es, x.conflict }

func (p *Prefix[E]) shape(dst []byte) ([]byte, error) {
	return shapeOfElement[E](append(dst, kindPrefix))
}

func (p *Prefix[E]) put(dst []byte) ([]byte, error) {
	if p.IsConflict() {
		return append(dst, 1), nil
	}
	c := element[E]()
	dst = appendCount(append(dst, 0), p.Len())
	for _, e := range p.All() {
		dst = c.Put(dst, e)
	}
	return dst, nil
}

func (p *Prefix[E]) get(r *wire.Reader) *Prefix[E] {
	x := &Prefix[E]{conflict: element[bool]().Get(r)}
	if x.conflict {
		return x
	}
	c := element[E]()
	if n := r.Count(1); n > 0 {
		x.es = make([]E, 0, n)
		for range n {
			x.es = append(x.es, c.Get(r))
		}
	}
	return x
}
