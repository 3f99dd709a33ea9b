package shard

import (
	"errors"
	"fmt"
	"strings"
)

// The sentinels of this package. Those about one node arrive inside a [*NodeError].
var (
	// ErrNoNodes means that a set of nodes is empty: nothing could own the slots.
	ErrNoNodes = errors.New("shard: no nodes; give at least one")
	// ErrEmptyID means that a node has no ID.
	ErrEmptyID = errors.New("shard: the ID is empty; give each node a stable identity")
	// ErrDuplicate means that an ID was given twice.
	ErrDuplicate = errors.New("shard: the ID was given twice; IDs must be unique")
	// ErrWeight means that a weight is NaN, infinite or negative.
	ErrWeight = errors.New("shard: the weight must be finite and not negative")
	// ErrUnknown means that no node has the ID.
	ErrUnknown = errors.New("shard: no such node in the map; Map.Nodes yields those there are")
	// ErrOption is what every [*OptionError] matches.
	ErrOption = errors.New("shard: bad option")
	// ErrReplicas means that [Strict] was asked for, and there are fewer nodes or zones than replicas.
	ErrReplicas = errors.New("shard: too few nodes or zones for the replicas; add some, or ask for fewer replicas")
)

// NodeError says which node was refused and why. It unwraps to one of [ErrEmptyID],
// [ErrDuplicate], [ErrWeight] and [ErrUnknown].
type NodeError struct {
	ID  string
	Err error
}

// Error implements error.
func (e *NodeError) Error() string {
	if e.ID == "" && e.Err != nil {
		return e.Err.Error()
	}
	return fmt.Sprintf("shard: node %q: %s", e.ID, strings.TrimPrefix(e.Err.Error(), "shard: "))
}

// Unwrap returns the reason.
func (e *NodeError) Unwrap() error { return e.Err }

// OptionError says which option was refused and why. It matches [ErrOption].
type OptionError struct {
	Option string
	Value  float64
	Reason string
}

// Error implements error.
func (e *OptionError) Error() string {
	return fmt.Sprintf("shard: %s %v: %s", e.Option, e.Value, e.Reason)
}

// Is reports whether target is [ErrOption].
func (e *OptionError) Is(target error) bool { return target == ErrOption }
