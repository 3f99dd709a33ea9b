package clock

import "strconv"

// Order is how two points of a partial order relate. Its two bits say "something of the
// other is missing here" and "something here is missing there", so that the order of
// several parts taken together is the bitwise or of their orders.
type Order uint8

// The four relations of a to b, as returned by a.Compare(b).
const (
	Equal      Order = 0              // the same
	Before     Order = 1              // b has all of a, and more
	After      Order = 2              // a has all of b, and more
	Concurrent Order = Before | After // each has what the other has not
)

// String returns the name of the relation.
func (o Order) String() string {
	switch o {
	case Equal:
		return "equal"
	case Before:
		return "before"
	case After:
		return "after"
	case Concurrent:
		return "concurrent"
	}
	return "Order(" + strconv.Itoa(int(o)) + ")"
}

// Invert returns the relation of b to a, given that of a to b.
func (o Order) Invert() Order {
	return o>>1&1 | o<<1&2
}
