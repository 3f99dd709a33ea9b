package shard

import (
	"encoding/binary"
	"errors"
	"iter"
	"maps"
	"slices"

	"github.com/go-calm/calm/internal/wire"
)

// Assignments overrides, slot by slot, what a [Map] says: each override has an epoch, and the
// higher epoch wins. Members that exchange and [Assignments.Merge] them, in any order and any
// number of times, come to agree without a coordinator: the value is a join-semilattice. Two
// members that assign the same slot at the same epoch agree on one of the two.
//
// The zero value overrides nothing. It is not safe for concurrent use. Reading an owner is a
// snapshot read: a later merge may revoke it.
type Assignments struct {
	slots map[Slot]assignment
}

// ErrEpoch means that a slot's epoch is the last there is: someone sent a forged one.
var ErrEpoch = errors.New("shard: the epochs of the slot are used up; start anew from empty assignments")

type assignment struct {
	epoch  uint64
	owners []string // never changed once it is here
}

// Assign gives a slot to owners, the first owner first, at an epoch above all epochs known for it,
// and returns that epoch. It keeps a copy of owners.
// Errors: a [*NodeError] with [ErrNoNodes], [ErrEmptyID] or [ErrDuplicate]; [ErrEpoch]. Then nothing
// changes.
func (a *Assignments) Assign(s Slot, owners ...string) (epoch uint64, err error) {
	if err := checkOwners(owners); err != nil {
		return 0, err
	}
	if epoch = a.slots[s].epoch + 1; epoch == 0 {
		return 0, ErrEpoch
	}
	a.put(s, assignment{epoch, slices.Clone(owners)})
	return epoch, nil
}

// Record assigns the slots in which two maps differ as the second has them; Record(m, next) after
// [Map.Rebalance] is how a plan reaches the other members.
func (a *Assignments) Record(old, next *Map) error {
	plan := Diff(old, next)
	if plan.Err != nil {
		return plan.Err
	}
	for i, mv := range plan.Moves {
		if i > 0 && plan.Moves[i-1].Slot == mv.Slot {
			continue
		}
		var ids []string
		for n := range next.Owners(mv.Slot) {
			ids = append(ids, n.ID)
		}
		if _, err := a.Assign(mv.Slot, ids...); err != nil {
			return err
		}
	}
	return nil
}

// Merge takes over the assignments of b that win over those of a, and reports whether there were
// any. b is neither changed nor kept.
func (a *Assignments) Merge(b *Assignments) (changed bool) {
	for s, x := range b.slots {
		if y := a.slots[s]; x.compare(y) > 0 {
			a.put(s, x)
			changed = true
		}
	}
	return changed
}

func (a *Assignments) put(s Slot, x assignment) {
	if a.slots == nil {
		a.slots = map[Slot]assignment{}
	}
	a.slots[s] = x
}

func (x assignment) compare(y assignment) int {
	switch {
	case x.epoch > y.epoch:
		return 1
	case x.epoch < y.epoch:
		return -1
	}
	return slices.Compare(x.owners, y.owners)
}

// Epoch returns the epoch of a slot, 0 if it was never assigned. It never falls.
func (a *Assignments) Epoch(s Slot) uint64 { return a.slots[s].epoch }

// Len returns the number of slots that are assigned.
func (a *Assignments) Len() int { return len(a.slots) }

// All yields the assigned slots and their owners' IDs in the order of the slots. The IDs must not
// be changed, nor a during the iteration.
func (a *Assignments) All() iter.Seq2[Slot, []string] {
	return func(yield func(Slot, []string) bool) {
		for _, s := range slices.Sorted(maps.Keys(a.slots)) {
			if !yield(s, a.slots[s].owners) {
				return
			}
		}
	}
}

// On returns m with the assignments laid over it. An assignment counts only if m has the slot and
// as many replicas, and all its owners are nodes of m: a slot assigned to a node that has left is where m puts it.
// So members that agree on the set of nodes, the options and the assignments have equal maps.
func (a *Assignments) On(m *Map) *Map {
	owners := slices.Clone(m.owners)
	for s, x := range a.slots {
		if uint64(s) >= uint64(m.slots) || len(x.owners) != m.replicas {
			continue
		}
		all := make([]uint16, 0, m.replicas)
		for _, id := range x.owners {
			if n, ok := m.find(id); ok {
				all = append(all, uint16(n))
			}
		}
		if len(all) == m.replicas {
			for r, n := range all {
				owners[r*m.slots+int(s)] = n
			}
		}
	}
	return newMap(m.nodes, m.cfg, m.slots, owners)
}

