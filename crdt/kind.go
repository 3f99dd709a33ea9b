package crdt

// kind says what a node of the tree is. The numbers are part of the wire format.
type kind uint8

const (
	kindStore    kind = 1  // children by name
	kindStruct   kind = 2  // children by field number
	kindMap      kind = 3  // children by key, all of one kind
	kindSet      kind = 4  // children are elements
	kindElem     kind = 5  // leaf: present while it has a dot
	kindCounter  kind = 6  // leaf: value is the sum over its dots
	kindTotal    kind = 7  // leaf at the root: value is the sum over replicas of the newest dot
	kindGCounter kind = 8  // as kindCounter, never negative
	kindGTotal   kind = 9  // as kindTotal, never negative
	kindLWW      kind = 10 // leaf: value is the dot with the greatest stamp
)

func (k kind) String() string {
	names := [...]string{
		kindStore: "store", kindStruct: "struct", kindMap: "map", kindSet: "set", kindElem: "element",
		kindCounter: "counter", kindTotal: "root counter", kindGCounter: "grow-only counter",
		kindGTotal: "root grow-only counter", kindLWW: "last-writer-wins register",
	}
	if int(k) < len(names) && names[k] != "" {
		return names[k]
	}
	return "unknown kind"
}

// isLeaf reports whether nodes of the kind hold dots and no children. Of a kind that this version
// does not know, both are allowed.
func (k kind) isLeaf() bool { return k >= kindElem && k <= kindLWW }

// isInner reports whether nodes of the kind hold children and no dots.
func (k kind) isInner() bool { return k >= kindStore && k <= kindSet }

// shape is what two replicas must agree on at a place: what is there, and how the keys of its
// children (of a register: its value) are encoded.
type shape struct {
	kind  kind
	codec uint8
}
