package crdttest

import (
	"bytes"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

type kind uint8

const (
	operate   kind = iota
	sendState      // put the state of a replica on the wire
	sendGroup      // put the join of two messages on the wire
	deliver        // a message, which stays on the wire: it may arrive again
	pull           // receive what Since(own digest) gives at a peer
	joinLocal      // Join in memory
	reboot         // crash without disk and restart at once
	drop           // take a message off the wire for good
	cut            // partition: messages between the sides wait until it is mended
	mend
	save    // write the state to disk
	crash   // n says what is left: see the disk constants
	restart // under a fresh id, but for diskAll with Resume
	jump    // move a wall clock by n milliseconds
	leave   // for ever, with all that nobody else has; what is on the wire stays there
)

const (
	diskLost  = iota
	diskSaved // what the last save wrote
	diskAll   // every operation was durable before it took effect
)

// A step is data, so that a schedule can be drawn, enumerated, shrunk and replayed.
type step[Op any] struct {
	id        int // messages are named after the step that sent them
	kind      kind
	at        int // the replica that acts
	from      int // the peer, for pull and joinLocal
	msg, with int
	n         int
	op        Op
}

// name is what a message is called in a diagram. Few are ever drawn.
type name struct {
	text string
	n    int // after it, unless negative
}

func (n name) String() string {
	if n.n < 0 {
		return n.text
	}
	return n.text + strconv.Itoa(n.n)
}

type message struct {
	id    int
	name  name
	from  int
	life  int // which incarnation of from sent it
	bytes []byte
	carry bits
	delta bool
	lost  bool
	got   bits // hosts that received it
}

type host[S, V any] struct {
	s     S
	r     Replica
	lives int
	count int // labels used, over all lives
	down  bool
	gone  bool // down for ever
	view  bits
	state []byte // State(s) after the last step here
	value V
	read  bool // value is set
	skew  int
	// what a restart finds
	disk     []byte
	diskView bits
	resume   bool
}

type world[S, Op, V any] struct {
	typ    *Type[S, Op, V]
	hosts  []host[S, V]
	labels []*Event[Op] // by label
	order  []*Event[Op] // as executed
	wire   []*message
	cut    int // hosts below it on one side; 0: no partition
	marks  marks
	fail   *Failure
	strict bool // check properties, not only execute

	traced bool
	trace  diagram
	joins  []int // pairs joined in memory, whose memory may be shared since
}

func newWorld[S, Op, V any](typ *Type[S, Op, V], n int, strict, traced bool) *world[S, Op, V] {
	w := &world[S, Op, V]{typ: typ, hosts: make([]host[S, V], n), strict: strict, traced: traced}
	defer w.catch()
	for i := range w.hosts {
		w.name(i)
		w.boot(i, typ.New(w.hosts[i].r))
	}
	w.trace.start(n)
	return w
}

// name gives host i the identity of its next incarnation.
func (w *world[S, Op, V]) name(i int) {
	h := &w.hosts[i]
	h.r = Replica{ID: uint64(1 + i + len(w.hosts)*h.lives), Host: i, Now: func() time.Time {
		return time.UnixMilli(1_800_000_000_000 + int64(h.skew))
	}}
	h.lives++
}

func (w *world[S, Op, V]) boot(i int, s S) {
	h := &w.hosts[i]
	var none V
	h.s, h.view, h.state, h.value, h.read, h.down = s, nil, w.state(s), none, false, false
}

func (w *world[S, Op, V]) state(s S) []byte { return slices.Clone(w.typ.State(s)) }

// catch turns a panic into the world's failure.
func (w *world[S, Op, V]) catch() {
	switch r := recover().(type) {
	case nil:
	case *Failure:
		w.fail = r
	default:
		w.fail = &Failure{
			Property: propPanic.name, Why: propPanic.why,
			Detail: fmt.Sprintf("%v\n%s", r, stack()),
		}
	}
}

// stack returns where a panic came from, without the addresses that differ from run to run.
func stack() string {
	lines := strings.Split(string(debug.Stack()), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "panic(") {
			lines = lines[i+2:]
			break
		}
	}
	for i, l := range lines {
		if at := strings.LastIndex(l, " +0x"); at >= 0 {
			lines[i] = l[:at]
		} else if at := strings.LastIndexByte(l, '('); at >= 0 {
			lines[i] = l[:at]
		}
	}
	return strings.Join(lines[:min(len(lines), 8)], "\n")
}

