package crdt

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// Change is what an applied delta changed at one place: see [Store.Observe].
type Change struct {
	// Path tells where: names, fields, keys, and last of all the element if Kind is a set's.
	Path Path
	// Kind tells what stands there, and with it what Before and After hold.
	Kind Kind
	// Before and After are the value at the place. Nil says that there is nothing, which reads as the
	// empty value, and a map has no key for which there is nothing anywhere below. They are good to keep and
	// not to be changed.
	Before, After any
	// Local tells that the change was made here, and not merged.
	Local bool
}

// String returns the change for people.
func (c Change) String() string {
	return fmt.Sprintf("%v %v: %v → %v", c.Kind, c.Path, c.Before, c.After)
}

// Path is a place, from the root of a store on: a string for a name in a store made with [NewStore],
// a [Field] for a field of a struct, a K for a key of a [Map], an E for an element of a set. The path
// of what stands at the root itself is empty.
type Path []any

// String returns the path as [SchemaError] does, for people.
func (p Path) String() string {
	if len(p) == 0 {
		return "the root"
	}
	parts := make([]string, len(p))
	for i, k := range p {
		switch k := k.(type) {
		case string:
			parts[i] = fmt.Sprintf("%q", k)
		default:
			parts[i] = fmt.Sprint(k)
		}
	}
	return strings.Join(parts, " › ")
}

// Field is a field of a struct, by the number of its tag: see [OpenStruct].
type Field uint32

// String returns the field for people.
func (f Field) String() string { return fmt.Sprintf("field %d", uint32(f)) }

// Kind tells what stands at the place of a [Change].
type Kind uint8

// The kinds, and what Before and After hold. The element of a set is there or not; a false instead of
// nil is a removed one that leaves a tombstone, so only true means that it is in the set.
const (
	KindSet            Kind = 1 + iota // true
	KindRWSet                          // bool
	KindLWWSet                         // bool
	KindGSet                           // true
	KindTwoPhaseSet                    // bool
	KindCounter                        // int64
	KindGCounter                       // uint64
	KindBoundedCounter                 // uint64
	KindLWW                            // T
	KindRegister                       // []T: see Register.Values
	KindFlag                           // true
	KindStickyFlag                     // bool
)

