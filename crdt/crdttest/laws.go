package crdttest

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Run checks the algebra of the type on reachable states, a named subtest for each law, and then,
// in worlds without faults, the value against the specification.
//
// Laws are quick and name the culprit, but they hold for many types that are wrong, so go on to
// [Exhaustive] and [Simulate].
func Run[S, Op, V any](t *testing.T, typ Type[S, Op, V]) {
	t.Helper()
	if err := typ.check(); err != nil {
		t.Fatal(err)
	}
	for _, l := range lawsOf(&typ) {
		t.Run(l.name, func(t *testing.T) { runLaw(t, &typ, l) })
	}
	t.Run("specification", func(t *testing.T) {
		rapid.Check(t, func(rt *rapid.T) {
			w := newWorld(&typ, 3, true, true)
			quietly(rt, w)
			w.settle(false)
			if w.fail != nil {
				w.fail.Layer, w.fail.Schedule = "laws", w.trace.String()
				rt.Fatal(w.fail)
			}
		})
	})
}

func runLaw[S, Op, V any](t testing.TB, typ *Type[S, Op, V], l law[S, Op, V]) {
	t.Helper()
	differ := false
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(rt, typ)
		differ = differ || b.differ()
		if f := b.try(l); f != nil {
			rt.Fatal(f)
		}
	})
	if !differ {
		t.Error("crdttest: vacuous: no operation ever changed a state")
	}
}

// CheckLaws checks the laws, without the specification, on states drawn from the given seed: the same ones
// each time, if rapid's flags and -short, which makes its runs shorter, are the same. The error is a
// [*Failure].
func CheckLaws[S, Op, V any](typ Type[S, Op, V], seed, checks int) (Report, error) {
	if err := typ.check(); err != nil {
		return Report{}, err
	}
	return checkLaws(&typ, lawsOf(&typ), seed, checks)
}

func checkLaws[S, Op, V any](typ *Type[S, Op, V], laws []law[S, Op, V], seed, checks int) (Report, error) {
	r := Report{}
	draw := rapid.Custom(func(rt *rapid.T) *bench[S, Op, V] { return newBench(rt, typ) })
	for r.Checks < checks {
		r.Checks++
		b := draw.Example(seed*1_000_003 + r.Checks)
		for _, l := range laws {
			if f := b.try(l); f != nil {
				f = b.shrink(l, f)
				f.Checks = r.Checks
				return r, f
			}
		}
	}
	return r, nil
}

// A law returns what is wrong, or nothing.
type law[S, Op, V any] struct {
	property
	check func(b *bench[S, Op, V]) string
}

// item is a state or a delta that a replica of a small world has sent.
type item struct {
	name  string
	bytes []byte
}

// bench is a small world and what was drawn from it for the laws to look at.
type bench[S, Op, V any] struct {
	typ     *Type[S, Op, V]
	w       *world[S, Op, V]
	steps   []step[Op] // that led to w
	all     []item     // every message and every state
	a, b, c item
	op      Op
	made    uint64 // replicas that of has made
	at      int    // some offset into an item
	bit     int
}

func newBench[S, Op, V any](t *rapid.T, typ *Type[S, Op, V]) *bench[S, Op, V] {
	b := &bench[S, Op, V]{typ: typ, w: newWorld(typ, 3, false, true)}
	b.steps = quietly(t, b.w)
	b.gather()
	pick := rapid.SampledFrom(b.all)
	b.a, b.b, b.c = pick.Draw(t, "a"), pick.Draw(t, "b"), pick.Draw(t, "c")
	b.at = rapid.IntRange(0, 1<<16).Draw(t, "offset")
	b.bit = rapid.IntRange(0, 7).Draw(t, "bit")
	var s S
	func() {
		defer b.w.catch()
		s = b.of(b.a)
	}()
	if b.w.fail == nil {
		b.op = typ.draw(t, s) // not where catch would take rapid's own panics for the type's
	}
	return b
}

// gather lists all states and messages.
func (b *bench[S, Op, V]) gather() {
	b.all = nil
	for i := range b.w.hosts {
		b.all = append(b.all, item{fmt.Sprintf("the state of r%d", i), b.w.hosts[i].state})
	}
	for _, m := range b.w.wire {
		if !m.delta || !b.typ.Causal { // where order matters, the laws hold for whole states only
			b.all = append(b.all, item{m.name.String(), m.bytes})
		}
	}
}

