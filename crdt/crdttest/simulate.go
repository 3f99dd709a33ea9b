package crdttest

import (
	"testing"

	"pgregory.net/rapid"
)

// enoughChecks is how many runs must have been made before a missing coverage mark is an error;
// each mark occurs in far more than one run of ten.
const enoughChecks = 100

// Simulate checks the type in random worlds of 2 to 4 replicas: they operate, send states,
// deltas and groups of deltas, receive any message at any time in any order, again or never,
// are partitioned, save, crash with and without their disk, restart (who lost anything is a new
// member, under a new id), leave for ever, and have their clocks jump. Which of these faults a run has is drawn as well. Then the network heals, and after one
// round, in which each replica that is left receives what each other had, all must be equal; then every message
// ever sent arrives once more.
//
// Runs are drawn and shrunk by rapid: -rapid.checks and -rapid.steps set how many and how long.
// A passing check of 100 runs or more in which a kind of fault never occurred is reported as vacuous.
func Simulate[S, Op, V any](t testing.TB, typ Type[S, Op, V]) {
	t.Helper()
	if err := typ.check(); err != nil {
		t.Fatal(err)
	}
	r := Report{needed: typ.needed()}
	rapid.Check(t, func(rt *rapid.T) {
		w := simulation(rt, &typ)
		if w.fail != nil {
			rt.Fatal(w.explain("simulation", r.Checks+1))
		}
		r.Checks++
		r.marks.add(w.marks)
	})
	t.Log(r.String())
	if r.Checks >= enoughChecks {
		for _, m := range r.Vacuous() {
			t.Errorf("crdttest: vacuous: in %d runs no %s", r.Checks, m)
		}
	}
}

// CheckSimulation does what [Simulate] does, with runs drawn from the given seed and their
// schedules shrunk by removing steps. The error is a [*Failure].
func CheckSimulation[S, Op, V any](typ Type[S, Op, V], seed, checks int) (Report, error) {
	if err := typ.check(); err != nil {
		return Report{}, err
	}
	r := Report{needed: typ.needed()}
	run := rapid.Custom(func(rt *rapid.T) *simulated[S, Op, V] { return simulation(rt, &typ) })
	for r.Checks < checks {
		r.Checks++
		w := run.Example(seed*1_000_003 + r.Checks)
		r.marks.add(w.marks)
		if w.fail != nil {
			w.shrink()
			return r, w.explain("simulation", r.Checks)
		}
	}
	return r, nil
}

func (typ *Type[S, Op, V]) needed() [numMarks]bool {
	var need [numMarks]bool
	for i := range need {
		need[i] = true
	}
	need[markOvertook] = !typ.Causal
	return need
}

// simulated is a world together with the schedule that led to it.
type simulated[S, Op, V any] struct {
	*world[S, Op, V]
	steps   []step[Op]
	trusted int  // how many of the first steps are executed unchecked
	replay  bool // settle with all messages once more
}

