package crdttest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
)

// World bounds an exhaustive enumeration: all schedules of so many steps of so many replicas.
type World struct {
	Replicas, Steps int
}

// Exhaustive executes all schedules of the given worlds (2 replicas × 5 steps and 3 × 4, if none is
// given) over [Type].Ops, not a sample of them, and settles each of their prefixes. It is a
// proof up to the bound. A step is one operation, one state sent, one delivery of any message ever
// sent to any replica, be it for the second time, one pull by digest, one join in memory, or one crash
// that loses the disk. Wall clocks stand still, so all stamps of equal depth tie.
//
// Schedules that lead to the same world (same states, same messages under way, same
// operations seen) are continued once. For types whose State hides what decides their future
// this is not sound; a State that can be loaded after a crash hides nothing.
//
// The cost grows with the power of Steps: keep Ops at two to four operations.
func Exhaustive[S, Op, V any](t testing.TB, typ Type[S, Op, V], worlds ...World) {
	t.Helper()
	if len(worlds) == 0 {
		worlds = []World{{2, 5}, {3, 4}}
	}
	for _, bound := range worlds {
		r, err := CheckExhaustive(typ, bound)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d replicas × %d steps: %v", bound.Replicas, bound.Steps, r)
		for _, m := range r.Vacuous() {
			t.Errorf("crdttest: vacuous: in all schedules of %d replicas × %d steps no %s", bound.Replicas, bound.Steps, m)
		}
	}
}

// CheckExhaustive does what [Exhaustive] does with one world. The error is a [*Failure]; its schedule is
// one of the shortest that fail.
func CheckExhaustive[S, Op, V any](typ Type[S, Op, V], bound World) (Report, error) {
	if err := typ.check(); err != nil {
		return Report{}, err
	}
	if bound.Replicas < 1 || bound.Steps < 1 {
		return Report{}, fmt.Errorf("crdttest: World{Replicas: %d, Steps: %d} must be at least one by one", bound.Replicas, bound.Steps)
	}
	r := Report{}
	r.needed[markCompared] = true
	r.needed[markConcurrent] = bound.Replicas > 1 && bound.Steps > 1
	r.needed[markStale] = bound.Replicas > 1 && bound.Steps > 2

	x := &explorer[S, Op, V]{typ: &typ, bound: bound, report: &r, ids: map[[sha256.Size]byte]int{}}
	if f := x.visit(nil); f != nil {
		return r, f
	}
	// Breadth first: each distinct world is continued from its shortest schedule.
	for level, first := 1, 0; level <= bound.Steps; level++ {
		last := len(x.nodes)
		for n := first; n < last; n++ {
			for _, st := range x.nodes[n].next {
				if f := x.child(n, st); f != nil {
					return r, f
				}
			}
			x.nodes[n].next = nil
		}
		first = last
	}
	r.States = len(x.nodes)
	r.Schedules = x.count()
	return r, nil
}

type explorer[S, Op, V any] struct {
	typ    *Type[S, Op, V]
	bound  World
	report *Report
	nodes  []node[Op]
	ids    map[[sha256.Size]byte]int
	at     int // the node of the last visit
}

// node is one distinct world.
type node[Op any] struct {
	steps    []step[Op] // a shortest schedule that leads here
	next     []step[Op] // until they are executed
	children []int      // one for each next
}

func (x *explorer[S, Op, V]) child(n int, st step[Op]) *Failure {
	steps := x.nodes[n].steps
	if f := x.visit(append(steps[:len(steps):len(steps)], st)); f != nil {
		return f
	}
	x.nodes[n].children = append(x.nodes[n].children, x.at)
	return nil
}

