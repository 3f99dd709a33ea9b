package crdt

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/go-calm/calm/internal/wire"
)

// BoundedCounter counts up and down and never falls below zero, on any replica, whatever the
// network does, without asking anybody: what a replica has added it holds the right to subtract
// again, it may give rights to others ([BoundedCounter.Transfer]), and it cannot subtract more than
// it has rights to (O'Neil's escrow method, 1986, in the form of Balegas et al., "Extending
// eventually consistent cloud databases for enforcing numeric invariants", SRDS 2015). For another
// bound than zero, count the distance from it.
//
// Sums stop at the greatest uint64, each replica's and the count. What is added beyond it is lost, with its
// rights, so that none can be spent that nobody has.
//
// It stands only at the root ([NewBoundedCounter]), for rights cannot be given and removed at once.
// It is not safe for concurrent use.
type BoundedCounter struct{ Handle }

// ErrBound is what a subtraction is refused with that this replica has too few rights for.
var ErrBound = errors.New("crdt: not enough rights")

// BoundError says how much was asked for and how much there is. It matches [ErrBound].
type BoundError struct {
	Want uint64 // to subtract or transfer
	Have uint64 // the rights of this replica
}

// Error names what was asked for and what there is.
func (e *BoundError) Error() string {
	return fmt.Sprintf("crdt: not enough rights: %d wanted, this replica holds %d; have another one transfer some", e.Want, e.Have)
}

// Is reports whether target is [ErrBound].
func (e *BoundError) Is(target error) bool { return target == ErrBound }

// NewBoundedCounter makes a replica that is a bounded counter.
func NewBoundedCounter(id ReplicaID) *BoundedCounter { return Open[*BoundedCounter](id) }

func (*BoundedCounter) fresh() *BoundedCounter { return new(BoundedCounter) }

func (c *BoundedCounter) put(h Handle) { c.Handle = h }

func (*BoundedCounter) schema(_ codecs, root bool) *schema {
	if !root {
		panic("crdt: a BoundedCounter stands only at the root; open one store for each")
	}
	return leafSchema(kindBounded)
}

// escrow is what one replica has done in all: the payload of its newest event.
type escrow struct {
	added, taken uint64
	given        []grant // ascending ids
}

type grant struct {
	to ReplicaID
	n  uint64
}

func (e *escrow) append(b []byte) []byte {
	b = binary.AppendUvarint(b, e.added)
	b = binary.AppendUvarint(b, e.taken)
	b = binary.AppendUvarint(b, uint64(len(e.given)))
	for _, g := range e.given {
		b = binary.BigEndian.AppendUint64(b, uint64(g.to))
		b = binary.AppendUvarint(b, g.n)
	}
	return b
}

func parseEscrow(p []byte) (e escrow, err error) {
	r := wire.NewReader(p)
	e.added, e.taken = r.Uvarint(), r.Uvarint()
	last := ReplicaID(0)
	for n := r.Count(9); n > 0; n-- {
		g := grant{ReplicaID(r.Uint64()), r.Uvarint()}
		if g.to <= last || g.n == 0 {
			r.Fail("grants not ascending, or of nothing")
		}
		last = g.to
		e.given = append(e.given, g)
	}
	return e, r.Done()
}

// each calls f for each replica's escrow.
func (c *BoundedCounter) each(f func(id ReplicaID, e escrow)) {
	c.newest(func(d dot) {
		e, _ := parseEscrow([]byte(d.payload)) // was checked when it came
		f(c.store.lanes[d.lane].id, e)
	})
}

// Value returns the count as this replica sees it now (a snapshot read); it is never less than
// zero once all that is told of transfers has arrived in order. O(replicas).
func (c *BoundedCounter) Value() uint64 {
	var added, taken uint64
	c.each(func(_ ReplicaID, e escrow) { added, taken = saturate(added, e.added), saturate(taken, e.taken) })
	return added - min(taken, added)
}

// Rights returns how much this replica may subtract now without asking anybody. It stays true until
// this replica itself subtracts or transfers. O(replicas).
func (c *BoundedCounter) Rights() uint64 {
	var in, out uint64
	c.each(func(id ReplicaID, e escrow) {
		if id == c.store.self {
			in, out = saturate(in, e.added), saturate(out, e.taken)
		}
		for _, g := range e.given {
			if id == c.store.self {
				out = saturate(out, g.n)
			}
			if g.to == c.store.self {
				in = saturate(in, g.n)
			}
		}
	})
	return in - min(out, in)
}

// Add adds n, and the right to subtract it; what this replica has added in all stops at the greatest uint64.
func (c *BoundedCounter) Add(n uint64) Delta {
	if n == 0 {
		return Delta{}
	}
	return c.change(func(e *escrow) { e.added = saturate(e.added, n) })
}

// Sub subtracts n, or changes nothing and returns a [*BoundError] if this replica has too few
// rights, or a [*LogError].
func (c *BoundedCounter) Sub(n uint64) (Delta, error) {
	if err := c.afford(n); err != nil || n == 0 {
		return Delta{}, err
	}
	return c.change(func(e *escrow) { e.taken += n }), c.store.Err()
}

// Transfer gives rights to another replica, which has them as soon as it merges the delta. It
// changes nothing and returns a [*BoundError] if this replica has too few, or a [*LogError].
func (c *BoundedCounter) Transfer(to ReplicaID, n uint64) (Delta, error) {
	if err := c.afford(n); err != nil || n == 0 || to == c.store.self {
		return Delta{}, err
	}
	if to == 0 {
		return Delta{}, errors.New("crdt: rights cannot be given to replica 0, which is nobody")
	}
	return c.change(func(e *escrow) {
		i, ok := slices.BinarySearchFunc(e.given, to, func(g grant, id ReplicaID) int { return cmp.Compare(g.to, id) })
		if !ok {
			e.given = slices.Insert(e.given, i, grant{to: to})
		}
		e.given[i].n += n
	}), c.store.Err()
}

func (c *BoundedCounter) afford(n uint64) error {
	if have := c.Rights(); n > have {
		return &BoundError{Want: n, Have: have}
	}
	return nil
}

func (c *BoundedCounter) change(f func(*escrow)) Delta {
	c.store.begin()
	c.addPayload(func(b []byte, old string) []byte {
		var e escrow
		if old != "" {
			e, _ = parseEscrow([]byte(old))
		}
		f(&e)
		return e.append(b)
	})
	return c.store.end()
}
