package crdt

import (
	"errors"
	"fmt"
)

// What Merge and the decoders refuse. Whatever is refused changes nothing.
var (
	// ErrCorrupt: the bytes are no delta or digest: cut off, damaged, or never one.
	ErrCorrupt = errors.New("crdt: corrupt bytes")
	// ErrVersion: the bytes are of a format that this version of the package does not read.
	ErrVersion = errors.New("crdt: unknown format version")
	// ErrLimit: the bytes exceed the [Limits] given.
	ErrLimit = errors.New("crdt: over the limit")
	// ErrSchema: the delta has another type at a place than this replica has.
	ErrSchema = errors.New("crdt: schemas differ")
	// ErrEquivocation: one event is told in two ways, so two histories share a replica's name.
	ErrEquivocation = errors.New("crdt: equivocation")
	// ErrExhausted: a replica has made as many events as there are numbers for: see [Store.Err].
	ErrExhausted = errors.New("crdt: no event numbers left")
)

// SchemaError says where two replicas' types differ. It matches [ErrSchema].
type SchemaError struct {
	Path string // from the root, as in "cart/42" › 3
	Have string // the type here
	Got  string // the type in the delta
}

// Error names the place and both types.
func (e *SchemaError) Error() string {
	return fmt.Sprintf("crdt: schemas differ at %s: here is a %s, the delta has a %s; open both replicas with the same types", e.Path, e.Have, e.Got)
}

// Is reports whether target is [ErrSchema].
func (e *SchemaError) Is(target error) bool { return target == ErrSchema }

// EquivocationError names an event that is told in two ways: a replica was started twice under one
// name, or started again without its last state. It matches [ErrEquivocation].
type EquivocationError struct {
	Dot Dot
	// Reused: the event bears this store's own name, but this store did not make it.
	Reused bool
}

// Error names the event.
func (e *EquivocationError) Error() string {
	if e.Reused {
		return fmt.Sprintf("crdt: equivocation: event %d of replica %v came from outside, but this store is that replica and has not made it; open the store under a new replica id after a restart that lost state", e.Dot.N, e.Dot.Node)
	}
	return fmt.Sprintf("crdt: equivocation: event %d of replica %v is told in two ways; two histories share that replica id", e.Dot.N, e.Dot.Node)
}

// Is reports whether target is [ErrEquivocation].
func (e *EquivocationError) Is(target error) bool { return target == ErrEquivocation }

// ExhaustedError says that a change was refused because its replica has no number left for another event.
// Nobody counts up to 2⁶²; but who was told a lie about this replica's events may be there. It matches
// [ErrExhausted].
type ExhaustedError struct{ Replica ReplicaID }

// Error names the replica and says what to do.
func (e *ExhaustedError) Error() string {
	return fmt.Sprintf("crdt: no event numbers left: replica %v has made event 2⁶²; open the store under a new replica id", e.Replica)
}

// Is reports whether target is [ErrExhausted].
func (e *ExhaustedError) Is(target error) bool { return target == ErrExhausted }