func checkOwners(owners []string) error {
	if len(owners) == 0 {
		return &NodeError{Err: ErrNoNodes}
	}
	for i, id := range owners {
		if id == "" {
			return &NodeError{Err: ErrEmptyID}
		}
		if slices.Contains(owners[:i], id) {
			return &NodeError{ID: id, Err: ErrDuplicate}
		}
	}
	return nil
}

const assignmentsVersion = 1

// AppendBinary appends the canonical binary form: equal assignments have equal bytes.
//
// Version 1: the version byte; the number of IDs and the IDs in their order, each once; the number
// of slots; for each in order, how far it is from the last one, less one, its epoch, the number of
// its owners, and these as numbers of the IDs. All numbers are varints; IDs have their length before them.
func (a *Assignments) AppendBinary(b []byte) ([]byte, error) {
	index := map[string]int{}
	for _, x := range a.slots {
		for _, id := range x.owners {
			index[id] = 0
		}
	}
	ids := slices.Sorted(maps.Keys(index))
	b = binary.AppendUvarint(append(b, assignmentsVersion), uint64(len(ids)))
	for i, id := range ids {
		index[id] = i
		b = wire.AppendString(b, id)
	}
	b = binary.AppendUvarint(b, uint64(len(a.slots)))
	next := uint64(0)
	for s := range a.All() {
		x := a.slots[s]
		b = binary.AppendUvarint(b, uint64(s)-next)
		next = uint64(s) + 1
		b = binary.AppendUvarint(b, x.epoch)
		b = binary.AppendUvarint(b, uint64(len(x.owners)))
		for _, id := range x.owners {
			b = binary.AppendUvarint(b, uint64(index[id]))
		}
	}
	return b, nil
}

// MarshalBinary returns the canonical binary form; see [Assignments.AppendBinary].
func (a *Assignments) MarshalBinary() ([]byte, error) { return a.AppendBinary(nil) }

// UnmarshalBinary replaces a with what a binary form says. Memory is in proportion to the input,
// from which nothing is kept. Errors match [ErrMalformed] and leave a as it was.
func (a *Assignments) UnmarshalBinary(b []byte) error {
	r := wire.NewReader(b)
	if v := r.Byte(); v != assignmentsVersion {
		r.Fail("version %d of assignments is unknown", v)
	}
	ids := make([]string, r.Count(2))
	for i := range ids {
		ids[i] = string(r.Bytes())
		if ids[i] == "" || i > 0 && ids[i-1] >= ids[i] {
			r.Fail("IDs must be present, unique and in order")
		}
	}
	used := make([]int, len(ids)) // the last slot that has it as an owner, counted from 1
	slots := map[Slot]assignment{}
	next := uint64(0)
	for k := range r.Count(4) {
		s := next + min(r.Uvarint(), 1<<32)
		x := assignment{epoch: r.Uvarint(), owners: make([]string, r.Count(1))}
		for i := range x.owners {
			n := r.Uvarint()
			if n >= uint64(len(ids)) || used[n] == k+1 {
				r.Fail("owner %d of %d IDs, or twice", n, len(ids))
				break
			}
			x.owners[i], used[n] = ids[n], k+1
		}
		if r.Err() == nil && (s >= 1<<32 || x.epoch == 0 || len(x.owners) == 0) {
			r.Fail("slot %d is assigned badly", s)
		}
		if r.Err() != nil {
			break
		}
		slots[Slot(s)] = x
		next = s + 1
	}
	if r.Err() == nil && slices.Contains(used, 0) {
		r.Fail("an ID that owns nothing")
	}
	if err := r.Done(); err != nil {
		return malformed(err)
	}
	a.slots = slots
	if len(slots) == 0 {
		a.slots = nil
	}
	return nil
}
