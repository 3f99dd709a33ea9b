package crdt

// kind says what a node of the tree is. The numbers are part of the wire format.
type kind uint8

const (
	kindStore        kind = 1  // children by name
	kindStruct       kind = 2  // children by field number
	kindMap          kind = 3  // children by key, all of one kind
	kindSet          kind = 4  // children are elements
	kindElem         kind = 5  // leaf: in the set while it has an event
	kindCounter      kind = 6  // leaf: value is the sum over its events
	kindTotal        kind = 7  // leaf at the root: value is the sum over replicas of the newest event
	kindGCounter     kind = 8  // as kindCounter, never negative
	kindGTotal       kind = 9  // as kindTotal, never negative
	kindLWW          kind = 10 // leaf: value is the event with the greatest stamp
	kindFlag         kind = 11 // leaf: on while it has an event
	kindStickyFlag   kind = 12 // leaf: on while it has events and none of them is a removal
	kindRegister     kind = 13 // leaf: each event is a value
	kindBounded      kind = 14 // leaf at the root: the newest event of each replica is its escrow
	kindGSet         kind = 15 // children are elements
	kindGElem        kind = 16 // leaf: in the set while it has an event
	kindTwoPhaseSet  kind = 17 // children are elements
	kindTwoPhaseElem kind = 18 // leaf: in the set while none of its events is a removal
	kindRWSet        kind = 19 // children are elements
	kindRWElem       kind = 20 // leaf: in the set while none of its events is a removal
	kindLWWSet       kind = 21 // children are elements
	kindLWWElem      kind = 22 // leaf: in the set while the event with the greatest stamp is an add
)

// kinds tells what a kind is and where it may stand.
var kinds = [...]struct {
	name string
	leaf bool
	elem kind // of a set: the kind of its elements
	root bool // it stands nowhere else

	public Kind // of a leaf
}{
	kindStore:        {name: "store", root: true},
	kindStruct:       {name: "struct"},
	kindMap:          {name: "map"},
	kindSet:          {name: "set", elem: kindElem},
	kindElem:         {name: "element", leaf: true, public: KindSet},
	kindCounter:      {name: "counter", leaf: true, public: KindCounter},
	kindTotal:        {name: "root counter", leaf: true, root: true, public: KindCounter},
	kindGCounter:     {name: "grow-only counter", leaf: true, public: KindGCounter},
	kindGTotal:       {name: "root grow-only counter", leaf: true, root: true, public: KindGCounter},
	kindLWW:          {name: "last-writer-wins register", leaf: true, public: KindLWW},
	kindFlag:         {name: "flag", leaf: true, public: KindFlag},
	kindStickyFlag:   {name: "sticky flag", leaf: true, public: KindStickyFlag},
	kindRegister:     {name: "register", leaf: true, public: KindRegister},
	kindBounded:      {name: "bounded counter", leaf: true, root: true, public: KindBoundedCounter},
	kindGSet:         {name: "grow-only set", elem: kindGElem},
	kindGElem:        {name: "element of a grow-only set", leaf: true, public: KindGSet},
	kindTwoPhaseSet:  {name: "two-phase set", elem: kindTwoPhaseElem},
	kindTwoPhaseElem: {name: "element of a two-phase set", leaf: true, public: KindTwoPhaseSet},
	kindRWSet:        {name: "remove-wins set", elem: kindRWElem},
	kindRWElem:       {name: "element of a remove-wins set", leaf: true, public: KindRWSet},
	kindLWWSet:       {name: "last-writer-wins set", elem: kindLWWElem},
	kindLWWElem:      {name: "element of a last-writer-wins set", leaf: true, public: KindLWWSet},
}

// known reports whether this version knows the kind. Of one that it does not know, events and
// children are both allowed.
func (k kind) known() bool { return int(k) < len(kinds) && k > 0 }

func (k kind) String() string {
	if !k.known() {
		return "unknown kind"
	}
	return kinds[k].name
}

// isLeaf reports whether nodes of the kind hold events and no children.
func (k kind) isLeaf() bool { return k.known() && kinds[k].leaf }

// isInner reports whether nodes of the kind hold children and no events.
func (k kind) isInner() bool { return k.known() && !kinds[k].leaf }

// isElem reports whether nodes of the kind are elements of sets.
func (k kind) isElem() bool { return k.isLeaf() && k > 1 && k.known() && kinds[k-1].elem == k }

// shape is what two replicas must agree on at a place: what is there, and how the keys of its
// children (of a register: its value) are encoded.
type shape struct {
	kind  kind
	codec uint8
}