func (w *world[S, Op, V]) message(id int) *message {
	for _, m := range w.wire {
		if m.id == id && !m.lost {
			return m
		}
	}
	return nil
}

func (w *world[S, Op, V]) apart(a, b int) bool { return w.cut > 0 && (a < w.cut) != (b < w.cut) }

// may reports whether message m can arrive at host i now.
func (w *world[S, Op, V]) may(m *message, i int) bool {
	return !m.lost && !w.hosts[i].down && !w.apart(m.from, i) &&
		(!w.typ.Causal || w.past(m.carry).minus(m.carry).within(w.hosts[i].view))
}

// do executes a step and reports whether it could be executed. After a failure none can.
func (w *world[S, Op, V]) do(st step[Op]) (done bool) {
	if w.fail != nil {
		return false
	}
	defer w.catch()
	h := &w.hosts[st.at]
	if h.down && (st.kind < drop || st.kind == save) {
		return false
	}
	w.trace.step()
	switch st.kind {
	case operate:
		w.operate(st)
	case sendState:
		w.send(st, name{text: "s", n: st.id}, slices.Clone(h.state), h.view, false)
	case sendGroup:
		a, b := w.message(st.msg), w.message(st.with)
		if a == nil || b == nil || a == b || w.typ.Causal {
			return false
		}
		s := w.typ.New(Replica{ID: 1 << 32, Host: -1, Now: h.r.Now})
		for _, m := range []*message{a, b} {
			if _, err := w.typ.Merge(s, slices.Clone(m.bytes)); err != nil {
				propRefused.fail("a new replica refuses %s: %v", m.name, err)
			}
		}
		w.send(st, name{text: a.name.String() + "+" + b.name.String(), n: -1}, w.state(s), a.carry.or(b.carry), false)
	case deliver:
		m := w.message(st.msg)
		if m == nil || !w.may(m, st.at) {
			return false
		}
		w.deliver(m, st.at)
	case pull:
		if w.hosts[st.from].down || st.from == st.at || w.apart(st.at, st.from) || w.typ.Since == nil {
			return false
		}
		w.pull(st.at, st.from)
	case joinLocal:
		if w.hosts[st.from].down || st.from == st.at || w.typ.Join == nil {
			return false
		}
		w.join(st.at, st.from)
	case drop:
		m := w.message(st.msg)
		if m == nil {
			return false
		}
		m.lost = true
		w.marks[markLost]++
		w.line(-1, -1, "%s is lost", m.name)
	case cut:
		if w.cut > 0 || st.n <= 0 || st.n >= len(w.hosts) {
			return false
		}
		w.cut = st.n
		w.marks[markCut]++
		w.line(-1, -1, "the network splits: r0…r%d | r%d…r%d", st.n-1, st.n, len(w.hosts)-1)
	case mend:
		if w.cut == 0 {
			return false
		}
		w.cut = 0
		w.line(-1, -1, "the network heals")
	case save:
		h.disk, h.diskView = slices.Clone(h.state), h.view
		w.line(st.at, -1, "r%d saves its state", st.at)
	case reboot:
		w.crash(st.at, diskLost)
		w.restart(st.at)
	case crash:
		if h.down {
			return false
		}
		w.crash(st.at, st.n)
	case restart:
		if !h.down || h.gone {
			return false
		}
		w.restart(st.at)
	case leave:
		if len(w.members()) < len(w.hosts) || len(w.hosts) == 2 { // at most one, and two stay
			return false
		}
		h.gone, h.down = true, true
		var none S
		h.s = none
		w.marks[markLeft]++
		w.line(st.at, -1, "r%d leaves for ever", st.at)
	case jump:
		h.skew += st.n
		w.marks[markJump]++
		w.line(st.at, -1, "the clock of r%d jumps by %d ms", st.at, st.n)
	}
	return true
}