// shrink removes steps of the world for as long as the law fails on the items of the same names.
func (b *bench[S, Op, V]) shrink(l law[S, Op, V], f *Failure) *Failure {
	fewest(b.steps, func(less []step[Op]) bool {
		try := *b
		try.w = newWorld(b.typ, len(b.w.hosts), false, true)
		for _, st := range less {
			try.w.do(st)
		}
		try.gather()
		for _, x := range []*item{&try.a, &try.b, &try.c} {
			i := slices.IndexFunc(try.all, func(y item) bool { return y.name == x.name })
			if i < 0 {
				return false
			}
			*x = try.all[i]
		}
		g := try.try(l)
		if g == nil || g.Property != f.Property {
			return false
		}
		f = g
		return true
	})
	return f
}

// quietly lets the replicas of w operate and exchange messages, with no faults but reordering.
func quietly[S, Op, V any](t *rapid.T, w *world[S, Op, V]) (steps []step[Op]) {
	id := 0
	t.Repeat(map[string]func(*rapid.T){"step": func(t *rapid.T) {
		id++
		st := step[Op]{id: id, at: rapid.IntRange(0, len(w.hosts)-1).Draw(t, "at")}
		st.kind = rapid.SampledFrom([]kind{operate, operate, deliver, deliver, sendState}).Draw(t, "kind")
		switch {
		case w.fail != nil:
			return
		case st.kind == operate:
			st.op = w.typ.draw(t, w.hosts[st.at].s)
		case st.kind == deliver && len(w.wire) == 0:
			return
		case st.kind == deliver:
			st.msg = w.wire[len(w.wire)-1-rapid.IntRange(0, len(w.wire)-1).Draw(t, "message")].id
		}
		w.do(st)
		steps = append(steps, st)
	}})
	return steps
}

// differ reports whether there are two different states to compare.
func (b *bench[S, Op, V]) differ() bool {
	for _, i := range b.all {
		if !bytes.Equal(i.bytes, b.all[0].bytes) {
			return true
		}
	}
	return false
}

func (b *bench[S, Op, V]) try(l law[S, Op, V]) (f *Failure) {
	fail := func(p property, detail string) *Failure {
		return &Failure{
			Layer: "laws", Property: p.name, Why: p.why, Detail: detail,
			Schedule: fmt.Sprintf("a = %s, b = %s, c = %s\n%s", b.a.name, b.b.name, b.c.name, b.w.trace.String()),
			Steps:    b.w.trace.steps,
		}
	}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *Failure:
			f = fail(property{r.Property, r.Why}, r.Detail)
		default:
			f = fail(l.property, fmt.Sprintf("panic: %v\n%s", r, stack()))
		}
	}()
	if b.w.fail != nil {
		panic(b.w.fail)
	}
	if detail := l.check(b); detail != "" {
		return fail(l.property, detail)
	}
	return nil
}

// of returns a new replica that has merged the items in order.
func (b *bench[S, Op, V]) of(items ...item) S {
	b.made++ // two that operate must not share an id
	s := b.typ.New(Replica{ID: 1<<32 + b.made, Host: -1, Now: b.w.hosts[0].r.Now})
	for _, i := range items {
		b.merge(s, i)
	}
	return s
}

func (b *bench[S, Op, V]) merge(s S, i item) (changed bool) {
	changed, err := b.typ.Merge(s, slices.Clone(i.bytes))
	if err != nil {
		propRefused.fail("Merge of %s, %s: %v", i.name, hex(i.bytes), err)
	}
	return changed
}

// joined returns the state of a replica that has merged the items in order.
func (b *bench[S, Op, V]) joined(items ...item) item {
	return item{fmt.Sprintf("a join of %d", len(items)), b.w.state(b.of(items...))}
}

func differs(what string, x, y []byte) string {
	if bytes.Equal(x, y) {
		return ""
	}
	return fmt.Sprintf("%s: %s is not %s", what, hex(x), hex(y))
}

