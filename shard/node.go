package shard

import (
	"cmp"
	"math"
	"slices"
)

// MaxNodes is the most nodes a [Map] can hold: its table spends two bytes a slot.
const MaxNodes = 1<<16 - 1

// Node is a member that can own slots. It is a plain value; a [Map] keeps its own copy.
type Node struct {
	// ID is the node's stable identity and, with the seed, the only thing that placement hashes.
	// It must not be empty, and no two nodes of a set may share it.
	ID string

	// Weight is the node's share relative to the other nodes; 0 means 1.
	// It must be finite and not negative; any positive float64 will do.
	Weight float64

	// Zone is the failure domain, its levels separated by '/': "eu/rack-3".
	// All nodes with an empty Zone share one zone.
	Zone string
}

// weight is the node's weight with its default applied.
func (n Node) weight() float64 {
	if n.Weight == 0 {
		return 1
	}
	return n.Weight
}

// sortNodes checks a node set and returns a copy in the order of the IDs, which is the order
// of every table: the order in which a caller lists nodes never matters.
func sortNodes(nodes []Node) ([]Node, error) { return arrange(slices.Clone(nodes)) }

// arrange is sortNodes in place.
func arrange(nodes []Node) ([]Node, error) {
	switch {
	case len(nodes) == 0:
		return nil, ErrNoNodes
	case len(nodes) > MaxNodes:
		return nil, &OptionError{Option: "nodes", Value: float64(len(nodes)), Reason: "at most 65535 nodes fit a map"}
	}
	if !slices.IsSortedFunc(nodes, byID) {
		slices.SortFunc(nodes, byID)
	}
	for i := range nodes {
		n := &nodes[i]
		switch {
		case n.ID == "":
			return nil, &NodeError{ID: n.ID, Err: ErrEmptyID}
		case i > 0 && n.ID == nodes[i-1].ID:
			return nil, &NodeError{ID: n.ID, Err: ErrDuplicate}
		case math.IsNaN(n.Weight) || math.IsInf(n.Weight, 0) || n.Weight < 0:
			return nil, &NodeError{ID: n.ID, Err: ErrWeight}
		}
		n.Weight = n.weight()
	}
	return nodes, nil
}

func byID(a, b Node) int { return cmp.Compare(a.ID, b.ID) }
