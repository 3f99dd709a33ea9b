package crdttest

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"pgregory.net/rapid"
)

// Type describes a replicated type to the kit. S is one replica, most often a pointer; Op is
// one operation on it, a plain value; V is what a user reads.
//
// The first seven fields are required, the rest widen what is checked. Every function must be
// deterministic. The kit calls them from one goroutine at a time, so S needs no lock.
type Type[S, Op, V any] struct {
	// New makes the empty replica that r names.
	New func(r Replica) S

	// Ops is a small alphabet of operations, two to four, such that they conflict: the same
	// element added and removed, the same register written twice. [Exhaustive] enumerates
	// all their schedules, the other layers draw from it unless Gen is set.
	Ops []Op

	// Apply executes an operation locally and returns the delta to send: bytes that Merge
	// takes. No bytes mean that nothing changed.
	Apply func(s S, op Op) []byte

	// Merge takes a delta or a state of another replica and reports whether s changed.
	// It must not keep b. On an error s must be as it was.
	Merge func(s S, b []byte) (changed bool, err error)

	// State returns the whole state as bytes that Merge takes. Equal states have equal
	// bytes: they tell nothing of who holds the state or how it was reached.
	State func(s S) []byte

	// Value returns what a user reads. The caller may keep it, whatever happens to s.
	Value func(s S) V

	// Spec is the oracle: what a replica shows that has seen exactly the operations of h.
	// It must follow from the operations and from which of them saw which, not from the
	// order in which h lists those that did not see each other.
	Spec func(h History[Op]) V

	// Equal compares values. The default is reflect.DeepEqual, but to it an empty slice or
	// map equals a nil one.
	Equal func(a, b V) bool

	// Gen draws operations for [Run] and [Simulate], from a wider range than Ops or
	// depending on what s holds.
	Gen func(s S) *rapid.Generator[Op]

	// Digest and Since are given together: Since returns what s has and the holder of the
	// digest has not, as bytes that Merge takes.
	Digest func(s S) []byte
	Since  func(s S, digest []byte) []byte

	// Join merges src into dst in memory, where dst could come to share a part of src.
	Join func(dst, src S) (changed bool)

	// Resume restarts a replica under the id that it had, from a State that holds everything
	// it ever did. Without it a restart is always New under a fresh id, then Merge.
	Resume func(r Replica, saved []byte) (S, error)

	// Invariant is demanded of every read, even of a replica that has received an operation
	// before others that the operation depends on, where Spec says nothing. The history
	// is everything the replica could know of: all it received and all that those saw.
	Invariant func(past History[Op], v V) error

	// Monotone reports whether a replica that showed before may show after later on:
	// for values that only grow.
	Monotone func(before, after V) bool

	// Bound returns the most that Size may be once all replicas hold h and nothing else:
	// metadata that only grows is found by it. It is asked only where nothing of h is missing.
	// Size is by default the length of State.
	Bound func(h History[Op]) int
	Size  func(s S) int

	// Causal says that deltas must be delivered in causal order, and one by one. Without it
	// they are delivered in any order, alone and joined.
	Causal bool
}

// Replica names one incarnation of one replica.
type Replica struct {
	// ID is fresh for each incarnation: a replica that restarts without all that it ever
	// did is somebody new. IDs start at 1.
	ID uint64

	// Host counts the places from 0; it stays the same through restarts. A type that takes
	// it for the identity has the bug that ID avoids.
	Host int

	// Now reads the host's wall clock. It stands still unless a fault moves it, so that
	// stamps tie; it can jump back and ahead by milliseconds.
	Now func() time.Time
}

func (typ *Type[S, Op, V]) check() error {
	var missing []error
	need := func(ok bool, field string) {
		if !ok {
			missing = append(missing, fmt.Errorf("crdttest: Type.%s is required", field))
		}
	}
	need(typ.New != nil, "New")
	need(len(typ.Ops) > 0, "Ops")
	need(typ.Apply != nil, "Apply")
	need(typ.Merge != nil, "Merge")
	need(typ.State != nil, "State")
	need(typ.Value != nil, "Value")
	need(typ.Spec != nil, "Spec")
	if (typ.Digest == nil) != (typ.Since == nil) {
		missing = append(missing, errors.New("crdttest: Type.Digest and Type.Since go together"))
	}
	return errors.Join(missing...)
}

func (typ *Type[S, Op, V]) equal(a, b V) bool {
	if typ.Equal != nil {
		return typ.Equal(a, b)
	}
	if reflect.DeepEqual(a, b) {
		return true
	}
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	if !x.IsValid() || !y.IsValid() || x.Type() != y.Type() {
		return false
	}
	k := x.Kind()
	return (k == reflect.Slice || k == reflect.Map) && x.Len() == 0 && y.Len() == 0
}

// draw draws an operation that s may execute.
func (typ *Type[S, Op, V]) draw(t *rapid.T, s S) Op {
	if typ.Gen != nil {
		return typ.Gen(s).Draw(t, "op")
	}
	return rapid.SampledFrom(typ.Ops).Draw(t, "op")
}