func lawsOf[S, Op, V any](typ *Type[S, Op, V]) []law[S, Op, V] {
	laws := []law[S, Op, V]{
		{
			property{"merge is commutative", "no two replicas receive in the same order"},
			func(b *bench[S, Op, V]) string {
				return differs("a ⊔ b, b ⊔ a", b.joined(b.a, b.b).bytes, b.joined(b.b, b.a).bytes)
			},
		},
		{
			property{"merge is associative", "messages are grouped on the way, by whoever relays them"},
			func(b *bench[S, Op, V]) string {
				left := b.joined(b.joined(b.a, b.b), b.c)
				return differs("(a ⊔ b) ⊔ c, a ⊔ (b ⊔ c)", left.bytes, b.joined(b.a, b.joined(b.b, b.c)).bytes)
			},
		},
		{
			property{"merge is idempotent", "networks duplicate, and so does every retry"},
			func(b *bench[S, Op, V]) string {
				return differs("a ⊔ b ⊔ a ⊔ b, a ⊔ b", b.joined(b.a, b.b, b.a, b.b).bytes, b.joined(b.a, b.b).bytes)
			},
		},
		{
			property{"decoding gives back what was encoded", "what a restart or a newcomer loads must be the state that was saved"},
			func(b *bench[S, Op, V]) string {
				s := b.of(b.a, b.b)
				saved := item{"a state", b.w.state(s)}
				t := b.of(saved)
				if d := differs("state loaded, state saved", b.typ.State(t), saved.bytes); d != "" {
					return d
				}
				if v, u := b.typ.Value(s), b.typ.Value(t); !b.typ.equal(v, u) {
					return fmt.Sprintf("a replica that shows %s is saved, and shows %s when loaded", show(v), show(u))
				}
				return differs("state after merging an empty one, state before", b.joined(saved, b.joined()).bytes, saved.bytes)
			},
		},
		{
			property{"equal states have equal bytes", "digests, signatures and deduplication compare bytes"},
			func(b *bench[S, Op, V]) string {
				s := b.of(b.all...)
				first := b.w.state(s)
				for range 5 {
					if d := differs("the same state, encoded again", b.typ.State(s), first); d != "" {
						return d
					}
				}
				back := slices.Clone(b.all)
				slices.Reverse(back)
				return differs("everything merged backwards, forwards", b.joined(back...).bytes, first)
			},
		},
		{
			propChanged,
			func(b *bench[S, Op, V]) string {
				s := b.of(b.a)
				before := b.w.state(s)
				changed := b.merge(s, b.b)
				if after := b.typ.State(s); changed == bytes.Equal(before, after) {
					return fmt.Sprintf("merging b into a says changed=%t; state before %s, after %s", changed, hex(before), hex(after))
				}
				return ""
			},
		},
		{
			property{"operations inflate", "an operation that takes something out of the state is undone by the next merge"},
			func(b *bench[S, Op, V]) string {
				s := b.of(b.a)
				before := item{"the state before", b.w.state(s)}
				b.typ.Apply(s, b.op)
				after := b.w.state(s)
				b.merge(s, before)
				return differs("state after "+show(b.op)+" merged with the one before, without", b.typ.State(s), after)
			},
		},
		{
			property{"state after = state before ⊔ delta", "whoever lives on deltas must see what the writer sees"},
			func(b *bench[S, Op, V]) string {
				s := b.of(b.a)
				before := item{"the state before", b.w.state(s)}
				delta := item{"the delta", slices.Clone(b.typ.Apply(s, b.op))}
				after := b.typ.State(s)
				if len(delta.bytes) == 0 {
					return differs("no delta from "+show(b.op)+", yet the state after, before", after, before.bytes)
				}
				return differs("before ⊔ delta of "+show(b.op)+", after", b.joined(before, delta).bytes, after)
			},
		},
		{
			property{"all deltas make the state", "a replica that got every delta must not need a full state too"},
			func(b *bench[S, Op, V]) string {
				var deltas []item
				for _, m := range b.w.wire {
					if m.delta {
						deltas = append(deltas, item{m.name.String(), m.bytes})
					}
				}
				n := len(b.w.hosts)
				return differs("all deltas, all states", b.joined(deltas...).bytes, b.joined(b.all[:n]...).bytes)
			},
		},
		{
			property{"arguments and results are nobody's afterwards", "buffers are pooled: a state that keeps one changes by itself, a race away from the cause"},
			func(b *bench[S, Op, V]) string {
				s := b.of(b.a)
				arg := slices.Clone(b.b.bytes)
				if _, err := b.typ.Merge(s, arg); err != nil {
					propRefused.fail("Merge of %s: %v", b.b.name, err)
				}
				if d := differs("argument after Merge, before", arg, b.b.bytes); d != "" {
					return d
				}
				before := b.w.state(s)
				scribble(arg)
				if d := differs("state after its argument was overwritten, before", b.typ.State(s), before); d != "" {
					return d
				}
				scribble(b.typ.State(s))
				if d := differs("state after its encoding was overwritten, before", b.typ.State(s), before); d != "" {
					return d
				}
				delta := b.typ.Apply(s, b.op)
				before = b.w.state(s)
				scribble(delta)
				return differs("state after a delta was overwritten, before", b.typ.State(s), before)
			},
		},
		{
			property{"damaged bytes do no damage", "disks and networks flip bits, and some peers mean harm"},
			func(b *bench[S, Op, V]) string {
				for _, way := range []string{"cut off", "with a bit flipped", "with a byte too many"} {
					bad := slices.Clone(b.b.bytes)
					at := b.at % max(len(bad), 1)
					switch {
					case way == "with a byte too many":
						bad = slices.Insert(bad, at, byte(b.at))
					case len(bad) == 0:
						continue
					case way == "cut off":
						bad = bad[:at]
					default:
						bad[at] ^= 1 << b.bit
					}
					s := b.of(b.a)
					before := b.w.state(s)
					changed, err := b.typ.Merge(s, bad)
					if after := b.typ.State(s); err != nil && !bytes.Equal(before, after) {
						return fmt.Sprintf("%s, at byte %d %s, is refused (%v) but changes %s into %s", hex(b.b.bytes), at, way, err, hex(before), hex(after))
					}
					if err != nil && changed {
						return fmt.Sprintf("%s, at byte %d %s, is refused (%v) but changed is true", hex(b.b.bytes), at, way, err)
					}
				}
				return ""
			},
		},
	}
	if typ.Since != nil {
		laws = append(laws, law[S, Op, V]{
			property{"Since sends what lacks and no more", "a difference that misses something never heals, one that repeats something costs for ever"},
			func(b *bench[S, Op, V]) string {
				s, t := b.of(b.a), b.of(b.b, b.c)
				if d := b.typ.Since(s, slices.Clone(b.typ.Digest(s))); len(d) > 0 && b.merge(b.of(), item{"Since", d}) {
					return fmt.Sprintf("Since of a state and its own digest holds %s", hex(d))
				}
				if d := slices.Clone(b.typ.Since(t, slices.Clone(b.typ.Digest(s)))); len(d) > 0 {
					b.merge(s, item{"Since", d})
				}
				return differs("a ⊔ Since(b ⊔ c, digest of a), a ⊔ b ⊔ c", b.typ.State(s), b.joined(b.a, b.b, b.c).bytes)
			},
		})
	}
	if typ.Join != nil {
		laws = append(laws, law[S, Op, V]{
			property{"Join keeps no part of its argument", "two replicas that share a map change each other without a message, and race"},
			func(b *bench[S, Op, V]) string {
				s, t := b.of(b.a), b.of(b.b)
				source := b.w.state(t)
				typ.Join(s, t)
				joined := b.w.state(s)
				if d := differs("b after Join(a, b), before", b.typ.State(t), source); d != "" {
					return d
				}
				if d := differs("Join(a, b) in memory, Merge", joined, b.joined(b.a, b.b).bytes); d != "" {
					return d
				}
				b.typ.Apply(t, b.op)
				if d := differs("a after "+show(b.op)+" on b, before", b.typ.State(s), joined); d != "" {
					return d
				}
				source = b.w.state(t)
				b.typ.Apply(s, b.op)
				return differs("b after "+show(b.op)+" on a, before", b.typ.State(t), source)
			},
		})
	}
	return laws
}

// scribble overwrites all of b, and what its capacity hides.
func scribble(b []byte) {
	b = b[:cap(b)]
	for i := range b {
		b[i] ^= 0xFF
	}
}