func (w *world[S, Op, V]) operate(st step[Op]) {
	h := &w.hosts[st.at]
	before := h.state
	now := h.r.Now()
	delta := slices.Clone(w.typ.Apply(h.s, st.op))
	h.state = w.state(h.s)
	label := h.count*len(w.hosts) + st.at
	e := &Event[Op]{Op: st.op, Replica: h.r.ID, Time: now, Delta: delta, label: label, saw: h.view, past: w.past(h.view)}
	e.gapped = !e.past.within(e.saw)

	for len(w.labels) <= label {
		w.labels = append(w.labels, nil)
	}
	w.labels[label] = e
	w.order = append(w.order, e)
	view := h.view
	h.view = view.with(label)
	if len(delta) == 0 {
		// The operation is not an event, for nobody can hear of it; but first it is
		// held against the specification as if it were one.
		w.line(st.at, -1, "r%d: %s changes nothing", st.at, show(st.op))
		if w.strict && !bytes.Equal(before, h.state) {
			propSilent.fail("r%d: %s returned no delta but changed the state from %s to %s", st.at, show(st.op), hex(before), hex(h.state))
		}
		w.observe(st.at)
		w.labels[label], w.order, h.view = nil, w.order[:len(w.order)-1], view
		return
	}
	h.count++
	for _, other := range w.order[:len(w.order)-1] {
		if !e.saw.has(other.label) {
			w.marks[markConcurrent]++
			break
		}
	}
	m := w.send(st, name{text: "d", n: st.id}, delta, bits(nil).with(label), true)
	w.line(st.at, -1, "r%d: %s → %s", st.at, show(st.op), m.name)
	if !w.strict {
		w.observe(st.at)
		return
	}
	w.again(st.at, delta, propOwn, "r%d: %s returned a delta that is not yet in its own state", st.at, show(st.op))
	w.again(st.at, before, propForget, "r%d: %s lost a part of the state before it", st.at, show(st.op))
	w.observe(st.at)
}

// send puts a message on the wire, where any replica can receive it at any time.
func (w *world[S, Op, V]) send(st step[Op], name name, b []byte, carry bits, delta bool) *message {
	m := &message{id: st.id, name: name, from: st.at, life: w.hosts[st.at].lives, bytes: b, carry: carry, delta: delta}
	w.wire = append(w.wire, m)
	if !delta {
		w.line(st.at, -1, "r%d sends %s", st.at, name)
	}
	return m
}

func (w *world[S, Op, V]) deliver(m *message, i int) {
	if m.got.has(i) {
		w.marks[markTwice]++
	}
	m.got = m.got.with(i)
	h := &w.hosts[i]
	if m.carry.within(h.view) {
		w.marks[markStale]++
	}
	if !w.past(m.carry).within(h.view.or(m.carry)) {
		w.marks[markOvertook]++
	}
	w.line(i, m.from, "r%d receives %s", i, m.name)
	w.merge(i, m.bytes, m.carry, m.name)
}

func (w *world[S, Op, V]) pull(i, from int) {
	b := slices.Clone(w.typ.Since(w.hosts[from].s, slices.Clone(w.typ.Digest(w.hosts[i].s))))
	w.line(i, from, "r%d receives what it lacks of r%d", i, from)
	if len(b) == 0 { // it says that r lacks nothing
		w.hosts[i].view = w.hosts[i].view.or(w.hosts[from].view)
		w.observe(i)
		return
	}
	w.merge(i, b, w.hosts[from].view, name{text: "Since", n: -1})
}

func (w *world[S, Op, V]) join(i, from int) {
	h := &w.hosts[i]
	before := h.state
	w.line(i, from, "r%d joins r%d in memory", i, from)
	changed := w.typ.Join(h.s, w.hosts[from].s)
	h.state = w.state(h.s)
	h.view = h.view.or(w.hosts[from].view)
	w.joins = append(w.joins, i*len(w.hosts)+from)
	if !w.strict {
		w.observe(i)
		return
	}
	if changed == bytes.Equal(before, h.state) {
		propChanged.fail("r%d joins r%d in memory and says changed=%t; state before %s, after %s", i, from, changed, hex(before), hex(h.state))
	}
	w.again(i, before, propForget, "r%d joins r%d in memory and loses a part of its own state", i, from)
	w.again(i, w.hosts[from].state, propConverge, "r%d joins r%d in memory but lacks a part of it", i, from)
	w.observe(i)
}

