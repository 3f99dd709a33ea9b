package crdt

import (
	"slices"

	"github.com/go-calm/calm/internal/elem"
)

// Register is a multi-value register: writes that did not see each other are all kept until one
// that has seen them takes their place, so no write is lost without anybody's knowing. T may be
// what [Codec] lists. Each operation costs O(values held). A Register belongs to a [Store]; like the store it is not
// safe for concurrent use.
type Register[T any] struct {
	Handle
	codec *elem.Codec[T]
}

// NewRegister makes a replica that is a register. It panics if T cannot be encoded.
func NewRegister[T any](id ReplicaID) *Register[T] { return Open[*Register[T]](id) }

func (*Register[T]) fresh() *Register[T] { return new(Register[T]) }

func (r *Register[T]) put(h Handle) { r.Handle, r.codec = h, typed[T](h.types.value) }

func (*Register[T]) schema(cs codecs, _ bool) *schema {
	c := codecFor[T](cs)
	return &schema{shape: shape{kindRegister, c.id}, value: c}
}

// Set writes v in the place of all values that this replica has seen.
func (r *Register[T]) Set(v T) Delta { return r.write(string(r.codec.Append([]byte(registerMark), v))) }

// Clear removes the values that this replica has seen.
func (r *Register[T]) Clear() Delta { return r.clear() }

// Values returns the values that no write has taken the place of, ascending, equal ones once (a
// snapshot read). There is none before the first write, and more than one is a conflict.
func (r *Register[T]) Values() []T {
	var vs []T
	r.dots(func(d dot) {
		if v, err := r.codec.Decode([]byte(d.payload[len(registerMark):])); err == nil {
			vs = append(vs, v)
		}
	})
	slices.SortFunc(vs, r.codec.Compare)
	return slices.CompactFunc(vs, func(a, b T) bool { return r.codec.Compare(a, b) == 0 })
}

// Value returns the greatest of [Register.Values], the same on every replica that knows the same,
// and whether there are others (a snapshot read). It is the zero T if there is none.
func (r *Register[T]) Value() (v T, conflict bool) {
	vs := r.Values()
	if len(vs) > 0 {
		v = vs[len(vs)-1]
	}
	return v, len(vs) > 1
}

// Resolve writes what f makes of the values if they are in conflict.
func (r *Register[T]) Resolve(f func([]T) T) Delta {
	if vs := r.Values(); len(vs) > 1 {
		return r.Set(f(vs))
	}
	return Delta{}
}

// registerMark stands before a value, because a payload is never empty and a value's encoding may
// be.
const registerMark = "\x01"
