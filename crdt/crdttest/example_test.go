package crdttest_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-calm/calm/crdt/crdttest"
)

// Raised is a set of flags that can only be raised: a type of a stranger, in plain bytes.
type Raised struct{ flags byte }

func (r *Raised) Raise(i int) []byte {
	r.flags |= 1 << i
	return []byte{1 << i}
}

func (r *Raised) Merge(b []byte) (changed bool, err error) {
	if len(b) != 1 {
		return false, fmt.Errorf("want 1 byte, have %d", len(b))
	}
	changed = r.flags|b[0] != r.flags
	r.flags |= b[0]
	return changed, nil
}

func raised() crdttest.Type[*Raised, int, byte] {
	return crdttest.Type[*Raised, int, byte]{
		New:   func(crdttest.Replica) *Raised { return new(Raised) },
		Ops:   []int{0, 1},
		Apply: (*Raised).Raise,
		Merge: (*Raised).Merge,
		State: func(r *Raised) []byte { return []byte{r.flags} },
		Value: func(r *Raised) byte { return r.flags },
		Spec: func(h crdttest.History[int]) (want byte) {
			for _, e := range h.All() {
				want |= 1 << e.Op
			}
			return want
		},
	}
}

// In a test, three lines check a type of your own.
func Example() {
	_ = func(t *testing.T) { // TestRaised
		crdttest.Run(t, raised())
		crdttest.Exhaustive(t, raised())
		crdttest.Simulate(t, raised())
	}

	// Outside of a test the same checks return errors.
	r, err := crdttest.CheckExhaustive(raised(), crdttest.World{Replicas: 2, Steps: 4})
	fmt.Println(r.Schedules, "schedules,", err)
	// Output: 2200 schedules, <nil>
}

// A register whose last writer wins by the wall clock must say who wins if two write at once.
// This one keeps its own value. The schedule is the shortest that shows it.
func ExampleCheckExhaustive() {
	type register struct {
		now   func() time.Time
		at    byte // milliseconds, in this small world
		value byte
	}
	_, err := crdttest.CheckExhaustive(crdttest.Type[*register, byte, byte]{
		New: func(r crdttest.Replica) *register { return &register{now: r.Now} },
		Ops: []byte{1, 2},
		Apply: func(r *register, v byte) []byte {
			r.at, r.value = max(r.at+1, byte(r.now().UnixMilli())), v
			return []byte{r.at, r.value}
		},
		Merge: func(r *register, b []byte) (bool, error) {
			if b[0] <= r.at {
				return false, nil
			}
			r.at, r.value = b[0], b[1]
			return true, nil
		},
		State: func(r *register) []byte { return []byte{r.at, r.value} },
		Value: func(r *register) byte { return r.value },
		Spec: func(h crdttest.History[byte]) (last byte) {
			for i, e := range h.All() {
				if !h.SeenBy(i, func(byte) bool { return true }) {
					last = max(last, e.Op) // of those that nobody overwrote, the greatest
				}
			}
			return last
		},
	}, crdttest.World{Replicas: 2, Steps: 3})
	fmt.Println(err)
	// Output:
	// crdttest: exhaustive: value is what the specification says: r0 shows 1, the specification says 2
	// why it matters: replicas can agree on a wrong answer; only an oracle notices
	//
	// r0   r1
	// ●    │     r0: 1 → d1   shows 1
	// │    ●     r1: 2 → d2   shows 2
	// │    │     the network heals, all exchange their states
	// ◀────┤     r0 receives the state of r1   shows 1
}

func ExampleCheckSimulation() {
	r, err := crdttest.CheckSimulation(raised(), 1, 200)
	fmt.Println(r.Checks, "runs,", len(r.Vacuous()), "kinds of fault never occurred,", err)
	// Output: 200 runs, 0 kinds of fault never occurred, <nil>
}

func ExampleCheckLaws() {
	typ := raised()
	typ.Merge = func(r *Raised, b []byte) (changed bool, err error) {
		for _, flags := range b {
			changed = changed || r.flags|flags != r.flags
			r.flags |= flags
		}
		if len(b) != 1 { // too late
			return changed, fmt.Errorf("want 1 byte, have %d", len(b))
		}
		return changed, nil
	}
	_, err := crdttest.CheckLaws(typ, 1, 100)
	var f *crdttest.Failure
	if errors.As(err, &f) {
		fmt.Println(f.Property)
		fmt.Println("why it matters:", f.Why)
	}
	// Output:
	// damaged bytes do no damage
	// why it matters: disks and networks flip bits, and some peers mean harm
}

// An add-wins set, specified: an element is in if some addition of it has not been seen by a
// removal of it.
func ExampleHistory_SeenBy() {
	type op struct {
		remove  bool
		element string
	}
	_ = func(h crdttest.History[op]) map[string]bool {
		in := map[string]bool{}
		for i, e := range h.All() {
			removes := func(o op) bool { return o.remove && o.element == e.Op.element }
			if !e.Op.remove && !h.SeenBy(i, removes) {
				in[e.Op.element] = true
			}
		}
		return in
	}
}