// merge merges b, which holds the operations of carry, into host i.
func (w *world[S, Op, V]) merge(i int, b []byte, carry bits, name name) {
	h := &w.hosts[i]
	before := h.state
	arg := slices.Clone(b)
	changed, err := w.typ.Merge(h.s, arg)
	if err != nil {
		propRefused.fail("r%d refuses %s: %v", i, name, err)
	}
	h.state = w.state(h.s)
	stale := carry.within(h.view)
	h.view = h.view.or(carry)
	if !w.strict {
		w.observe(i)
		return
	}
	if !bytes.Equal(arg, b) {
		propArgument.fail("r%d merges %s and changes its bytes from %s to %s", i, name, hex(b), hex(arg))
	}
	if stale {
		if !bytes.Equal(before, h.state) {
			propStale.fail("r%d had everything in %s, yet merging it turns %s into %s", i, name, hex(before), hex(h.state))
		}
	}
	if changed == bytes.Equal(before, h.state) {
		propChanged.fail("r%d merges %s and says changed=%t; state before %s, after %s", i, name, changed, hex(before), hex(h.state))
	}
	scribble(arg)
	if s := w.typ.State(h.s); !bytes.Equal(s, h.state) {
		propArgument.fail("r%d merges %s; overwriting those bytes afterwards turns %s into %s", i, name, hex(h.state), hex(s))
	}
	if !stale {
		w.again(i, before, propForget, "r%d merges %s and loses a part of what it had", i, name)
	}
	w.observe(i)
}

// again merges b, which host i must already hold.
func (w *world[S, Op, V]) again(i int, b []byte, p property, format string, args ...any) {
	h := &w.hosts[i]
	if _, err := w.typ.Merge(h.s, slices.Clone(b)); err != nil {
		propRefused.fail("r%d refuses %s: %v", i, hex(b), err)
	}
	if s := w.typ.State(h.s); !bytes.Equal(s, h.state) {
		p.fail("%s: merging %s turns %s into %s", fmt.Sprintf(format, args...), hex(b), hex(h.state), hex(s))
	}
}

func (w *world[S, Op, V]) crash(i, left int) {
	h := &w.hosts[i]
	h.resume = false
	switch left {
	case diskLost:
		h.disk, h.diskView = nil, nil
		w.marks[markCrashLost]++
		w.line(i, -1, "r%d crashes and loses its disk", i)
	case diskSaved:
		if h.disk == nil {
			w.marks[markCrashLost]++
		} else {
			w.marks[markCrashDisk]++
		}
		w.line(i, -1, "r%d crashes; its disk holds the last save", i)
	case diskAll:
		h.disk, h.diskView, h.resume = slices.Clone(h.state), h.view, w.typ.Resume != nil
		w.marks[markCrashDisk]++
		w.line(i, -1, "r%d crashes; its disk holds everything", i)
	}
	h.down = true
	var none S
	h.s = none
}

func (w *world[S, Op, V]) restart(i int) {
	h := &w.hosts[i]
	view := h.diskView
	switch {
	case h.resume:
		s, err := w.typ.Resume(h.r, slices.Clone(h.disk))
		if err != nil {
			propResume.fail("r%d, resuming as replica %d: %v", i, h.r.ID, err)
		}
		w.boot(i, s)
	default:
		w.name(i)
		s := w.typ.New(h.r)
		if h.disk != nil {
			if _, err := w.typ.Merge(s, slices.Clone(h.disk)); err != nil {
				propResume.fail("r%d, from its disk: %v", i, err)
			}
		}
		w.boot(i, s)
	}
	h.view = view
	w.line(i, -1, "r%d restarts as replica %d", i, h.r.ID)
	if w.strict && h.disk != nil && !bytes.Equal(h.disk, h.state) {
		propResume.fail("r%d saved %s and restarts with %s", i, hex(h.disk), hex(h.state))
	}
	w.observe(i)
}

// past returns all operations in b, all that those saw, and so on.
func (w *world[S, Op, V]) past(b bits) bits {
	out := b
	for l := range b.all() {
		out = out.or(w.labels[l].past)
	}
	return out
}

// exact reports whether the specification decides what a replica shows that has seen b: b
// lacks nothing that an operation in it saw, and none was executed where something lacked.
func (w *world[S, Op, V]) exact(b bits) bool {
	for l := range b.all() {
		if e := w.labels[l]; e.gapped || !e.past.within(b) {
			return false
		}
	}
	return true
}

func (w *world[S, Op, V]) history(b bits) History[Op] {
	var h History[Op]
	for _, e := range w.order {
		if b.has(e.label) {
			h.events = append(h.events, e)
		}
	}
	return h
}

