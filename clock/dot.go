package clock

import (
	"cmp"
	"fmt"
)

// Dot names one event: the Nth of a node. Nodes count their events from 1; a dot with an N
// of 0 names no event, and no [Vector] or [Context] has it.
//
// Source: Preguiça, Baquero, Almeida, Fonte & Gonçalves, "Dotted Version Vectors" (2010).
type Dot[ID cmp.Ordered] struct {
	Node ID
	N    uint64
}

// Compare orders dots by node and then by number, and returns -1, 0 or 1. It is a total
// order to sort by; it says nothing about causality between nodes.
func (d Dot[ID]) Compare(e Dot[ID]) int {
	if c := cmp.Compare(d.Node, e.Node); c != 0 {
		return c
	}
	return cmp.Compare(d.N, e.N)
}

// String returns the dot as node:n.
func (d Dot[ID]) String() string { return fmt.Sprintf("%v:%d", d.Node, d.N) }