// visit executes a schedule, settles it unless its world is known, and lists what can follow.
func (x *explorer[S, Op, V]) visit(steps []step[Op]) *Failure {
	run := &simulated[S, Op, V]{steps: steps, trusted: len(steps) - 1, replay: len(steps) == x.bound.Steps}
	run.world = run.execute(x.typ, x.bound.Replicas, steps, false)
	w := run.world
	if w.fail == nil {
		key := x.key(w)
		if id, known := x.ids[key]; known {
			x.at = id
			x.report.marks.add(w.marks)
			return nil
		}
		x.at = len(x.nodes)
		x.ids[key] = x.at
		node := node[Op]{steps: steps}
		if len(steps) < x.bound.Steps {
			node.next = x.steps(w)
		}
		x.nodes = append(x.nodes, node)
		w.settle(run.replay)
	}
	x.report.Checks++
	x.report.marks.add(w.marks)
	if w.fail != nil {
		return run.explain("exhaustive", x.report.Checks)
	}
	return nil
}

// steps lists everything that can happen next.
func (x *explorer[S, Op, V]) steps(w *world[S, Op, V]) []step[Op] {
	var out []step[Op]
	id := 0
	for _, m := range w.wire {
		id = max(id, m.id)
	}
	id++
	for i := range w.hosts {
		for _, op := range x.typ.Ops {
			out = append(out, step[Op]{id: id, kind: operate, at: i, op: op})
		}
		if len(w.hosts[i].view) > 0 {
			out = append(out, step[Op]{id: id, kind: sendState, at: i})
		}
		for _, m := range w.wire {
			if (m.from != i || m.life != w.hosts[i].lives) && w.may(m, i) {
				out = append(out, step[Op]{id: id, kind: deliver, at: i, msg: m.id})
			}
		}
		for j := range w.hosts {
			if j != i && x.typ.Since != nil {
				out = append(out, step[Op]{id: id, kind: pull, at: i, from: j})
			}
			if j != i && x.typ.Join != nil {
				out = append(out, step[Op]{id: id, kind: joinLocal, at: i, from: j})
			}
		}
		if w.hosts[i].count > 0 {
			out = append(out, step[Op]{id: id, kind: reboot, at: i})
		}
	}
	return out
}

// key identifies a world up to the order in which independent things happened.
func (x *explorer[S, Op, V]) key(w *world[S, Op, V]) [sha256.Size]byte {
	var b []byte
	put := func(n int) { b = binary.AppendUvarint(b, uint64(n)) }
	str := func(s []byte) {
		put(len(s))
		b = append(b, s...)
	}
	set := func(s bits) {
		put(len(s))
		for _, word := range s {
			b = binary.AppendUvarint(b, word)
		}
	}
	for i := range w.hosts {
		h := &w.hosts[i]
		put(h.lives)
		put(h.count)
		str(h.state)
		set(h.view)
	}
	for _, e := range w.labels {
		if e == nil {
			put(0)
			continue
		}
		put(1)
		str(fmt.Append(nil, e.Op))
		put(int(e.Replica))
		set(e.saw)
	}
	at := b
	b = nil
	var wire [][]byte
	for _, m := range w.wire {
		b = nil
		put(m.from)
		put(m.life)
		set(m.carry)
		str(m.bytes)
		wire = append(wire, b)
	}
	slices.SortFunc(wire, bytes.Compare)
	wire = slices.CompactFunc(wire, bytes.Equal)
	b = at
	for _, m := range wire {
		str(m)
	}
	joins := slices.Clone(w.joins)
	slices.Sort(joins)
	for _, j := range slices.Compact(joins) {
		put(j)
	}
	return sha256.Sum256(b)
}

// count returns the number of schedules of exactly the bound's length.
func (x *explorer[S, Op, V]) count() uint64 {
	ways := make([]uint64, len(x.nodes))
	for i := range ways {
		ways[i] = 1
	}
	for range x.bound.Steps {
		longer := make([]uint64, len(ways))
		for i, n := range x.nodes {
			for _, c := range n.children {
				longer[i] += ways[c]
			}
		}
		ways = longer
	}
	return ways[0]
}