// observe reads host i, where something has just happened, and looks whether the others are
// as they were.
func (w *world[S, Op, V]) observe(i int) {
	if !w.strict && !w.traced {
		return
	}
	h := &w.hosts[i]
	v := w.typ.Value(h.s)
	if w.traced {
		w.trace.value(i, v)
	}
	if !w.strict {
		return
	}
	if w.typ.Monotone != nil && h.read && !w.typ.Monotone(h.value, v) {
		propMonotone.fail("r%d showed %s and now shows %s", i, show(h.value), show(v))
	}
	h.value, h.read = v, true
	if w.typ.Invariant != nil {
		if err := w.typ.Invariant(w.history(w.past(h.view)), v); err != nil {
			propInvariant.fail("r%d shows %s: %v", i, show(v), err)
		}
	}
	if w.exact(h.view) {
		w.marks[markCompared]++
		if want := w.typ.Spec(w.history(h.view)); !w.typ.equal(v, want) {
			propValue.fail("r%d shows %s, the specification says %s", i, show(v), show(want))
		}
	}
	for j := range w.hosts {
		if o := &w.hosts[j]; j != i && !o.down {
			if s := w.typ.State(o.s); !bytes.Equal(s, o.state) {
				propUntouched.fail("a step at r%d changed r%d from %s to %s", i, j, hex(o.state), hex(s))
			}
		}
	}
}

// settle heals everything and demands that the replicas converge. With replay, all messages
// ever sent arrive once more at the end.
func (w *world[S, Op, V]) settle(replay bool) {
	if w.fail != nil {
		return
	}
	defer w.catch()
	w.cut = 0
	w.trace.step()
	w.line(-1, -1, "the network heals, all exchange their states")
	for _, i := range w.members() {
		if w.hosts[i].down {
			w.restart(i)
		}
	}
	w.exchange()
	w.agree()
	if replay {
		w.trace.step()
		w.line(-1, -1, "every message ever sent arrives once more")
		for _, m := range w.wire {
			for i := range w.hosts {
				if m.lost = false; w.may(m, i) {
					w.line(i, m.from, "r%d receives %s", i, m.name)
					w.merge(i, m.bytes, m.carry, m.name)
				}
			}
		}
		w.exchange()
		w.agree()
	}
	first := &w.hosts[w.members()[0]]
	if h := w.history(first.view); w.typ.Bound != nil && w.exact(first.view) {
		got, most := len(first.state), w.typ.Bound(h)
		if w.typ.Size != nil {
			got = w.typ.Size(first.s)
		}
		if got > most {
			propBound.fail("after %d operations the size is %d, of at most %d", h.Len(), got, most)
		}
	}
}

// members returns the hosts that have not left for ever.
func (w *world[S, Op, V]) members() (is []int) {
	for i := range w.hosts {
		if !w.hosts[i].gone {
			is = append(is, i)
		}
	}
	return is
}

// exchange is one round: each replica receives what each other had at its start. A join needs no
// second one.
func (w *world[S, Op, V]) exchange() {
	type part struct {
		b    []byte
		view bits
	}
	at := make([]part, len(w.hosts))
	for i := range w.hosts {
		at[i] = part{slices.Clone(w.hosts[i].state), w.hosts[i].view}
	}
	for _, i := range w.members() {
		for _, j := range w.members() {
			switch {
			case i == j:
			case w.typ.Since != nil && i > j:
				w.pull(i, j)
			default:
				w.line(i, j, "r%d receives the state of r%d", i, j)
				w.merge(i, at[j].b, at[j].view, name{text: "the state of r", n: j})
			}
		}
	}
}

func (w *world[S, Op, V]) agree() {
	members := w.members()
	a := &w.hosts[members[0]]
	v := w.typ.Value(a.s)
	for _, i := range members {
		w.line(i, -1, "r%d shows %s", i, show(w.typ.Value(w.hosts[i].s)))
	}
	for _, i := range members[1:] {
		b := &w.hosts[i]
		if u := w.typ.Value(b.s); !w.typ.equal(v, u) {
			propConverge.fail("r%d shows %s and r%d shows %s", members[0], show(v), i, show(u))
		}
		if !bytes.Equal(a.state, b.state) {
			propConverge.fail("r%d and r%d show the same value, but their states are %s and %s", members[0], i, hex(a.state), hex(b.state))
		}
	}
	if w.exact(a.view) {
		h := w.history(a.view)
		want := w.typ.Spec(h)
		if !w.typ.equal(v, want) {
			propValue.fail("all replicas show %s, the specification says %s", show(v), show(want))
		}
		if other := w.typ.Spec(h.another()); !w.typ.equal(want, other) {
			propOracle.fail("it says %s of a history and %s of the same, listed in another order", show(want), show(other))
		}
	}
}

func (w *world[S, Op, V]) line(at, from int, format string, args ...any) {
	if w.traced {
		w.trace.line(at, from, fmt.Sprintf(format, args...))
	}
}