// simulation draws a run and executes it.
func simulation[S, Op, V any](t *rapid.T, typ *Type[S, Op, V]) *simulated[S, Op, V] {
	n := rapid.IntRange(2, 4).Draw(t, "replicas")
	kinds := []kind{operate, operate, operate, deliver, deliver, deliver}
	swarm := func(name string, k ...kind) {
		if rapid.Bool().Draw(t, name) {
			kinds = append(kinds, k...)
		}
	}
	swarm("states", sendState, deliver)
	swarm("groups", sendGroup)
	swarm("losses", drop)
	swarm("partitions", cut, mend)
	swarm("crashes", crash, crash, restart, restart, save, save)
	swarm("clocks", jump)
	swarm("departures", leave)
	if typ.Since != nil {
		swarm("digests", pull)
	}
	if typ.Join != nil {
		swarm("joins", joinLocal)
	}
	// The specification decides only if nobody operates where something lacks: some runs
	// keep to that, some of these deliver in causal order altogether.
	calm := rapid.Bool().Draw(t, "calm")
	ordered := calm && rapid.Bool().Draw(t, "ordered")

	run := &simulated[S, Op, V]{world: newWorld(typ, n, true, false), replay: true}
	w := run.world
	t.Repeat(map[string]func(*rapid.T){"step": func(t *rapid.T) {
		st := step[Op]{
			id:   len(run.steps) + 1,
			kind: rapid.SampledFrom(kinds).Draw(t, "kind"),
			at:   rapid.IntRange(0, n-1).Draw(t, "at"),
		}
		if len(w.wire) == 0 && (st.kind == deliver || st.kind == drop || st.kind == sendGroup) {
			st.kind = operate
		}
		if w.fail != nil || st.kind == operate && w.hosts[st.at].down {
			return // a step that cannot be is none; rapid would give up after too many skips
		}
		lacks := func(b bits) bool { return !w.past(b).within(w.hosts[st.at].view.or(b)) }
		pick := func(name string) *message {
			return w.wire[len(w.wire)-1-rapid.IntRange(0, len(w.wire)-1).Draw(t, name)]
		}
		switch st.kind {
		case operate:
			if calm && lacks(w.hosts[st.at].view) {
				return
			}
			st.op = typ.draw(t, w.hosts[st.at].s)
		case deliver:
			m := pick("message")
			if ordered && lacks(m.carry) {
				return
			}
			st.msg = m.id
		case drop:
			st.msg = pick("message").id
		case sendGroup:
			st.msg, st.with = pick("message").id, pick("with").id
		case pull, joinLocal:
			st.from = rapid.IntRange(0, n-1).Draw(t, "from")
		case cut:
			st.n = rapid.IntRange(1, n-1).Draw(t, "side")
		case crash:
			st.n = rapid.SampledFrom([]int{diskLost, diskSaved, diskAll, diskAll}).Draw(t, "disk")
		case jump:
			st.n = rapid.IntRange(-3, 5).Draw(t, "ms")
		}
		if w.do(st) || w.fail != nil {
			run.steps = append(run.steps, st)
		}
	}})
	w.settle(true)
	return run
}

// execute executes a schedule in a new world. Steps that make no sense there are passed over.
func (run *simulated[S, Op, V]) execute(typ *Type[S, Op, V], n int, steps []step[Op], traced bool) *world[S, Op, V] {
	w := newWorld(typ, n, false, traced)
	for i, st := range steps {
		w.strict = i >= run.trusted
		w.do(st)
	}
	w.strict = true
	return w
}

// again executes a schedule as run was executed, and settles it.
func (run *simulated[S, Op, V]) again(steps []step[Op], traced bool) *world[S, Op, V] {
	w := run.execute(run.typ, len(run.hosts), steps, traced)
	w.settle(run.replay)
	return w
}

// shrink removes steps for as long as the same property fails.
func (run *simulated[S, Op, V]) shrink() {
	want := run.fail.Property
	run.steps = fewest(run.steps, func(less []step[Op]) bool {
		w := run.again(less, false)
		if w.fail == nil || w.fail.Property != want {
			return false
		}
		run.world = w
		return true
	})
}

// fewest removes steps, first in long pieces and at last one by one, until none can be removed
// without ending the failure.
func fewest[Op any](steps []step[Op], fails func([]step[Op]) bool) []step[Op] {
	for size := len(steps); size > 0; {
		found := false
		for at := 0; at < len(steps); {
			less := append(steps[:at:at], steps[min(at+size, len(steps)):]...)
			if fails(less) {
				steps, found = less, true
			} else {
				at += size
			}
		}
		if !found || size > 1 {
			size /= 2
		}
	}
	return steps
}

// explain completes the failure with the diagram of its schedule.
func (run *simulated[S, Op, V]) explain(layer string, checks int) *Failure {
	f := *run.fail
	w := run.again(run.steps, true)
	f.Layer, f.Steps, f.Checks, f.Schedule = layer, len(run.steps), checks, w.trace.String()
	if w.fail == nil || w.fail.Property != f.Property {
		f.Detail += "\n(the same schedule gave another outcome when executed again: the type is not deterministic)"
	}
	return &f
}