// String returns the name of the type that has the kind.
func (k Kind) String() string {
	names := [...]string{
		KindSet: "Set", KindRWSet: "RWSet", KindLWWSet: "LWWSet", KindGSet: "GSet", KindTwoPhaseSet: "TwoPhaseSet",
		KindCounter: "Counter", KindGCounter: "GCounter", KindBoundedCounter: "BoundedCounter", KindLWW: "LWW",
		KindRegister: "Register", KindFlag: "Flag", KindStickyFlag: "StickyFlag",
	}
	if k == 0 || int(k) >= len(names) {
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
	return names[k]
}

// Observe has f called with each change of a value from now on, be it made here or merged: after the
// delta that brought it was applied whole, once for each place whose value differs, ascending by path
// (names as strings, fields and keys by their encoding). The first calls tell the difference to what
// the store holds when Observe is called; who keeps a copy reads that first. Changes of places that
// nobody has opened here are not told. It returns what ends this, which may be called at any time.
//
// f may read the store, and may change it or merge: what comes of that is told after the changes of
// the present delta, to all observers. It must not be called within [Store.Update]. Without observers
// the store does nothing of this; with them each changed place costs some allocations.
func (s *Store) Observe(f func(Change)) (cancel func()) {
	if s.tx.depth > 0 {
		panic("crdt: Observe inside Update")
	}
	if f == nil {
		panic("crdt: Observe has no function")
	}
	o := &observer{f: f}
	s.watch.observers = append(s.watch.observers, o)
	return func() {
		o.done = true
		s.watch.observers = slices.DeleteFunc(slices.Clone(s.watch.observers), func(p *observer) bool { return p == o })
	}
}

type observer struct {
	f    func(Change)
	done bool
}

// watch is what observers are to be told.
type watch struct {
	observers []*observer
	before    map[string]glimpse // of the delta that is being applied: what it changes, by place
	queue     []Change
	telling   bool
}

// glimpse is a value as it was at some time. Equal texts are equal values; without a text the values
// are compared.
type glimpse struct {
	steps []step
	value any
	text  string
}

// step leads from a node to one below it.
type step struct {
	shape shape
	key   string
}

func compareSteps(a, b step) int {
	return cmp.Or(strings.Compare(a.key, b.key), cmp.Compare(a.shape.kind, b.shape.kind), cmp.Compare(a.shape.codec, b.shape.codec))
}

// touch is called before events come or go at a node.
func (s *Store) touch(at slot) {
	if len(s.watch.observers) > 0 {
		s.watch.look(s, s.tree.steps(nil, at))
	}
}

// steps appends the way from the root to a node.
func (t *tree) steps(steps []step, at slot) []step {
	from := len(steps)
	for at != rootSlot {
		n := t.at(at)
		steps = append(steps, step{n.shape, n.key})
		at = n.parent
	}
	slices.Reverse(steps[from:])
	return steps
}

// appendSteps appends an encoding of steps.
func appendSteps(b []byte, steps []step) []byte {
	b = binary.AppendUvarint(b, uint64(len(steps)))
	for _, st := range steps {
		b = append(b, byte(st.shape.kind), st.shape.codec)
		b = binary.AppendUvarint(b, uint64(len(st.key)))
		b = append(b, st.key...)
	}
	return b
}

// look keeps the value at a place as it is before the first change.
func (w *watch) look(s *Store, steps []step) {
	key := string(appendSteps(nil, steps))
	if _, ok := w.before[key]; ok {
		return
	}
	if w.before == nil {
		w.before = map[string]glimpse{}
	}
	g := glimpse{steps: steps}
	if h, _, ok := s.locate(steps); ok {
		g.value, g.text = h.glimpse()
	}
	w.before[key] = g
}

// look has the merged delta's places looked at.
func (m *merger) look(s *Store) {
	v := &m.view
	for _, o := range m.over {
		l := &s.lanes[o.lane]
		if i, ok := l.lookup(o.seq); ok {
			s.touch(l.slots[i])
		}
	}
	for _, it := range v.fresh {
		for i := range it.n {
			s.watch.look(s, v.steps(it.def+i))
		}
	}
}

// steps returns the way from the root to a node that the delta names.
func (v *view) steps(i uint32) []step {
	var steps []step
	for i != 0 {
		f := v.family(i)
		steps = append(steps, step{f.shape, string(v.key(i))})
		i = f.parent
	}
	slices.Reverse(steps)
	return steps
}

// locate returns the place that steps lead to; false if it is not open here.
func (s *Store) locate(steps []step) (h *Handle, path Path, ok bool) {
	if s.schema == nil {
		return nil, nil, false
	}
	h = &Handle{store: s, types: s.schema}
	path = make(Path, 0, len(steps))
	for _, st := range steps {
		sub := h.types.child([]byte(st.key))
		if sub == nil || sub.shape != st.shape {
			return nil, nil, false
		}
		var k any = st.key
		switch h.types.shape.kind {
		case kindStore:
		case kindStruct:
			number, _ := binary.Uvarint([]byte(st.key))
			k = Field(number)
		default:
			if k, ok = h.types.key.decode(st.key); !ok {
				return nil, nil, false
			}
		}
		path = append(path, k)
		h = &Handle{store: s, up: h, key: st.key, types: sub}
	}
	return h, path, true
}

// glimpse returns the value at a leaf, nil if nothing lives there.
func (h *Handle) glimpse() (value any, text string) {
	at, ok := h.find()
	if !ok || h.store.tree.at(at).live() == 0 {
		return nil, ""
	}
	s := h.store
	switch h.types.shape.kind {
	case kindElem, kindGElem, kindFlag:
		return true, ""
	case kindTwoPhaseElem, kindRWElem, kindStickyFlag:
		return unlessRemoved(s, at), ""
	case kindLWWElem:
		return lastAdded(s, at), ""
	case kindCounter, kindTotal:
		return (&Counter{Handle: *h}).Value(), ""
	case kindGCounter, kindGTotal:
		return (&GCounter{Handle: *h}).Value(), ""
	case kindBounded:
		return (&BoundedCounter{Handle: *h}).Value(), ""
	case kindLWW:
		last, _ := s.last(at)
		value, _ = h.types.value.decode(last.payload[stampLen:])
		return value, "=" + last.payload[stampLen:]
	case kindRegister:
		var ps []string
		h.dots(func(d dot) { ps = append(ps, d.payload[len(registerMark):]) })
		slices.Sort(ps)
		ps = slices.Compact(ps)
		return h.types.value.list(ps), fmt.Sprintf("%q", ps)
	}
	return nil, ""
}

// tell tells observers what has changed since they looked.
func (s *Store) tell(local bool) {
	w := &s.watch
	if len(w.before) == 0 {
		return
	}
	was := make([]glimpse, 0, len(w.before))
	for _, g := range w.before {
		was = append(was, g)
	}
	clear(w.before)
	slices.SortFunc(was, func(a, b glimpse) int { return slices.CompareFunc(a.steps, b.steps, compareSteps) })
	for _, g := range was {
		h, path, ok := s.locate(g.steps)
		if !ok {
			continue
		}
		now, text := h.glimpse()
		if (g.value == nil) == (now == nil) && g.text == text && (text != "" || g.value == now) {
			continue
		}
		kind := h.types.shape.kind
		w.queue = append(w.queue, Change{Path: path, Kind: kinds[kind].public, Before: g.value, After: now, Local: local})
	}
	if w.telling {
		return // the call below us goes on with it
	}
	w.telling = true
	defer func() { w.telling, w.queue = false, nil }()
	for len(w.queue) > 0 {
		c := w.queue[0]
		w.queue = w.queue[1:]
		for _, o := range w.observers {
			if !o.done {
				o.f(c)
			}
		}
	}
}
